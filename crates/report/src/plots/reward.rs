//! How well the reward models tell the better answer: accuracy with intervals, over the steps, and whether
//! they know how sure they may be.

use maud::{Markup, html};

use super::forest::{Forest, Row};
use super::{Line, OverSteps, figure, percent};
use crate::input::ReportInput;
use crate::summary::{CalibrationBin, RewardFigures, Variant, Variants};
use crate::svg::{Axes, Frame, Scale, drawing, marks, place};

/// The metric that a reward run logs when it looks at the pairs that choose its step.
const VALIDATION: &str = "validation_accuracy";

/// All figures about the reward models.
#[must_use]
pub(crate) fn draw(input: &ReportInput) -> Markup {
    html! {
        div.figures {
            (accuracy(&input.summary.reward_models))
            (over_steps(input))
            (reliability(&input.summary.reward_models))
        }
    }
}

fn accuracy(models: &Variants<RewardFigures>) -> Markup {
    let row = |(variant, figures): (Variant, &RewardFigures)| Row {
        name: variant.name().to_owned(),
        class: variant.class(),
        shape: variant.shape(),
        value: figures.accuracy,
        interval: Some(figures.ci95),
    };
    let rows: Vec<Row> = models.iter().map(row).collect();
    let forest = Forest {
        title: "Accuracy on held-out pairs",
        unit: "pairs in the annotator's order; 50% is chance",
        percent: true,
        line: Some(0.5),
    };
    forest.draw(&rows)
}

fn over_steps(input: &ReportInput) -> Markup {
    let lines: Vec<Line> = Variant::ALL
        .into_iter()
        .filter_map(|variant| {
            Some(Line {
                name: variant.name(),
                class: variant.class(),
                shape: variant.shape(),
                points: input.run("reward", variant)?.series(VALIDATION),
            })
        })
        .collect();
    let plot = OverSteps {
        title: "Accuracy while training",
        unit: "validation pairs in the annotator's order",
        percent: true,
        logarithmic: false,
        smoothing: 1,
        always: &[0.5],
        caption: "Each variant keeps the step that is best on these pairs; they are not the held-out ones.",
    };
    plot.draw(&lines)
}

/// A bin with a place: mean probability and accuracy.
fn filled(bin: &CalibrationBin) -> Option<(f64, f64)> {
    (bin.n > 0).then_some((bin.mean_probability?, bin.accuracy?))
}

fn reliability(models: &Variants<RewardFigures>) -> Markup {
    if models
        .iter()
        .all(|(_, figures)| figures.calibration.iter().all(|bin| filled(bin).is_none()))
    {
        return html! {};
    }
    let unit = Scale::linear([0.0, 1.0]);
    let frame = Frame::new([40.0, 240.0, 24.0, 200.0], unit, unit);
    let ends: Vec<(f64, &str, &str)> = models
        .iter()
        .filter_map(|(variant, figures)| {
            let last = figures.calibration.iter().filter_map(filled).next_back()?;
            Some((last.1, variant.name(), variant.class()))
        })
        .collect();
    let content = html! {
        (frame.axes(&Axes {
            x: Some("probability that the model gives"),
            y: "how often it is so",
            n_x: 5,
            n_y: 5,
            percent: [true, true],
        }))
        (marks::line(&frame, &[(0.0, 0.0), (1.0, 1.0)], "contour"))
        @for (variant, figures) in models.iter() { (bins(&frame, variant, figures)) }
        (marks::end_labels(&frame, &ends))
    };
    let errors: Vec<String> = models
        .iter()
        .filter_map(|(variant, figures)| {
            Some(format!("{} {}", variant.name(), percent(figures.ece?)))
        })
        .collect();
    let caption = format!(
        "On the dotted line a model is as often right as it says. Larger dots hold more pairs. Expected \
         calibration error: {}.",
        errors.join(", ")
    );
    let drawn = drawing(
        236.0,
        &format!("Reliability of the reward models. {caption}"),
        &content,
    );
    figure("Does it know how sure it may be?", &drawn, &caption)
}

fn bins(frame: &Frame, variant: Variant, figures: &RewardFigures) -> Markup {
    let points: Vec<(f64, f64)> = figures.calibration.iter().filter_map(filled).collect();
    let most = figures
        .calibration
        .iter()
        .map(|bin| bin.n)
        .max()
        .unwrap_or(1)
        .max(1);
    html! {
        (marks::line(frame, &points, &format!("line thin {}", variant.class())))
        @for bin in &figures.calibration {
            @if let Some(point) = filled(bin) {
                @let words = format!(
                    "{}: says {}, is so in {} of {} pairs", variant.name(), percent(point.0), percent(point.1), bin.n
                );
                // Its area shows how many pairs it holds.
                @let size = 0.5 + 0.9 * (bin.n as f64 / most as f64).sqrt();
                @let (x, y) = frame.at(point);
                g class=(variant.class()) {
                    title { (words) }
                    g transform={ "translate(" (place(x)) " " (place(y)) ") scale(" (format!("{size:.2}")) ")" } {
                        (variant.shape().drawn(0.0, 0.0))
                    }
                }
            }
        }
    }
}

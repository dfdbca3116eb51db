//! How well the reward models tell the better answer: accuracy with intervals, over the steps, and whether
//! they know how sure they may be.

use maud::{Markup, html};

use super::forest::{Forest, Row};
use super::reliability::{self, Curve};
use super::{Line, OverSteps};
use crate::input::ReportInput;
use crate::summary::{RewardFigures, Variant, Variants};

/// The metric that a reward run logs when it looks at the pairs that choose its step.
const VALIDATION: &str = "validation_accuracy";

/// All figures about the reward models.
#[must_use]
pub(crate) fn draw(input: &ReportInput) -> Markup {
    html! {
        div.figures {
            (accuracy(&input.summary.reward_models))
            (over_steps(input))
            (curves(&input.summary.reward_models))
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

fn curves(models: &Variants<RewardFigures>) -> Markup {
    let curves: Vec<Curve> = models
        .iter()
        .map(|(variant, figures)| Curve {
            name: variant.name(),
            class: variant.class(),
            shape: variant.shape(),
            bins: &figures.calibration,
            ece: figures.ece,
        })
        .collect();
    reliability::draw(&curves)
}

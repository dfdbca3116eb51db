//! The losses of the stages that every demo has.

use maud::{Markup, html};

use super::{Line, OverSteps};
use crate::input::ReportInput;
use crate::metrics::Metrics;
use crate::summary::Variant;
use crate::svg::marks::Shape;

/// Part of a run that a smoothed line averages over.
const WINDOW: usize = 25;

const PLOT: OverSteps = OverSteps {
    title: "",
    unit: "loss",
    percent: false,
    logarithmic: false,
    smoothing: 1,
    always: &[],
    caption: "",
};

/// The losses of the stages that every demo has, those that were run.
#[must_use]
pub(crate) fn draw(input: &ReportInput) -> Markup {
    html! {
        div.figures {
            @for (run, title) in [
                ("ground", "Grounding"),
                ("pretrain", "Projector and decoder pretraining"),
                ("sft", "Supervised fine-tuning"),
                ("sft-gpt4", "Supervised fine-tuning on GPT-4-like data alone"),
                ("reading", "Reading of facts, the reward models' base"),
            ] { (alone(input.runs.get(run), title)) }
            (both(input, "reward", "loss", "Reward models", "pair loss"))
            (alone(input.runs.get("policy-init"), "Policy init"))
            (both(input, "ppo", "policy_loss", "PPO: policy", "policy loss"))
            (both(input, "ppo", "value_loss", "PPO: value", "value loss"))
        }
    }
}

fn alone(metrics: Option<&Metrics>, title: &str) -> Markup {
    let points = metrics.map_or(&[][..], |metrics| metrics.series("loss"));
    let line = Line {
        name: "",
        class: "sft",
        shape: Shape::Circle,
        points,
    };
    let plot = OverSteps {
        title,
        unit: "loss (logarithmic)",
        logarithmic: true,
        smoothing: window(points),
        ..PLOT
    };
    plot.draw(&[line])
}

fn both(input: &ReportInput, stage: &str, metric: &str, title: &str, unit: &str) -> Markup {
    let lines: Vec<Line> = Variant::ALL
        .into_iter()
        .filter_map(|variant| {
            Some(Line {
                name: variant.name(),
                class: variant.class(),
                shape: variant.shape(),
                points: input.run(stage, variant)?.series(metric),
            })
        })
        .collect();
    let longest = lines
        .iter()
        .map(|line| line.points)
        .max_by_key(|points| points.len());
    let plot = OverSteps {
        title,
        unit,
        smoothing: window(longest.unwrap_or_default()),
        ..PLOT
    };
    plot.draw(&lines)
}

fn window(points: &[(f64, f64)]) -> usize {
    (points.len() / WINDOW).max(3)
}

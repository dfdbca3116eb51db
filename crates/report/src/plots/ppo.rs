//! What happens to the policy while PPO trains it: how far it moves, how much and what it says.

use maud::{Markup, html};

use super::{Line, OverSteps};
use crate::input::ReportInput;
use crate::summary::Variant;

/// A metric of the PPO run with how it is shown.
struct Watched {
    metric: &'static str,
    title: &'static str,
    unit: &'static str,
    percent: bool,
    always: &'static [f64],
}

const WATCHED: [Watched; 6] = [
    Watched {
        metric: "kl_mean",
        title: "Distance from the start",
        unit: "KL(policy ‖ start), nats per response",
        percent: false,
        always: &[0.0],
    },
    Watched {
        metric: "response_tokens_mean",
        title: "Length of responses",
        unit: "tokens, mean",
        percent: false,
        always: &[],
    },
    Watched {
        metric: "yes_ratio",
        title: "Yes answers to yes/no questions",
        unit: "share of yes",
        percent: true,
        always: &[0.5],
    },
    Watched {
        metric: "entropy",
        title: "Entropy",
        unit: "nats per token, mean",
        percent: false,
        always: &[0.0],
    },
    Watched {
        metric: "correctness_mean",
        title: "Answers that a rule can check",
        unit: "mean correctness",
        percent: false,
        always: &[],
    },
    Watched {
        metric: "explained_variance",
        title: "What the value model explains",
        unit: "share of the returns' variance",
        percent: true,
        always: &[0.0],
    },
];

/// The metrics to watch, of both variants.
#[must_use]
pub(crate) fn draw(input: &ReportInput) -> Markup {
    html! {
        div.figures {
            @for watched in &WATCHED { (one(input, watched)) }
        }
    }
}

fn one(input: &ReportInput, watched: &Watched) -> Markup {
    let lines: Vec<Line> = Variant::ALL
        .into_iter()
        .filter_map(|variant| {
            Some(Line {
                name: variant.name(),
                class: variant.class(),
                shape: variant.shape(),
                points: input.run("ppo", variant)?.series(watched.metric),
            })
        })
        .collect();
    let plot = OverSteps {
        title: watched.title,
        unit: watched.unit,
        percent: watched.percent,
        logarithmic: false,
        smoothing: 5,
        always: watched.always,
        caption: "",
    };
    plot.draw(&lines)
}

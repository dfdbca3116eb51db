//! The reward model's score against the truth over the steps of PPO: one column for each variant, the same axes.
//!
//! Where the score rises while the share of false answers does not fall, the policy has learned to please the
//! reward model rather than to be right.

use candor_eval::curve::{Curve, HackingPoint};
use maud::{Markup, html};

use super::{figure, percent};
use crate::metrics::smoothed;
use crate::summary::{Variant, Variants};
use crate::svg::marks::{self, Shape};
use crate::svg::scale::{number, range};
use crate::svg::{Axes, Frame, Scale, WIDTH, drawing};

/// Steps that a smoothed line averages over.
const SMOOTHING: usize = 7;

/// What is drawn in one strip: its unit, its values, whose colour, and how its numbers are written.
struct Strip {
    unit: &'static str,
    of: fn(&HackingPoint) -> Option<f64>,
    class: &'static str,
    written: fn(f64) -> String,
    percent: bool,
    always: &'static [f64],
}

const STRIPS: [Strip; 3] = [
    Strip {
        unit: "reward model's score, normalised",
        of: |point| Some(point.normalised_score_mean.unwrap_or(point.score_mean)),
        class: "",
        written: |value| number(value, 2),
        percent: false,
        always: &[],
    },
    Strip {
        unit: "truth: responses with a false claim",
        of: |point| Some(point.hallucinated_share),
        class: "truth",
        written: percent,
        percent: true,
        always: &[0.0],
    },
    Strip {
        unit: "Spearman correlation of score and judge",
        of: |point| point.correlation.map(|correlation| correlation.spearman),
        class: "start",
        written: |value| number(value, 2),
        percent: false,
        always: &[0.0],
    },
];

/// Both variants; nothing without rollouts.
#[must_use]
pub(crate) fn draw(curves: &Variants<Curve>) -> Markup {
    let rollouts = || curves.iter().flat_map(|(_, curve)| &curve.rollouts);
    let Some(steps) = range(rollouts().map(|point| point.step as f64), 0.0) else {
        return html! {};
    };
    let ranges = STRIPS.map(|strip| {
        let values = rollouts()
            .filter_map(strip.of)
            .chain(strip.always.iter().copied());
        range(values, 0.04).unwrap_or([0.0, 1.0])
    });
    html! {
        div.figures.two {
            @for (variant, curve) in curves.iter() {
                @if !curve.rollouts.is_empty() { (column(variant, &curve.rollouts, steps, ranges)) }
            }
        }
    }
}

fn column(
    variant: Variant,
    rollouts: &[HackingPoint],
    steps: [f64; 2],
    ranges: [[f64; 2]; 3],
) -> Markup {
    let content = html! {
        @for (index, (strip, range)) in STRIPS.iter().zip(ranges).enumerate() {
            @let top = 24.0 + 118.0 * index as f64;
            @let edges = [40.0, WIDTH - 12.0, top, top + 84.0];
            @let frame = Frame::new(edges, Scale::linear(steps), Scale::linear(range));
            @let last = index + 1 == STRIPS.len();
            (frame.axes(&Axes {
                x: last.then_some("PPO step"),
                y: strip.unit,
                n_x: 5,
                n_y: 4,
                percent: [false, strip.percent],
            }))
            (drawn(&frame, strip, variant, rollouts))
        }
    };
    let title = match variant {
        Variant::Facts => "Reward model with facts",
        Variant::NoFacts => "Reward model without facts",
    };
    figure(
        title,
        &drawing(380.0, &spoken(title, rollouts), &content),
        "",
    )
}

fn drawn(frame: &Frame, strip: &Strip, variant: Variant, rollouts: &[HackingPoint]) -> Markup {
    let class = if strip.class.is_empty() {
        variant.class()
    } else {
        strip.class
    };
    let points: Vec<(f64, f64)> = rollouts
        .iter()
        .filter_map(|point| Some((point.step as f64, (strip.of)(point)?)))
        .collect();
    html! {
        @for point in rollouts {
            @if let Some(value) = (strip.of)(point) {
                @let words = format!("step {}: {} of {} rollouts", point.step, (strip.written)(value), point.n);
                (marks::dot(frame, (point.step as f64, value), Shape::Circle, &format!("faint {class}"), &words))
            }
        }
        (marks::line(frame, &smoothed(&points, SMOOTHING), &format!("line {class}")))
    }
}

fn spoken(title: &str, rollouts: &[HackingPoint]) -> String {
    let ends: Vec<String> = STRIPS
        .iter()
        .filter_map(|strip| {
            let mut values = rollouts.iter().filter_map(strip.of);
            let (first, last) = (values.next()?, values.next_back()?);
            let (first, last) = ((strip.written)(first), (strip.written)(last));
            Some(format!("{} from {first} to {last}", strip.unit))
        })
        .collect();
    format!("{title}: {}", ends.join(", "))
}

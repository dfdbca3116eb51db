//! `CHAIR_i` against recall of all algorithms: where each ends, and its way there if it kept snapshots.
//!
//! Colour and form tell the algorithm; a broken line and a hollow mark, that the reward model does not see the facts. The table
//! of the algorithms says which is which.

use candor_eval::curve::Curve;
use candor_judge::Benchmark;
use maud::{Markup, html};

use super::figure;
use super::plane::{HEIGHT, Name, Plane, words};
use crate::summary::{Algorithm, AlgorithmRow, Policies, Policy, measured};
use crate::svg::drawing;
use crate::svg::marks::{self, Shape};

const CAPTION: &str = "Greedy descriptions of the evaluation images by each algorithm's policy; lines are the ways there over \
    snapshots. Down is more truthful, right is more complete, and along a dotted line the object F1 stays the same. Hollow \
    marks and broken lines: the reward model does not see the facts. Whiskers are 95% intervals.";

impl Algorithm {
    /// The class of everything that is drawn for it.
    #[must_use]
    pub fn class(self) -> &'static str {
        self.key()
    }

    /// The form of its dots.
    #[must_use]
    pub fn shape(self) -> Shape {
        match self {
            Self::Ppo => Shape::Circle,
            Self::Grpo => Shape::Square,
            Self::Rloo => Shape::Diamond,
            Self::Dpo => Shape::Cross,
        }
    }
}

/// Its class, and whether it is drawn hollow and broken.
#[must_use]
pub(crate) fn class(row: &AlgorithmRow) -> String {
    let hollow = if row.facts == Some(false) {
        " hollow"
    } else {
        ""
    };
    format!("{}{hollow}", row.algorithm.class())
}

/// What an algorithm is drawn with, to stand before its name.
#[must_use]
pub(crate) fn swatch(row: &AlgorithmRow) -> Markup {
    let class = class(row);
    html! {
        svg.swatch viewBox="0 0 26 12" aria-hidden="true" {
            @if row.facts.is_some() { path class={ "line thin " (class) } d="M0 6L26 6" {} }
            g class=(class) { (row.algorithm.shape().drawn(13.0, 6.0)) }
        }
    }
}

/// All algorithms, and where they start; nothing without results.
#[must_use]
pub(crate) fn draw(rows: &[AlgorithmRow], curves: &[Option<Curve>], policies: &Policies) -> Markup {
    let at = |results, key| measured(results, Benchmark::Chair, key);
    let start = policies.get(Policy::PolicyInit).and_then(|results| {
        let (recall, chair_i) = (at(results, "recall")?, at(results, "chair_i")?);
        Some((recall.0, chair_i.0))
    });
    let ends: Vec<_> = rows
        .iter()
        .zip(curves)
        .filter_map(|(row, curve)| {
            let (recall, chair_i) = (at(&row.results, "recall")?, at(&row.results, "chair_i")?);
            let points = curve.iter().flat_map(|curve| &curve.points);
            let way: Vec<(f64, f64)> = points
                .filter_map(|point| Some((point.recall?, point.chair_i?)))
                .collect();
            Some((row, way, recall, chair_i))
        })
        .collect();
    let mut places: Vec<(f64, f64)> = start.into_iter().collect();
    for (_, way, (recall, along), (chair_i, upward)) in &ends {
        places.extend(way);
        places.push((*recall, *chair_i));
        if let Some(([left, right], [low, high])) = along.zip(*upward) {
            places.extend([(left, low), (right, high)]);
        }
    }
    let Some(plane) = Plane::around(&places).filter(|_| !ends.is_empty()) else {
        return html! {};
    };
    let dots: Vec<(f64, f64)> = ends
        .iter()
        .map(|(_, _, recall, chair_i)| (recall.0, chair_i.0))
        .collect();
    let content = html! {
        (plane.ground())
        @for (row, way, ..) in &ends {
            (marks::line(&plane.frame, way, &format!("line thin {}", class(row))))
        }
        @if let Some(point) = start {
            (marks::dot(&plane.frame, point, Shape::Diamond, "start", &words("policy init", point)))
            (plane.names(&[Name { point, text: "policy init".to_owned(), class: "start" }], &dots))
        }
        @for (row, _, (recall, along), (chair_i, upward)) in &ends {
            @let end = (*recall, *chair_i);
            (marks::whiskers(&plane.frame, end, *along, *upward, &format!("faint {}", class(row))))
            (marks::dot(&plane.frame, end, row.algorithm.shape(), &class(row), &words(&row.name(), end)))
        }
    };
    let spoken: Vec<String> = ends
        .iter()
        .map(|(row, _, recall, chair_i)| words(&row.name(), (recall.0, chair_i.0)))
        .collect();
    let label = format!(
        "CHAIR_i against recall of the algorithms. {}",
        spoken.join("; ")
    );
    let drawn = drawing(HEIGHT, &label, &content);
    html! { div.figures.wide { (figure("CHAIR_i against recall", &drawn, CAPTION)) } }
}

//! `CHAIR_i` against recall of all algorithms over several seeds: a small mark for each seed, a large one for the mean.

use candor_judge::{Benchmark, Results};
use maud::{Markup, html};

use super::algorithms::class;
use super::figure;
use super::plane::{HEIGHT, Name, Plane, words};
use crate::seeds::Demo;
use crate::summary::{AlgorithmRow, Policy, measured};
use crate::svg::drawing;
use crate::svg::marks::{self, Shape};

const CAPTION: &str = "Small marks are seeds, large ones the means over the seeds that have the algorithm, with what an algorithm \
    is drawn with as in a demo's own report: hollow marks are of reward models that do not see the facts. Down is more truthful, \
    right is more complete, and along a dotted line the object F1 stays the same.";

/// Recall and `CHAIR_i`.
type Place = (f64, f64);

/// The figure; nothing where no demo ran several algorithms.
#[must_use]
pub(crate) fn draw(demos: &[Demo]) -> Markup {
    let mut algorithms: Vec<(&AlgorithmRow, Vec<(u64, Place)>)> = Vec::new();
    for demo in demos {
        for row in &demo.summary.algorithms {
            let Some(at) = place(&row.results) else {
                continue;
            };
            let seed = (demo.summary.seed, at);
            match algorithms
                .iter_mut()
                .find(|(known, _)| known.name() == row.name())
            {
                Some((_, seeds)) => seeds.push(seed),
                None => algorithms.push((row, vec![seed])),
            }
        }
    }
    let starts: Vec<Place> = demos
        .iter()
        .filter(|demo| !demo.summary.algorithms.is_empty())
        .filter_map(|demo| place(demo.summary.policies.get(Policy::PolicyInit)?))
        .collect();
    let all = algorithms.iter().flat_map(|(_, seeds)| seeds);
    let dots: Vec<Place> = all.map(|(_, at)| *at).collect();
    let places: Vec<Place> = dots.iter().chain(&starts).copied().collect();
    let Some(plane) = Plane::around(&places).filter(|_| !dots.is_empty()) else {
        return html! {};
    };
    let means: Vec<(&AlgorithmRow, Place)> = algorithms
        .iter()
        .filter_map(|(row, seeds)| Some((*row, mean(seeds.iter().map(|(_, at)| *at))?)))
        .collect();
    let start = mean(starts.iter().copied());
    let content = html! {
        (plane.ground())
        @for (row, seeds) in &algorithms {
            @for (seed, at) in seeds {
                @let said = words(&format!("{}, seed {seed}", row.name()), *at);
                (marks::dot(&plane.frame, *at, row.algorithm.shape(), &format!("small {}", class(row)), &said))
            }
        }
        @if let Some(point) = start {
            (marks::dot(&plane.frame, point, Shape::Diamond, "start", &words("policy init, mean", point)))
            (plane.names(&[Name { point, text: "policy init".to_owned(), class: "start" }], &dots))
        }
        @for (row, at) in &means {
            (marks::dot(&plane.frame, *at, row.algorithm.shape(), &class(row), &words(&format!("{}, mean", row.name()), *at)))
        }
    };
    let spoken: Vec<String> = means
        .iter()
        .map(|(row, at)| words(&format!("{}, mean", row.name()), *at))
        .collect();
    let label = format!(
        "CHAIR_i against recall of the algorithms, every seed. {}",
        spoken.join("; ")
    );
    let drawn = drawing(HEIGHT, &label, &content);
    html! { div.figures.wide { (figure("CHAIR_i against recall, every seed", &drawn, CAPTION)) } }
}

fn place(results: &Results) -> Option<Place> {
    let of = |key| measured(results, Benchmark::Chair, key);
    Some((of("recall")?.0, of("chair_i")?.0))
}

/// The mean of places, if there are any.
fn mean(places: impl Iterator<Item = Place>) -> Option<Place> {
    let (n, sum) = places.fold((0.0, (0.0, 0.0)), |(n, (x, y)), place| {
        (n + 1.0, (x + place.0, y + place.1))
    });
    (n > 0.0).then(|| (sum.0 / n, sum.1 / n))
}

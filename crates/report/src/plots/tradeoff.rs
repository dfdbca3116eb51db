//! `CHAIR_i` against recall over the steps of PPO.

use candor_eval::curve::{Curve, CurvePoint};
use candor_judge::Benchmark;
use maud::{Markup, html};

use super::figure;
use super::plane::{HEIGHT, Name, Plane, words};
use crate::summary::{Policies, Policy, Variant, Variants, measured};
use crate::svg::drawing;
use crate::svg::marks::{self, Shape};

const CAPTION: &str = "Greedy descriptions of the evaluation images at every snapshot; triangles point to later \
    steps. Down is more truthful, right is more complete. Along a dotted line the object F1 stays the same: moving \
    along one trades truth against silence, moving below one is an improvement. Whiskers are 95% intervals.";

/// Both variants and the SFT model; nothing without curves.
#[must_use]
pub(crate) fn draw(curves: &Variants<Curve>, policies: &Policies) -> Markup {
    let paths: Vec<(Variant, Vec<&CurvePoint>)> = curves
        .iter()
        .map(|(variant, curve)| {
            (
                variant,
                curve.points.iter().filter(|p| at(p).is_some()).collect(),
            )
        })
        .collect();
    let of_sft = |key| Some(measured(policies.sft.as_ref()?, Benchmark::Chair, key)?.0);
    let sft = of_sft("recall").zip(of_sft("chair_i"));
    let ends = paths.iter().filter_map(|(_, points)| points.last());
    let corners = ends.filter_map(|point| point.ci95_recall.zip(point.ci95_chair_i));
    let mut places: Vec<(f64, f64)> = corners
        .flat_map(|(recall, chair_i)| [(recall[0], chair_i[0]), (recall[1], chair_i[1])])
        .collect();
    places.extend(
        paths
            .iter()
            .flat_map(|(_, points)| points)
            .filter_map(|p| at(p)),
    );
    if places.is_empty() {
        return html! {};
    }
    places.extend(sft);
    let dots: Vec<(f64, f64)> = paths
        .iter()
        .flat_map(|(_, points)| points)
        .filter_map(|p| at(p))
        .chain(sft)
        .collect();
    let Some(plane) = Plane::around(&places) else {
        return html! {};
    };
    // Both variants start at the same policy, which is marked once.
    let start = paths
        .iter()
        .find_map(|(_, points)| points.first().and_then(|point| at(point)));
    let content = html! {
        (plane.ground())
        @for (variant, points) in &paths { (path(&plane, *variant, points)) }
        @if let Some(point) = sft {
            (marks::dot(&plane.frame, point, Policy::Sft.shape(), "sft", &words("SFT", point)))
        }
        @if let Some(point) = start {
            (marks::dot(&plane.frame, point, Shape::Diamond, "start", &words("start", point)))
        }
        (plane.names(&names(&paths, sft, start), &dots))
    };
    let drawn = drawing(HEIGHT, &spoken(&paths), &content);
    html! { div.figures.wide { (figure("CHAIR_i against recall over the steps", &drawn, CAPTION)) } }
}

fn at(point: &CurvePoint) -> Option<(f64, f64)> {
    Some((point.recall?, point.chair_i?))
}

fn path(plane: &Plane, variant: Variant, points: &[&CurvePoint]) -> Markup {
    let places: Vec<(f64, f64)> = points.iter().filter_map(|point| at(point)).collect();
    let frame = &plane.frame;
    html! {
        (marks::line(frame, &places, &format!("line thin {}", variant.class())))
        @for pair in places.windows(2) {
            (marks::arrow(frame.at(pair[0]), frame.at(pair[1]), &format!("tip {}", variant.class())))
        }
        @for (point, place) in points.iter().zip(&places) {
            @let said = words(&format!("{}, step {}", variant.name(), point.step), *place);
            (marks::dot(frame, *place, variant.shape(), &format!("small {}", variant.class()), &said))
        }
        @if let (Some(last), Some(end)) = (points.last(), places.last()) {
            (marks::whiskers(frame, *end, last.ci95_recall, last.ci95_chair_i, variant.class()))
            (marks::dot(frame, *end, variant.shape(), variant.class(), &words(variant.name(), *end)))
        }
    }
}

fn names(
    paths: &[(Variant, Vec<&CurvePoint>)],
    sft: Option<(f64, f64)>,
    start: Option<(f64, f64)>,
) -> Vec<Name> {
    let name = |text: String, class, point| Name { point, text, class };
    let ends = paths.iter().filter_map(|(variant, points)| {
        let last = points.last()?;
        let text = format!("{}, step {}", variant.name(), last.step);
        Some(name(text, variant.class(), at(last)?))
    });
    ends.chain(sft.map(|point| name("SFT".to_owned(), "sft", point)))
        .chain(start.map(|point| name("start".to_owned(), "start", point)))
        .collect()
}

fn spoken(paths: &[(Variant, Vec<&CurvePoint>)]) -> String {
    let ways: Vec<String> = paths
        .iter()
        .filter_map(|(variant, points)| {
            let (first, last) = (at(points.first()?)?, at(points.last()?)?);
            Some(format!(
                "{} to {}",
                words(variant.name(), first),
                words("", last).trim_start_matches(": ")
            ))
        })
        .collect();
    format!("CHAIR_i against recall. {}", ways.join("; "))
}

//! `CHAIR_i` against recall over the steps: down is more truthful, right is more said.
//!
//! Fine lines join places of one object F1, so that a step which only says less is told from one that is
//! better.

use candor_eval::curve::{Curve, CurvePoint};
use candor_judge::Benchmark;
use maud::{Markup, html};

use super::{figure, percent};
use crate::summary::{Policies, Policy, Variant, Variants, measured};
use crate::svg::marks::{self, Shape};
use crate::svg::scale::range;
use crate::svg::{Axes, Frame, Scale, WIDTH, drawing, place};

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
    let places = || {
        paths
            .iter()
            .flat_map(|(_, points)| points.iter().filter_map(|p| at(p)))
            .chain(sft)
    };
    let ends = || {
        let intervals = paths.iter().filter_map(|(_, points)| points.last());
        intervals.map(|p| {
            (
                p.ci95_recall.unwrap_or_default(),
                p.ci95_chair_i.unwrap_or_default(),
            )
        })
    };
    let along = range(
        places()
            .map(|p| p.0)
            .chain(ends().flat_map(|e| e.0).filter(|v| *v > 0.0)),
        0.05,
    );
    let upward = range(places().map(|p| p.1).chain(ends().flat_map(|e| e.1)), 0.05);
    let (Some(along), Some(upward), false) = (along, upward, paths.iter().all(|p| p.1.is_empty()))
    else {
        return html! {};
    };
    let frame = Frame::new(
        [40.0, WIDTH - 14.0, 24.0, 254.0],
        Scale::linear([along[0], along[1].min(1.0)]),
        Scale::linear([upward[0].max(0.0), upward[1]]),
    );
    let content = html! {
        (frame.axes(&Axes {
            x: Some("recall: objects there that are named"),
            y: "CHAIR_i: objects named that are not there",
            n_x: 5,
            n_y: 5,
            percent: [true, true],
        }))
        (contours(&frame, along, upward))
        @for (variant, points) in &paths { (path(&frame, *variant, points)) }
        @if let Some(point) = sft {
            (marks::dot(&frame, point, Policy::Sft.shape(), "sft", &words("SFT", point)))
            (name(&frame, point, 15.0, "SFT", "sft"))
        }
        (start(&frame, &paths))
    };
    let drawn = drawing(290.0, &spoken(&paths), &content);
    html! { div.figures.wide { (figure("CHAIR_i against recall over the steps", &drawn, CAPTION)) } }
}

fn at(point: &CurvePoint) -> Option<(f64, f64)> {
    Some((point.recall?, point.chair_i?))
}

fn path(frame: &Frame, variant: Variant, points: &[&CurvePoint]) -> Markup {
    let places: Vec<(f64, f64)> = points.iter().filter_map(|point| at(point)).collect();
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
            (name(frame, *end, -7.0, &format!("{}, step {}", variant.name(), last.step), variant.class()))
        }
    }
}

/// Both variants start at the same policy, which is marked once.
fn start(frame: &Frame, paths: &[(Variant, Vec<&CurvePoint>)]) -> Markup {
    let first = paths
        .iter()
        .find_map(|(_, points)| points.first().and_then(|point| at(point)));
    html! {
        @if let Some(point) = first {
            (marks::dot(frame, point, Shape::Diamond, "start", &words("start", point)))
            (name(frame, point, -7.0, "start", "start"))
        }
    }
}

/// A name beside a place, on the side where there is room.
fn name(frame: &Frame, point: (f64, f64), dy: f64, name: &str, class: &str) -> Markup {
    let (x, y) = frame.at(point);
    let left = x > f64::midpoint(frame.left, frame.right);
    let (dx, anchor) = if left { (-9.0, "end") } else { (9.0, "start") };
    html! {
        text class={ "series-name halo " (class) } x=(place(x + dx)) y=(place(y + dy)) text-anchor=(anchor) { (name) }
    }
}

fn words(whose: &str, (recall, chair_i): (f64, f64)) -> String {
    format!(
        "{whose}: CHAIR_i {}, recall {}",
        percent(chair_i),
        percent(recall)
    )
}

/// Lines of one object F1: from F = 2PR / (P + R), the precision at a recall is P = FR / (2R − F).
fn contours(frame: &Frame, [left, right]: [f64; 2], [low, high]: [f64; 2]) -> Markup {
    let corner_f1 =
        |recall: f64, chair_i: f64| 2.0 * (1.0 - chair_i) * recall / (1.0 - chair_i + recall);
    let (worst, best) = (
        corner_f1(left, high),
        corner_f1(right.min(1.0), low.max(0.0)),
    );
    let levels = Scale::linear([worst, best]).ticks(5);
    html! {
        @for level in &levels {
            @let points = contour(frame, level.value, [left, right]);
            (marks::line(frame, &points, "contour"))
            @if let Some(&end) = points.first() {
                @let (x, y) = frame.at(end);
                @let (dx, anchor) = if x > frame.right - 50.0 { (-4.0, "end") } else { (4.0, "start") };
                text.contour-name.halo x=(place(x + dx)) y=(place(y - 4.0)) text-anchor=(anchor) { "F1 " (whole_percent(level.value)) }
            }
        }
    }
}

/// A share in percent, without decimals where it has none.
fn whole_percent(share: f64) -> String {
    percent(share).replace(".0%", "%")
}

fn contour(frame: &Frame, f1: f64, [left, right]: [f64; 2]) -> Vec<(f64, f64)> {
    const N: u32 = 60;
    (0..=N)
        .map(|i| left + (right - left) * f64::from(i) / f64::from(N))
        .filter(|recall| 2.0 * recall > f1)
        .map(|recall| (recall, 1.0 - f1 * recall / (2.0 * recall - f1)))
        .filter(|&(recall, chair_i)| frame.x.contains(recall) && frame.y.contains(chair_i))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contour_has_one_f1() {
        let unit = Scale::linear([0.0, 1.0]);
        let frame = Frame::new([0.0, 1.0, 0.0, 1.0], unit, unit);
        let points = contour(&frame, 0.75, [0.0, 1.0]);
        assert!(points.len() > 20);
        for (recall, chair_i) in points {
            let precision = 1.0 - chair_i;
            let f1 = 2.0 * precision * recall / (precision + recall);
            assert!((f1 - 0.75).abs() < 1e-9, "{recall} {chair_i}");
        }
    }
}

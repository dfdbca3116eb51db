//! The plane of `CHAIR_i` and recall: down is more truthful, right is more said.
//!
//! Fine lines join places of one object F1, so that a step which only says less is told from one that is
//! better.

use maud::{Markup, html};

use super::percent;
use crate::svg::marks;
use crate::svg::scale::range;
use crate::svg::{Axes, Frame, Scale, WIDTH, place};

/// Height of a drawing of the plane.
pub(crate) const HEIGHT: f64 = 290.0;

/// Its place in a drawing, and the values that it holds.
pub(crate) struct Plane {
    /// Where values are drawn.
    pub frame: Frame,
    along: [f64; 2],
    upward: [f64; 2],
}

impl Plane {
    /// A plane that holds all places, recall and `CHAIR_i`; `None` without any.
    #[must_use]
    pub(crate) fn around(places: &[(f64, f64)]) -> Option<Self> {
        let along = range(places.iter().map(|place| place.0), 0.05)?;
        let upward = range(places.iter().map(|place| place.1), 0.05)?;
        let frame = Frame::new(
            [40.0, WIDTH - 14.0, 24.0, 254.0],
            Scale::linear([along[0], along[1].min(1.0)]),
            Scale::linear([upward[0].max(0.0), upward[1]]),
        );
        Some(Self {
            frame,
            along,
            upward,
        })
    }

    /// The axes, and the lines of one object F1.
    #[must_use]
    pub(crate) fn ground(&self) -> Markup {
        html! {
            (self.frame.axes(&Axes {
                x: Some("recall: objects there that are named"),
                y: "CHAIR_i: objects named that are not there",
                n_x: 5,
                n_y: 5,
                percent: [true, true],
            }))
            (contours(&self.frame, self.along, self.upward))
        }
    }

    /// A name beside a place, on the side where there is room.
    #[must_use]
    pub(crate) fn name(&self, point: (f64, f64), dy: f64, name: &str, class: &str) -> Markup {
        let (x, y) = self.frame.at(point);
        let left = x > f64::midpoint(self.frame.left, self.frame.right);
        let (dx, anchor) = if left { (-9.0, "end") } else { (9.0, "start") };
        html! {
            text class={ "series-name halo " (class) } x=(place(x + dx)) y=(place(y + dy)) text-anchor=(anchor) { (name) }
        }
    }
}

/// A place in words: whose it is, and its two numbers.
#[must_use]
pub(crate) fn words(whose: &str, (recall, chair_i): (f64, f64)) -> String {
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

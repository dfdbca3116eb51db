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

    /// Names beside places, each at the corner where it covers the fewest of the dots and of the names before it.
    #[must_use]
    pub(crate) fn names(&self, names: &[Name], dots: &[(f64, f64)]) -> Markup {
        let dots: Vec<(f64, f64)> = dots.iter().map(|&dot| self.frame.at(dot)).collect();
        let mut taken: Vec<Space> = Vec::new();
        let mut corners = Vec::new();
        for name in names {
            let corner = self.corner(name, &dots, &taken);
            taken.push(self.space(name, corner));
            corners.push(corner);
        }
        html! {
            @for (name, corner) in names.iter().zip(&corners) {
                @let (x, y) = self.frame.at(name.point);
                @let anchor = if corner.0 < 0.0 { "end" } else { "start" };
                text class={ "series-name halo " (name.class) } x=(place(x + corner.0)) y=(place(y + corner.1)) text-anchor=(anchor) { (name.text) }
            }
        }
    }

    /// How far from its place a name begins.
    fn corner(&self, name: &Name, dots: &[(f64, f64)], taken: &[Space]) -> (f64, f64) {
        let covered = |corner: (f64, f64)| {
            let space = self.space(name, corner);
            let outside = space.left < self.frame.left
                || space.right > WIDTH
                || space.top < self.frame.top
                || space.bottom > self.frame.bottom;
            let n_dots = dots.iter().filter(|&&dot| space.holds(dot)).count();
            let n_names = taken.iter().filter(|other| space.meets(other)).count();
            n_dots + 10 * n_names + 100 * usize::from(outside)
        };
        let corners = [(9.0, -7.0), (-9.0, -7.0), (9.0, 15.0), (-9.0, 15.0)];
        let best = corners.into_iter().min_by_key(|&corner| covered(corner));
        best.unwrap_or(corners[0])
    }

    /// What a name takes up, by the mean width of a letter.
    fn space(&self, name: &Name, (dx, dy): (f64, f64)) -> Space {
        const LETTER: f64 = 6.6;
        const ABOVE: f64 = 9.0;
        const BELOW: f64 = 3.0;
        let (x, y) = self.frame.at(name.point);
        let width = name.text.chars().map(|_| LETTER).sum::<f64>();
        let left = if dx < 0.0 { x + dx - width } else { x + dx };
        Space {
            left,
            right: left + width,
            top: y + dy - ABOVE,
            bottom: y + dy + BELOW,
        }
    }
}

/// A name for a place.
pub(crate) struct Name {
    /// Recall and `CHAIR_i`.
    pub point: (f64, f64),
    /// What is written.
    pub text: String,
    /// Its class of the style sheet.
    pub class: &'static str,
}

/// A part of a drawing, in its units.
struct Space {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Space {
    fn holds(&self, (x, y): (f64, f64)) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
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
                // Above the line, but not on the name of the axis.
                @let dy = if y - 14.0 < frame.top { 12.0 } else { -4.0 };
                text.contour-name.halo x=(place(x + dx)) y=(place(y + dy)) text-anchor=(anchor) { "F1 " (whole_percent(level.value)) }
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
    fn names_stand_where_there_is_room() {
        let plane = Plane::around(&[(0.5, 0.1), (1.0, 0.3)]).unwrap();
        let name = |point, text: &str| Name {
            point,
            text: text.to_owned(),
            class: "sft",
        };
        let ends = |names: &[Name], dots: &[(f64, f64)]| {
            let drawn = plane.names(names, dots).into_string();
            let ends = drawn.split("text-anchor=").skip(1);
            ends.map(|rest| rest.starts_with("\"end\""))
                .collect::<Vec<_>>()
        };
        // To the right, unless the drawing ends there, a dot is in the way, or another name.
        let middle = (0.75, 0.2);
        assert_eq!(ends(&[name(middle, "SFT")], &[]), [false]);
        assert_eq!(ends(&[name((1.0, 0.2), "a long name")], &[]), [true]);
        let (x, y) = plane.frame.at(middle);
        let beside = |dy: f64| {
            let across = (x + 15.0 - plane.frame.left) / (plane.frame.right - plane.frame.left);
            let down = (y + dy - plane.frame.top) / (plane.frame.bottom - plane.frame.top);
            let ([left, right], [low, high]) = (plane.along, plane.upward);
            (
                left + across * (right.min(1.0) - left),
                high - down * (high - low),
            )
        };
        assert_eq!(ends(&[name(middle, "SFT")], &[beside(-10.0)]), [true]);
        let two = [name(middle, "SFT"), name(middle, "start")];
        assert_eq!(ends(&two, &[]), [false, true]);
    }

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

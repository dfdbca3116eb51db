//! What is drawn inside a frame: lines, dots with words for a pointer, whiskers, labels.
//!
//! The look, colours included, is the style sheet's; a mark only says by its class whose it is.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::frame::Frame;
use super::place;

/// The height that a label takes up.
const LABEL_HEIGHT: f64 = 13.0;

/// A line through the points, broken where a value is not finite.
#[must_use]
pub(crate) fn line(frame: &Frame, points: &[(f64, f64)], class: &str) -> Markup {
    let path = path_of(
        points
            .iter()
            .map(|&point| finite(point).then(|| frame.at(point))),
    );
    html! { path class=(class) d=(path) {} }
}

/// A dot that says something when pointed at.
#[must_use]
pub(crate) fn dot(
    frame: &Frame,
    point: (f64, f64),
    shape: Shape,
    class: &str,
    words: &str,
) -> Markup {
    let (x, y) = frame.at(point);
    html! {
        @if finite(point) {
            g class=(class) {
                title { (words) }
                (shape.drawn(x, y))
                // A larger one that cannot be seen is easier to point at.
                circle.target cx=(place(x)) cy=(place(y)) r="8" {}
            }
        }
    }
}

/// The form of a dot, so that colour is never all that tells two series apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A filled circle.
    Circle,
    /// A filled square.
    Square,
    /// A diamond.
    Diamond,
    /// An upright cross.
    Cross,
}

impl Shape {
    /// The shape around a place of the drawing.
    #[must_use]
    pub fn drawn(self, x: f64, y: f64) -> Markup {
        let r = 3.4;
        html! {
            @match self {
                Self::Circle => circle cx=(place(x)) cy=(place(y)) r=(r) {},
                Self::Square => rect x=(place(x - r + 0.4)) y=(place(y - r + 0.4)) width=(place(2.0 * r - 0.8)) height=(place(2.0 * r - 0.8)) {},
                Self::Diamond => path d={ "M" (place(x)) " " (place(y - r - 1.2)) "l4.6 4.6l-4.6 4.6l-4.6 -4.6Z" } {},
                Self::Cross => path.stroked d={ "M" (place(x - 4.5)) " " (place(y)) "h9M" (place(x)) " " (place(y - 4.5)) "v9" } {},
            }
        }
    }
}

/// The intervals of a point along both axes.
#[must_use]
pub(crate) fn whiskers(
    frame: &Frame,
    (x, y): (f64, f64),
    along: Option<[f64; 2]>,
    upward: Option<[f64; 2]>,
    class: &str,
) -> Markup {
    html! {
        g class=(class) {
            @if let Some([low, high]) = along {
                line.whisker x1=(place(frame.x.at(low))) x2=(place(frame.x.at(high))) y1=(place(frame.y.at(y))) y2=(place(frame.y.at(y))) {}
            }
            @if let Some([low, high]) = upward {
                line.whisker x1=(place(frame.x.at(x))) x2=(place(frame.x.at(x))) y1=(place(frame.y.at(low))) y2=(place(frame.y.at(high))) {}
            }
        }
    }
}

/// A triangle that points from one place of the drawing to another, in the middle between them.
#[must_use]
pub(crate) fn arrow(from: (f64, f64), to: (f64, f64), class: &str) -> Markup {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy);
    let (x, y) = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
    let turn = dy.atan2(dx).to_degrees();
    html! {
        // Between places that nearly coincide a direction says nothing.
        @if length > 9.0 {
            path class=(class) d="M4 0L-3 3.4L-3 -3.4Z" transform={ "translate(" (place(x)) " " (place(y)) ") rotate(" (place(turn)) ")" } {}
        }
    }
}

/// Names of series right of where they end, moved apart where they would cover each other.
#[must_use]
pub(crate) fn end_labels(frame: &Frame, ends: &[(f64, &str, &str)]) -> Markup {
    let heights: Vec<f64> = ends.iter().map(|(y, ..)| frame.y.at(*y)).collect();
    let places = spread(&heights, LABEL_HEIGHT, [frame.top, frame.bottom]);
    html! {
        @for ((_, name, class), y) in ends.iter().zip(places) {
            text class={ "series-name " (class) } x=(place(frame.right + 6.0)) y=(place(y)) dy="0.32em" { (name) }
        }
    }
}

/// Moves heights apart so that neighbours are at least `gap` from each other, inside the bounds if they fit.
fn spread(heights: &[f64], gap: f64, [top, bottom]: [f64; 2]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    let mut placed = heights.to_vec();
    for pair in order.windows(2) {
        placed[pair[1]] = placed[pair[1]].max(placed[pair[0]] + gap);
    }
    // Pushed out below, they are pushed back up.
    let mut limit = bottom;
    for &index in order.iter().rev() {
        placed[index] = placed[index].min(limit).max(top);
        limit = placed[index] - gap;
    }
    placed
}

fn finite((x, y): (f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

fn path_of(places: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let mut path = String::new();
    let mut command = 'M';
    for next in places {
        match next {
            Some((x, y)) => {
                // Writing to a String cannot fail.
                let _ = write!(path, "{command}{} {}", place(x), place(y));
                command = 'L';
            }
            None => command = 'M',
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svg::scale::Scale;

    fn frame() -> Frame {
        let scale = Scale::linear([0.0, 10.0]);
        Frame::new([0.0, 100.0, 0.0, 50.0], scale, scale)
    }

    #[test]
    fn a_line_is_broken_where_there_is_no_value() {
        let points = [(0.0, 0.0), (5.0, 5.0), (6.0, f64::NAN), (10.0, 10.0)];
        let drawn = line(&frame(), &points, "line").into_string();
        assert_eq!(drawn, r#"<path class="line" d="M0 50L50 25M100 0"></path>"#);
    }

    #[test]
    fn words_of_a_dot_are_escaped() {
        let drawn = dot(&frame(), (1.0, 1.0), Shape::Circle, "s", "a < b & <script>").into_string();
        assert!(
            drawn.contains("<title>a &lt; b &amp; &lt;script&gt;</title>"),
            "{drawn}"
        );
        assert_eq!(
            dot(&frame(), (f64::NAN, 1.0), Shape::Circle, "s", "").into_string(),
            ""
        );
    }

    #[test]
    fn labels_that_would_meet_are_moved_apart() {
        assert_eq!(spread(&[20.0, 21.0], 13.0, [0.0, 100.0]), [20.0, 33.0]);
        assert_eq!(
            spread(&[21.0, 20.0, 60.0], 13.0, [0.0, 100.0]),
            [33.0, 20.0, 60.0]
        );
        // At the bottom there is only room above.
        assert_eq!(spread(&[99.0, 100.0], 13.0, [0.0, 100.0]), [87.0, 100.0]);
    }

    #[test]
    fn an_arrow_points_along_and_short_ways_have_none() {
        let drawn = arrow((0.0, 0.0), (0.0, 20.0), "tip").into_string();
        assert!(drawn.contains("translate(0 10) rotate(90)"), "{drawn}");
        assert_eq!(arrow((0.0, 0.0), (1.0, 1.0), "tip").into_string(), "");
    }
}

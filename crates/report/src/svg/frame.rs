//! A plotting area with its axes: grid lines, tick labels and what the axes mean.
//!
//! What the vertical axis means stands above it and is read like text, not along a turned axis.

use maud::{Markup, html};

use super::place;
use super::scale::Scale;

/// A plotting area inside a drawing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Left edge.
    pub left: f64,
    /// Right edge.
    pub right: f64,
    /// Upper edge.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
    /// Values along.
    pub x: Scale,
    /// Values upward.
    pub y: Scale,
}

/// What the axes say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axes<'a> {
    /// Below the horizontal axis, with its unit; nothing when a frame below shares the axis.
    pub x: Option<&'a str>,
    /// Above the vertical axis, with its unit.
    pub y: &'a str,
    /// Ticks along, about.
    pub n_x: usize,
    /// Ticks upward, about.
    pub n_y: usize,
    /// Whether values are shares, to be written in percent.
    pub percent: [bool; 2],
}

impl Frame {
    /// An area with these edges: left, right, top, bottom.
    #[must_use]
    pub(crate) fn new([left, right, top, bottom]: [f64; 4], x: Scale, y: Scale) -> Self {
        Self {
            left,
            right,
            top,
            bottom,
            x: x.onto(left, right),
            y: y.onto(bottom, top),
        }
    }

    /// The place of a pair of values.
    #[must_use]
    pub(crate) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    /// Grid, ticks and titles.
    #[must_use]
    pub(crate) fn axes(&self, axes: &Axes) -> Markup {
        let upward = ticks(self.y, axes.n_y, axes.percent[1]);
        let along = ticks(self.x, axes.n_x, axes.percent[0]);
        html! {
            @if !axes.y.is_empty() {
                text.axis-title x=(place(self.left - 26.0)) y=(place(self.top - 9.0)) { (axes.y) }
            }
            @for (at, label) in &upward {
                @let y = place(self.y.at(*at));
                line.grid x1=(place(self.left)) x2=(place(self.right)) y1=(y) y2=(y) {}
                text.tick x=(place(self.left - 5.0)) y=(y) dy="0.32em" text-anchor="end" { (label) }
            }
            line.axis x1=(place(self.left)) x2=(place(self.right)) y1=(place(self.bottom)) y2=(place(self.bottom)) {}
            @for (at, label) in &along {
                @let x = place(self.x.at(*at));
                line.axis x1=(x) x2=(x) y1=(place(self.bottom)) y2=(place(self.bottom + 3.0)) {}
                @if axes.x.is_some() {
                    text.tick x=(x) y=(place(self.bottom + 14.0)) text-anchor="middle" { (label) }
                }
            }
            @if let Some(title) = axes.x {
                text.axis-title x=(place(f64::midpoint(self.left, self.right))) y=(place(self.bottom + 29.0))
                    text-anchor="middle" { (title) }
            }
        }
    }
}

/// Values and labels. Percents are whole where the steps between them are.
fn ticks(scale: Scale, wanted: usize, percent: bool) -> Vec<(f64, String)> {
    let ticks = scale.ticks(wanted);
    if !percent {
        return ticks.into_iter().map(|t| (t.value, t.label)).collect();
    }
    let whole = ticks
        .iter()
        .all(|t| ((t.value * 100.0).round() - t.value * 100.0).abs() < 1e-6);
    let label = |value: f64| super::scale::number(value * 100.0, usize::from(!whole)) + "%";
    ticks
        .into_iter()
        .map(|t| (t.value, label(t.value)))
        .collect()
}

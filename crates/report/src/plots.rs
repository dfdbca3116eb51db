//! The figures of the page.
//!
//! Series are named where they end, not in a legend; whose a series is shows by colour, by the form of its
//! dots and by its dashes.

pub(crate) mod algorithms;
pub(crate) mod algorithms_over_seeds;
pub(crate) mod forest;
pub(crate) mod hacking;
pub(crate) mod losses;
pub(crate) mod over_seeds;
pub(crate) mod plane;
pub(crate) mod ppo;
pub(crate) mod reliability;
pub(crate) mod reward;
pub(crate) mod stages;
pub(crate) mod tradeoff;

use maud::{Markup, html};

use crate::metrics::{smoothed, thinned};
use crate::summary::{Policy, Variant};
use crate::svg::marks::{self, Shape};
use crate::svg::scale::{number, range};
use crate::svg::{Axes, Frame, Scale, WIDTH, drawing};

/// Dots are drawn for series of at most this many points; longer ones are lines alone.
const MAX_DOTS: usize = 80;
/// Points of a line; a screen has not many more to show them.
const MAX_POINTS: usize = 300;

impl Variant {
    /// The class of everything that is drawn for it.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::NoFacts => "no-facts",
        }
    }

    /// The form of its dots.
    #[must_use]
    pub fn shape(self) -> Shape {
        match self {
            Self::Facts => Shape::Circle,
            Self::NoFacts => Shape::Square,
        }
    }
}

impl Policy {
    /// The class of everything that is drawn for it.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Sft | Self::SftGpt4 => "sft",
            Self::PolicyInit => "start",
            Self::Rlhf => Variant::NoFacts.class(),
            Self::FactRlhf => Variant::Facts.class(),
        }
    }

    /// The form of its dots.
    #[must_use]
    pub fn shape(self) -> Shape {
        match self {
            Self::Sft | Self::SftGpt4 => Shape::Cross,
            Self::PolicyInit => Shape::Diamond,
            Self::Rlhf => Variant::NoFacts.shape(),
            Self::FactRlhf => Variant::Facts.shape(),
        }
    }
}

/// A figure: what it shows, the drawing, how to read it.
#[must_use]
pub(crate) fn figure(title: &str, drawing: &Markup, caption: &str) -> Markup {
    html! {
        figure {
            h4 { (title) }
            (drawing)
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    }
}

/// One series of a figure over the steps.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    /// Its name, written where it ends; may be empty.
    pub name: &'a str,
    /// Whose it is.
    pub class: &'a str,
    /// The form of its dots.
    pub shape: Shape,
    /// Step and value.
    pub points: &'a [(f64, f64)],
}

/// A figure of series over the steps.
#[derive(Debug, Clone)]
pub(crate) struct OverSteps<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What the vertical axis means, with its unit.
    pub unit: &'a str,
    /// Whether values are shares, written in percent.
    pub percent: bool,
    /// Whether the vertical axis is logarithmic.
    pub logarithmic: bool,
    /// Points that a smoothed line averages over; 1 draws the values themselves.
    pub smoothing: usize,
    /// Values that the vertical axis holds in any case.
    pub always: &'a [f64],
    /// How to read it; may be empty.
    pub caption: &'a str,
}

impl OverSteps<'_> {
    /// Draws the series; nothing without points.
    #[must_use]
    pub(crate) fn draw(&self, lines: &[Line]) -> Markup {
        let all = || lines.iter().flat_map(|line| line.points.iter().copied());
        let steps = range(all().map(|(step, _)| step), 0.0);
        let values = all()
            .map(|(_, value)| value)
            .chain(self.always.iter().copied());
        let (Some(steps), Some(values)) = (steps, range(values, 0.0)) else {
            return html! {};
        };
        let named = lines.iter().any(|line| !line.name.is_empty());
        let y = if self.logarithmic {
            Scale::logarithmic(values)
        } else {
            let more = (values[1] - values[0]) * 0.05;
            Scale::linear([
                values[0] - if values[0] == 0.0 { 0.0 } else { more },
                values[1] + more,
            ])
        };
        let right = WIDTH - if named { 68.0 } else { 12.0 };
        let frame = Frame::new([40.0, right, 24.0, 150.0], Scale::linear(steps), y);
        let axes = Axes {
            x: Some("step"),
            y: self.unit,
            n_x: 5,
            n_y: 4,
            percent: [false, self.percent],
        };
        let content = html! {
            (frame.axes(&axes))
            @for line in lines { (self.line(&frame, line)) }
            (marks::end_labels(&frame, &self.ends(lines)))
        };
        figure(
            self.title,
            &drawing(186.0, &self.spoken(lines), &content),
            self.caption,
        )
    }

    fn smooth(&self, line: &Line) -> Vec<(f64, f64)> {
        smoothed(line.points, self.smoothing)
    }

    fn line(&self, frame: &Frame, line: &Line) -> Markup {
        let smooth = thinned(&self.smooth(line), MAX_POINTS);
        html! {
            @if self.smoothing > 1 {
                (marks::line(frame, &thinned(line.points, MAX_POINTS), &format!("line raw {}", line.class)))
            }
            (marks::line(frame, &smooth, &format!("line {}", line.class)))
            @if self.smoothing <= 1 && line.points.len() <= MAX_DOTS {
                @for &(step, value) in line.points {
                    @let words = format!("{} step {step}: {}", line.name, self.written(value));
                    (marks::dot(frame, (step, value), line.shape, line.class, words.trim()))
                }
            }
        }
    }

    fn ends<'a>(&self, lines: &'a [Line<'a>]) -> Vec<(f64, &'a str, &'a str)> {
        let named = lines.iter().filter(|line| !line.name.is_empty());
        named
            .filter_map(|line| Some((self.smooth(line).last()?.1, line.name, line.class)))
            .collect()
    }

    /// What is said of the figure to someone who does not see it.
    fn spoken(&self, lines: &[Line]) -> String {
        let ends: Vec<String> = lines
            .iter()
            .filter_map(|line| {
                let smooth = self.smooth(line);
                let (first, last) = (smooth.first()?.1, smooth.last()?.1);
                let (first, last) = (self.written(first), self.written(last));
                Some(
                    format!("{} from {first} to {last}", line.name)
                        .trim()
                        .to_owned(),
                )
            })
            .collect();
        format!("{} over the steps: {}", self.title, ends.join(", "))
    }

    fn written(&self, value: f64) -> String {
        if self.percent {
            percent(value)
        } else {
            number(value, if value.abs() < 0.1 { 4 } else { 2 })
        }
    }
}

/// A share in percent, to a tenth.
#[must_use]
pub(crate) fn percent(share: f64) -> String {
    number(share * 100.0, 1) + "%"
}

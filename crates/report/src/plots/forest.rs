//! Numbers with their intervals below each other: what a table says, to be seen at once.

use candor_judge::{Benchmark, Results};
use candor_stats::bootstrap::Interval;
use maud::{Markup, html};

use super::{figure, percent};
use crate::summary::{Policies, Policy, measured};
use crate::svg::marks::{Shape, whiskers};
use crate::svg::scale::{number, range};
use crate::svg::{Axes, Frame, Scale, WIDTH, drawing, place};

/// Height of a row.
const ROW: f64 = 22.0;
/// Room for a letter of a name.
const LETTER: f64 = 6.8;

/// A number with its interval.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Whose it is.
    pub name: String,
    /// The class of whose it is.
    pub class: &'static str,
    /// The form of its dot.
    pub shape: Shape,
    /// The number.
    pub value: f64,
    /// Its 95% interval.
    pub interval: Option<Interval>,
}

/// What the numbers of a figure are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forest<'a> {
    /// The figure's title.
    pub title: &'a str,
    /// Below the axis.
    pub unit: &'a str,
    /// Whether the numbers are shares, written in percent.
    pub percent: bool,
    /// A value that the axis holds in any case, marked by a line.
    pub line: Option<f64>,
}

/// The four numbers of the policies to look at together.
#[must_use]
pub(crate) fn draw(policies: &Policies) -> Markup {
    let figures = [
        (
            "CHAIR_i ↓",
            "objects named that are not there",
            true,
            (Benchmark::Chair, "chair_i"),
        ),
        (
            "Recall ↑",
            "objects there that are named",
            true,
            (Benchmark::Chair, "recall"),
        ),
        (
            "Object F1 ↑",
            "both at once",
            true,
            (Benchmark::Chair, "object_f1"),
        ),
        (
            "MMHal-style score ↑",
            "mean of the exact judge, 0 to 6",
            false,
            (Benchmark::Mmhal, "score"),
        ),
    ];
    html! {
        div.figures.two {
            @for (title, unit, percent, of) in figures {
                (Forest { title, unit, percent, line: None }.draw(&rows(policies, of)))
            }
        }
    }
}

fn rows(policies: &Policies, (benchmark, key): (Benchmark, &str)) -> Vec<Row> {
    let row = |(policy, results): (Policy, &Results)| {
        let (value, interval) = measured(results, benchmark, key)?;
        Some(Row {
            name: policy.name().to_owned(),
            class: policy.class(),
            shape: policy.shape(),
            value,
            interval,
        })
    };
    policies.iter().filter_map(row).collect()
}

impl Forest<'_> {
    /// Draws the rows; nothing without any.
    #[must_use]
    pub(crate) fn draw(&self, rows: &[Row]) -> Markup {
        let ends = rows.iter().flat_map(|row| {
            let [low, high] = row.interval.unwrap_or([row.value; 2]);
            [low, row.value, high]
        });
        let (Some(values), false) = (range(ends.chain(self.line), 0.06), rows.is_empty()) else {
            return html! {};
        };
        let bottom = 6.0 + ROW * rows.len() as f64;
        let longest = rows.iter().map(|row| row.name.chars().count()).max();
        let left = (LETTER * longest.unwrap_or_default() as f64).max(78.0);
        let mut frame = Frame::new(
            [left, WIDTH - 50.0, 6.0, bottom],
            Scale::linear(values),
            Scale::linear([-0.5, rows.len() as f64 - 0.5]),
        );
        // The first row is the upper one.
        frame.y = frame.y.onto(frame.top, frame.bottom);
        let content = html! {
            (frame.axes(&Axes { x: Some(self.unit), y: "", n_x: 5, n_y: 0, percent: [self.percent, false] }))
            @if let Some(at) = self.line {
                @let x = place(frame.x.at(at));
                line.bound x1=(x) x2=(x) y1=(place(frame.top)) y2=(place(frame.bottom)) {}
            }
            @for (index, row) in rows.iter().enumerate() { (self.row(&frame, index, row)) }
        };
        let spoken: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {}", row.name, self.written(row.value)))
            .collect();
        let label = format!("{}, {}: {}", self.title, self.unit, spoken.join(", "));
        figure(self.title, &drawing(bottom + 34.0, &label, &content), "")
    }

    fn row(&self, frame: &Frame, index: usize, row: &Row) -> Markup {
        let point = (row.value, index as f64);
        let (x, y) = frame.at(point);
        let interval = row.interval.map_or_else(String::new, |[low, high]| {
            format!(
                ", 95% interval {} to {}",
                self.written(low),
                self.written(high)
            )
        });
        html! {
            text class={ "series-name " (row.class) } x="0" y=(place(y)) dy="0.32em" { (row.name) }
            g class=(row.class) {
                title { (row.name) ": " (self.written(row.value)) (interval) }
                (whiskers(frame, point, row.interval, None, row.class))
                (row.shape.drawn(x, y))
            }
            text.value x=(WIDTH) y=(place(y)) dy="0.32em" text-anchor="end" { (self.written(row.value)) }
        }
    }

    fn written(&self, value: f64) -> String {
        if self.percent {
            percent(value)
        } else {
            number(value, 2)
        }
    }
}

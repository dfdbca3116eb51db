//! Each policy's number with its interval, side by side: what the results table says, to be seen at once.

use maud::{Markup, html};

use super::{figure, percent};
use crate::summary::{Policies, Policy};
use crate::svg::marks::whiskers;
use crate::svg::scale::{number, range};
use crate::svg::{Axes, Frame, Scale, WIDTH, drawing};

/// A policy's number.
struct Row {
    policy: Policy,
    value: f64,
    interval: Option<[f64; 2]>,
}

/// The four numbers to look at together.
#[must_use]
pub fn draw(policies: &Policies) -> Markup {
    let chair = |policy| {
        policies
            .get(policy)
            .and_then(|results| results.chair.as_ref())
    };
    let mmhal = |policy| {
        policies
            .get(policy)
            .and_then(|results| results.mmhal.as_ref())
    };
    let rows = |number: &dyn Fn(Policy) -> Option<(f64, Option<[f64; 2]>)>| -> Vec<Row> {
        let row = |policy| {
            number(policy).map(|(value, interval)| Row {
                policy,
                value,
                interval,
            })
        };
        Policy::ALL.into_iter().filter_map(row).collect()
    };
    let chair_i = rows(&|policy| chair(policy).and_then(|c| Some((c.chair_i?, c.ci95_chair_i))));
    let recall = rows(&|policy| chair(policy).and_then(|c| Some((c.recall?, c.ci95_recall))));
    let f1 = rows(&|policy| chair(policy).and_then(|c| Some((c.object_f1?, c.ci95_object_f1))));
    let score = rows(&|policy| mmhal(policy).map(|m| (m.score, m.ci95_score)));
    html! {
        div.figures {
            (one("CHAIR_i ↓", "objects named that are not there", true, &chair_i))
            (one("Recall ↑", "objects there that are named", true, &recall))
            (one("Object F1 ↑", "both at once", true, &f1))
            (one("MMHal-style score ↑", "the exact judge, 0 to 6", false, &score))
        }
    }
}

fn one(title: &str, unit: &str, shares: bool, rows: &[Row]) -> Markup {
    let ends = rows.iter().flat_map(|row| {
        let [low, high] = row.interval.unwrap_or([row.value; 2]);
        [low, row.value, high]
    });
    let Some(values) = range(ends, 0.06) else {
        return html! {};
    };
    let bottom = 24.0 + 22.0 * rows.len() as f64;
    let heights = Scale::linear([rows.len() as f64 - 0.5, -0.5]);
    let frame = Frame::new(
        [78.0, WIDTH - 50.0, 16.0, bottom],
        Scale::linear(values),
        heights,
    );
    let frame = Frame {
        y: heights.onto(bottom, 16.0),
        ..frame
    };
    let written = |value: f64| {
        if shares {
            percent(value)
        } else {
            number(value, 2)
        }
    };
    let content = html! {
        (axis(&frame, unit, shares))
        @for (index, row) in rows.iter().enumerate() {
            @let place = (row.value, index as f64);
            @let (x, y) = frame.at(place);
            text class={ "series-name " (row.policy.class()) } x="0" y=(super::super::svg::place(y)) dy="0.32em" { (row.policy.name()) }
            g class=(row.policy.class()) {
                title { (row.policy.name()) ": " (written(row.value)) (interval_words(row.interval, written)) }
                (whiskers(&frame, place, row.interval, None, row.policy.class()))
                (row.policy.shape().drawn(x, y))
            }
            text.value x=(WIDTH) y=(super::super::svg::place(y)) dy="0.32em" text-anchor="end" { (written(row.value)) }
        }
    };
    let spoken: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", row.policy.name(), written(row.value)))
        .collect();
    let label = format!("{title}, {unit}: {}", spoken.join(", "));
    figure(title, &drawing(bottom + 36.0, &label, &content), "")
}

fn interval_words(interval: Option<[f64; 2]>, written: impl Fn(f64) -> String) -> String {
    interval.map_or_else(String::new, |[low, high]| {
        format!(", 95% interval {} to {}", written(low), written(high))
    })
}

/// Only values have ticks here; the rows are named.
fn axis(frame: &Frame, unit: &str, shares: bool) -> Markup {
    let axes = Axes {
        x: Some(unit),
        y: "",
        n_x: 4,
        n_y: 0,
        percent: [shares, false],
    };
    frame.axes(&axes)
}

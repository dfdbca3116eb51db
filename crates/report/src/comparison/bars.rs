//! Bars with intervals: a benchmark's first number over all items and in each category.

use candor_judge::rows::{Cell, Row};
use maud::{Markup, html};

use super::series::{Series, mark};
use crate::plots::figure;
use crate::svg::scale::number;
use crate::svg::{Scale, WIDTH, place};

/// Height of a bar with the room below it.
const BAR: f64 = 15.0;
/// Height of a category's name.
const NAME: f64 = 17.0;
/// Room between categories.
const GAP: f64 = 7.0;
const LEFT: f64 = 16.0;
const RIGHT: f64 = WIDTH - 44.0;

/// The rows as groups of bars; nothing without a number.
pub(crate) fn draw(rows: &[&Row], series: &[Series]) -> Markup {
    let ends = rows.iter().flat_map(|row| &row.cells).flat_map(|cell| {
        let high = cell.ci95.map(|[_, high]| high);
        high.into_iter().chain(cell.value)
    });
    let top = ends.fold(0.0_f64, f64::max);
    let Some(first) = rows.first().filter(|_| top > 0.0) else {
        return html! {};
    };
    // Bars begin at zero, or their lengths would say something else than their numbers.
    let scale = Scale::linear([0.0, top]).onto(LEFT, RIGHT);
    let group = NAME + BAR * series.len() as f64 + GAP;
    let label = format!("{} of {}", first.label, first.benchmark.label());
    let content = html! {
        // Links inside of it are to be reached, so this is no image.
        svg.bars-chart viewBox={ "0 0 " (WIDTH) " " (place(group * rows.len() as f64)) } role="group" aria-label=(label) {
            @for (k, row) in rows.iter().enumerate() {
                @let y = group * k as f64;
                text.value x="0" y=(place(y + 12.0)) { (if row.group.is_empty() { "all items" } else { row.group.as_str() }) }
                @for (one, cell) in series.iter().zip(&row.cells) {
                    (bar(&scale, row, one, cell, y + NAME + BAR * one.index as f64))
                }
            }
        }
    };
    let title = match first.higher_is_better {
        Some(true) => format!("{} ↑", first.label),
        Some(false) => format!("{} ↓", first.label),
        None => first.label.clone(),
    };
    figure(&title, &content, "")
}

fn bar(scale: &Scale, row: &Row, series: &Series, cell: &Cell, y: f64) -> Markup {
    let Some(value) = cell.value else {
        return html! {};
    };
    let (from, to) = (scale.at(0.0), scale.at(value.max(0.0)));
    let middle = y + (BAR - 3.0) / 2.0;
    html! {
        a href=(series.link(row)) {
            title { (spoken(row, series, cell)) }
            rect.touch x="0" y=(place(y - 1.5)) width=(WIDTH) height=(place(BAR)) {}
            (mark(series, 6.0, middle))
            g class=(series.class) {
                rect.bar-body x=(place(from)) y=(place(y)) width=(place(to - from)) height=(place(BAR - 3.0)) rx="2" {}
                @if let Some([low, high]) = cell.ci95 {
                    line.interval x1=(place(scale.at(low.max(0.0)))) x2=(place(scale.at(high))) y1=(place(middle)) y2=(place(middle)) {}
                }
            }
            text.value x=(WIDTH) y=(place(middle)) dy="0.32em" text-anchor="end" { (number(value, row.decimals)) }
        }
    }
}

/// A number in words.
pub(crate) fn spoken(row: &Row, series: &Series, cell: &Cell) -> String {
    let Some(value) = cell.value else {
        return format!("{}: no number", series.name);
    };
    let digits = row.decimals;
    let group = if row.group.is_empty() {
        String::new()
    } else {
        format!(", {}", row.group)
    };
    let interval = cell.ci95.map_or_else(String::new, |[low, high]| {
        format!(
            ", 95% interval {} to {}",
            number(low, digits),
            number(high, digits)
        )
    });
    format!(
        "{}{group}: {} {}{interval}; {} items",
        series.name,
        row.label,
        number(value, digits),
        cell.n
    )
}

//! The radar of question types, as the paper shows MMHal-Bench (arXiv 2309.14525, its figure of the benchmark).
//!
//! Axes begin at zero in the middle. The area says nothing: it depends on the order of the axes, which is that of the
//! alphabet.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use candor_judge::rows::Row;
use maud::{Markup, html};

use super::bars::spoken;
use super::series::{Series, mark};
use crate::plots::figure;
use crate::svg::scale::number;
use crate::svg::{Scale, WIDTH, drawing, place};

const RADIUS: f64 = 95.0;
const HEIGHT: f64 = 250.0;
/// Letters of an axis' name that fit beside it; the table below has all of them.
const N_LETTERS: usize = 13;
/// With fewer axes there is no shape, with more nobody reads it.
const N_AXES: std::ops::RangeInclusive<usize> = 3..=24;

/// The categories' rows as a radar; nothing where there are too few or too many of them.
pub(crate) fn draw(rows: &[&Row], series: &[Series]) -> Markup {
    let axes: Vec<&Row> = rows
        .iter()
        .copied()
        .filter(|row| !row.group.is_empty())
        .collect();
    let Some(first) = axes.first().filter(|_| N_AXES.contains(&axes.len())) else {
        return html! {};
    };
    let values = axes
        .iter()
        .flat_map(|row| &row.cells)
        .filter_map(|cell| cell.value);
    let about = first.benchmark.about();
    let highest = about.highest.unwrap_or_else(|| values.fold(0.0, f64::max));
    if highest <= 0.0 {
        return html! {};
    }
    let scale = Scale::linear([0.0, highest]).onto(0.0, RADIUS);
    let n = axes.len();
    let content = html! {
        @for tick in scale.ticks(3).iter().filter(|tick| tick.value > 0.0) {
            path.ring d=(outline((0..n).map(|k| at(k, n, scale.at(tick.value))))) {}
        }
        @for k in 0..n {
            @let (x, y) = at(k, n, RADIUS);
            line.grid x1=(place(WIDTH / 2.0)) y1=(place(HEIGHT / 2.0)) x2=(place(x)) y2=(place(y)) {}
            (axis_name(k, n, &axes[k].group))
        }
        @for one in series {
            @let corners: Vec<Option<(f64, f64)>> = axes.iter().enumerate()
                .map(|(k, row)| Some(at(k, n, scale.at(row.cells[one.index].value?)))).collect();
            // A run that lacks a category has no closed shape.
            @if corners.iter().all(Option::is_some) {
                path class={ "shape " (one.class) } d=(outline(corners.iter().flatten().copied())) {}
            }
            @for (row, corner) in axes.iter().zip(&corners) {
                @if let Some((x, y)) = corner {
                    g { title { (spoken(row, one, &row.cells[one.index])) } (mark(one, *x, *y)) }
                }
            }
        }
        @for tick in scale.ticks(3).iter().filter(|tick| tick.value > 0.0) {
            text.tick.halo x=(place(WIDTH / 2.0 + 3.0)) y=(place(HEIGHT / 2.0 - scale.at(tick.value) + 11.0)) { (tick.label) }
        }
    };
    let label = format!("Radar: {}", in_words(&axes, series));
    figure("By category", &drawing(HEIGHT, &label, &content), "")
}

/// The place on an axis, the first of which points up.
fn at(k: usize, n: usize, distance: f64) -> (f64, f64) {
    let turn = TAU * k as f64 / n as f64;
    (
        WIDTH / 2.0 + distance * turn.sin(),
        HEIGHT / 2.0 - distance * turn.cos(),
    )
}

fn outline(corners: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (k, (x, y)) in corners.enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(
            path,
            "{}{} {}",
            if k == 0 { 'M' } else { 'L' },
            place(x),
            place(y)
        );
    }
    path + "Z"
}

fn axis_name(k: usize, n: usize, name: &str) -> Markup {
    let (x, y) = at(k, n, RADIUS + 14.0);
    let aside = x - WIDTH / 2.0;
    let anchor = if aside.abs() < 5.0 {
        "middle"
    } else if aside > 0.0 {
        "start"
    } else {
        "end"
    };
    html! { text x=(place(x)) y=(place(y)) dy="0.32em" text-anchor=(anchor) { (short(name)) } }
}

fn short(name: &str) -> String {
    if name.chars().count() <= N_LETTERS {
        name.to_owned()
    } else {
        name.chars().take(N_LETTERS - 1).chain(['…']).collect()
    }
}

fn in_words(axes: &[&Row], series: &[Series]) -> String {
    let of = |one: &Series| {
        let values = axes.iter().filter_map(|row| {
            let value = row.cells[one.index].value?;
            Some(format!("{} {}", row.group, number(value, row.decimals)))
        });
        format!("{}: {}", one.name, values.collect::<Vec<_>>().join(", "))
    };
    series.iter().map(of).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_go_round_from_the_top() {
        let near = |(x, y): (f64, f64), expected: (f64, f64)| {
            assert!(
                (x - expected.0).abs() < 1e-9 && (y - expected.1).abs() < 1e-9,
                "{x} {y}"
            );
        };
        near(at(0, 4, 10.0), (175.0, 115.0));
        near(at(1, 4, 10.0), (185.0, 125.0));
        near(at(2, 4, 10.0), (175.0, 135.0));
        assert_eq!(short("environment"), "environment");
        assert_eq!(short("finegrained_perception"), "finegrained_…");
        assert_eq!(outline([(0.0, 1.0), (2.0, 3.0)].into_iter()), "M0 1L2 3Z");
    }
}

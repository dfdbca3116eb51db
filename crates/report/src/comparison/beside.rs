//! A benchmark's first number beside how much the answers say, so that evasive answers cannot hide.

use candor_judge::rows::Row;
use maud::{Markup, html};

use super::series::Series;
use crate::plots::figure;
use crate::svg::marks::{dot, end_labels, whiskers};
use crate::svg::scale::{number, range};
use crate::svg::{Axes, Frame, Scale, WIDTH, drawing};

/// The first number against length, and against what else the benchmark says, as CHAIR against recall.
pub(crate) fn draw(rows: &[&Row], series: &[Series]) -> Markup {
    let find = |key: &str| {
        let whole = |row: &&&Row| row.measure == key && row.group.is_empty();
        rows.iter().find(whole).copied()
    };
    let Some(main) = rows.first().copied() else {
        return html! {};
    };
    let others = main.benchmark.about().beside.into_iter().chain(["words"]);
    html! {
        @for other in others.filter_map(find) { (chart(main, other, series)) }
    }
}

fn chart(upward: &Row, along: &Row, series: &[Series]) -> Markup {
    let points: Vec<(&Series, (f64, f64))> = series
        .iter()
        .filter_map(|one| {
            let value = |row: &Row| row.cells[one.index].value;
            Some((one, (value(along)?, value(upward)?)))
        })
        .collect();
    let held = |row: &Row| {
        let cells = points.iter().map(|(one, _)| row.cells[one.index]);
        let ends = cells.flat_map(|cell| {
            let ends = cell.ci95.into_iter().flatten();
            ends.chain(cell.value).collect::<Vec<_>>()
        });
        range(ends, 0.08)
    };
    let (Some(x), Some(y)) = (held(along), held(upward)) else {
        return html! {};
    };
    let frame = Frame::new(
        [40.0, WIDTH - 96.0, 24.0, 200.0],
        Scale::linear(x),
        Scale::linear(y),
    );
    let content = html! {
        (frame.axes(&Axes { x: Some(&along.label), y: &upward.label, n_x: 4, n_y: 5, percent: [false, false] }))
        @for (one, point) in &points {
            (whiskers(&frame, *point, along.cells[one.index].ci95, upward.cells[one.index].ci95, &one.class))
            (dot(&frame, *point, one.shape, &one.class, &words(one, along, upward, *point)))
        }
        (end_labels(&frame, &points.iter().map(|(one, point)| (point.1, short(&one.name), one.class.as_str())).collect::<Vec<_>>()))
    };
    let spoken: Vec<String> = points
        .iter()
        .map(|(one, point)| words(one, along, upward, *point))
        .collect();
    figure(
        &format!("{} beside {}", upward.label, along.label),
        &drawing(236.0, &spoken.join("; "), &content),
        "",
    )
}

/// A name that fits beside the drawing.
fn short(name: &str) -> &str {
    name.char_indices()
        .nth(15)
        .map_or(name, |(end, _)| &name[..end])
}

fn words(series: &Series, along: &Row, upward: &Row, (x, y): (f64, f64)) -> String {
    format!(
        "{}: {} {}, {} {}",
        series.name,
        upward.label,
        number(y, upward.decimals),
        along.label,
        number(x, along.decimals)
    )
}

//! What the comparison found, in sentences made from its numbers.

use candor_judge::Benchmark;
use candor_judge::compare::Comparison;
use candor_judge::rows::Row;
use maud::{Markup, html};

use super::numbers::{chance, signed};
use super::series::Series;
use crate::svg::scale::number;

/// One line for each benchmark.
pub(crate) fn draw(comparison: &Comparison, series: &[Series]) -> Markup {
    html! {
        ul.headline {
            @for &benchmark in Benchmark::ALL {
                @if let Some(row) = comparison.rows.iter().find(|row| row.benchmark == benchmark) {
                    li { b { (benchmark.label()) ": " } (sentence(row, series)) }
                }
            }
        }
        @if series.len() > 1 {
            p.note {
                "Where p is above 0.05, equal models would often differ by as much on as many images. Nothing here says how \
                 other training seeds would have done."
            }
        }
    }
}

fn sentence(row: &Row, series: &[Series]) -> String {
    let mut parts = Vec::new();
    for (one, cell) in series.iter().zip(&row.cells) {
        let Some(value) = cell.value else {
            parts.push(format!("{} was not asked", one.name));
            continue;
        };
        let apart = cell
            .against_first
            .filter(|found| !found.is_void())
            .and_then(|found| found.difference.zip(found.p))
            .map_or_else(String::new, |(by, p)| {
                format!(" ({}, {})", signed(by, row.decimals), chance(p))
            });
        parts.push(format!(
            "{} {}{apart}",
            one.name,
            number(value, row.decimals)
        ));
    }
    let better = match row.higher_is_better {
        Some(true) => ", more is better",
        Some(false) => ", less is better",
        None => "",
    };
    format!("{}{better}: {}", row.label, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candor_judge::rows::Cell;
    use candor_stats::paired::Difference;

    #[test]
    fn a_sentence_says_what_the_row_says() {
        let cell = |value: Option<f64>| Cell {
            value,
            n: 4,
            ..Cell::default()
        };
        let apart = Cell {
            against_first: Some(Difference {
                difference: Some(-0.25),
                p: Some(0.0004),
                ..Difference::default()
            }),
            ..cell(Some(0.5))
        };
        let row = Row {
            benchmark: Benchmark::Chair,
            measure: "chair_i".into(),
            label: "CHAIR_i".into(),
            group: String::new(),
            higher_is_better: Some(false),
            decimals: 2,
            cells: vec![cell(Some(0.75)), apart, cell(None)],
        };
        let series = Series::of(&["a".into(), "b".into(), "c".into()]);
        assert_eq!(
            sentence(&row, &series),
            "CHAIR_i, less is better: a 0.75, b 0.50 (−0.25, p\u{a0}<\u{a0}0.001), c was not asked"
        );
    }
}

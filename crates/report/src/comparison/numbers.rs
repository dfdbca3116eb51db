//! Every number of every run, with its interval and its test, as tables.

use candor_judge::Benchmark;
use candor_judge::compare::Comparison;
use candor_judge::rows::{Cell, Row};
use maud::{Markup, html};

use super::series::Series;
use crate::svg::scale::number;

/// All numbers over all items, official ones beside candor's own.
pub(crate) fn draw(comparison: &Comparison, series: &[Series]) -> Markup {
    let rows: Vec<&Row> = comparison
        .rows
        .iter()
        .filter(|row| row.group.is_empty())
        .collect();
    html! {
        @for warning in &comparison.warnings { p.note { b { "Warning. " } (warning) } }
        @for text in same_answers(comparison) { p.note { (text) } }
        (table(&rows, series, "All numbers", true))
        @if series.len() > 1 {
            p.note {
                "Below a number: its difference to " b { (series[0].name) } " over the items that both answered, with its 95% \
                 interval, and how often equal models differ by as much (paired test over images). * marks p < 0.05, without \
                 correction for many tests: among twenty numbers of equal models one has it. Official numbers follow the \
                 benchmark's own script, the others candor's rules."
            }
        }
    }
}

/// Which runs answered a benchmark in the words of the first run.
fn same_answers(comparison: &Comparison) -> Vec<String> {
    let mut all = Vec::new();
    for &benchmark in Benchmark::ALL {
        let of = |row: &&Row| row.benchmark == benchmark;
        let Some(row) = comparison.rows.iter().find(of) else {
            continue;
        };
        for (run, cell) in comparison.runs.iter().zip(&row.cells) {
            if let Some(found) = cell.against_first.filter(|found| found.same_answers) {
                let (n, label, first) = (found.n, benchmark.label(), &comparison.runs[0]);
                all.push(format!(
                    "{run}: all {n} answers to {label} are those of {first}."
                ));
            }
        }
    }
    all
}

/// The numbers of a chart as a table that is opened.
pub(crate) fn by_category(rows: &[&Row], series: &[Series], label: &str) -> Markup {
    html! {
        details {
            summary { "The same as a table: " (label) }
            (table(rows, series, label, false))
        }
    }
}

/// Rows as a table, which `label` tells from the others. `titled` begins each benchmark with its name.
pub(crate) fn table(rows: &[&Row], series: &[Series], label: &str, titled: bool) -> Markup {
    let mut before = None;
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table.results {
                thead {
                    tr {
                        th scope="col" { "Number" }
                        @for one in series { th scope="col" class=(one.class) { (one.name) } }
                    }
                }
                tbody {
                    @for row in rows {
                        @if titled && before.replace(row.benchmark) != Some(row.benchmark) {
                            tr.group { th colspan=(series.len() + 1) scope="colgroup" { (row.benchmark.label()) } }
                        }
                        tr {
                            th scope="row" { (name(row, titled)) (arrow(row.higher_is_better)) }
                            @for (one, cell) in series.iter().zip(&row.cells) { td { (measured(row, one, cell)) } }
                        }
                    }
                }
            }
        }
    }
}

fn name(row: &Row, titled: bool) -> &str {
    match (titled, row.group.as_str()) {
        (true, _) => &row.label,
        (false, "") => "all items",
        (false, group) => group,
    }
}

/// Which way a number is good.
pub(crate) fn arrow(higher_is_better: Option<bool>) -> &'static str {
    match higher_is_better {
        Some(true) => "\u{a0}↑",
        Some(false) => "\u{a0}↓",
        None => "",
    }
}

fn measured(row: &Row, series: &Series, cell: &Cell) -> Markup {
    let Some(value) = cell.value else {
        return html! { "–" };
    };
    html! {
        a.value href=(series.link(row)) { (number(value, row.decimals)) }
        (uncertainty(cell, row.decimals))
    }
}

/// The interval of a number, and how it differs from the first run's.
pub(crate) fn uncertainty(cell: &Cell, decimals: usize) -> Markup {
    let ends =
        |[low, high]: [f64; 2]| format!("{} to {}", number(low, decimals), number(high, decimals));
    html! {
        @if let Some(ci95) = cell.ci95 { span.interval { (ends(ci95)) } }
        @if let Some(found) = cell.against_first.filter(|found| !found.is_void()) {
            @if let (Some(by), Some(p)) = (found.difference, found.p) {
                span.interval.against {
                    (signed(by, decimals)) @if let Some(ci95) = found.ci95 { " [" (ends(ci95)) "]" }
                }
                span.interval.against { (chance(p)) @if p < 0.05 { " *" } }
            }
        }
    }
}

/// A difference with its sign.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = number(value, decimals);
    let is_zero = text.chars().all(|c| c == '0' || c == '.');
    if value > 0.0 && !is_zero {
        format!("+{text}")
    } else {
        text
    }
}

/// The chance as people read it, in one piece.
pub(crate) fn chance(p: f64) -> String {
    if p < 0.001 {
        "p\u{a0}<\u{a0}0.001".to_owned()
    } else {
        format!("p\u{a0}=\u{a0}{p:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_a_sign_and_small_chances_a_bound() {
        assert_eq!(signed(0.126, 2), "+0.13");
        assert_eq!(signed(-0.126, 2), "−0.13");
        assert_eq!(signed(0.001, 2), "0.00");
        assert_eq!(chance(0.0123), "p\u{a0}=\u{a0}0.012");
        assert_eq!(chance(0.0001), "p\u{a0}<\u{a0}0.001");
    }
}

//! The tables of a suite: a line for each run, below them what others published, and what was not measured.

use candor_judge::rows::Cell;
use candor_judge::suite::published::Source;
use candor_judge::suite::tables::{Column, Line, Table};
use candor_judge::suite::{NotMeasured, SuiteFound};
use maud::{Markup, html};

use super::numbers::{arrow, uncertainty};
use super::series::Series;
use crate::svg::scale::number;

/// A table for each benchmark.
pub(crate) fn draw(found: &SuiteFound, series: &[Series]) -> Markup {
    html! {
        p.note {
            "Numbers of runs have their 95% interval, and below it the difference to the first run over the items that both \
             answered. Numbers that are marked as published were measured by others, as their notes say; they have no \
             interval, and none was made for them."
        }
        @for table in &found.tables {
            h3 { (table.benchmark.label()) }
            (drawn(table, series))
        }
    }
}

fn drawn(table: &Table, series: &[Series]) -> Markup {
    let (of_runs, published) = table.split();
    let mut sources: Vec<&Source> = Vec::new();
    for (_, source) in &published {
        if !sources.contains(source) {
            sources.push(source);
        }
    }
    let note = |source: &Source| {
        sources
            .iter()
            .position(|one| *one == source)
            .map(|at| at + 1)
    };
    let label = format!("{}, runs and published numbers", table.benchmark.label());
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table.results {
                thead {
                    tr {
                        th scope="col" { "Model" }
                        @for column in &table.columns { th scope="col" { (column.name()) (arrow(column.higher_is_better)) } }
                    }
                }
                tbody {
                    @for (line, one) in of_runs.iter().zip(series) { (of_run(table, line, one)) }
                    @for (line, source) in &published {
                        tr.published {
                            th scope="row" {
                                (line.model) " "
                                @if let Some(note) = note(source) { span.tag { "published, note " (note) } }
                            }
                            @for cell in &line.cells { td { (as_printed(cell)) } }
                        }
                    }
                }
            }
        }
        @if let Some(caveat) = table.caveat() { p.note { b { "Not all questions. " } (caveat) "." } }
        @if sources.is_empty() {
            p.missing { "No published numbers of it are known to candor." }
        } @else {
            ol.sources {
                @for source in &sources { li { (source.paper) ", " (source.place) ". Protocol: " (source.protocol) "." } }
            }
        }
    }
}

fn of_run(table: &Table, line: &Line, series: &Series) -> Markup {
    html! {
        tr {
            th scope="row" class={ "series " (series.class) } { (line.model) }
            @if line.is_empty() {
                td colspan=(table.columns.len()) { a href="#not-measured" { "not measured" } }
            } @else {
                @for (column, cell) in table.columns.iter().zip(&line.cells) { td { (measured(column, cell)) } }
            }
        }
    }
}

fn measured(column: &Column, cell: &Cell) -> Markup {
    html! {
        @if let Some(value) = cell.value {
            span.value { (number(value, column.decimals)) }
            (uncertainty(cell, column.decimals))
        } @else {
            "–"
        }
    }
}

/// A number with the digits that were printed.
fn as_printed(cell: &Cell) -> String {
    cell.value
        .map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// What has no numbers, with what to do.
pub(crate) fn not_measured(missing: &[NotMeasured]) -> Markup {
    html! {
        ul.facts-list {
            @for one in missing {
                li {
                    b { (one.benchmark.label()) }
                    @if let Some(run) = &one.run { " of " (run) }
                    ": " (one.reason)
                }
            }
        }
    }
}

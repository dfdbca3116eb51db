//! A comparison of evaluated runs as one page: charts, tables, and every item behind every number.
//!
//! Unlike the report of a demo this page has scripts, its own and inside the file, because thousands of items have to
//! be searched. Charts and tables need none. A number is a link to its items: the part of the address behind `#` says
//! which items are shown, so that a view can be passed on. Whatever models and judges wrote is data to the script and
//! only ever becomes text.

mod bars;
mod beside;
mod embedding;
mod evidence;
mod items;
mod numbers;
mod people;
mod radar;
mod ratings;
mod series;
mod suite;
mod summary;
mod thumbnails;

use std::path::{Path, PathBuf};

use candor_judge::Benchmark;
use candor_judge::Run;
use candor_judge::compare::Comparison;
use candor_judge::rows::Row;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::ReportError;
use series::Series;

const STYLE: &str = concat!(
    include_str!("style.css"),
    include_str!("../static/comparison.css")
);

/// What the page is made of.
pub struct ComparedRuns<'a> {
    /// The numbers.
    pub comparison: &'a Comparison,
    /// The runs, in the order of the comparison.
    pub runs: &'a [Run],
    /// The folders of the images; where the runs say, if there are none.
    pub images: Vec<PathBuf>,
    /// candor's version.
    pub version: &'a str,
}

/// Writes the page to `path`.
///
/// # Errors
/// An image is damaged, or the page cannot be written.
pub fn write_comparison(path: &Path, compared: &ComparedRuns<'_>) -> Result<(), ReportError> {
    let page = render_comparison(compared)?;
    candor_data::atomic::write(path, page.as_bytes())?;
    Ok(())
}

/// The whole page.
///
/// # Errors
/// An image is damaged.
pub fn render_comparison(compared: &ComparedRuns<'_>) -> Result<String, ReportError> {
    let comparison = compared.comparison;
    let series = Series::of(&comparison.runs);
    let embedded = items::embed(compared)?;
    let sections = sections(compared, &series);
    let script = embedding::script();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(embedding::policy(&script));
                title { "candor: " (comparison.runs.join(", ")) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (comparison.runs.len()) " evaluated " (if comparison.runs.len() == 1 { "run" } else { "runs, side by side" }) }
                    (summary::draw(comparison, &series))
                }
                nav aria-label="Sections" {
                    @for (id, heading, _) in &sections { a href={ "#" (id) } { (heading) } }
                    a href="#items" { "Items" }
                }
                main {
                    @for (id, heading, content) in &sections {
                        section id=(id) { h2 { (heading) } (content) }
                    }
                    section id="items" {
                        h2 { "Items" }
                        (items::browser(&embedded))
                    }
                }
                footer { p { "Made by candor " (compared.version) "." } }
                (embedding::data("data", &embedded.json))
                script { (PreEscaped(&script)) }
            }
        }
    };
    Ok(page.into_string())
}

type Section = (&'static str, &'static str, Markup);

fn sections(compared: &ComparedRuns<'_>, series: &[Series]) -> Vec<Section> {
    let comparison = compared.comparison;
    let mut sections: Vec<Section> = Vec::new();
    if let Some(found) = &comparison.suite {
        let tables = suite::draw(found, series);
        sections.push(("suite", "Runs and published numbers", tables));
        if !found.not_measured.is_empty() {
            let missing = suite::not_measured(&found.not_measured);
            sections.push(("not-measured", "Not measured", missing));
        }
    }
    sections.push(("charts", "Charts", charts(comparison, series)));
    let numbers = numbers::draw(comparison, series);
    sections.push(("numbers", "All numbers", numbers));
    if let Some(people) = &comparison.people {
        sections.push(("people", "People", people::draw(people)));
    }
    if let Some(found) = &comparison.ratings {
        sections.push(("ratings", "Ratings by people", ratings::draw(found)));
    }
    let evidence = evidence::draw(comparison, compared.runs, series);
    sections.push(("evidence", "Judges and data", evidence));
    sections
}

fn charts(comparison: &Comparison, series: &[Series]) -> Markup {
    html! {
        (series::legend(series))
        @for &benchmark in Benchmark::ALL {
            @let rows: Vec<&Row> = comparison.rows.iter().filter(|row| row.benchmark == benchmark).collect();
            @if let Some(main) = rows.first() {
                h3 { (benchmark.label()) }
                div.figures {
                    (bars::draw(&main_rows(&rows), series))
                    (radar::draw(&main_rows(&rows), series))
                    (beside::draw(&rows, series))
                }
                (numbers::by_category(&main_rows(&rows), series, &format!("{} of {}", main.label, benchmark.label())))
            }
        }
        p.note {
            "Bars, dots and table cells lead to the items behind them. Whiskers and brackets are 95% intervals: how the \
             same model would do on other images."
        }
    }
}

/// The benchmark's first number, over all items and by category.
fn main_rows<'a>(rows: &[&'a Row]) -> Vec<&'a Row> {
    let main = rows.first().map(|row| row.measure.as_str());
    rows.iter()
        .filter(|row| Some(row.measure.as_str()) == main)
        .copied()
        .collect()
}

//! The page of `candor eval reward`: how well a reward model tells the better answer, how sure it is, and what it likes. The
//! reward models of a demo stand side by side on the demo's page (`reward_page/by_group.rs`).
//!
//! Everything is read from the `result.json` of the command.

mod by_group;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::atomic;
use candor_stats::bootstrap::Interval;
use candor_stats::calibration::Bin;
use candor_stats::histogram::Bar;
use maud::{Markup, html};
use serde::Deserialize;

use crate::page::{document, or_missing};
use crate::plots::forest::{Forest, Row};
use crate::plots::percent;
use crate::plots::reliability::{self, Curve};
use crate::svg::marks::Shape;
use crate::{About, ReportError, files};

pub(crate) use by_group::by_group;

/// The sections in their order: where a link leads, and the heading.
const SECTIONS: [(&str, &str); 5] = [
    ("accuracy", "Does it prefer what people prefer?"),
    ("calibration", "How sure is it?"),
    ("length", "Does it like what is long?"),
    ("left-out", "What was left out"),
    ("again", "How to do it again"),
];

/// The class of everything that is drawn for the model.
const CLASS: &str = "facts";

/// What pages read of `result.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Measured {
    #[serde(flatten)]
    all: Figures,
    macro_accuracy: f64,
    groups: BTreeMap<String, Figures>,
    calibration: Vec<Bin>,
    ece: f64,
    margins: Vec<Bar>,
    length: Length,
    n_identical: usize,
    #[serde(default)]
    n_skipped: usize,
    #[serde(default)]
    skipped: BTreeMap<String, usize>,
    with_facts: bool,
}

/// How well pairs are told apart.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Figures {
    accuracy: f64,
    ci95: Option<Interval>,
    n_pairs: usize,
    margin_mean: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Length {
    model_prefers_longer: Option<f64>,
    people_prefer_longer: Option<f64>,
    accuracy_longer: Option<f64>,
    accuracy_shorter: Option<f64>,
}

/// Reads the `result.json` of `candor eval reward` in `folder` and writes `report.html` beside it; returns where that is.
///
/// # Errors
/// `result.json` is missing or damaged, or the page cannot be written.
pub fn write_reward(folder: &Path, about: &About) -> Result<PathBuf, ReportError> {
    let measured: Measured = files::json(&folder.join("result.json"))?;
    let path = folder.join("report.html");
    atomic::write(&path, render(&measured, about).as_bytes())?;
    Ok(path)
}

fn render(measured: &Measured, about: &About) -> String {
    let contents = [
        accuracy(measured),
        sure(measured),
        length(&measured.length),
        left_out(measured),
        html! { pre { code { (about.command) } } p { "candor " (about.version) "." } },
    ];
    document(
        "candor eval reward",
        &top(measured),
        SECTIONS.into_iter().zip(contents),
        &html! { "Made by candor " (about.version) "." },
    )
}

fn top(measured: &Measured) -> Markup {
    let facts = if measured.with_facts {
        "is shown the facts of each image"
    } else {
        "sees no facts"
    };
    html! {
        h1 { "How well does the reward model tell the better of two answers?" }
        p.lead {
            "It " (facts) ", and gives the answer that people prefer the higher score in "
            b { (share(&measured.all)) } " of " (measured.all.n_pairs) " pairs."
        }
        p.note {
            "Brackets hold 95% intervals by the bootstrap over images: how the same model would do on other images. Each answer is \
             scored by itself, so which of two stands first cannot matter."
        }
    }
}

/// An accuracy with its interval.
fn share(found: &Figures) -> String {
    let interval = found
        .ci95
        .map(|[low, high]| format!(" [{}, {}]", percent(low), percent(high)));
    percent(found.accuracy) + &interval.unwrap_or_default()
}

fn accuracy(measured: &Measured) -> Markup {
    let row = |name: &str, found: &Figures, shape| Row {
        name: name.to_owned(),
        class: CLASS,
        shape,
        value: found.accuracy,
        interval: found.ci95,
    };
    let groups = measured.groups.iter();
    let groups = groups.map(|(name, found)| row(name, found, Shape::Circle));
    let all = row("all", &measured.all, Shape::Diamond);
    let rows: Vec<Row> = groups.chain([all]).collect();
    let forest = Forest {
        title: "Accuracy by group",
        unit: "pairs in people's order; 50% is chance",
        percent: true,
        line: Some(0.5),
    };
    html! {
        div.figures { (forest.draw(&rows)) }
        div.scroll {
            table.results {
                thead { tr { th { "group" } th { "pairs" } th { "accuracy" } th { "mean margin" } } }
                tbody {
                    @for (name, found) in &measured.groups { (numbers(name, found)) }
                    (numbers("all", &measured.all))
                    tr { th scope="row" { "mean over groups" } td {} td { (percent(measured.macro_accuracy)) } td {} }
                }
            }
        }
    }
}

fn numbers(name: &str, found: &Figures) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            td { (found.n_pairs) }
            td { (share(found)) }
            td { (format!("{:.3}", found.margin_mean)) }
        }
    }
}

fn sure(measured: &Measured) -> Markup {
    let curve = Curve {
        name: "",
        class: CLASS,
        shape: Shape::Circle,
        bins: &measured.calibration,
        ece: Some(measured.ece),
    };
    let drawn = html! {
        div.figures {
            (reliability::draw(&[curve]))
            (reliability::margins(&measured.margins, CLASS))
        }
    };
    or_missing(drawn, "There are no pairs to draw.")
}

fn length(length: &Length) -> Markup {
    let rows = [
        (
            "the model prefers the longer answer",
            length.model_prefers_longer,
        ),
        (
            "people prefer the longer answer",
            length.people_prefer_longer,
        ),
        (
            "accuracy where people prefer the longer answer",
            length.accuracy_longer,
        ),
        (
            "accuracy where people prefer the shorter answer",
            length.accuracy_shorter,
        ),
    ];
    html! {
        p { "Of the pairs whose answers differ in words." }
        div.scroll {
            table.results {
                tbody {
                    @for (name, share) in rows {
                        tr {
                            th scope="row" { (name) }
                            td { (share.map_or_else(|| "–".to_owned(), percent)) }
                        }
                    }
                }
            }
        }
    }
}

fn left_out(measured: &Measured) -> Markup {
    let reasons: Vec<String> = measured
        .skipped
        .iter()
        .map(|(reason, n)| format!("{n} {reason}"))
        .collect();
    html! {
        p { (measured.n_identical) " pairs of equal answers." }
        p {
            (measured.n_skipped) " rows that cannot be scored"
            @if !reasons.is_empty() { ": " (reasons.join(", ")) " (" code { "skipped.jsonl" } ")" } "."
        }
    }
}

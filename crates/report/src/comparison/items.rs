//! The items as data for the page's script, and what the script fills.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_judge::Run;
use candor_judge::people::People;
use candor_judge::rows::is_same_item;
use candor_judge::{Benchmark, Verdict};
use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Value, json};

use super::ComparedRuns;
use super::thumbnails::Thumbnails;
use crate::ReportError;

/// Characters of a text that are shown.
const MAX_CHARS: usize = 8000;
/// All items together, in bytes of the page. Later ones are left out.
const MAX_BYTES: usize = 48 << 20;

/// What an answer is, as bits.
const RIGHT: u8 = 1;
const WRONG: u8 = 2;
const HALLUCINATED: u8 = 4;
const UNPARSED: u8 = 8;

/// What the script gets.
pub(crate) struct Embedded {
    /// The data.
    pub json: String,
    /// Items in it.
    pub n_items: usize,
    /// Items that the page has no room for.
    pub n_left_out: usize,
    /// The images that were looked for and not found, or not taken.
    n_without_image: [usize; 2],
}

/// An item with all runs' answers.
#[derive(Serialize)]
struct Item<'a> {
    benchmark: usize,
    id: &'a str,
    group: &'a str,
    image: &'a str,
    question: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    answers: Vec<Option<Answer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<Value>,
}

#[derive(Serialize)]
struct Answer {
    text: String,
    outcome: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read_as: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    n_exchanged: usize,
    /// Part and whole of each number, in the order of the benchmark's.
    parts: Vec<[f64; 2]>,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// A text that is not endless.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!(
            "{} … (the first {MAX_CHARS} of {} characters)",
            &text[..end],
            text.chars().count()
        ),
    }
}

fn answer(benchmark: Benchmark, verdict: &Verdict) -> Answer {
    let outcome = benchmark.outcome(verdict);
    let right = match outcome.right {
        Some(true) => RIGHT,
        Some(false) => WRONG,
        None => 0,
    };
    let bit = |holds: bool, bit: u8| if holds { bit } else { 0 };
    Answer {
        text: shown(&verdict.answer),
        outcome: right | bit(outcome.hallucinated, HALLUCINATED) | bit(outcome.unparsed, UNPARSED),
        replies: verdict.replies.iter().map(|text| shown(text)).collect(),
        read_as: verdict.read_as.iter().map(|text| shown(text)).collect(),
        n_exchanged: verdict.n_exchanged,
        parts: benchmark
            .measures()
            .map(|measure| verdict.part(measure.key))
            .collect(),
    }
}

/// The items of a benchmark, each with the verdict of every run, in the order of the first run that has them. What has the same
/// id and is another item stands by itself.
fn joined(benchmark: Benchmark, runs: &[Run]) -> Vec<(&str, Vec<Option<&Verdict>>)> {
    let mut items: Vec<(&str, Vec<Option<&Verdict>>)> = Vec::new();
    // By id, the places of its items, each with the first verdict on it.
    let mut places: BTreeMap<&str, Vec<(usize, &Verdict)>> = BTreeMap::new();
    for (k, run) in runs.iter().enumerate() {
        for verdict in run.verdicts.get(&benchmark).into_iter().flatten() {
            let known = places.entry(&verdict.id).or_default();
            let same = |(_, first): &&(usize, &Verdict)| is_same_item(benchmark, first, verdict);
            let place = known.iter().find(same).map(|(place, _)| *place);
            let place = place.unwrap_or_else(|| {
                items.push((&verdict.id, vec![None; runs.len()]));
                known.push((items.len() - 1, verdict));
                items.len() - 1
            });
            items[place].1[k] = Some(verdict);
        }
    }
    items
}

fn opinion(people: Option<&People>, benchmark: Benchmark, id: &str) -> Option<Value> {
    let opinion = people?.items.get(&format!("{}/{id}", benchmark.key()))?;
    serde_json::to_value(opinion).ok()
}

/// Gathers items and images.
///
/// # Errors
/// An image is damaged.
pub(crate) fn embed(compared: &ComparedRuns<'_>) -> Result<Embedded, ReportError> {
    let runs = compared.runs;
    let people = compared.comparison.people.as_ref();
    let benchmarks: Vec<Benchmark> = Benchmark::ALL
        .iter()
        .copied()
        .filter(|benchmark| runs.iter().any(|run| run.verdicts.contains_key(benchmark)))
        .collect();
    let mut images = Thumbnails::new(folders(compared));
    let (mut items, mut n_bytes, mut n_left_out) = (Vec::new(), 0, 0);
    for (k, &benchmark) in benchmarks.iter().enumerate() {
        for (id, verdicts) in joined(benchmark, runs) {
            let Some(first) = verdicts.iter().flatten().next() else {
                continue;
            };
            let item = Item {
                benchmark: k,
                id,
                group: &first.group,
                image: first.file_name(),
                question: shown(&first.question),
                reference: first.reference.as_deref().map(shown),
                answers: verdicts
                    .iter()
                    .map(|verdict| verdict.map(|verdict| answer(benchmark, verdict)))
                    .collect(),
                people: opinion(people, benchmark, id),
            };
            let text = json!(item).to_string();
            n_bytes += text.len();
            if n_bytes > MAX_BYTES {
                n_left_out += 1;
                continue;
            }
            items.push(text);
            images.add(first)?;
        }
    }
    let about = json!({
        "runs": runs.iter().map(|run| &run.name).collect::<Vec<_>>(),
        "benchmarks": benchmarks.iter().map(|benchmark| about(*benchmark)).collect::<Vec<_>>(),
        "people": people.map(|people| &people.runs),
        "images": images.by_image,
    });
    let about = about.to_string();
    // The items are written one by one above, so that the bound holds before they are together.
    let head = about.strip_suffix('}').unwrap_or(&about);
    Ok(Embedded {
        json: format!("{head},\"items\":[{}]}}", items.join(",")),
        n_items: items.len(),
        n_left_out,
        n_without_image: [images.n_missing, images.n_left_out],
    })
}

fn about(benchmark: Benchmark) -> Value {
    let measures: Vec<Value> = benchmark
        .measures()
        .map(|measure| json!({"key": measure.key, "label": measure.label, "decimals": measure.decimals}))
        .collect();
    json!({"key": benchmark.key(), "label": benchmark.label(), "measures": measures})
}

/// Where images may be: the folders that were named, or those that the runs name.
fn folders(compared: &ComparedRuns<'_>) -> Vec<PathBuf> {
    if !compared.images.is_empty() {
        return compared.images.clone();
    }
    let mut folders: Vec<PathBuf> = compared
        .runs
        .iter()
        .filter_map(|run| run.images().map(Path::to_owned))
        .collect();
    folders.dedup();
    folders
}

/// What the script fills, and words for those who have none.
pub(crate) fn browser(embedded: &Embedded) -> Markup {
    let [n_missing, n_no_room] = embedded.n_without_image;
    html! {
        @if embedded.n_left_out > 0 {
            p.missing { (embedded.n_left_out) " items had no room on this page; the verdict files have all of them." }
        }
        @if n_missing > 0 {
            p.missing { (n_missing) " images were not found; name their folder with " code { "--images" } "." }
        }
        @if n_no_room > 0 { p.missing { (n_no_room) " images had no room on this page." } }
        noscript { p.missing { "The items need scripts, which are off. Charts and tables above do not." } }
        div #browser data-n-items=(embedded.n_items) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_text_is_cut_between_characters_and_says_so() {
        let text = "ä".repeat(MAX_CHARS + 5);
        let cut = shown(&text);
        assert!(
            cut.starts_with(&"ä".repeat(MAX_CHARS))
                && cut.ends_with("(the first 8000 of 8005 characters)")
        );
        assert_eq!(shown("short"), "short");
    }

    #[test]
    fn items_of_several_runs_are_joined_by_their_ids() {
        let verdict = |id: &str| Verdict {
            id: id.to_owned(),
            ..Verdict::default()
        };
        let run = |ids: &[&str]| Run {
            verdicts: [(Benchmark::Pope, ids.iter().map(|id| verdict(id)).collect())].into(),
            ..Run::default()
        };
        let runs = [run(&["a", "b"]), run(&["c", "b"])];
        let found: Vec<(&str, Vec<bool>)> = joined(Benchmark::Pope, &runs)
            .into_iter()
            .map(|(id, verdicts)| (id, verdicts.iter().map(Option::is_some).collect()))
            .collect();
        assert_eq!(
            found,
            [
                ("a", vec![true, false]),
                ("b", vec![true, true]),
                ("c", vec![false, true])
            ]
        );
    }

    #[test]
    fn what_shares_an_id_alone_is_no_one_item() {
        let run = |image: &str| Run {
            verdicts: [(
                Benchmark::Pope,
                vec![Verdict {
                    id: "random-1".to_owned(),
                    image: image.to_owned(),
                    ..Verdict::default()
                }],
            )]
            .into(),
            ..Run::default()
        };
        let runs = [run("coco.jpg"), run("gqa.jpg"), run("coco.jpg")];
        let found: Vec<Vec<bool>> = joined(Benchmark::Pope, &runs)
            .into_iter()
            .map(|(_, verdicts)| verdicts.iter().map(Option::is_some).collect())
            .collect();
        assert_eq!(found, [vec![true, false, true], vec![false, true, false]]);
    }
}

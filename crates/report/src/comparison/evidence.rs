//! What the numbers rest on: who judged, by which prompt, how steadily, and what of the benchmark is training data.

use candor_judge::compare::Comparison;
use candor_judge::leakage::Leakage;
use candor_judge::results::{Judged, Scored};
use candor_judge::rows::Row;
use candor_judge::{Benchmark, Run};
use maud::{Markup, html};

use super::numbers;
use super::series::{Series, encoded};
use crate::plots::percent;

/// Judges, replies that nobody could read, duplicates and training data.
pub(crate) fn draw(comparison: &Comparison, runs: &[Run], series: &[Series]) -> Markup {
    html! {
        @for (one, run) in series.iter().zip(runs) {
            @for (&benchmark, scored) in run.results.iter().flat_map(|results| &results.benchmarks) {
                (drawn(one, benchmark, scored))
            }
        }
        @if let Some(leakage) = &comparison.leakage { (trained_on(leakage, series)) }
        @else {
            p.missing { "Whether the benchmarks are in the training data was not asked (" code { "--training FILE" } ")." }
        }
    }
}

fn drawn(series: &Series, benchmark: Benchmark, scored: &Scored) -> Markup {
    html! {
        h3 { (series.name) ", " (benchmark.label()) }
        ul.facts-list {
            li { (scored.n) " items, " (scored.unparsed.len()) " with an answer or a reply that nobody could read, "
                (scored.n_duplicates) " that ask the same of the same image as another" }
            @match &scored.judged {
                Some(judged) => (judge(judged)),
                None if scored.by_truth => li { "Scored by the exact judge of the micro-world, which knows the scenes." },
                None => li { "Scored by rules; no judge was asked." },
            }
            @for source in &scored.sources {
                li { "From " code { (source.path.display()) } ", SHA-256 " code.hash { (source.sha256) } }
            }
        }
    }
}

fn judge(judged: &Judged) -> Markup {
    let who = &judged.judge;
    let agreement = &judged.agreement;
    html! {
        li {
            "Judge: " b { (who.model) } " at " code { (who.endpoint) } ", temperature " (who.temperature) ", " (who.samples)
            (if who.samples == 1 { " reply" } else { " replies" }) " to each question, "
            (if who.images { "with" } else { "without" }) " the images"
        }
        li { "Template: " (judged.template) ", SHA-256 " code.hash { (judged.template_sha256) } }
        @if let Some(equal) = agreement.equal {
            li {
                "Agreement of several replies to a question: the same in " (percent(equal)) " of " (agreement.n_pairs) " pairs, "
                (format!("{:.2}", agreement.mean_distance.unwrap_or_default())) " apart on average"
            }
        }
        @match judged.order.as_ref().map(|order| (order, order.changed)) {
            Some((order, Some(changed))) => li {
                "Asked in both orders: " (percent(changed)) " of " (order.n_pairs) " verdicts change with the order"
                @if let Some(share) = order.favours_first { "; the answer read first is favoured in " (percent(share)) " of the replies that favour one" }
            },
            Some(_) => li { "Asked in both orders, but no item was read in both." },
            None => {},
        }
        li {
            (judged.cost.tokens.total()) " tokens in all"
            @if judged.cost.money > 0.0 { ", at a cost of " (format!("{:.2}", judged.cost.money)) }
        }
    }
}

fn trained_on(leakage: &Leakage, series: &[Series]) -> Markup {
    let files: Vec<String> = leakage
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let without: Vec<&Row> = leakage
        .without
        .iter()
        .filter(|row| row.group.is_empty())
        .collect();
    html! {
        h3 { "Training data" }
        p {
            "Compared with " code { (files.join(", ")) } " by the names of the images"
            @if leakage.compared_bytes { " and their bytes" } " and by the words of the questions."
        }
        ul.facts-list {
            @for (benchmark, leaked) in &leakage.benchmarks {
                li {
                    b { (benchmark.label()) ": " } "of " (leaked.n) " items, " (leaked.images.len()) " show a training image, "
                    (leaked.questions.len()) " of these with its question; the words of " (leaked.n_words) " were asked in training, \
                    about whatever image"
                    @if !leaked.images.is_empty() {
                        details {
                            summary { "Which" }
                            @for id in &leaked.images { a.item-link href={ "#benchmark=" (benchmark.key()) "&item=" (benchmark.key()) "%2F" (encoded(id)) } { (id) } " " }
                        }
                    }
                }
            }
        }
        @if !without.is_empty() {
            p { "The numbers without the items that show a training image:" }
            (numbers::table(&without, series, "Numbers without training images", true))
        }
    }
}

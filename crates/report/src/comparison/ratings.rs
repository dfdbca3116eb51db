//! What people rate single answers.

use candor_judge::people::ratings::{BesideJudge, Estimate, Ratings};
use maud::{Markup, html};

use crate::plots::percent;

/// Scores of all runs, and how far people agree with each other and with the judge.
pub(crate) fn draw(ratings: &Ratings) -> Markup {
    html! {
        p {
            "People rated answers one by one in the annotation app from 0 to 6, without knowing whose they were; below 3 an answer \
             hallucinates. " (ratings.n_open) " answers are not rated yet, or not by everybody who should."
        }
        div.scroll tabindex="0" role="region" aria-label="What people rate the runs" {
            table.results {
                thead { tr { @for head in ["Run", "answers", "ratings", "score", "hallucinated"] { th scope="col" { (head) } } } }
                tbody {
                    @for run in &ratings.runs {
                        tr {
                            th scope="row" { (run.run) }
                            td { (run.n_items) } td { (run.n_ratings) }
                            (cell(run.score, number)) (cell(run.hallucination, percent))
                        }
                    }
                }
            }
        }
        div.scroll tabindex="0" role="region" aria-label="Agreement of people and judge" {
            table.results {
                thead { tr { @for head in ["Agreement", "value"] { th scope="col" { (head) } } } }
                tbody {
                    (agreement("Krippendorff’s α of people’s ratings", ratings.alpha))
                    (agreement("Krippendorff’s α of people, hallucinated or not", ratings.alpha_hallucinated))
                    @if let Some(judge) = &ratings.judge { (beside(judge)) }
                }
            }
        }
        @if let Some(judge) = &ratings.judge {
            p.note { "The judge is compared on " (judge.n) " answers of MMHal-Bench that both have rated." }
        }
    }
}

fn beside(judge: &BesideJudge) -> Markup {
    html! {
        (agreement("Judge’s score less people’s", judge.difference))
        (agreement("Judge and people, Pearson’s r", judge.pearson))
        (agreement("Judge and people, Spearman’s ρ", judge.spearman))
        (agreement("Judge and people, Cohen’s κ of hallucinated or not", judge.kappa))
    }
}

fn agreement(name: &str, of: Estimate) -> Markup {
    html! { tr { th scope="row" { (name) } (cell(of, number)) } }
}

fn cell(of: Estimate, show: fn(f64) -> String) -> Markup {
    html! {
        td {
            (of.value.map_or_else(|| "–".to_owned(), show))
            @if let Some([low, high]) = of.ci95 { span.interval { (show(low)) " to " (show(high)) } }
        }
    }
}

fn number(value: f64) -> String {
    format!("{value:.2}")
}

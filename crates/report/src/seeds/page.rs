//! The page of several seeds, from the claims down to how to do it again.

use std::path::Path;

use maud::{Markup, html};

use super::algorithms::{AlgorithmDifference, MEASURES};
use super::{Claim, Decision, Demo, FigureRow, SeedsSummary};
use crate::page::{document, or_missing, quick_notice};
use crate::plots::{algorithms_over_seeds, hacking, over_seeds};
use crate::table;
use crate::wording::duration;

const SECTIONS: [(&str, &str); 7] = [
    ("claims", "What was claimed"),
    ("differences", "The differences, seed by seed"),
    ("tradeoff", "Truth against silence"),
    ("hacking", "Score against truth"),
    ("numbers", "All numbers, seed by seed"),
    ("algorithms", "Algorithms"),
    ("again", "The demos, and how to do it again"),
];

/// The whole page, to stand in the folder `out`.
#[must_use]
pub(super) fn render(summary: &SeedsSummary, demos: &[Demo], out: &Path) -> String {
    let contents = [
        claims(summary),
        differences(summary),
        or_missing(
            over_seeds::tradeoff(demos),
            "No demo evaluated both SFT and a policy after PPO on CHAIR.",
        ),
        hacked(demos),
        numbers(summary),
        algorithms(summary, demos),
        again(summary, out),
    ];
    document(
        &format!("candor demo, {}", summary.n_seeds()),
        &top(summary),
        SECTIONS.into_iter().zip(contents),
        &html! { "Made by candor " (summary.about.version) "." },
    )
}

fn top(summary: &SeedsSummary) -> Markup {
    html! {
        h1 { "Does a reward model that reads the facts make a policy hallucinate less, whatever the seed?" }
        @if summary.quick { (quick_notice()) }
        p.lead {
            @if summary.demos.len() == 1 {
                "A demo with one seed, which says nothing of others: no claim can be decided."
            } @else {
                "The same demo with " (summary.n_seeds()) ", each with a world, models and comparisons of its own. \
                 What differs between two policies is computed within each seed and then averaged."
            }
            @if !summary.family.is_usual() { " The models are built as " (summary.family.name()) "." }
        }
    }
}

fn claims(summary: &SeedsSummary) -> Markup {
    if summary.claims.is_empty() {
        return html! {
            p.missing { "Nothing is claimed of these demos." }
            @for left_out in &summary.left_out { p.missing { (left_out) } }
        };
    }
    html! {
        ul.claims { @for claim in &summary.claims { (claimed(claim)) } }
        @for left_out in &summary.left_out { p.missing { (left_out) } }
        p.note {
            b { "Shown" } " is what the whole 95% interval of the mean bears, " b { "the opposite" } " what it contradicts; the \
             rest is " b { "not decided" } ". The interval is two together, from the lower of their lower ends to the higher of \
             their upper ends: Student's t over the seeds, and the bootstrap over seeds and, within each, images. Both take the \
             seeds as a fair sample of all; with few seeds that is a weak \
             ground. Nothing is corrected for the number of claims."
        }
        p.note {
            "p over seeds is how often a mean at least as large turns up when coins decide the sign of each seed's difference: \
             with n seeds it cannot be below 2^(1 − n). p over images is the same when coins decide, image by image, which \
             policy gave which answers; it speaks of other images for these \
             models, not of other seeds."
        }
    }
}

fn claimed(claim: &Claim) -> Markup {
    let class = match claim.decision {
        Decision::Shown => "shown",
        Decision::NotDecided => "undecided",
        Decision::Opposite => "opposite",
    };
    html! {
        li class=(class) {
            span.decision { (claim.decision.name()) }
            p { b { (claim.claim) } }
            @for part in &claim.parts {
                p.numbers {
                    (part.what) ": " (part.mean())
                    @if claim.parts.len() > 1 { ", " (part.decision.name()) }
                    @if !part.chances().is_empty() { "; " (part.chances()) }
                }
            }
        }
    }
}

fn differences(summary: &SeedsSummary) -> Markup {
    let content = html! {
        p {
            "Dots are seeds with the 95% interval over their images; the diamond is their mean with the interval that decides. \
             The broken line is the claim's bound."
        }
        div.figures.two {
            @for part in summary.claims.iter().flat_map(|claim| &claim.parts) { (over_seeds::comparison(part)) }
        }
    };
    or_missing(content, "Nothing was compared.")
}

fn hacked(demos: &[Demo]) -> Markup {
    let content = html! {
        p {
            "Means over the seeds of what the policies said while they were trained: the reward model's score above, the exact \
             judge's truth below, and how well the two agree within a step. A score that rises while false claims do not \
             become fewer is reward hacking. Dots are steps, lines their mean over seven. A policy that was not \
             judged with every seed is left out."
        }
        (hacking::draw(&over_seeds::mean_rollouts(demos)))
    };
    or_missing(content, "No policy's rollouts were judged with every seed.")
}

fn numbers(summary: &SeedsSummary) -> Markup {
    if summary.policies.is_empty() && summary.reward_models.is_empty() {
        return html! { p.missing { "No policy was evaluated." } };
    }
    html! {
        p.note {
            "Below the mean: 95% interval over seeds, by Student's t. Below a seed's value: 95% interval over its images."
        }
        (seed_by_seed(summary, &summary.reward_models))
        (seed_by_seed(summary, &summary.policies))
    }
}

fn algorithms(summary: &SeedsSummary, demos: &[Demo]) -> Markup {
    if summary.algorithms.is_empty() {
        return html! { p.missing { "Not run. " code { "candor demo --algorithms" } " trains policies by PPO, GRPO, RLOO and DPO from one start." } };
    }
    html! {
        p { "All start from the policy init and learn from the same comparisons of their seed." }
        (algorithms_over_seeds::draw(demos))
        p { (crate::page::NOT_SEARCHED) }
        (differences_of_algorithms(&summary.algorithm_differences))
        (seed_by_seed(summary, &summary.algorithms))
    }
}

/// What each algorithm has on CHAIR less what the first has, over the seeds.
fn differences_of_algorithms(all: &[AlgorithmDifference]) -> Markup {
    let Some(first) = all.first() else {
        return html! {};
    };
    let mut names: Vec<&str> = all.iter().map(|one| one.of.as_str()).collect();
    names.dedup();
    let cell = |name: &str, measure: &str| {
        let mut found = all.iter();
        found.find(|one| one.of == name && one.measure == measure)
    };
    html! {
        p.note {
            "Each algorithm's number on CHAIR less that of " (first.less) " on the same images, averaged over the seeds; in brackets \
             the interval of the claims above, Student's t over seeds and the bootstrap over seeds and images together. Nothing is \
             claimed of them, and nothing is corrected for their number."
        }
        div.scroll {
            table.results {
                thead {
                    tr {
                        th scope="col" { "less " (first.less) }
                        @for (_, name) in MEASURES { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for name in names {
                        tr {
                            th scope="row" { (name) }
                            @for (measure, _) in MEASURES {
                                td { (cell(name, measure).map_or("–".to_owned(), AlgorithmDifference::mean)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table of numbers: a group of rows for each number, a row for each whose it is, a column for each seed.
fn seed_by_seed(summary: &SeedsSummary, rows: &[FigureRow]) -> Markup {
    let seeds = summary.seeds();
    let mut before = ("", "");
    html! {
        @if !rows.is_empty() {
            div.scroll {
                table.results {
                    thead {
                        tr {
                            th scope="col" { "Figure" }
                            th scope="col" { "mean" }
                            @for seed in &seeds { th scope="col" { "seed " (seed) } }
                        }
                    }
                    tbody {
                        @for row in rows {
                            @let heading = (row.benchmark, row.figure);
                            @if std::mem::replace(&mut before, heading) != heading {
                                tr.group { th colspan=(seeds.len() + 2) scope="colgroup" { (row.benchmark) " · " (row.figure) } }
                            }
                            tr {
                                th scope="row" class={ "series " (row.class) } { (row.of) }
                                (table::shown(row.mean.map(|mean| (mean, row.ci95)), row.written, false))
                                @for cell in &row.seeds { (table::shown(*cell, row.written, false)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn again(summary: &SeedsSummary, out: &Path) -> Markup {
    html! {
        ul {
            @for demo in &summary.demos {
                li {
                    "Seed " (demo.seed) ": " (duration(demo.wall_secs)) ", at most "
                    (format!("{:.1}", demo.peak_memory_bytes as f64 / 1e9)) " GB of memory; "
                    @match link(&demo.folder, out) {
                        Some(link) => a href=(link) { "its report, with images and answers" },
                        None => code { (demo.folder.display()) },
                    }
                }
            }
        }
        p { "All numbers of this page are in " a href="seeds.json" { "seeds.json" } ", and as tables in " a href="seeds.md" { "seeds.md" } ". The same command makes them again:" }
        pre { code { (summary.about.command) } }
    }
}

/// The address of a demo's own page, where it has one inside of `out`: the page may be moved with its folder.
fn link(folder: &Path, out: &Path) -> Option<String> {
    if !folder.join("report.html").exists() {
        return None;
    }
    let inside = folder.strip_prefix(out).ok()?.to_str()?;
    let escaped = inside
        .replace('%', "%25")
        .replace('#', "%23")
        .replace('?', "%3F");
    Some(escaped + "/report.html")
}

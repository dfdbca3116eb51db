//! What people and training data say of a comparison's numbers, for the terminal.

use std::fmt::Write as _;

use super::show;
use crate::benchmark::Benchmark;
use crate::leakage::Leakage;
use crate::people::ratings::{Estimate, Ratings};
use crate::people::{People, Tally};

/// What people prefer.
pub(super) fn people(people: &People) -> String {
    let [first, second] = &people.runs;
    format!(
        "people on {second} against {first}: {} items judged, {} with equal answers, {} not judged or undecided\n  \
         says fewer false things: {}\n  preferred: {}\n",
        people.items.len(),
        people.n_equal,
        people.n_open,
        in_words(&people.truer),
        in_words(&people.preferred)
    )
}

fn in_words(tally: &Tally) -> String {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let ends = |[low, high]: [f64; 2]| format!(" [{}, {}]", percent(low), percent(high));
    format!(
        "{} wins, {} ties, {} losses{}{}{}",
        tally.wins,
        tally.ties,
        tally.losses,
        tally
            .rate
            .map_or_else(String::new, |rate| format!("; win rate {}%", percent(rate))),
        tally.ci95.map_or_else(String::new, ends),
        tally
            .p
            .map_or_else(String::new, |p| format!(", {}", show::chance(p)))
    )
}

/// What people rate single answers, and how that stands to the judge.
pub(super) fn ratings(ratings: &Ratings) -> String {
    let mut text = format!(
        "people's ratings from 0 to 6, {} answers not rated yet or not by all\n",
        ratings.n_open
    );
    for run in &ratings.runs {
        let _ = writeln!(
            text,
            "  {}: score {}, hallucination {} ({} answers, {} ratings)",
            run.run,
            estimate(run.score),
            estimate(run.hallucination),
            run.n_items,
            run.n_ratings
        );
    }
    let _ = writeln!(
        text,
        "  agreement of people, Krippendorff's alpha: ratings {}, hallucinated {}",
        estimate(ratings.alpha),
        estimate(ratings.alpha_hallucinated)
    );
    if let Some(judge) = &ratings.judge {
        let _ = writeln!(
            text,
            "  beside the judge, {} answers of MMHal-Bench: its score less people's {}, Pearson's r {}, Spearman's rho {}, \
             Cohen's kappa of hallucinated {}",
            judge.n,
            estimate(judge.difference),
            estimate(judge.pearson),
            estimate(judge.spearman),
            estimate(judge.kappa)
        );
    }
    text
}

/// A number with its interval.
fn estimate(of: Estimate) -> String {
    let Some(value) = of.value else {
        return "undefined".to_owned();
    };
    let ends = |[low, high]: [f64; 2]| format!(" [{low:.2}, {high:.2}]");
    format!("{value:.2}") + &of.ci95.map_or_else(String::new, ends)
}

/// What of the benchmarks is training data.
pub(super) fn trained_on(runs: &[String], leakage: &Leakage) -> String {
    let line = |benchmark: &Benchmark| {
        let leaked = &leakage.benchmarks[benchmark];
        format!(
            "{}: of {} items, {} show a training image, {} of these with its question; the words of {} were asked in \
             training\n",
            benchmark.label(),
            leaked.n,
            leaked.images.len(),
            leaked.questions.len(),
            leaked.n_words
        )
    };
    let mut text: String = leakage.benchmarks.keys().map(line).collect();
    if !leakage.without.is_empty() {
        text += "without the items whose image is in the training data:\n";
        text += &show::rows(runs, &leakage.without);
    }
    text
}

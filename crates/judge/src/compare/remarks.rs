//! What answers, people and training data say of a comparison's numbers, for the terminal.

use super::Comparison;
use super::show;
use crate::leakage::Leakage;
use crate::measure::Benchmark;
use crate::people::{People, Tally};

/// Below the table; empty where there is nothing to say.
pub(super) fn of(comparison: &Comparison) -> String {
    let warned = comparison.warnings.iter();
    let mut text: String = warned.flat_map(|text| ["WARNING: ", text, "\n"]).collect();
    text += &comparison.people.as_ref().map_or_else(String::new, people);
    if let Some(leakage) = &comparison.leakage {
        text += &trained_on(comparison, leakage);
    }
    text
}

fn people(people: &People) -> String {
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

fn trained_on(comparison: &Comparison, leakage: &Leakage) -> String {
    let line = |benchmark: &Benchmark| {
        let leaked = &leakage.benchmarks[benchmark];
        format!(
            "{}: of {} items, {} show a training picture, {} of these with its question; the words of {} were asked in \
             training\n",
            benchmark.label(),
            leaked.n,
            leaked.pictures.len(),
            leaked.questions.len(),
            leaked.n_words
        )
    };
    let mut text: String = leakage.benchmarks.keys().map(line).collect();
    if !leakage.without.is_empty() {
        text += "without the items whose picture is in the training data:\n";
        text += &show::rows(&comparison.runs, &leakage.without);
    }
    text
}

//! What people and training data say of a comparison's numbers, for the terminal.

use std::fmt::Write as _;

use super::Comparison;
use super::show;
use crate::leakage::Leakage;
use crate::people::{People, Tally};

/// Below the table; empty where neither was asked.
pub(super) fn of(comparison: &Comparison) -> String {
    let mut text = comparison.people.as_ref().map_or_else(String::new, people);
    if let Some(leakage) = &comparison.leakage {
        text += &trained_on(comparison, leakage);
    }
    text
}

fn people(people: &People) -> String {
    let [first, second] = &people.runs;
    let mut text = format!(
        "people on {second} against {first}: {} items judged, {} with equal answers, {} not judged or undecided\n",
        people.items.len(),
        people.n_equal,
        people.n_open
    );
    for (question, tally) in [
        ("says fewer false things", &people.truer),
        ("preferred", &people.preferred),
    ] {
        text += &format!("  {question}: {}\n", in_words(tally));
    }
    text
}

fn in_words(tally: &Tally) -> String {
    let mut text = format!(
        "{} wins, {} ties, {} losses",
        tally.wins, tally.ties, tally.losses
    );
    // Writing to a String cannot fail.
    if let Some(rate) = tally.rate {
        let _ = write!(text, "; win rate {:.1}%", 100.0 * rate);
    }
    if let Some([low, high]) = tally.ci95 {
        let _ = write!(text, " [{:.1}, {:.1}]", 100.0 * low, 100.0 * high);
    }
    if let Some(p) = tally.p {
        let _ = write!(text, ", {}", show::chance(p));
    }
    text
}

fn trained_on(comparison: &Comparison, leakage: &Leakage) -> String {
    let mut text = String::new();
    for (benchmark, leaked) in &leakage.benchmarks {
        text += &format!(
            "{}: of {} items, {} show a training picture, {} of these with its question; the words of {} were asked in \
             training\n",
            benchmark.label(),
            leaked.n,
            leaked.pictures.len(),
            leaked.questions.len(),
            leaked.n_words
        );
    }
    if !leakage.without.is_empty() {
        text += "without the items whose picture is in the training data:\n";
        text += &show::rows(&comparison.runs, &leakage.without);
    }
    text
}

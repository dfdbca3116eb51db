//! What makes a benchmark's numbers meaningless whatever they are: empty answers, one answer to everything, answers that
//! hardly anybody could read.
//!
//! POPE's rule takes every silence for a yes, so a model that says nothing has a recall of 1. Such answers are counted
//! and told wherever the numbers are.

use crate::benchmark::Benchmark;
use crate::verdict::Verdict;

/// So many equal answers are no accident.
const EQUAL_FROM: usize = 3;

/// One sentence for each. `n_unparsed` is of the answers, or of the replies about them.
#[must_use]
pub fn warnings(benchmark: Benchmark, answers: &[&str], n_unparsed: usize) -> Vec<String> {
    let (n, about) = (answers.len(), benchmark.about());
    let (label, as_yes) = (about.label, about.taken_for);
    let n_empty = answers.iter().filter(|answer| is_empty(answer)).count();
    let mut all = Vec::new();
    if n_empty > 0 {
        let verb = if n_empty == 1 { "is" } else { "are" };
        all.push(format!(
            "{label}: {n_empty} of {n} answers {verb} empty{as_yes}"
        ));
    }
    let first = answers.first().copied().unwrap_or_default();
    if n >= EQUAL_FROM && n_empty < n && answers.iter().all(|answer| *answer == first) {
        let mut shown: String = first.chars().take(40).collect();
        if shown.len() < first.len() {
            shown.push('…');
        }
        all.push(format!("{label}: all {n} answers are the same: {shown:?}"));
    }
    // What is empty is not told twice.
    let n_other = n_unparsed.saturating_sub(n_empty);
    if 2 * n_unparsed > n && n_other > 0 {
        all.push(format!(
            "{label}: {n_unparsed} of {n} answers {}{as_yes}",
            about.unparsed
        ));
    }
    all
}

/// The same of verdicts.
#[must_use]
pub fn of_verdicts(benchmark: Benchmark, verdicts: &[Verdict]) -> Vec<String> {
    let answers: Vec<&str> = verdicts.iter().map(|v| v.answer.as_str()).collect();
    let unparsed = verdicts.iter().filter(|v| benchmark.outcome(v).unparsed);
    warnings(benchmark, &answers, unparsed.count())
}

/// Whether an answer says nothing.
#[must_use]
pub fn is_empty(answer: &str) -> bool {
    answer.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_sameness_and_what_cannot_be_read_are_told() {
        for (benchmark, answers, n_unparsed, expected) in [
            (
                Benchmark::Pope,
                vec!["", " ", "\n"],
                3,
                vec!["POPE: 3 of 3 answers are empty, and count as yes by its rule"],
            ),
            (
                Benchmark::Chair,
                vec!["A dog.", "", "A cat."],
                0,
                vec!["CHAIR: 1 of 3 answers is empty"],
            ),
            (
                Benchmark::Pope,
                vec!["Yes"; 3],
                0,
                vec!["POPE: all 3 answers are the same: \"Yes\""],
            ),
            (
                Benchmark::Mmbench,
                vec!["x", "y", "B", "z"],
                3,
                vec!["MMBench: 3 of 4 answers could not be read"],
            ),
            (Benchmark::Mmbench, vec!["x", "y", "B", "A"], 2, vec![]),
            (Benchmark::Own, vec!["Yes", "Yes"], 0, vec![]),
            (Benchmark::Own, vec![], 0, vec![]),
        ] {
            assert_eq!(
                warnings(benchmark, &answers, n_unparsed),
                expected,
                "{answers:?}"
            );
        }
    }
}

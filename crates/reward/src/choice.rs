//! Choosing among answers by a score that each of them has, whoever gave it: the best and the worst to each prompt.
//!
//! Answers of all files of candidates to one prompt (the same image and turns) are one group, and equal ones count once.
//! `best.json` has each prompt with its best answer, `preferences.json` and its log the best against the worst, and
//! `result.json` the counts.

use std::path::{Path, PathBuf};

use candor_data::formats::candidates::{self, Candidate};
use candor_data::formats::{llava, preference, preference_log};
use candor_data::{Conversation, Preference, Side, Turn, Verdict};
use candor_run::write_result;
use serde::{Deserialize, Serialize};

use crate::RewardError;
use crate::earlier::remove;

/// What was chosen: the content of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestSummary {
    /// Prompts.
    pub n_prompts: usize,
    /// Answers that differ from the others to their prompt.
    pub n_answers: usize,
    /// Prompts without two answers of different scores, which make no preference.
    pub n_equal: usize,
    /// Mean score of all answers.
    pub score_mean: f64,
    /// Mean score of the best answers.
    pub best_score_mean: f64,
}

/// A prompt with the answers to it, no two of them alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Name of the first row of candidates.
    pub id: String,
    /// What the prompt shows.
    pub image: Option<String>,
    /// What the answers respond to.
    pub turns: Vec<Turn>,
    /// The data set's own answer.
    pub original_answer: Option<String>,
    /// Index of the prompt in the file of prompts, from 0.
    pub index: u64,
    /// The answers.
    pub answers: Vec<Sampled>,
}

/// A sampled answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Its text, without blanks around it.
    pub text: String,
    /// Its tokens, the end token not counted.
    pub n_tokens: usize,
    /// Whether it ended by itself, with an end token.
    pub finished: bool,
}

/// The prompts of all files of candidates in the order of their first row.
///
/// # Errors
/// A file is missing or damaged.
pub fn groups(files: &[PathBuf]) -> Result<Vec<Group>, RewardError> {
    let mut rows = Vec::new();
    for file in files {
        rows.extend(candidates::read(file)?);
    }
    let prompt = |row: &Candidate| (row.image.clone(), row.turns.clone());
    let prompts = candidates::by_prompt(rows, prompt).into_iter();
    Ok(prompts.filter_map(group).collect())
}

/// The rows of one prompt as a group; none of no rows.
fn group(rows: Vec<Candidate>) -> Option<Group> {
    let first = rows.first()?;
    let mut group = Group {
        id: first.id.clone(),
        image: first.image.clone(),
        turns: first.turns.clone(),
        original_answer: first.original_answer.clone(),
        index: first.sampling.index,
        answers: Vec::new(),
    };
    for Candidate {
        outputs, sampling, ..
    } in rows
    {
        let lengths = sampling.n_tokens.into_iter().zip(sampling.finished);
        for (output, (n_tokens, finished)) in outputs.iter().zip(lengths) {
            let text = output.trim();
            if group.answers.iter().all(|known| known.text != text) {
                let text = text.to_owned();
                group.answers.push(Sampled {
                    text,
                    n_tokens,
                    finished,
                });
            }
        }
    }
    Some(group)
}

/// Writes what scores choose, those of each group in the order of its answers, into a folder.
///
/// # Errors
/// A file cannot be written, or one of an earlier run cannot be removed.
pub fn write_chosen(
    out: &Path,
    groups: &[Group],
    scores: &[Vec<f64>],
) -> Result<BestSummary, RewardError> {
    let (mut best_of, mut preferences, mut best_sum) = (Vec::new(), Vec::new(), 0.0);
    for (group, scores) in groups.iter().zip(scores) {
        // A row of candidates has answers.
        let Some((best, worst)) = chosen(scores) else {
            continue;
        };
        best_sum += scores[best];
        best_of.push(group.answered(&group.answers[best].text));
        preferences.extend(worst.map(|worst| group.preference(best, worst)));
    }
    let all: Vec<f64> = scores.concat();
    let summary = BestSummary {
        n_prompts: groups.len(),
        n_answers: all.len(),
        n_equal: groups.len() - preferences.len(),
        score_mean: all.iter().sum::<f64>() / all.len() as f64,
        best_score_mean: best_sum / groups.len() as f64,
    };
    llava::write(&out.join("best.json"), &best_of)?;
    let log = out.join("preferences.log.jsonl");
    let file = out.join("preferences.json");
    if preferences.is_empty() {
        remove(&log)?;
        remove(&file)?;
    } else {
        preference_log::write(&log, &preferences)?;
        preference::write(&file, &preferences)?;
    }
    write_result(out, &summary).map_err(candor_train::TrainError::from)?;
    Ok(summary)
}

/// The places of the best and of the worst of some scores, the first of several that are equal; no worst where all are.
fn chosen(scores: &[f64]) -> Option<(usize, Option<usize>)> {
    let first = |better: fn(&f64, &f64) -> bool| {
        let mut places = 0..scores.len();
        let start = places.next()?;
        Some(places.fold(start, |best, place| {
            if better(&scores[place], &scores[best]) {
                place
            } else {
                best
            }
        }))
    };
    let (best, worst) = (first(f64::gt)?, first(f64::lt)?);
    Some((best, (scores[worst] < scores[best]).then_some(worst)))
}

impl Group {
    /// The prompt with an answer to it.
    pub(crate) fn answered(&self, answer: &str) -> Conversation {
        let mut turns = self.turns.clone();
        turns.push(Turn::gpt(answer));
        Conversation {
            id: self.id.clone(),
            image: self.image.clone(),
            turns,
        }
    }

    /// The two answers in the order in which they were found, so that no place tells which is better.
    fn preference(&self, best: usize, worst: usize) -> Preference {
        let [first, second] = [best.min(worst), best.max(worst)];
        Preference {
            id: self.id.clone(),
            image: self.image.clone(),
            turns: self.turns.clone(),
            original_answer: self.original_answer.clone(),
            outputs: [first, second].map(|place| self.answers[place].text.clone()),
            // A score is of all that an answer is worth, and claims nothing of hallucinations.
            fewer_hallucinations: Verdict::Tie,
            more_helpful: Some(if best == first {
                Side::First
            } else {
                Side::Second
            }),
            record: None,
            explanation: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_best_and_of_the_worst_is_chosen() {
        for (scores, expected) in [
            (&[0.5, 2.0, -1.0, 2.0, -1.0][..], Some((1, Some(2)))),
            (&[3.0, 3.0], Some((0, None))),
            (&[-2.0], Some((0, None))),
            (&[1.0, 2.0], Some((1, Some(0)))),
            (&[], None),
        ] {
            assert_eq!(chosen(scores), expected, "{scores:?}");
        }
    }
}

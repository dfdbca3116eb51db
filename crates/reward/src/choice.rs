//! Choosing among answers by a score that each of them has, whoever gave it: the best and the worst to each prompt.
//!
//! Answers of all files of candidates to one prompt (the same image and turns) are one group, and equal ones count once. Those that
//! were cut at the limit are left out and counted: learned from, they would be followed by an end that nobody sampled.
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
    /// Answers that differ from the others to their prompt, and ended by themselves.
    pub n_answers: usize,
    /// Answers that were cut at the limit, or are blank, which are left out.
    pub n_cut: usize,
    /// Prompts without two answers of different scores, which make no preference.
    pub n_equal: usize,
    /// Mean score of all answers.
    pub score_mean: f64,
    /// Mean score of the best answers, of the prompts that have one.
    pub best_score_mean: f64,
}

/// A prompt with the answers to it that ended by themselves, no two of them alike.
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
    /// How many others were cut at the limit, or are blank.
    pub n_cut: usize,
}

/// A sampled answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Its text, without blanks around it.
    pub text: String,
    /// Its tokens, the end token not counted.
    pub n_tokens: usize,
}

/// The prompts of all files of candidates in the order of their first row.
///
/// # Errors
/// A file is missing or damaged, or no answer ended by itself.
pub fn groups(files: &[PathBuf]) -> Result<Vec<Group>, RewardError> {
    let mut rows = Vec::new();
    for file in files {
        rows.extend(candidates::read(file)?);
    }
    let prompt = |row: &Candidate| (row.image.clone(), row.turns.clone());
    let prompts = candidates::by_prompt(rows, prompt);
    let groups: Vec<Group> = prompts.iter().filter_map(|rows| group(rows)).collect();
    if groups.iter().all(|group| group.answers.is_empty()) {
        return Err(RewardError::Unfit {
            path: files.first().cloned().unwrap_or_default(),
            problem:
                "all answers were cut at the limit or are blank, so that there is none to choose"
                    .to_owned(),
            remedy: "raise sampling.max_new_tokens",
        });
    }
    Ok(groups)
}

/// The rows of one prompt as a group; none of no rows.
fn group(rows: &[Candidate]) -> Option<Group> {
    let first = rows.first()?;
    let mut group = Group {
        id: first.id.clone(),
        image: first.image.clone(),
        turns: first.turns.clone(),
        original_answer: first.original_answer.clone(),
        index: first.sampling.index,
        answers: Vec::new(),
        n_cut: rows.iter().map(Candidate::n_not_whole).sum(),
    };
    for row in rows {
        for (place, output) in row.outputs.iter().enumerate() {
            let text = output.trim();
            let is_new = group.answers.iter().all(|known| known.text != text);
            if row.is_whole(place) && is_new {
                group.answers.push(Sampled {
                    text: text.to_owned(),
                    n_tokens: row.sampling.n_tokens[place],
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
        // No answer to it is whole.
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
        n_cut: groups.iter().map(|group| group.n_cut).sum(),
        n_equal: groups.len() - preferences.len(),
        score_mean: all.iter().sum::<f64>() / all.len() as f64,
        best_score_mean: best_sum / best_of.len() as f64,
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
    use candor_data::formats::candidates::Sampling;

    use super::*;

    /// Two answers to the question about an image, each with whether it ended by itself.
    fn row(image: &str, answers: [(&str, bool); 2]) -> Candidate {
        Candidate {
            id: image.to_owned(),
            image: Some(image.to_owned()),
            turns: vec![Turn::human("<image>\nWhat is it?")],
            original_answer: None,
            outputs: answers.map(|(text, _)| text.to_owned()),
            sampling: Sampling {
                model: "sft".to_owned(),
                model_fingerprint: "m".to_owned(),
                adapter: None,
                adapter_fingerprint: None,
                seed: 0,
                temperature: 1.0,
                top_p: 1.0,
                max_new_tokens: 3,
                batch_rows: 2,
                chunk: 4,
                index: 0,
                finished: answers.map(|(_, finished)| finished),
                n_tokens: [3; 2],
            },
        }
    }

    /// By hand: of three prompts the first has two whole answers, of 1 and 0, and makes the pair; the second has one, of 3; the third
    /// has none. So the scores are 4 / 3 on average and (1 + 3) / 2 of the best, and of four answers three were cut and one is blank.
    #[test]
    fn an_answer_that_was_cut_is_neither_the_best_nor_the_worst() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let cut = row("c.png", [("No, it is", false), ("No, a dog", false)]);
        let one = [
            row("a.png", [("A dog on a", false), (" A dog. ", true)]),
            row("b.png", [(" ", true), ("Yes.", true)]),
            cut.clone(),
        ];
        let two = [row("a.png", [("A cat.", true), ("A dog.", true)])];
        candidates::write(&at("one.jsonl"), &one).unwrap();
        candidates::write(&at("two.jsonl"), &two).unwrap();
        let groups = super::groups(&[at("one.jsonl"), at("two.jsonl")]).unwrap();
        let texts = |group: &Group| -> Vec<String> {
            let answers = group.answers.iter();
            answers.map(|answer| answer.text.clone()).collect()
        };
        let found: Vec<Vec<String>> = groups.iter().map(texts).collect();
        assert_eq!(found, [vec!["A dog.", "A cat."], vec!["Yes."], vec![]]);
        let out = at("out");
        let scores = [vec![1.0, 0.0], vec![3.0], vec![]];
        let summary = write_chosen(&out, &groups, &scores).unwrap();
        let counts = (summary.n_prompts, summary.n_answers, summary.n_cut);
        assert_eq!((counts, summary.n_equal), ((3, 3, 4), 2));
        assert!((summary.score_mean - 4.0 / 3.0).abs() < 1e-12);
        assert!((summary.best_score_mean - 2.0).abs() < 1e-12);
        let best = llava::read(&out.join("best.json")).unwrap();
        let best: Vec<&str> = best.iter().map(|row| row.turns[1].value.as_str()).collect();
        assert_eq!(best, ["A dog.", "Yes."]);
        let pairs = preference::read(&out.join("preferences.json")).unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].outputs, ["A dog.", "A cat."]);
        assert_eq!(pairs[0].preferred(), Some(Side::First));

        candidates::write(&at("cut.jsonl"), &[cut]).unwrap();
        let refused = super::groups(&[at("cut.jsonl")]).unwrap_err().to_string();
        assert!(
            refused.contains("raise sampling.max_new_tokens"),
            "{refused}"
        );
    }

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

//! Who compares the answers of a round, and what came of it.
//!
//! A reward model and rules score each answer, and the best one to a prompt is set against the worst
//! ([`candor_reward::choice`]). A judge compares two answers of a file each, in both orders ([`candor_judge::feedback`]). People
//! do so in the annotation app, and what they said is read from a file.

mod before;
mod people;
mod rules;

use std::path::{Path, PathBuf};

use candor_data::Comparison;
use candor_data::formats::candidates::{self, Candidate};
use candor_data::formats::captions;
use candor_judge::feedback::{self, Feedback};
use candor_judge::{ChatJudge, Settings};
use candor_reward::{BestOfN, BestSummary, best_of_n};
use candor_run::{Progress, Ranks};
use serde::{Deserialize, Serialize};
use tch::Device;

pub(crate) use self::before::check;
use crate::RoundsError;
use crate::recipe::{LabelRecipe, RoundsRecipe};

/// What came of comparing the answers of a round: `labels.json` of its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// Answers that were cut at the limit, or are blank, from which nobody learns.
    pub n_cut: usize,
    /// Comparisons that are learned from.
    pub n_preferences: usize,
    /// Mean score of the answers, where they are scored.
    pub score_mean: Option<f64>,
    /// Mean score of the best answers to each prompt.
    pub best_score_mean: Option<f64>,
}

impl From<BestSummary> for Labels {
    fn from(summary: BestSummary) -> Self {
        Self {
            n_cut: summary.n_cut,
            n_preferences: summary.n_prompts - summary.n_equal,
            score_mean: Some(summary.score_mean),
            best_score_mean: Some(summary.best_score_mean),
        }
    }
}

/// The answers of a round, and where what is said of them is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers<'a> {
    pub recipe: &'a RoundsRecipe,
    /// Files of candidates.
    pub candidates: &'a [PathBuf],
    /// The comparisons that are learned from.
    pub preferences: &'a Path,
    /// Folder of whoever compares.
    pub out: &'a Path,
    /// The processes that share the rounds.
    pub ranks: &'a Ranks,
}

impl Answers<'_> {
    /// Has the answers compared; none where people have yet to do it. Ranks share what a reward model scores; a judge, rules and
    /// people's answers are the first rank's, and the others wait for it.
    ///
    /// # Errors
    /// Whoever compares cannot be opened or does not answer, or nobody could tell answers apart; or another rank has ended or
    /// hangs.
    pub(crate) fn compare(self, device: Device) -> Result<Option<Labels>, RoundsError> {
        let labels = if let LabelRecipe::Reward {
            folder,
            base_precision,
            pass_rows,
        } = &self.recipe.label
        {
            let plan = BestOfN {
                candidates: self.candidates.to_vec(),
                reward: folder.clone(),
                base_precision: *base_precision,
                images: self.recipe.sample.images.clone(),
                facts: self.recipe.facts.clone(),
                out: self.out.to_owned(),
                pass_rows: *pass_rows,
            };
            let mut progress = Progress::of_rank(self.ranks, "labels");
            let counter = progress.counter("scoring the answers");
            Some(best_of_n(&plan, device, self.ranks, counter)?.into())
        } else {
            self.ranks.made_by_first(|| self.said())?
        };
        let Some(labels) = labels else {
            return Ok(None);
        };
        if labels.n_preferences > 0 {
            return Ok(Some(labels));
        }
        Err(RoundsError::Unfit {
            path: self.candidates[0].clone(),
            problem: "nobody can tell any two answers to a prompt apart, so there is nothing to learn from".to_owned(),
            remedy: "raise sampling.temperature or rounds.answers, or let somebody else compare (label.by)".to_owned(),
        })
    }

    /// What a judge, rules or people say of the answers; none where people have yet to compare them.
    fn said(self) -> Result<Option<Labels>, RoundsError> {
        match &self.recipe.label {
            LabelRecipe::Judge(settings) => self.judged(settings).map(Some),
            LabelRecipe::Rules(terms) => rules::scored(self, terms).map(Some),
            LabelRecipe::People if self.preferences.exists() => people::said(self).map(Some),
            LabelRecipe::People => {
                let (pairs, n_cut) = self.pairs()?;
                if n_cut > 0 {
                    tracing::info!(
                        "labels: {n_cut} answers were cut at sampling.max_new_tokens or are blank, and nobody is asked about their pairs"
                    );
                }
                candidates::write(&self.for_people(), &pairs)?;
                Ok(None)
            }
            LabelRecipe::Reward { .. } => unreachable!("a reward model scores on all ranks"),
        }
    }

    /// What a judge says of the two answers of each row.
    fn judged(self, file: &Path) -> Result<Labels, RoundsError> {
        let settings = Settings::read(file)?;
        let (facts, images) = (self.recipe.facts.as_deref(), &self.recipe.sample.images);
        let book = facts.map(captions::read).transpose()?;
        let facts = facts.zip(book.as_ref());
        let (pairs, n_cut) = self.pairs()?;
        let pairs = pairs.into_iter().map(Comparison::from).collect();
        let asked = Feedback::new(
            &self.candidates[0],
            pairs,
            &settings,
            facts,
            Some(images.as_path()),
        )?;
        let judge = ChatJudge::open(file, settings, 0)?;
        let (n_replies, most) = asked.outstanding(&judge)?;
        tracing::info!(
            "labels: {n_replies} replies are to be had, which cost {} tokens at most, lost requests apart",
            most.total()
        );
        let told = |n: usize| tracing::info!("labels: {n} of {n_replies} replies");
        let (rows, summary) = asked.ask(&judge, &told)?;
        if !rows.is_empty() {
            feedback::write(self.preferences, &rows, &summary)?;
        }
        Ok(Labels {
            n_cut,
            n_preferences: rows.len(),
            score_mean: None,
            best_score_mean: None,
        })
    }

    /// The file of the answers that people compare.
    pub(crate) fn for_people(self) -> PathBuf {
        self.preferences.with_file_name("pairs.jsonl")
    }

    /// The rows of all files whose answers are both whole, each with a name of its own; and how many answers are not.
    fn pairs(self) -> Result<(Vec<Candidate>, usize), RoundsError> {
        let (mut pairs, mut n_cut) = (Vec::new(), 0);
        for (number, file) in (1..).zip(self.candidates) {
            for mut row in candidates::read(file)? {
                n_cut += row.n_not_whole();
                if row.n_not_whole() == 0 {
                    row.id = format!("{}-{number}", row.id);
                    pairs.push(row);
                }
            }
        }
        if pairs.is_empty() {
            return Err(RoundsError::Unfit {
                path: self.candidates[0].clone(),
                problem: format!(
                    "no two answers are whole: {n_cut} were cut at the limit or are blank"
                ),
                remedy: "raise sampling.max_new_tokens".to_owned(),
            });
        }
        Ok((pairs, n_cut))
    }
}

#[cfg(test)]
mod tests {
    use candor_data::formats::preference_log;
    use candor_data::{Preference, Verdict};

    use super::rules::tests::pair;
    use super::*;
    use crate::recipe::tests::read;

    fn judged(pair: Candidate) -> Preference {
        Preference {
            id: pair.id,
            image: pair.image,
            turns: pair.turns,
            original_answer: None,
            outputs: pair.outputs,
            fewer_hallucinations: Verdict::First,
            more_helpful: None,
            record: None,
            explanation: None,
        }
    }

    #[test]
    fn nobody_is_asked_about_an_answer_that_was_cut_and_nothing_is_learned_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("candidates.jsonl");
        let preferences = dir.path().join("preferences.log.jsonl");
        let whole = pair(0, "a.png", "Is it red?");
        let mut cut = pair(1, "b.png", "Is it blue?");
        cut.sampling.finished = [true, false];
        candidates::write(&file, &[whole.clone(), cut.clone()]).unwrap();
        let recipe = read(&[]).unwrap();
        let ranks = Ranks::alone();
        let answers = Answers {
            recipe: &recipe,
            candidates: std::slice::from_ref(&file),
            preferences: &preferences,
            out: dir.path(),
            ranks: &ranks,
        };
        let (pairs, n_cut) = answers.pairs().unwrap();
        let ids: Vec<&str> = pairs.iter().map(|pair| pair.id.as_str()).collect();
        assert_eq!((ids, n_cut), (vec!["p-0-1"], 1));

        // What was said all the same, of a project that was made in another way.
        let said = [judged(whole), judged(cut.clone())];
        preference_log::write(&preferences, &said).unwrap();
        let refused = people::said(answers).unwrap_err().to_string();
        assert!(refused.contains("1 of 2 rows"), "{refused}");
        assert!(
            refused.contains("cut at the limit or are blank, the first of them p-1"),
            "{refused}"
        );
        preference_log::write(&preferences, &said[..1]).unwrap();
        let labels = people::said(answers).unwrap();
        assert_eq!((labels.n_preferences, labels.n_cut), (1, 1));

        candidates::write(&file, &[cut]).unwrap();
        let none = answers.pairs().unwrap_err().to_string();
        assert!(none.contains("raise sampling.max_new_tokens"), "{none}");
    }
}

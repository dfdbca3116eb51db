//! Best of n: of all answers to a prompt, the one that the reward model, told the facts, scores highest, and the lowest.
//!
//! The answers are those of one or several files of candidates; two files of one recipe with different seeds hold four to
//! each prompt. `best.json` has each prompt with its best answer, to be fine-tuned on (rejection sampling), and
//! `preferences.json` the best against the worst, in the format that people's labels have. Scores are kept a chunk at a time
//! in `scores.jsonl`, so that a run that was killed goes on and ends in the same bytes.

mod kept_scores;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use candor_data::formats::candidates::{self, Candidate};
use candor_data::formats::{llava, preference, preference_log};
use candor_data::{
    AnswerType, Conversation, FactBook, Facts, Preference, Side, Turn, Verdict, sha256, shown,
};
use candor_model::{Bundle, ImageFeatures};
use candor_run::{Ranks, write_result};
use candor_train::BasePrecision;
use serde::Serialize;
use tch::Device;

use self::kept_scores::KeptScores;
use crate::RewardError;
use crate::earlier::remove;
use crate::scorer::{Judged, RewardModel};

/// Prompts whose answers are scored and kept together.
const CHUNK: usize = 32;

/// What is chosen from, and by whom.
#[derive(Debug, Clone)]
pub struct BestOfN {
    /// Files of candidates.
    pub candidates: Vec<PathBuf>,
    /// Run folder of a reward model.
    pub reward: PathBuf,
    /// What its base is held in.
    pub base_precision: BasePrecision,
    /// Image folder.
    pub images: PathBuf,
    /// Captions by image, where the reward model is shown facts.
    pub facts: Option<PathBuf>,
    /// Folder to write to.
    pub out: PathBuf,
    /// Answers that are scored together.
    pub pass_rows: usize,
}

/// What was chosen: the content of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
#[derive(Debug, PartialEq)]
struct Group {
    id: String,
    image: Option<String>,
    turns: Vec<Turn>,
    original_answer: Option<String>,
    answers: Vec<String>,
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

/// Scores all answers and writes what is chosen; `progress` hears how many prompts are done, and of how many.
///
/// # Errors
/// A file is missing or damaged, facts are missing where the reward model is shown them, an answer does not fit it, or a score
/// is not a number.
pub fn best_of_n(
    plan: &BestOfN,
    device: Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<BestSummary, RewardError> {
    if plan.out.join("resolved.toml").exists() {
        return Err(RewardError::Unfit {
            path: plan.out.clone(),
            problem: "it is the folder of a run, whose result.json would be overwritten".to_owned(),
            remedy: "choose another --out",
        });
    }
    let groups = groups(&plan.candidates)?;
    let base = RewardModel::base(&plan.reward)?;
    let bundle = Bundle::load(base, device, plan.base_precision)?;
    bundle.model.set_trainable(|_| false);
    let model = RewardModel::open(&plan.reward, &bundle)?;
    let book = model.book(&plan.reward, plan.facts.as_deref())?;
    let mut kept = KeptScores::open(&plan.out.join("scores.jsonl"))?;
    let mut scores = Vec::with_capacity(groups.len());
    for chunk in groups.chunks(CHUNK) {
        scores.extend(chunk_scores(
            plan, &model, &bundle, &book, chunk, &mut kept,
        )?);
        progress(scores.len(), groups.len());
    }
    write(plan, &groups, &scores)
}

/// The prompts of all files in the order of their first row.
fn groups(files: &[PathBuf]) -> Result<Vec<Group>, RewardError> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<(Option<String>, Vec<Turn>), usize> = HashMap::new();
    for file in files {
        for row in candidates::read(file)? {
            let Candidate {
                id,
                image,
                turns,
                original_answer,
                outputs,
                ..
            } = row;
            let place = *places
                .entry((image.clone(), turns.clone()))
                .or_insert_with(|| {
                    groups.push(Group {
                        id,
                        image,
                        turns,
                        original_answer,
                        answers: Vec::new(),
                    });
                    groups.len() - 1
                });
            let answers = &mut groups[place].answers;
            for output in outputs {
                let output = output.trim().to_owned();
                if !answers.contains(&output) {
                    answers.push(output);
                }
            }
        }
    }
    Ok(groups)
}

/// SHA-256 of all that the scores of a chunk depend on: the reward model, what its base is held in, the images as they are now,
/// and what is scored.
fn key_of(
    plan: &BestOfN,
    fingerprint: String,
    images: &BTreeSet<String>,
    answers: &[(Conversation, &Facts)],
) -> String {
    let who = [fingerprint, format!("{:?}", plan.base_precision)];
    // What cannot be read has scores of its own, which are never kept: that it cannot be read is said where it is encoded.
    let image = |name: &String| sha256::of_file(&plan.images.join(name)).unwrap_or_default();
    let whole =
        |(conversation, facts): &(Conversation, &Facts)| format!("{conversation:?}{facts:?}");
    let parts = who.into_iter().chain(images.iter().map(image));
    let parts = parts.chain(answers.iter().map(whole));
    sha256::of_bytes(parts.map(String::into_bytes))
}

/// The images of some prompts, each by its own name also where a prompt shows several.
fn images_of(chunk: &[Group]) -> BTreeSet<String> {
    let shown = chunk.iter().filter_map(|group| group.image.as_deref());
    shown.flat_map(shown::names).map(str::to_owned).collect()
}

/// The scores of a chunk, which are kept or computed as a whole: their last bits may depend on who shares a pass.
fn chunk_scores(
    plan: &BestOfN,
    model: &RewardModel,
    bundle: &Bundle,
    book: &FactBook,
    chunk: &[Group],
    kept: &mut KeptScores,
) -> Result<Vec<Vec<f64>>, RewardError> {
    let told: Vec<Facts> = (chunk.iter())
        .map(|group| {
            book.for_prompt(
                group.image.as_deref().unwrap_or_default(),
                AnswerType::General,
            )
        })
        .collect();
    let answers: Vec<(Conversation, &Facts)> = chunk
        .iter()
        .zip(&told)
        .flat_map(|(group, facts)| {
            let with = move |answer: &String| (group.answered(answer), facts);
            group.answers.iter().map(with)
        })
        .collect();
    let images = images_of(chunk);
    let key = key_of(plan, model.fingerprint(), &images, &answers);
    let scores = if let Some(scores) = kept.take(&key) {
        scores
    } else {
        let features = ImageFeatures::encode(bundle, &plan.images, images, |_, _| ())?;
        let items: Vec<Judged<'_>> = answers
            .iter()
            .map(|(conversation, facts)| Judged {
                id: &conversation.id,
                conversation,
                facts,
            })
            .collect();
        let scores = model.score(bundle, &features, &items, plan.pass_rows, &Ranks::alone())?;
        kept.keep(key, &scores)?;
        scores
    };
    let mut rest = scores.into_iter();
    Ok(chunk
        .iter()
        .map(|group| rest.by_ref().take(group.answers.len()).collect())
        .collect())
}

impl Group {
    fn answered(&self, answer: &str) -> Conversation {
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
            outputs: [first, second].map(|place| self.answers[place].clone()),
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

fn write(
    plan: &BestOfN,
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
        best_of.push(group.answered(&group.answers[best]));
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
    llava::write(&plan.out.join("best.json"), &best_of)?;
    let log = plan.out.join("preferences.log.jsonl");
    let file = plan.out.join("preferences.json");
    if preferences.is_empty() {
        remove(&log)?;
        remove(&file)?;
    } else {
        preference_log::write(&log, &preferences)?;
        preference::write(&file, &preferences)?;
    }
    write_result(&plan.out, &summary).map_err(candor_train::TrainError::from)?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_of_a_precision_and_of_images_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("a.png");
        std::fs::write(&image, "red").unwrap();
        let mut plan = BestOfN {
            candidates: Vec::new(),
            reward: PathBuf::new(),
            base_precision: BasePrecision::Int8,
            images: dir.path().to_owned(),
            facts: None,
            out: PathBuf::new(),
            pass_rows: 1,
        };
        let images = BTreeSet::from(["a.png".to_owned()]);
        let of = |plan: &BestOfN| key_of(plan, "reward".to_owned(), &images, &[]);
        let first = of(&plan);
        assert_eq!(of(&plan), first);
        plan.base_precision = BasePrecision::Nf4;
        let precise = of(&plan);
        assert_ne!(precise, first);
        std::fs::write(&image, "blue").unwrap();
        assert_ne!(of(&plan), precise);
    }

    #[test]
    fn scores_are_of_every_image_that_a_prompt_shows() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &str| std::fs::write(dir.path().join(name), bytes).unwrap();
        write("a.png", "red");
        write("b.png", "red");
        let plan = BestOfN {
            candidates: Vec::new(),
            reward: PathBuf::new(),
            base_precision: BasePrecision::F32,
            images: dir.path().to_owned(),
            facts: None,
            out: PathBuf::new(),
            pass_rows: 1,
        };
        let group = |image: Option<&str>| Group {
            id: "p".to_owned(),
            image: image.map(str::to_owned),
            turns: Vec::new(),
            original_answer: None,
            answers: Vec::new(),
        };
        let chunk = [
            group(Some("b.png\na.png")),
            group(Some("a.png")),
            group(None),
        ];
        let images = images_of(&chunk);
        assert_eq!(Vec::from_iter(&images), ["a.png", "b.png"]);
        let key = || key_of(&plan, "reward".to_owned(), &images, &[]);
        let first = key();
        write("b.png", "blue");
        assert_ne!(key(), first);
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

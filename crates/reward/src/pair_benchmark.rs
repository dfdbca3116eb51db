//! A reward model on comparisons that it was not trained on: how often it prefers what people prefer, how sure it is, and
//! whether it prefers what is long.
//!
//! A pair counts under the group that its set says, as benchmarks of reward models do, else under its file; the macro
//! accuracy is the mean over groups. Each answer is scored by itself, so which of the two
//! stands first cannot matter, and there is no bias of position to measure.

mod measured;
mod pair_scores;
mod rows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candor_data::rows::{ImageRows, OnBadRow, SKIPPED, Skipped};
use candor_data::{Conversation, Facts, atomic};
use candor_model::{Bundle, ImageFeatures};
use candor_run::{Ranks, write_result};
use candor_stats::calibration::probability;
use candor_train::BasePrecision;
use serde::Serialize;
use tch::Device;

pub use self::measured::{LengthBias, PairAccuracy, PairResult};
pub use self::pair_scores::{PairScores, ScoredPairs, pair_scores};
use self::rows::{Chosen, JudgedPair, KnownFacts};
use crate::RewardError;
use crate::earlier::remove;
use crate::scorer::{Judged, RewardModel};

/// Pairs whose answers are scored together.
const CHUNK: usize = 32;

/// What is measured, and on what.
#[derive(Debug, Clone)]
pub struct PairBenchmark {
    /// Run folder of a reward model.
    pub reward: PathBuf,
    /// What its base is held in.
    pub base_precision: BasePrecision,
    /// Files of comparisons that somebody has judged.
    pub files: Vec<PathBuf>,
    /// Image folder. Images that are inside the files are written there.
    pub images: PathBuf,
    /// Captions by image, where the reward model is shown facts.
    pub facts: Option<PathBuf>,
    /// What follows from a row that cannot be scored.
    pub on_bad_row: OnBadRow,
    /// Folder to write `result.json`, `pairs.jsonl` and, where rows may be left out, `skipped.jsonl` to.
    pub out: PathBuf,
    /// Answers that are scored together.
    pub pass_rows: usize,
    /// Decides intervals, and the order of answers in the calibration.
    pub seed: u64,
}

/// Pairs with the scores of their answers.
struct Scored {
    pairs: Vec<JudgedPair>,
    n_identical: usize,
    skipped: Option<Skipped>,
    with_facts: bool,
}

/// Scores all pairs and writes what is found; `progress` hears how many pairs are done, and of how many.
///
/// # Errors
/// A file is missing or damaged, rows cannot be scored and the plan does not skip them (nobody has judged them, their image or
/// the facts of it are missing, or an answer does not fit the model), none is left, or a score is not a number.
pub fn pair_benchmark(
    plan: &PairBenchmark,
    device: Device,
    progress: impl FnMut(usize, usize),
) -> Result<PairResult, RewardError> {
    let Scored {
        pairs,
        n_identical,
        skipped,
        with_facts,
    } = scored(plan, rows::read(plan, Chosen::Preferred)?, device, progress)?;
    let result = PairResult {
        n_identical,
        skipped: skipped.as_ref().map(Skipped::counts),
        with_facts,
        ..measured::measured(&pairs, plan.seed)
    };
    write_lines(&plan.out.join("pairs.jsonl"), &pairs)?;
    match &skipped {
        Some(skipped) => skipped.write(&plan.out)?,
        None => remove(&plan.out.join(SKIPPED))?,
    }
    write_result(&plan.out, &result).map_err(candor_train::TrainError::from)?;
    Ok(result)
}

/// Scores the pairs that were read.
fn scored(
    plan: &PairBenchmark,
    read: rows::Read,
    device: Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<Scored, RewardError> {
    let base = RewardModel::base(&plan.reward)?;
    let bundle = Bundle::load(base, device, plan.base_precision)?;
    bundle.model.set_trainable(|_| false);
    let model = RewardModel::open(&plan.reward, &bundle)?;
    let facts = KnownFacts::new(model.book(&plan.reward, plan.facts.as_deref())?);
    let sifted = rows::sift(plan, read.rows, &model, &bundle, &facts)?;
    let mut pairs: Vec<JudgedPair> = sifted.rows.into_iter().map(|(_, pair)| pair).collect();
    if pairs.is_empty() {
        let skipped = sifted
            .skipped
            .as_ref()
            .map(|skipped| format!(", {skipped}"));
        return Err(RewardError::Unfit {
            path: plan.files.first().cloned().unwrap_or_default(),
            problem: format!(
                "no pair of two different answers is left{}",
                skipped.unwrap_or_default()
            ),
            remedy: "give comparisons of different answers that fit the model",
        });
    }
    let n_pairs = pairs.len();
    for (number, chunk) in pairs.chunks_mut(CHUNK).enumerate() {
        score(plan, &model, &bundle, &facts, &sifted.images, chunk)?;
        progress((number * CHUNK + CHUNK).min(n_pairs), n_pairs);
    }
    Ok(Scored {
        pairs,
        n_identical: read.n_identical,
        skipped: sifted.skipped,
        with_facts: model.with_facts(),
    })
}

fn score(
    plan: &PairBenchmark,
    model: &RewardModel,
    bundle: &Bundle,
    facts: &KnownFacts,
    shown: &ImageRows,
    chunk: &mut [JudgedPair],
) -> Result<(), RewardError> {
    let names: BTreeSet<String> = chunk.iter().filter_map(|pair| pair.image.clone()).collect();
    let features = ImageFeatures::encode(bundle, &plan.images, names, |_, _| ());
    let features = features.map_err(|error| error.in_rows(shown))?;
    let told: Vec<(Conversation, Facts)> = chunk
        .iter()
        .flat_map(|pair| {
            let facts = facts.of(pair);
            [
                (pair.answered(&pair.chosen), facts.clone()),
                (pair.answered(&pair.rejected), facts),
            ]
        })
        .collect();
    let items: Vec<Judged<'_>> = told
        .iter()
        .map(|(conversation, facts)| Judged {
            id: &conversation.id,
            conversation,
            facts,
        })
        .collect();
    let scores = model.score(bundle, &features, &items, plan.pass_rows, &Ranks::alone())?;
    for (pair, scores) in chunk.iter_mut().zip(scores.chunks_exact(2)) {
        pair.scores = [scores[0], scores[1]];
    }
    Ok(())
}

/// A line of `pairs.jsonl`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    group: &'a str,
    id: &'a str,
    image: Option<&'a str>,
    chosen_score: f64,
    rejected_score: f64,
    /// Probability that the chosen one is preferred.
    p: f64,
}

fn write_lines(path: &Path, pairs: &[JudgedPair]) -> Result<(), RewardError> {
    let mut text = Vec::new();
    for pair in pairs {
        let [chosen_score, rejected_score] = pair.scores;
        let line = Line {
            group: &pair.group,
            id: &pair.id,
            image: pair.image.as_deref(),
            chosen_score,
            rejected_score,
            p: probability(chosen_score, rejected_score),
        };
        serde_json::to_writer(&mut text, &line).map_err(|error| RewardError::Unfit {
            path: path.to_owned(),
            problem: error.to_string(),
            remedy: "this is a bug, please report it",
        })?;
        text.push(b'\n');
    }
    Ok(atomic::write(path, &text)?)
}

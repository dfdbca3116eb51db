//! A reward model on comparisons that it was not trained on: how often it prefers what people prefer, how sure it is, and
//! whether it prefers what is long.
//!
//! Each file is a group; the macro accuracy is the mean over groups. Each answer is scored by itself, so which of the two
//! stands first cannot matter, and there is no bias of position to measure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candor_data::formats::images;
use candor_data::{
    AnswerType, Comparison, ComparisonFormat, Conversation, FactBook, Facts, Side, Turn, atomic,
};
use candor_model::{Bundle, ImageFeatures};
use candor_run::{Ranks, write_result};
use candor_stats::bootstrap::{self, Interval};
use candor_stats::calibration::{Bin, calibration, predictions, probability};
use candor_train::BasePrecision;
use serde::Serialize;
use tch::Device;

use crate::RewardError;
use crate::scorer::{Judged, RewardModel};
use crate::scores::right;

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
    /// Folder to write `result.json` and `pairs.jsonl` to.
    pub out: PathBuf,
    /// Answers that are scored together.
    pub pass_rows: usize,
    /// Decides intervals, and the order of answers in the calibration.
    pub seed: u64,
}

/// How often the preferred answer has the higher score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairAccuracy {
    /// Share of pairs; equal scores count half.
    pub accuracy: f64,
    /// Its 95% interval by the bootstrap over images.
    pub ci95: Option<Interval>,
    /// Pairs.
    pub n_pairs: usize,
    /// Mean of the preferred answer's score less the other's.
    pub margin_mean: f64,
}

/// Whether what is long is preferred.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LengthBias {
    /// Share of pairs of different length, in words, whose longer answer has the higher score; equal scores count half.
    pub model_prefers_longer: Option<f64>,
    /// Share of these pairs whose longer answer is the one that people prefer.
    pub people_prefer_longer: Option<f64>,
    /// Accuracy where people prefer the longer answer.
    pub accuracy_longer: Option<f64>,
    /// Accuracy where people prefer the shorter one.
    pub accuracy_shorter: Option<f64>,
}

/// What was measured: the content of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairResult {
    /// Over all pairs of all files.
    #[serde(flatten)]
    pub all: PairAccuracy,
    /// Mean of the accuracies of the groups.
    pub macro_accuracy: f64,
    /// By file, without its ending.
    pub groups: BTreeMap<String, PairAccuracy>,
    /// The reliability curve.
    pub calibration: Vec<Bin>,
    /// Expected calibration error.
    pub ece: f64,
    /// Whether what is long is preferred.
    pub length: LengthBias,
    /// Pairs that were left out because both answers are the same.
    pub n_identical: usize,
    /// Whether the model was shown facts.
    pub with_facts: bool,
}

/// A pair that somebody has judged, its scores once it has them.
#[derive(Debug, Clone, PartialEq)]
struct JudgedPair {
    group: String,
    id: String,
    image: Option<String>,
    turns: Vec<Turn>,
    chosen: String,
    rejected: String,
    scores: [f64; 2],
}

/// Scores all pairs and writes what is found; `progress` hears how many pairs are done, and of how many.
///
/// # Errors
/// A file is missing, damaged or not judged, facts are missing where the reward model is shown them, an answer does not fit
/// it, or a score is not a number.
pub fn pair_benchmark(
    plan: &PairBenchmark,
    device: Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<PairResult, RewardError> {
    let (mut pairs, n_identical) = read(plan)?;
    let base = RewardModel::base(&plan.reward)?;
    let bundle = Bundle::load(base, device, plan.base_precision)?;
    bundle.model.set_trainable(|_| false);
    let model = RewardModel::open(&plan.reward, &bundle)?;
    let book = model.book(&plan.reward, plan.facts.as_deref())?;
    let n_pairs = pairs.len();
    for (number, chunk) in pairs.chunks_mut(CHUNK).enumerate() {
        score(plan, &model, &bundle, &book, chunk)?;
        progress((number * CHUNK + CHUNK).min(n_pairs), n_pairs);
    }
    let result = PairResult {
        n_identical,
        with_facts: model.with_facts(),
        ..measured(&pairs, plan.seed)
    };
    write_lines(&plan.out.join("pairs.jsonl"), &pairs)?;
    write_result(&plan.out, &result).map_err(candor_train::TrainError::from)?;
    Ok(result)
}

/// The pairs of all files, and how many were left out because both answers are the same.
fn read(plan: &PairBenchmark) -> Result<(Vec<JudgedPair>, usize), RewardError> {
    let (mut pairs, mut n_identical) = (Vec::new(), 0);
    let mut groups = BTreeSet::new();
    for path in &plan.files {
        let unfit = |problem, remedy| RewardError::Unfit {
            path: path.clone(),
            problem,
            remedy,
        };
        let group = path.file_stem().unwrap_or_default().to_string_lossy();
        if !groups.insert(group.clone().into_owned()) {
            let problem = format!("a second file of the name {group:?}");
            return Err(unfit(
                problem,
                "give each file a name of its own: it is the group's",
            ));
        }
        let mut keep = |bytes: &[u8]| images::keep(&plan.images, bytes);
        let format = ComparisonFormat::of(path)?;
        for (row, compared) in format.read(path, &mut keep)?.into_iter().enumerate() {
            if compared.is_equal() {
                n_identical += 1;
                continue;
            }
            let Some(preferred) = compared.preferred() else {
                let problem = format!(
                    "row {row} (id {:?}) says of neither answer that it is better",
                    compared.id
                );
                return Err(unfit(problem, "give comparisons that somebody has judged"));
            };
            pairs.push(judged(&group, compared, preferred));
        }
    }
    if pairs.is_empty() {
        return Err(RewardError::Unfit {
            path: plan.files.first().cloned().unwrap_or_default(),
            problem: "no pair has two different answers".to_owned(),
            remedy: "give comparisons of different answers",
        });
    }
    Ok((pairs, n_identical))
}

fn judged(group: &str, compared: Comparison, preferred: Side) -> JudgedPair {
    let [first, second] = compared.outputs;
    let (chosen, rejected) = match preferred {
        Side::First => (first, second),
        Side::Second => (second, first),
    };
    JudgedPair {
        group: group.to_owned(),
        id: compared.id,
        image: compared.image,
        turns: compared.turns,
        chosen,
        rejected,
        scores: [0.0; 2],
    }
}

fn score(
    plan: &PairBenchmark,
    model: &RewardModel,
    bundle: &Bundle,
    book: &FactBook,
    chunk: &mut [JudgedPair],
) -> Result<(), RewardError> {
    let names: BTreeSet<String> = chunk.iter().filter_map(|pair| pair.image.clone()).collect();
    let features = ImageFeatures::encode(bundle, &plan.images, names, |_, _| ())?;
    let answered = |pair: &JudgedPair, answer: &String| Conversation {
        id: pair.id.clone(),
        image: pair.image.clone(),
        turns: pair
            .turns
            .iter()
            .cloned()
            .chain([Turn::gpt(answer.as_str())])
            .collect(),
    };
    let told: Vec<(Conversation, Facts)> = chunk
        .iter()
        .flat_map(|pair| {
            let image = pair.image.as_deref().unwrap_or_default();
            let facts = book.for_prompt(image, AnswerType::General);
            [
                (answered(pair, &pair.chosen), facts.clone()),
                (answered(pair, &pair.rejected), facts),
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

/// What scored pairs say of the model.
fn measured(pairs: &[JudgedPair], seed: u64) -> PairResult {
    let all: Vec<&JudgedPair> = pairs.iter().collect();
    let mut by_group: BTreeMap<&str, Vec<&JudgedPair>> = BTreeMap::new();
    for pair in pairs {
        by_group.entry(&pair.group).or_default().push(pair);
    }
    let groups = by_group.into_iter();
    let groups: BTreeMap<String, PairAccuracy> = groups
        .map(|(name, pairs)| (name.to_owned(), accuracy(&pairs, seed)))
        .collect();
    let scores: Vec<[f64; 2]> = pairs.iter().map(|pair| pair.scores).collect();
    let curve = calibration(&predictions(&scores, seed));
    let sum: f64 = groups.values().map(|group| group.accuracy).sum();
    PairResult {
        all: accuracy(&all, seed),
        macro_accuracy: sum / groups.len().max(1) as f64,
        groups,
        calibration: curve.bins,
        ece: curve.ece,
        length: length_bias(pairs),
        n_identical: 0,
        with_facts: false,
    }
}

fn accuracy(pairs: &[&JudgedPair], seed: u64) -> PairAccuracy {
    let of = |sample: &[&&JudgedPair]| {
        let sum = sample.iter().map(|pair| right(&pair.scores)).sum();
        [bootstrap::ratio(sum, sample.len() as f64)]
    };
    let whole: Vec<&&JudgedPair> = pairs.iter().collect();
    let [ci95] = bootstrap::intervals(pairs, seed, "reward.pairs", name, of);
    let margins: f64 = pairs
        .iter()
        .map(|pair| pair.scores[0] - pair.scores[1])
        .sum();
    PairAccuracy {
        accuracy: of(&whole)[0].unwrap_or_default(),
        ci95,
        n_pairs: pairs.len(),
        margin_mean: margins / pairs.len() as f64,
    }
}

/// What a pair is resampled with; a row without an image stands for itself.
fn name<'a>(pair: &'a &JudgedPair) -> &'a str {
    pair.image.as_deref().unwrap_or(&pair.id)
}

fn length_bias(pairs: &[JudgedPair]) -> LengthBias {
    let words = |text: &str| text.split_whitespace().count();
    let (mut longer, mut shorter) = (Vec::new(), Vec::new());
    for pair in pairs {
        match words(&pair.chosen).cmp(&words(&pair.rejected)) {
            std::cmp::Ordering::Greater => longer.push(right(&pair.scores)),
            std::cmp::Ordering::Less => shorter.push(right(&pair.scores)),
            std::cmp::Ordering::Equal => {}
        }
    }
    let (n_longer, n_shorter) = (longer.len() as f64, shorter.len() as f64);
    let (right_longer, right_shorter): (f64, f64) = (longer.iter().sum(), shorter.iter().sum());
    let for_longer = right_longer + (n_shorter - right_shorter);
    LengthBias {
        model_prefers_longer: bootstrap::ratio(for_longer, n_longer + n_shorter),
        people_prefer_longer: bootstrap::ratio(n_longer, n_longer + n_shorter),
        accuracy_longer: bootstrap::ratio(right_longer, n_longer),
        accuracy_shorter: bootstrap::ratio(right_shorter, n_shorter),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(group: &str, number: usize, texts: [&str; 2], scores: [f64; 2]) -> JudgedPair {
        JudgedPair {
            group: group.to_owned(),
            id: number.to_string(),
            image: Some(format!("{}.png", number / 2)),
            turns: Vec::new(),
            chosen: texts[0].to_owned(),
            rejected: texts[1].to_owned(),
            scores,
        }
    }

    #[test]
    fn five_pairs_worked_by_hand() {
        let (short, long) = ("A dog.", "A dog and a cat.");
        let pairs = [
            pair("a", 0, [short, long], [2.0, 0.0]),
            pair("a", 1, [long, short], [3.0, 0.0]),
            pair("a", 2, [long, short], [0.0, 1.0]),
            pair("b", 3, [short, short], [1.0, 1.0]),
            pair("b", 4, [short, long], [0.0, 4.0]),
        ];
        let found = measured(&pairs, 0);
        let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
        // Right, right, wrong, half, wrong.
        close(found.all.accuracy, 2.5 / 5.0);
        close(found.groups["a"].accuracy, 2.0 / 3.0);
        close(found.groups["b"].accuracy, 0.5 / 2.0);
        close(found.macro_accuracy, 11.0 / 24.0);
        close(found.all.margin_mean, (2.0 + 3.0 - 1.0 + 0.0 - 4.0) / 5.0);
        // Four pairs differ in length; the model is for the longer one in the second and the last.
        let length = found.length;
        close(length.model_prefers_longer.unwrap(), 2.0 / 4.0);
        close(length.people_prefer_longer.unwrap(), 2.0 / 4.0);
        close(length.accuracy_longer.unwrap(), 1.0 / 2.0);
        close(length.accuracy_shorter.unwrap(), 1.0 / 2.0);
        let [low, high] = found.all.ci95.unwrap();
        assert!((0.0..0.5).contains(&low) && high > 0.5 && high <= 1.0);
    }
}

//! What became of a policy over the steps of PPO: its greedy descriptions at every snapshot, and the truth
//! about what it said while it was trained.
//!
//! The reward model's score rising while the truth does not is reward hacking; a falling `chair_i` with a
//! falling recall is brevity. Both are only seen over the steps, so a run folder is walked: `adapters/step-N`
//! are asked to describe CHAIR's images, `samples/step-N.jsonl` are given to the exact judge.
//!
//! Nothing is kept between calls; everything is computed again, and the same run gives the same curve.

mod rollouts;

use std::path::{Path, PathBuf};

use candor_data::atomic;
use candor_judge::Benchmark;
use candor_judge::figures::figures;
use candor_judge::score::verdicts;
use candor_model::{Adapter, Bundle};
use candor_run::{Progress, Ranks, StopSignal};
use candor_stats::bootstrap::Interval;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Generator};
use crate::images;
use crate::questions::Questions;
use crate::scenes::Scenes;
use crate::{EvalError, EvalRecipe};
use candor_stats::correlation::Correlation;

/// The greedy descriptions of one snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// PPO steps done.
    pub step: u64,
    /// Share of the mentioned objects that are not there; `None` if none is mentioned.
    pub chair_i: Option<f64>,
    /// Share of the descriptions with at least one such object.
    pub chair_s: f64,
    /// Share of the objects that are there which are mentioned.
    pub recall: Option<f64>,
    /// Harmonic mean of 1 − `chair_i` and `recall`.
    pub object_f1: Option<f64>,
    /// 95% interval of `chair_i`.
    pub ci95_chair_i: Option<Interval>,
    /// 95% interval of `recall`.
    pub ci95_recall: Option<Interval>,
    /// Mean length of a description, the end token not counted.
    pub mean_response_tokens: f64,
}

/// The rollouts of one step that answer general prompts: those that only the reward model scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HackingPoint {
    /// The PPO step that the rollouts were sampled for.
    pub step: u64,
    /// Rollouts.
    pub n: usize,
    /// Mean of the reward model's scores.
    pub score_mean: f64,
    /// Mean of its scores as normalised for PPO, where the rollouts say them.
    pub normalised_score_mean: Option<f64>,
    /// Share of the responses with at least one false claim.
    pub hallucinated_share: f64,
    /// False claims of a response, on average.
    pub false_claims_mean: f64,
    /// Mean of the exact judge's scores, 0 to 6.
    pub judge_score_mean: f64,
    /// The reward model's scores with the exact judge's, within the step.
    pub correlation: Option<Correlation>,
}

/// A run, step by step: `eval/curve-<variant>.json` of a demo.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curve {
    /// By snapshot.
    pub points: Vec<CurvePoint>,
    /// By step whose rollouts were kept.
    pub rollouts: Vec<HackingPoint>,
}

impl Curve {
    /// Writes the curve as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        let json = serde_json::to_string_pretty(self).map_err(|error| EvalError::Unfit {
            path: path.to_owned(),
            problem: error.to_string(),
            remedy: "report this: a curve is made of plain fields",
        })?;
        Ok(atomic::write(path, (json + "\n").as_bytes())?)
    }
}

/// Traces the PPO run in the folder `run`; returns nothing if `stop` asked to end before. Of the recipe count its data,
/// CHAIR's question, the settings of answers and the seed; `bundle` is the base that the run's adapters belong to.
///
/// # Errors
/// The run has no snapshots, or a snapshot, a rollout, an image or the ground truth is missing or damaged.
pub fn trace(
    recipe: &EvalRecipe,
    bundle: &Bundle,
    run: &Path,
    stop: &StopSignal,
) -> Result<Option<Curve>, EvalError> {
    let snapshots = by_step(&run.join("adapters"), "")?;
    if snapshots.is_empty() {
        return Err(EvalError::Unfit {
            path: run.join("adapters"),
            problem: "holds no step-N".to_owned(),
            remedy: "give the folder of a PPO run that keeps snapshots (run.snapshot_every)",
        });
    }
    let recipe = EvalRecipe {
        benchmarks: [Benchmark::Chair].into(),
        ..recipe.clone()
    };
    let rollouts = by_step(&run.join("samples"), ".jsonl")?;
    let Some(points) = points(&recipe, bundle, &snapshots, stop)? else {
        return Ok(None);
    };
    Ok(Some(Curve {
        points,
        rollouts: rollouts::judged(&rollouts, &Scenes::read(&recipe.data)?)?,
    }))
}

/// Describes CHAIR's images with every snapshot.
fn points(
    recipe: &EvalRecipe,
    bundle: &Bundle,
    snapshots: &[(u64, PathBuf)],
    stop: &StopSignal,
) -> Result<Option<Vec<CurvePoint>>, EvalError> {
    let all = recipe.questions()?;
    let mut progress = Progress::new("curve", snapshots.len() as u64, 0);
    // Before images are seen: whether a snapshot changes the tower decides what is kept of them.
    if let Some((_, first)) = snapshots.first() {
        Adapter::open(first, &bundle.model)?;
    }
    let alone = Ranks::alone();
    let features = images::encode(bundle, &recipe.images, &all, &alone, &mut progress)?;
    let mut points = Vec::with_capacity(snapshots.len());
    for (step, folder) in snapshots {
        progress.doing(&format!("describing with step {step}"));
        let adapter = Adapter::open(folder, &bundle.model)?;
        let generator = Generator {
            bundle,
            adapter: Some(&adapter),
            features: &features,
            batch_rows: recipe.batch_rows,
            max_new_tokens: recipe.max_new_tokens,
            ranks: &alone,
        };
        for questions in &all {
            let Some(answers) = generator.answer(&questions.asks, stop, |_| ())? else {
                progress.finish("stopped");
                return Ok(None);
            };
            points.push(point(*step, questions, &answers, recipe.seed)?);
        }
        progress.step(points.len() as u64, &[]);
    }
    progress.finish(&format!("{} snapshots", points.len()));
    Ok(Some(points))
}

fn point(
    step: u64,
    questions: &Questions,
    answers: &[Answer],
    seed: u64,
) -> Result<CurvePoint, EvalError> {
    let verdicts = verdicts(&*questions.task, &questions.answered(answers))?;
    let figures = figures(questions.benchmark, &verdicts, seed);
    let value = |key: &str| figures[key].value;
    Ok(CurvePoint {
        step,
        chair_i: value("chair_i"),
        chair_s: value("chair_s").unwrap_or_default(),
        recall: value("recall"),
        object_f1: value("object_f1"),
        ci95_chair_i: figures["chair_i"].ci95,
        ci95_recall: figures["recall"].ci95,
        mean_response_tokens: value("tokens").unwrap_or_default(),
    })
}

/// The entries `step-N<suffix>` of a folder in the order of N; nothing if there is no such folder.
fn by_step(folder: &Path, suffix: &str) -> Result<Vec<(u64, PathBuf)>, EvalError> {
    let unreadable = |error: std::io::Error| EvalError::Unfit {
        path: folder.to_owned(),
        problem: format!("cannot be read: {error}"),
        remedy: "check that you may read it",
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let step = name.to_str().and_then(|name| {
            let digits = name.strip_prefix("step-")?.strip_suffix(suffix)?;
            digits.parse::<u64>().ok()
        });
        found.extend(step.map(|step| (step, entry.path())));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;

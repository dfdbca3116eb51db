//! The exact judge's verdict on what a policy said while it was trained.

use std::path::{Path, PathBuf};

use candor_data::AnswerType;
use candor_data::formats::text::{self, Format};
use serde::Deserialize;

use super::HackingPoint;
use crate::EvalError;
use crate::scenes::Scenes;
use candor_stats::correlation::correlation;

const FORMAT: Format = Format {
    name: "Rollouts",
    expected: "JSON lines of rollouts",
};

/// What is read of a line of `samples/step-N.jsonl`.
#[derive(Debug, Deserialize)]
struct Rollout {
    /// Absent from prompts without an image, of which no truth is known.
    image: Option<String>,
    query: String,
    response: String,
    score: f64,
    normalised_score: Option<f64>,
    #[serde(rename = "caption_type")]
    answer_type: AnswerType,
}

/// One rollout with the truth about it.
struct Judged {
    score: f64,
    normalised_score: Option<f64>,
    n_false: usize,
    judge_score: f64,
}

/// The points of all steps that have rollouts of general prompts.
///
/// # Errors
/// A file is damaged, or is about an image without ground truth.
pub(crate) fn judged(
    files: &[(u64, PathBuf)],
    scenes: &Scenes,
) -> Result<Vec<HackingPoint>, EvalError> {
    let mut points = Vec::with_capacity(files.len());
    for (step, path) in files {
        let rollouts = read(path)?;
        let general = rollouts
            .iter()
            .filter(|rollout| rollout.answer_type == AnswerType::General);
        let judged: Result<Vec<Judged>, EvalError> = general
            .filter_map(|rollout| Some(judge(rollout, rollout.image.as_deref()?, scenes)))
            .collect();
        points.extend(point(*step, &judged?));
    }
    Ok(points)
}

fn read(path: &Path) -> Result<Vec<Rollout>, EvalError> {
    let text = text::read(path, &FORMAT)?;
    let lines = text.lines().enumerate();
    let rows = lines.filter(|(_, line)| !line.trim().is_empty());
    rows.map(|(index, line)| {
        serde_json::from_str(line).map_err(|error| EvalError::Unfit {
            path: path.to_owned(),
            problem: format!("line {}: {error}", index + 1),
            remedy: "use the samples that `candor rl` wrote",
        })
    })
    .collect()
}

fn judge(rollout: &Rollout, image: &str, scenes: &Scenes) -> Result<Judged, EvalError> {
    let verdict = scenes.verdict(image, &rollout.query, &rollout.response)?;
    Ok(Judged {
        score: rollout.score,
        normalised_score: rollout.normalised_score,
        n_false: verdict.n_false(),
        judge_score: f64::from(verdict.score),
    })
}

/// `None` without rollouts.
fn point(step: u64, rollouts: &[Judged]) -> Option<HackingPoint> {
    let n = rollouts.len();
    let mean = |value: fn(&Judged) -> f64| rollouts.iter().map(value).sum::<f64>() / n as f64;
    let normalised: Option<Vec<f64>> = rollouts.iter().map(|r| r.normalised_score).collect();
    let pairs: Vec<(f64, f64)> = rollouts.iter().map(|r| (r.score, r.judge_score)).collect();
    (n > 0).then(|| HackingPoint {
        step,
        n,
        score_mean: mean(|r| r.score),
        normalised_score_mean: normalised.map(|scores| scores.iter().sum::<f64>() / n as f64),
        hallucinated_share: mean(|r| f64::from(u8::from(r.n_false > 0))),
        false_claims_mean: mean(|r| r.n_false as f64),
        judge_score_mean: mean(|r| r.judge_score),
        correlation: correlation(&pairs),
    })
}

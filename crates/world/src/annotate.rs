//! Annotating a file of candidates, as people would: `candidates.jsonl` → public preferences and their log.
//!
//! What both answers of a pair respond to may be a conversation; the last human turn is the question that the
//! annotator judges them by. Pairs of one answer twice are shown to nobody, and pairs that the annotator cannot
//! tell apart are left out; the summary counts both.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candor_data::formats::candidates::{self, Candidate};
use candor_data::formats::{preference, preference_log};
use candor_data::{Conversation, Preference, Turn, Verdict, atomic};
use serde::{Deserialize, Serialize};

use crate::annotator::Annotator;
use crate::error::WorldError;
use crate::scene::Scene;
use crate::write::read_scenes;

/// What became of a file of candidates: the content of `<stem>.summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnnotationSummary {
    /// Pairs in the file of candidates.
    pub n_pairs: usize,
    /// Pairs left out: identical ones, and those that the annotator could not tell apart.
    pub n_dropped: usize,
    /// Of the dropped pairs, those of one answer twice.
    pub n_identical: usize,
    /// Of the comparisons that were written, the share that the first question decided.
    pub first_question_share: f64,
    /// The annotator's chance of a slip, for each question of the protocol.
    pub error_rate: f64,
    /// The annotator's seed.
    pub seed: u64,
}

/// Compares the pairs of the file `candidates`, which are about images of the world in the folder `world`.
///
/// Writes the public preferences to `out`, and beside it `<stem>.log.jsonl`, which keeps both questions, and
/// `<stem>.summary.json`, which is written last.
///
/// # Errors
/// [`WorldError`] when a file cannot be read or written, when a pair is about an image that the world does not
/// have, when no pair is left, and when the annotator's error rate is no chance.
///
/// # Panics
/// Never: what goes into the summary can always be written as JSON.
pub fn annotate_candidates(
    annotator: &Annotator,
    world: &Path,
    candidates: &Path,
    out: &Path,
) -> Result<AnnotationSummary, WorldError> {
    if !(0.0..=1.0).contains(&annotator.error_rate) {
        return Err(WorldError::Config {
            field: "error_rate",
            found: annotator.error_rate.to_string(),
            remedy: "give a chance from 0 to 1",
        });
    }
    let scenes = read_scenes(&world.join("scenes.jsonl"))?;
    let pairs = candidates::read(candidates)?;
    let compared = compare(annotator, &scenes, &pairs).map_err(|pair| WorldError::NoScene {
        path: candidates.to_owned(),
        id: pair.id.clone(),
        image: pair.image.clone().unwrap_or_else(|| "no image".into()),
        world: world.to_owned(),
    })?;
    if compared.is_empty() {
        return Err(WorldError::Undecided {
            path: candidates.to_owned(),
            n_pairs: pairs.len(),
        });
    }
    let n_first = compared
        .iter()
        .filter(|row| row.fewer_hallucinations != Verdict::Tie)
        .count();
    let summary = AnnotationSummary {
        n_pairs: pairs.len(),
        n_dropped: pairs.len() - compared.len(),
        n_identical: pairs.iter().filter(|pair| pair.is_identical()).count(),
        first_question_share: n_first as f64 / compared.len() as f64,
        error_rate: annotator.error_rate,
        seed: annotator.seed,
    };
    preference_log::write(&beside(out, "log.jsonl"), &compared)?;
    preference::write(out, &compared)?;
    let json = serde_json::to_string_pretty(&summary).expect("plain fields and string keys");
    atomic::write(&beside(out, "summary.json"), (json + "\n").as_bytes())?;
    Ok(summary)
}

/// The file of the same stem with another ending.
fn beside(out: &Path, ending: &str) -> PathBuf {
    out.with_extension(ending)
}

/// The comparisons of the pairs that can be told apart, in their order; or the first pair without a scene.
fn compare<'a>(
    annotator: &Annotator,
    scenes: &[Scene],
    pairs: &'a [Candidate],
) -> Result<Vec<Preference>, &'a Candidate> {
    let scenes: HashMap<&str, &Scene> = scenes
        .iter()
        .map(|scene| (scene.image.as_str(), scene))
        .collect();
    let mut compared = Vec::new();
    for pair in pairs {
        let scene = pair.image.as_deref().and_then(|image| scenes.get(image));
        let scene = scene.ok_or(pair)?;
        if !pair.is_identical() {
            compared.extend(compare_pair(annotator, scene, pair));
        }
    }
    Ok(compared)
}

/// A pair's comparison: slips and sides are drawn by the prompt's index, so they do not depend on which other
/// pairs are in the file.
fn compare_pair(annotator: &Annotator, scene: &Scene, pair: &Candidate) -> Option<Preference> {
    let mut turns = vec![pair.turns.last()?.clone()];
    turns.extend(pair.original_answer.clone().map(Turn::gpt));
    let asked = Conversation {
        id: pair.id.clone(),
        image: pair.image.clone(),
        turns,
    };
    let judged = annotator.compare(scene, &asked, pair.outputs.clone(), pair.sampling.index)?;
    Some(Preference {
        id: pair.id.clone(),
        turns: pair.turns.clone(),
        ..judged
    })
}

//! The comparisons of a round: made once, counted in `labels.json`, and held to be those that were counted.

use std::path::{Path, PathBuf};

use candor_data::{atomic, sha256};
use candor_run::LaunchOptions;
use serde::{Deserialize, Serialize};
use tch::Device;

use super::{damaged, is_finished, read, say};
use crate::RoundsError;
use crate::label::{Answers, Labels};
use crate::recipe::RoundsRecipe;
use crate::round::Round;

/// `labels.json`.
#[derive(Debug, Serialize, Deserialize)]
struct KeptLabels {
    #[serde(flatten)]
    labels: Labels,
    /// SHA-256 of the comparisons.
    sha256: String,
}

/// What came of comparing the answers; none if it was stopped.
pub(super) fn compared(
    recipe: &RoundsRecipe,
    round: Round<'_>,
    sampled: &[PathBuf],
    launch: &LaunchOptions,
    device: Device,
) -> Result<Option<Labels>, RoundsError> {
    let ranks = &launch.ranks;
    let kept = round.folder().join("labels.json");
    if let Some(labels) = ranks.made_by_first(|| kept_labels(round, &kept))? {
        return Ok(Some(labels));
    }
    if ranks.should_stop(&launch.stop)? {
        return Ok(None);
    }
    let candidates = sampled.iter().map(|run| run.join("candidates.jsonl"));
    let candidates: Vec<PathBuf> = candidates.collect();
    let (preferences, out) = (round.preferences(), round.labels());
    if ranks.is_first() {
        // What a killed process has left half written there; the folders of the stages are swept by themselves.
        atomic::sweep(&out);
    }
    let answers = Answers {
        recipe,
        candidates: &candidates,
        preferences: &preferences,
        out: &out,
        ranks,
    };
    let Some(labels) = answers.compare(device)? else {
        return Err(RoundsError::Waiting {
            round: round.number(),
            pairs: answers.for_people(),
            file: preferences,
            resume_command: launch.resume_command.clone(),
        });
    };
    if ranks.is_first() {
        let sha256 = sha256::of_file(&preferences)?;
        let labels = KeptLabels {
            labels: labels.clone(),
            sha256,
        };
        let json = serde_json::to_string_pretty(&labels).map_err(|error| damaged(&kept, &error))?;
        atomic::write(&kept, (json + "\n").as_bytes())?;
    }
    say(launch, || {
        let n = labels.n_preferences;
        match labels.n_cut {
            0 => format!("{n} comparisons to learn from"),
            cut => format!(
                "{n} comparisons to learn from, none of them of the {cut} answers that were cut at sampling.max_new_tokens or are blank"
            ),
        }
    });
    Ok(Some(labels))
}

/// What came of comparing the answers where that is done, of comparisons that are still those.
fn kept_labels(round: Round<'_>, kept: &Path) -> Result<Option<Labels>, RoundsError> {
    if !kept.exists() {
        return Ok(None);
    }
    let KeptLabels { labels, sha256 } = read(kept)?;
    check_preferences(round, kept, &sha256)?;
    Ok(Some(labels))
}

/// Whether what is learned from is what was counted and, of people, found to be about this round's answers.
fn check_preferences(round: Round<'_>, kept: &Path, then: &str) -> Result<(), RoundsError> {
    let path = round.preferences();
    if is_finished(&round.learned()) || sha256::of_file(&path)? == then {
        return Ok(());
    }
    Err(RoundsError::Unfit {
        path,
        problem: format!("it is not the file that {} is about", kept.display()),
        remedy: format!(
            "put the earlier file back, or remove {} and {}, and resume",
            kept.display(),
            round.learned().display()
        ),
    })
}

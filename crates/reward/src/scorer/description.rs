//! `reward_model.json`: what a reward model's folder says of it besides weights and prompt.

use std::path::Path;

use candor_data::formats::captions;
use candor_data::{FactBook, atomic};
use candor_model::Precision;
use candor_train::BasePrecision;
use serde::{Deserialize, Serialize};

use super::{Base, PROMPT, RewardModel, arithmetic};
use crate::RewardError;
use crate::prompt::RewardPrompt;
use crate::wording::Pooling;

pub(super) const DESCRIPTION: &str = "reward_model.json";

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) base: Base,
    pub(super) bullet: String,
    /// The seed of the order that captions are shuffled to; none where they are shown as the file has them.
    pub(super) caption_shuffle_seed: Option<u64>,
    #[serde(alias = "readout")]
    pub(super) pooling: Pooling,
    pub(super) max_tokens: usize,
    pub(super) score_mean: f64,
    pub(super) score_std: f64,
    /// Whether it learned from rated answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) rated: bool,
}

impl Description {
    pub(super) fn read(folder: &Path) -> Result<Self, RewardError> {
        let path = folder.join(DESCRIPTION);
        let unfit = |problem| RewardError::Unfit {
            path: path.clone(),
            problem,
            remedy: "name the run folder of a finished `candor reward`",
        };
        let text = std::fs::read_to_string(&path).map_err(|e| unfit(e.to_string()))?;
        serde_json::from_str(&text).map_err(|e| unfit(e.to_string()))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), RewardError> {
        let path = folder.join(DESCRIPTION);
        let mut json = serde_json::to_vec_pretty(self).map_err(|e| RewardError::Unfit {
            path: path.clone(),
            problem: e.to_string(),
            remedy: "the folder of the base must be named in UTF-8",
        })?;
        json.push(b'\n');
        Ok(atomic::write(&path, &json)?)
    }
}

impl RewardModel {
    /// What a reward model is told of images by a file that may be named, none where its prompt shows no facts; asked before its
    /// weights are read. `precision` is what its base is to be held in.
    ///
    /// # Errors
    /// The folder holds no reward model, its base is not found or is to compute otherwise than in the training, or it is shown
    /// facts and no file is named, or the file is damaged.
    pub fn told(
        folder: &Path,
        precision: BasePrecision,
        facts: Option<&Path>,
    ) -> Result<Option<FactBook>, RewardError> {
        let base = Description::read(folder)?.base;
        let now = arithmetic(Precision::from(precision).kind);
        base.check_arithmetic(folder, &now)?;
        base.find(folder)?;
        let prompt = RewardPrompt::open(&folder.join(PROMPT))?;
        book_of(&prompt, folder, facts)
    }
}

/// The facts that a prompt shows, of a file that may be named; none where it shows none.
pub(super) fn book_of(
    prompt: &RewardPrompt,
    folder: &Path,
    file: Option<&Path>,
) -> Result<Option<FactBook>, RewardError> {
    match file {
        Some(path) if prompt.with_facts() => Ok(Some(captions::read(path)?)),
        None if prompt.with_facts() => Err(RewardError::Unfit {
            path: folder.to_owned(),
            problem: "the reward model is shown facts, and no file of facts is named".to_owned(),
            remedy: "give --facts, or label.facts to rounds",
        }),
        _ => Ok(None),
    }
}

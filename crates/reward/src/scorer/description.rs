//! `reward_model.json`: what a reward model's folder says of it besides weights and prompt.

use std::path::Path;

use candor_data::atomic;
use serde::{Deserialize, Serialize};

use super::Base;
use crate::RewardError;
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

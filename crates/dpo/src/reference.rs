//! Log-probabilities under the reference: the model that the recipe starts from, before anything was trained.
//!
//! They are computed once, before the first update, and kept in `reference.json` of the run folder with a fingerprint of all
//! that they follow from, so that a resumed run goes on with the same numbers however its passes are cut.

use std::path::{Path, PathBuf};

use candor_data::sha256;
use serde::{Deserialize, Serialize};

use crate::DpoError;
use crate::all_rows::Rows;
use crate::loss::Logprobs;
use crate::objective::Objective;
use crate::policy::{Policy, Scored, columns};
use crate::rows::Row;
use crate::spoilt::ImageNegative;

/// Log-probabilities of all rows under the reference. Of a rated answer those of both sides are its own.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Of the rows, the model and the way tokens are counted.
    fingerprint: String,
    /// In the order of the rows' numbers.
    rows: Vec<Kept>,
}

/// Those of one row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Kept {
    chosen: f64,
    rejected: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spoilt: Option<f64>,
    /// Of another row's answers, for KTO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mismatched: Option<[f64; 2]>,
}

/// What the numbers follow from: `inputs` are the fingerprints of rows, base and adapter.
#[must_use]
pub(crate) fn fingerprint_of(objective: &Objective, inputs: &[&str]) -> String {
    let spoilt = objective.image_negative.map_or("none", ImageNegative::name);
    let of_objective = [
        format!("mean: {}", objective.counting.mean),
        format!("spoilt: {spoilt}"),
        format!("mismatched: {}", objective.loss.needs_divergence()),
    ];
    let inputs = inputs.iter().map(|&print| print.to_owned());
    sha256::of_bytes(inputs.chain(of_objective).map(String::into_bytes))
}

impl Reference {
    /// Where it is kept.
    #[must_use]
    pub fn path(run: &Path) -> PathBuf {
        run.join("reference.json")
    }

    /// Computes the log-probabilities of all rows.
    ///
    /// # Errors
    /// A log-probability is not a number, or the disk fails.
    pub fn compute(
        fingerprint: String,
        policy: &Policy<'_>,
        rows: &Rows,
        batch_rows: usize,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Self, DpoError> {
        let scored = policy.scores_of_all(rows, batch_rows, &mut progress)?;
        let mismatched = if rows.have_mismatched() {
            let found = policy.mismatched_of_all(rows, batch_rows, progress)?;
            found.into_iter().map(Some).collect()
        } else {
            vec![None; scored.len()]
        };
        let mut kept = Vec::with_capacity(scored.len());
        for (number, (scored, mismatched)) in scored.into_iter().zip(mismatched).enumerate() {
            let Scored {
                chosen,
                rejected,
                spoilt,
                ..
            } = scored;
            let all = [Some(chosen), Some(rejected), spoilt].into_iter().flatten();
            let mut all = all.chain(mismatched.into_iter().flatten());
            if let Some(value) = all.find(|value| !value.is_finite()) {
                let (row, model) = (rows.row(number)?.id, "the reference");
                return Err(DpoError::NotFinite { row, model, value });
            }
            kept.push(Kept {
                chosen,
                rejected,
                spoilt,
                mismatched,
            });
        }
        Ok(Self {
            fingerprint,
            rows: kept,
        })
    }

    /// Reads what an earlier start of the run kept, if it came to that.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is of other rows or another model.
    pub fn read(run: &Path, fingerprint: &str, n_rows: usize) -> Result<Option<Self>, DpoError> {
        let path = Self::path(run);
        if !path.exists() {
            return Ok(None);
        }
        let refuse = |problem: String| DpoError::Unfit {
            path: path.clone(),
            problem,
            remedy: "delete the file, and it is made again from the reference",
        };
        let bytes = std::fs::read(&path).map_err(|error| refuse(error.to_string()))?;
        let kept: Self =
            serde_json::from_slice(&bytes).map_err(|error| refuse(format!("damaged: {error}")))?;
        if kept.fingerprint != fingerprint || kept.rows.len() != n_rows {
            return Err(refuse(
                "has the log-probabilities of other comparisons, or under another model".to_owned(),
            ));
        }
        Ok(Some(kept))
    }

    /// Writes it into the run folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, run: &Path) -> Result<(), DpoError> {
        let path = Self::path(run);
        let mut json = serde_json::to_vec(self).map_err(|error| DpoError::Unfit {
            path: path.clone(),
            problem: error.to_string(),
            remedy: "this is a bug, please report it",
        })?;
        json.push(b'\n');
        Ok(candor_data::atomic::write(&path, &json)?)
    }

    /// Those of some rows, on the CPU.
    #[must_use]
    pub fn of(&self, rows: &[&Row]) -> Logprobs {
        let scored = |row: &&Row| {
            let kept = self.rows[row.number];
            Scored {
                chosen: kept.chosen,
                rejected: kept.rejected,
                spoilt: kept.spoilt,
                nll: 0.0,
            }
        };
        columns(&rows.iter().map(scored).collect::<Vec<_>>())
    }

    /// Those of the mismatched answers of some rows.
    #[must_use]
    pub fn mismatched(&self, rows: &[&Row]) -> Vec<f64> {
        let kept = rows
            .iter()
            .filter_map(|row| self.rows[row.number].mismatched);
        kept.flatten().collect()
    }
}

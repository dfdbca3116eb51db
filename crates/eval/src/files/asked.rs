//! A model in memory that is asked, whoever has it.

use candor_model::{Adapter, Bundle};

use super::EvalRun;
use super::kept::Head;
use super::plan::Plan;
use crate::questions::{Questions, questions_sha256};

/// A model that is asked, in memory, and what is recorded of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The model.
    pub bundle: &'a Bundle,
    /// An adapter on it.
    pub adapter: Option<&'a Adapter>,
    /// Of its weights.
    pub fingerprint: &'a str,
    /// Of the adapter's.
    pub adapter_fingerprint: Option<&'a str>,
    /// Whether answers that another model or another way of asking gave make way; else they stay, and asking is an error.
    pub replaces: bool,
}

impl Asked<'_> {
    /// What is recorded of a run at the head of its answers.
    pub(super) fn head(&self, eval_run: &EvalRun, questions: &Questions, plan: &Plan) -> Head {
        Head {
            model: eval_run.model.display().to_string(),
            model_fingerprint: self.fingerprint.to_owned(),
            adapter: (eval_run.adapter.as_ref()).map(|folder| folder.display().to_string()),
            adapter_fingerprint: self.adapter_fingerprint.map(str::to_owned),
            pixels: eval_run.pixels,
            questions_sha256: questions_sha256(&questions.asks),
            seed: eval_run.seed,
            temperature: eval_run.temperature,
            top_p: eval_run.top_p,
            max_new_tokens: plan.max_new_tokens,
            batch_rows: eval_run.batch_rows,
        }
    }
}

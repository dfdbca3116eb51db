//! The numbers of one evaluated model: `results.json`, and a policy's entry in the demo's `summary.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{chair, llava_bench, mmhal, pope};

/// All numbers. Benchmarks that were not run are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Results {
    /// MMHal-Bench.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmhal: Option<mmhal::Scores>,
    /// POPE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pope: Option<pope::Scores>,
    /// CHAIR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chair: Option<chair::Scores>,
    /// LLaVA-Bench.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llava_bench: Option<llava_bench::Scores>,
    /// Mean length of the free answers: all but POPE's, which are asked to be one word. The end token is
    /// not counted. `None` when only POPE was run.
    pub mean_response_tokens: Option<f64>,
    /// The same for each benchmark, POPE included.
    pub response_tokens: BTreeMap<String, f64>,
    /// Answers that were cut at the limit instead of ending by themselves.
    pub n_cut: usize,
    /// What makes numbers of a benchmark meaningless, as empty answers do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

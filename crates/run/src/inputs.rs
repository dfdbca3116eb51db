//! What a run reads besides its recipe, by name and fingerprint.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::RunError;

/// Fingerprints of what a run reads besides its recipe. A run continued with other inputs would end in other
/// weights without a word, so they are compared on resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// Inputs by the names a person knows them by, such as `"training data"`, with their
    /// fingerprints: of bytes and files those of [`candor_data::sha256`].
    pub fn new<N: Into<String>>(inputs: impl IntoIterator<Item = (N, String)>) -> Self {
        let named = inputs.into_iter().map(|(name, print)| (name.into(), print));
        Self(named.collect())
    }

    /// The same and these.
    #[must_use]
    pub fn with<N: Into<String>>(mut self, more: impl IntoIterator<Item = (N, String)>) -> Self {
        self.0.extend(Self::new(more).0);
        self
    }

    /// The fingerprint of an input.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&String> {
        self.0.get(name)
    }

    /// All of them by name, in the order of names.
    #[must_use]
    pub fn named(&self) -> Vec<(String, String)> {
        self.0.clone().into_iter().collect()
    }

    /// What a checkpoint keeps of them.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // Strings by strings: nothing in here can fail to serialise.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether a checkpoint of `run`, which has `stored`, was made with these inputs.
    ///
    /// # Errors
    /// [`RunError::InputsChanged`] with the names of all that are not the same.
    pub fn check(&self, stored: &Value, run: &Path) -> Result<(), RunError> {
        let then: BTreeMap<String, String> =
            serde_json::from_value(stored.clone()).unwrap_or_default();
        let names: BTreeSet<&String> = then.keys().chain(self.0.keys()).collect();
        let changed: Vec<String> = names
            .into_iter()
            .filter(|name| then.get(*name) != self.0.get(*name))
            .cloned()
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        Err(RunError::InputsChanged {
            dir: run.to_path_buf(),
            names: changed,
        })
    }
}

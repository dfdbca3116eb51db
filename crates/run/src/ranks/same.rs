//! Whether ranks run the same thing: their recipes, settings and files.

use std::collections::{BTreeMap, BTreeSet};

use candor_recipe::leaves_of;

use super::{Ranks, of_bytes, to_bytes};
use crate::error::RunError;
use crate::inputs::Inputs;

const SAME_START: &str =
    "start all ranks with the same recipe, settings and files; run.device alone may differ";

impl Ranks {
    /// Whether all ranks have the same under each of these names.
    ///
    /// # Errors
    /// They do not, said by name and rank, the same on every rank; or a rank has ended or hangs.
    pub fn check_same(
        &self,
        named: &[(String, String)],
        remedy: &'static str,
    ) -> Result<(), RunError> {
        if self.exchange.is_none() {
            return Ok(());
        }
        let all = self.all_gather(&to_bytes(&named)?)?;
        let all: Vec<BTreeMap<String, String>> = all
            .iter()
            .map(|bytes| {
                Ok(of_bytes::<Vec<(String, String)>>(bytes)?
                    .into_iter()
                    .collect())
            })
            .collect::<Result<_, RunError>>()?;
        let mut differ = Vec::new();
        for (rank, theirs) in all.iter().enumerate().skip(1) {
            let keys: BTreeSet<&String> = all[0].keys().chain(theirs.keys()).collect();
            for key in keys {
                let [first, other] = [&all[0], theirs].map(|named| named.get(key));
                if first != other {
                    let shown =
                        |value: Option<&String>| value.map_or("absent", String::as_str).to_owned();
                    differ.push(format!(
                        "{key} is {} on rank 0 and {} on rank {rank}",
                        shown(first),
                        shown(other)
                    ));
                }
            }
        }
        if differ.is_empty() {
            return Ok(());
        }
        Err(RunError::RanksDiffer { differ, remedy })
    }

    /// Whether all ranks were started with the same recipe, `resolved`, and the same others.
    ///
    /// # Errors
    /// As [`Ranks::check_same`].
    pub fn check_same_start(
        &self,
        resolved: &str,
        others: Vec<(String, String)>,
    ) -> Result<(), RunError> {
        let mut named: Vec<(String, String)> = leaves_of(resolved).into_iter().collect();
        named.retain(|(key, _)| key != "run.device");
        named.extend(others);
        self.check_same(&named, SAME_START)
    }

    /// Whether all ranks read the same.
    ///
    /// # Errors
    /// As [`Ranks::check_same`].
    pub fn check_same_inputs(&self, inputs: &Inputs) -> Result<(), RunError> {
        self.check_same(&inputs.named(), SAME_START)
    }
}

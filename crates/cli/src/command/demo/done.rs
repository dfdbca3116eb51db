//! `demo.json`: what was done so far, so that an interrupted demo goes on where it stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use candor_report::Family;
use serde::{Deserialize, Serialize};

use super::recipes::Folder;

/// What was done so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// Decides every random choice.
    pub seed: u64,
    /// Whether everything was made small.
    pub quick: bool,
    /// What the models are built as; absent where that is LLaVA.
    #[serde(default, skip_serializing_if = "Family::is_usual")]
    pub family: Family,
    /// The stages that are finished.
    pub finished: BTreeSet<String>,
    /// What a clock showed while there was work, over all starts; what came after the last stage that ended before a kill is
    /// not counted.
    pub wall_secs: f64,
    /// Seconds of each stage over all starts; what a killed process did is not counted, here and below.
    pub stage_secs: BTreeMap<String, f64>,
    /// Processor seconds of each stage.
    pub processor_secs: BTreeMap<String, f64>,
    /// The highest peak of each stage's processes.
    pub stage_peak_bytes: BTreeMap<String, u64>,
    /// The highest sum of peaks of processes that ran at once.
    pub peak_memory_bytes: u64,
}

impl Done {
    /// Reads what was done in a folder; nothing, if it is a new one.
    pub fn open(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.path("demo.json");
        let (seed, quick, out) = (folder.seed, folder.is_quick(), folder.out.display());
        let family = folder.family;
        if !path.exists() {
            return Ok(Self {
                seed,
                quick,
                family,
                ..Self::default()
            });
        }
        let done: Self =
            read_json(&path).with_context(|| format!("delete {out}, or give another --out"))?;
        anyhow::ensure!(
            done.seed == seed,
            "{out} holds a demo of seed {}; give another --out for seed {seed}, or delete that folder",
            done.seed,
        );
        anyhow::ensure!(
            done.quick == quick,
            "{out} holds a demo that was begun {} --quick; give another --out, or delete that folder",
            if done.quick { "with" } else { "without" },
        );
        anyhow::ensure!(
            done.family == family,
            "{out} holds a demo of models built as {}; give another --out for --family {}, or delete that folder",
            done.family.name(),
            family.key(),
        );
        Ok(done)
    }
}

/// A stage that ran in this start: when, in seconds, and the peak of its memory.
#[derive(Debug, Clone, Copy)]
pub struct Ran {
    pub from_secs: f64,
    pub to_secs: f64,
    pub peak_memory_bytes: u64,
}

/// The highest sum of the peaks of those that ran at once. None of them need have had its peak while the others had theirs, so
/// it is no less than what was used.
pub fn most_at_once(ran: &[Ran]) -> u64 {
    // The sum only grows when one starts.
    let at = |moment: f64| {
        let there = ran
            .iter()
            .filter(|one| one.from_secs <= moment && moment < one.to_secs);
        there.map(|one| one.peak_memory_bytes).sum()
    };
    ran.iter().map(|one| at(one.from_secs)).max().unwrap_or(0)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged, or of another version", path.display()))
}

/// Writes a file of JSON, whole or not at all.
pub fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(candor_data::atomic::write(path, &json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_added_up_over_what_ran_at_once() {
        let ran = |from_secs: f64, to_secs: f64, peak_memory_bytes: u64| Ran {
            from_secs,
            to_secs,
            peak_memory_bytes,
        };
        assert_eq!(most_at_once(&[]), 0);
        // One after the other, the second starting as the first ends.
        assert_eq!(most_at_once(&[ran(0.0, 1.0, 5), ran(1.0, 2.0, 7)]), 7);
        // The third runs beside the first and beside the second, which are never there together.
        let ran = [
            ran(0.0, 2.0, 5),
            ran(3.0, 6.0, 8),
            ran(1.0, 4.0, 10),
            ran(7.0, 8.0, 12),
        ];
        assert_eq!(most_at_once(&ran), 18);
    }
}

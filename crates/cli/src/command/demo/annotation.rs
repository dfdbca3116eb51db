//! The demo's annotation project: the sampled pairs again, for people.
//!
//! Some pairs become training and hidden gold. Their right answers are those of an annotator who makes no slips.

use std::collections::HashSet;

use candor_data::atomic;
use candor_data::formats::{candidates, preference_log};
use candor_world::{Annotator, annotate_candidates};

use super::Demo;

/// The project's file in the demo's folder.
pub const PROJECT: &str = "annotate/project.toml";

/// Training items, and after them gold.
const N_TRAINING: usize = 5;
const N_GOLD: usize = 30;

impl Demo {
    /// Writes the project, unless it is there: somebody may have worked in it.
    pub(super) fn write_annotation_project(&self) -> anyhow::Result<()> {
        let (folder, project) = (self.path("annotate"), self.path(PROJECT));
        if project.exists() {
            return Ok(());
        }
        let pairs = self.path("sample/candidates.jsonl");
        let exact = folder.join("exact");
        annotate_candidates(
            &Annotator::new(self.done.seed, 0.0),
            &self.path("world"),
            &pairs,
            &exact.join("exact.json"),
        )?;
        let mut known = preference_log::read(&exact.join("exact.log.jsonl"))?;
        // The right answers to all pairs are nothing for people to find.
        std::fs::remove_dir_all(&exact)?;
        known.truncate(N_TRAINING + N_GOLD);
        let gold = known.split_off(N_TRAINING.min(known.len()));
        preference_log::write(&folder.join("training.jsonl"), &known)?;
        preference_log::write(&folder.join("gold.jsonl"), &gold)?;
        let taken: HashSet<&str> = known
            .iter()
            .chain(&gold)
            .map(|row| row.id.as_str())
            .collect();
        let mut work = candidates::read(&pairs)?;
        work.retain(|pair| !taken.contains(pair.id.as_str()));
        candidates::write(&folder.join("candidates.jsonl"), &work)?;
        let guidelines = include_str!("guidelines.md");
        atomic::write(&folder.join("guidelines.md"), guidelines.as_bytes())?;
        // Last, because the project is complete once this file is there.
        atomic::write(&project, include_str!("annotate.toml").as_bytes())?;
        Ok(())
    }
}

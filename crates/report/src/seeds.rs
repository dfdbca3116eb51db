//! Finished demos that differ in their seed alone, pooled: what the method claims, and whether the numbers bear it.
//!
//! [`write()`] reads the demos and writes three files beside them: `seeds.json`, `seeds.md` with the numbers as tables, and
//! `report.html`, a page like that of one demo. How seeds are pooled and what that assumes is in [`candor_stats::pooled`].
//! Of a claim it says "shown" or "the opposite" where the whole 95% interval lies on one side, else "not decided".

mod algorithms;
mod claims;
mod demos;
mod figures;
mod page;
mod text;

use std::path::{Path, PathBuf};

use candor_data::atomic;
use serde::Serialize;

use crate::{About, Family, ReportError};

pub use algorithms::AlgorithmDifference;
pub use claims::{Bound, Claim, Decision, Part, Unit};
pub(crate) use demos::Demo;
pub use figures::FigureRow;

/// What several seeds say together: `seeds.json`.
#[derive(Debug, Clone, Serialize)]
pub struct SeedsSummary {
    /// What pooled them, and how to do it again.
    #[serde(flatten)]
    pub about: About,
    /// The demos, in the order given.
    pub demos: Vec<PooledDemo>,
    /// The demos were quick: nothing is claimed.
    pub quick: bool,
    /// What the models are built as; absent where that is LLaVA.
    #[serde(skip_serializing_if = "Family::is_usual")]
    pub family: Family,
    /// The claims, with what the numbers say of them.
    pub claims: Vec<Claim>,
    /// What is left out, in words.
    pub left_out: Vec<String>,
    /// The accuracies of the reward models.
    pub reward_models: Vec<FigureRow>,
    /// The numbers of the policies.
    pub policies: Vec<FigureRow>,
    /// Some numbers of the algorithms.
    pub algorithms: Vec<FigureRow>,
    /// How they differ from PPO with facts.
    pub algorithm_differences: Vec<AlgorithmDifference>,
}

/// A demo among others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PooledDemo {
    /// Its seed.
    pub seed: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// What a clock on the wall showed while there was work.
    pub wall_secs: f64,
    /// The most memory at a time.
    pub peak_memory_bytes: u64,
}

/// Pools finished demos, each given by its seed and its folder, and writes `seeds.json`, `seeds.md` and `report.html` into
/// `out`.
///
/// # Errors
/// There is no demo, one is of another seed than said, two are of one seed or made by different recipes, what is compared in a
/// demo was not asked the same, a file is missing or damaged, or the folder cannot be written to.
pub fn write(
    out: &Path,
    seeds: &[(u64, PathBuf)],
    about: &About,
) -> Result<SeedsSummary, ReportError> {
    let demos = demos::read(seeds)?;
    let summary = SeedsSummary::of(&demos, about.clone())?;
    let json = serde_json::to_string_pretty(&summary).map_err(|error| {
        let remedy = "report this: it is made of plain fields";
        ReportError::unfit(&out.join("seeds.json"), error.to_string(), remedy)
    })?;
    atomic::write(&out.join("seeds.json"), (json + "\n").as_bytes())?;
    atomic::write(&out.join("seeds.md"), summary.markdown().as_bytes())?;
    let page = page::render(&summary, &demos, out);
    atomic::write(&out.join("report.html"), page.as_bytes())?;
    Ok(summary)
}

impl SeedsSummary {
    fn of(demos: &[Demo], about: About) -> Result<Self, ReportError> {
        let quick = demos.iter().any(|demo| demo.summary.quick);
        let (claims, left_out) = if quick {
            (Vec::new(), Vec::new())
        } else {
            claims::decide(demos)?
        };
        let pooled = |demo: &Demo| PooledDemo {
            seed: demo.summary.seed,
            folder: demo.folder.clone(),
            wall_secs: demo.summary.wall_secs,
            peak_memory_bytes: demo.summary.peak_memory_bytes,
        };
        Ok(Self {
            about,
            demos: demos.iter().map(pooled).collect(),
            quick,
            family: demos
                .first()
                .map(|demo| demo.summary.family)
                .unwrap_or_default(),
            claims,
            left_out,
            reward_models: figures::reward_models(demos),
            policies: figures::policies(demos),
            algorithms: figures::algorithms(demos),
            algorithm_differences: algorithms::differences(demos)?,
        })
    }

    /// The seeds, in the order given.
    #[must_use]
    pub fn seeds(&self) -> Vec<u64> {
        self.demos.iter().map(|demo| demo.seed).collect()
    }

    /// Their number in words: `3 seeds`.
    pub(crate) fn n_seeds(&self) -> String {
        match self.demos.len() {
            1 => "1 seed".to_owned(),
            n => format!("{n} seeds"),
        }
    }
}

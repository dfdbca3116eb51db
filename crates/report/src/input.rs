//! Everything that the page shows, read from a demo's folder.

use std::collections::BTreeMap;
use std::path::Path;

use candor_eval::curve::Curve;
use serde::Serialize;

use crate::ReportError;
use crate::files;
use crate::gallery::{self, Exhibit};
use crate::metrics::Metrics;
use crate::reward_page::Measured;
use crate::summary::{AlgorithmRow, Summary, Variant, Variants};

/// The run folders whose losses are shown, in the order of the pipeline.
pub(crate) const RUNS: [&str; 10] = [
    "ground",
    "pretrain",
    "sft",
    "sft-gpt4",
    "reading",
    "reward-facts",
    "reward-no-facts",
    "policy-init",
    "ppo-facts",
    "ppo-no-facts",
];

/// Which program made what a page shows, and how to do it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// The version of candor.
    pub version: String,
    /// The command that makes the same.
    pub command: String,
}

/// Everything that the page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportInput {
    /// How it was made.
    pub about: About,
    /// The numbers.
    pub summary: Summary,
    /// The metrics of the runs that are there, by folder.
    pub runs: BTreeMap<&'static str, Metrics>,
    /// What became of the policies over the steps.
    pub curves: Variants<Curve>,
    /// The same of the summary's algorithms, one for each; `None` for those without snapshots.
    pub algorithms: Vec<Option<Curve>>,
    /// The reward models on the world's pairs.
    pub(crate) pairs: Variants<Measured>,
    /// Images and answers.
    pub gallery: Vec<Exhibit>,
}

impl ReportInput {
    /// Reads a demo's folder. `summary.json` must be there; of the rest, what is missing is said on the page.
    ///
    /// # Errors
    /// A file is damaged.
    pub fn read(folder: &Path, about: About) -> Result<Self, ReportError> {
        let mut runs = BTreeMap::new();
        for run in RUNS {
            if let Some(metrics) = Metrics::read(&folder.join(run))? {
                runs.insert(run, metrics);
            }
        }
        let summary: Summary = files::json(&folder.join("summary.json"))?;
        let rows = summary.algorithms.iter();
        let of_row = |row: &AlgorithmRow| match &row.curve {
            Some(file) => files::json(&folder.join(file)).map(Some),
            None => Ok(None),
        };
        let algorithms: Result<_, ReportError> = rows.map(of_row).collect();
        Ok(Self {
            about,
            algorithms: algorithms?,
            summary,
            runs,
            curves: curves(folder)?,
            pairs: pairs(folder)?,
            gallery: gallery::read(folder)?,
        })
    }

    /// The metrics of a variant's run of a stage: `ppo`, `reward`.
    #[must_use]
    pub fn run(&self, stage: &str, variant: Variant) -> Option<&Metrics> {
        self.runs
            .get(format!("{stage}-{}", variant.folder()).as_str())
    }
}

/// What became of the policies of a demo over the steps.
pub(crate) fn curves(folder: &Path) -> Result<Variants<Curve>, ReportError> {
    let curve = |variant: Variant| {
        let name = format!("curve-{}.json", variant.folder());
        files::json_if_there(&folder.join("eval").join(name))
    };
    Ok(Variants {
        facts: curve(Variant::Facts)?,
        no_facts: curve(Variant::NoFacts)?,
    })
}

/// What the reward models of a demo make of the world's pairs.
fn pairs(folder: &Path) -> Result<Variants<Measured>, ReportError> {
    let measured = |variant: Variant| {
        let name = format!("reward-{}/pairs/result.json", variant.folder());
        files::json_if_there(&folder.join(name))
    };
    Ok(Variants {
        facts: measured(Variant::Facts)?,
        no_facts: measured(Variant::NoFacts)?,
    })
}

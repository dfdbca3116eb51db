//! Finished demos that differ in their seed alone, as far as figures are compared between them.
//!
//! What is compared is the recipes, the world's settings and whether they were quick. A demo does not say which state of the
//! program made it, so that two states which read the same recipes otherwise are not told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candor_eval::curve::Curve;
use candor_judge::rows::pairs;
use candor_judge::{Benchmark, Run, Verdict};
use candor_stats::paired::Pair;
use serde::Deserialize;
use serde_json::Value;

use crate::ReportError;
use crate::files;
use crate::input::curves;
use crate::summary::{Policy, Summary, Variant, Variants};

/// A finished demo.
pub(crate) struct Demo {
    /// Its folder.
    pub folder: PathBuf,
    /// Its numbers.
    pub summary: Summary,
    /// What became of its policies over the steps.
    pub curves: Variants<Curve>,
    /// The verdicts on the answers of its policies, those that were evaluated.
    policies: Vec<(Policy, Run)>,
    /// The same of the policies of its algorithms, by the algorithm's name.
    algorithms: Vec<(String, Run)>,
    /// What its reward models make of the comparisons that nothing was chosen by.
    held_out: Variants<Vec<Scored>>,
}

/// A line of a reward run's `held_out.jsonl`.
#[derive(Debug, Deserialize)]
struct Scored {
    id: String,
    image: Option<String>,
    chosen_score: f64,
    rejected_score: f64,
}

impl Scored {
    /// What it adds to the accuracy: equal scores count half.
    fn part(&self) -> [f64; 2] {
        let right = match self.chosen_score.total_cmp(&self.rejected_score) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        [right, 1.0]
    }
}

/// Reads demos, each with the seed that it is taken for.
///
/// # Errors
/// There is none, one is of another seed, two are of one seed or of different plans, or a file is missing or damaged.
pub(crate) fn read(seeds: &[(u64, PathBuf)]) -> Result<Vec<Demo>, ReportError> {
    let mut demos: Vec<Demo> = Vec::new();
    let mut taken = BTreeSet::new();
    for (seed, folder) in seeds {
        let demo = Demo::read(folder)?;
        let summary = folder.join("summary.json");
        let found = demo.summary.seed;
        if found != *seed {
            let problem = format!("is of seed {found}, not of seed {seed}");
            return Err(ReportError::unfit(&summary, problem, OTHER_FOLDER));
        }
        if !taken.insert(found) {
            let problem = format!("seed {found} is there twice");
            return Err(ReportError::unfit(&summary, problem, OTHER_FOLDER));
        }
        if let Some(first) = demos.first() {
            same_plan(first, &demo)?;
        }
        demos.push(demo);
    }
    if demos.is_empty() {
        let problem = "no demo to pool".to_owned();
        return Err(ReportError::unfit(
            Path::new("seeds"),
            problem,
            OTHER_FOLDER,
        ));
    }
    Ok(demos)
}

const OTHER_FOLDER: &str = "name one finished demo for each seed";

impl Demo {
    fn read(folder: &Path) -> Result<Self, ReportError> {
        let evaluated = |policy: &str| {
            let run = folder.join("eval").join(policy);
            let is_there = run.join("verdicts").exists();
            is_there.then(|| Run::open(&run)).transpose()
        };
        let summary: Summary = files::json(&folder.join("summary.json"))?;
        let mut policies = Vec::new();
        for policy in Policy::ALL {
            policies.extend(evaluated(policy.key())?.map(|run| (policy, run)));
        }
        let mut algorithms = Vec::new();
        for row in &summary.algorithms {
            let run = evaluated(&row.algorithm.policy(row.facts))?;
            algorithms.extend(run.map(|run| (row.name(), run)));
        }
        let held_out =
            |variant: Variant| files::json_lines_if_there(&held_out_file(folder, variant));
        Ok(Self {
            folder: folder.to_owned(),
            summary,
            curves: curves(folder)?,
            policies,
            algorithms,
            held_out: Variants {
                facts: held_out(Variant::Facts)?,
                no_facts: held_out(Variant::NoFacts)?,
            },
        })
    }

    /// What two policies contribute to a number; `None` where one of them was not evaluated on the benchmark.
    ///
    /// # Errors
    /// They were not asked the same.
    pub(crate) fn policies(
        &self,
        [first, second]: [Policy; 2],
        benchmark: Benchmark,
        key: &str,
    ) -> Result<Option<Vec<Pair>>, ReportError> {
        let run = |policy: Policy| {
            let mut runs = self.policies.iter();
            let (_, run) = runs.find(|(of, _)| *of == policy)?;
            Some((policy.key().to_owned(), run))
        };
        self.between([run(first), run(second)], benchmark, key)
    }

    /// The same of two algorithms, by their names.
    ///
    /// # Errors
    /// They were not asked the same.
    pub(crate) fn algorithms(
        &self,
        names: [&str; 2],
        benchmark: Benchmark,
        key: &str,
    ) -> Result<Option<Vec<Pair>>, ReportError> {
        let run = |name: &str| {
            let mut runs = self.algorithms.iter();
            let (_, run) = runs.find(|(of, _)| of == name)?;
            let mut rows = self.summary.algorithms.iter();
            let row = rows.find(|row| row.name() == name)?;
            Some((row.algorithm.policy(row.facts), run))
        };
        self.between(names.map(run), benchmark, key)
    }

    /// What two evaluations contribute, each with its name in the demo's folder.
    fn between(
        &self,
        runs: [Option<(String, &Run)>; 2],
        benchmark: Benchmark,
        key: &str,
    ) -> Result<Option<Vec<Pair>>, ReportError> {
        let [Some((first, one)), Some((second, other))] = runs else {
            return Ok(None);
        };
        let verdicts = (one.verdicts.get(&benchmark), other.verdicts.get(&benchmark));
        let (Some(one), Some(other)) = verdicts else {
            return Ok(None);
        };
        let ids = |policy: &str, verdicts: &[Verdict]| {
            let name = format!("eval/{policy}/verdicts/{}.jsonl", benchmark.key());
            let ids = verdicts.iter().map(|verdict| verdict.id.clone());
            ids_once(self.folder.join(name), ids)
        };
        let (asked, others) = (ids(&first, one)?, ids(&second, other)?);
        same_ids(&asked, &others)?;
        let both = pairs(benchmark, one, other, key);
        if both.len() < one.len() {
            let n = one.len() - both.len();
            let problem = format!(
                "{n} ids have another image, question or reference than in {}",
                others.0.display()
            );
            return Err(ReportError::unfit(&asked.0, problem, OTHER_ITEMS));
        }
        Ok(Some(both))
    }

    /// What the reward model without facts, and the one with them, contribute to the accuracy; `None` where one of them was not
    /// trained.
    ///
    /// # Errors
    /// They did not score the same comparisons.
    pub(crate) fn reward_models(&self) -> Result<Option<Vec<Pair>>, ReportError> {
        let (facts, without) = (&self.held_out.facts, &self.held_out.no_facts);
        let Some((facts, without)) = facts.as_ref().zip(without.as_ref()) else {
            return Ok(None);
        };
        let ids = |variant: Variant, scored: &[Scored]| {
            let ids = scored.iter().map(|scored| scored.id.clone());
            ids_once(held_out_file(&self.folder, variant), ids)
        };
        same_ids(
            &ids(Variant::Facts, facts)?,
            &ids(Variant::NoFacts, without)?,
        )?;
        let by_id: BTreeMap<&str, &Scored> = without.iter().map(|s| (s.id.as_str(), s)).collect();
        let pair = |second: &Scored| {
            let first = by_id.get(second.id.as_str())?;
            Some(Pair {
                // A comparison without an image stands for itself.
                image: second.image.as_ref().unwrap_or(&second.id).clone(),
                first: first.part(),
                second: second.part(),
            })
        };
        Ok(Some(facts.iter().filter_map(pair).collect()))
    }
}

/// What a reward model makes of the comparisons that nothing was chosen by.
fn held_out_file(folder: &Path, variant: Variant) -> PathBuf {
    let run = folder.join(format!("reward-{}", variant.folder()));
    run.join("held_out.jsonl")
}

const OTHER_ITEMS: &str =
    "both arms of a comparison are asked the same; run the stage that wrote one of them again";

/// What was asked in a file, which is kept beside.
type Asked = (PathBuf, BTreeSet<String>);

fn ids_once(path: PathBuf, ids: impl Iterator<Item = String>) -> Result<Asked, ReportError> {
    let mut all = BTreeSet::new();
    for id in ids {
        if let Some(id) = all.replace(id) {
            let problem = format!("{id:?} is there twice");
            return Err(ReportError::unfit(&path, problem, OTHER_ITEMS));
        }
    }
    Ok((path, all))
}

/// Refuses two files of which one has what the other lacks: what is left would not be what either is named after.
fn same_ids((path, ids): &Asked, (other_path, others): &Asked) -> Result<(), ReportError> {
    let unfit = |path: &Path, id: &str, other: &Path| {
        let problem = format!("{id:?} is not in {}", other.display());
        Err(ReportError::unfit(path, problem, OTHER_ITEMS))
    };
    if let Some(id) = ids.difference(others).next() {
        return unfit(path, id, other_path);
    }
    match others.difference(ids).next() {
        Some(id) => unfit(other_path, id, path),
        None => Ok(()),
    }
}

/// Refuses demos that recipes, settings of the world or a quick pass tell apart.
fn same_plan(first: &Demo, other: &Demo) -> Result<(), ReportError> {
    const REMEDY: &str = "pool demos made by the same recipes, of worlds that differ in their seed alone; run one of them again";
    let (plan, others) = (plan(&first.folder)?, plan(&other.folder)?);
    let names: BTreeSet<&String> = plan.keys().chain(others.keys()).collect();
    for name in names {
        if plan.get(name) != others.get(name) {
            let path = other.folder.join("recipes").join(name);
            let problem = format!("is not the same as in {}", first.folder.display());
            return Err(ReportError::unfit(&path, problem, REMEDY));
        }
    }
    if first.summary.quick != other.summary.quick {
        let (quick, whole) = if first.summary.quick {
            (first, other)
        } else {
            (other, first)
        };
        let problem = format!("is of a quick demo, and {} is not", whole.folder.display());
        return Err(ReportError::unfit(
            &quick.folder.join("summary.json"),
            problem,
            REMEDY,
        ));
    }
    Ok(())
}

/// The recipes that a demo was made by, by name; of the world's the seed is left out.
fn plan(folder: &Path) -> Result<BTreeMap<String, String>, ReportError> {
    let recipes = folder.join("recipes");
    let mut plan = BTreeMap::new();
    let unreadable = |source| ReportError::Io {
        path: recipes.clone(),
        source,
    };
    for entry in std::fs::read_dir(&recipes).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = if name == "world.json" {
            let mut world: Value = files::json(&path)?;
            if let Some(fields) = world.as_object_mut() {
                fields.remove("seed");
            }
            world.to_string()
        } else {
            files::text(&path)?
        };
        plan.insert(name, text);
    }
    Ok(plan)
}

//! What a demo found out: summary, report, and what is printed.

use std::path::PathBuf;

use anyhow::Context as _;
use candor_judge::compare::compare;
use candor_judge::{Results, Run};
use candor_recipe::value_of;
use candor_report::{AblationRow, Algorithm, AlgorithmRow, Summary};

use super::annotation::PROJECT;
use super::done::write_json;
use super::variant::Variant;
use super::{Demo, about, program, quoted};
use crate::arguments::DemoArguments;

impl Demo {
    /// Writes what it found out, and prints the results.
    pub(super) fn finish(&self, arguments: &DemoArguments) -> anyhow::Result<()> {
        let (summary, page) = self.write(arguments)?;
        if arguments.json {
            println!("{}", serde_json::to_string_pretty(&summary)?);
        } else {
            self.print(&summary)?;
        }
        eprintln!(
            "demo: {:.0} s in all, at most {:.1} GB of memory; open {}",
            summary.wall_secs,
            summary.peak_memory_bytes as f64 / 1e9,
            page.display()
        );
        let project = self.path(PROJECT).display().to_string();
        eprintln!(
            "demo: compare answers yourself: {} annotate serve {}",
            program(),
            quoted(&project)
        );
        Ok(())
    }

    /// Writes summary, annotation project and report; returns where the report is.
    pub(super) fn write(&self, arguments: &DemoArguments) -> anyhow::Result<(Summary, PathBuf)> {
        let summary = Summary {
            seed: self.done.seed,
            quick: self.done.quick,
            family: self.done.family,
            wall_secs: self.done.wall_secs,
            stage_secs: self.done.stage_secs.clone(),
            peak_memory_bytes: self.done.peak_memory_bytes,
            ablation: self.ablation()?,
            algorithms: self.algorithms()?,
            ..Summary::gather(&self.folder.out)?
        };
        write_json(&self.path("summary.json"), &summary)?;
        self.write_annotation_project()?;
        let page = candor_report::write(&self.folder.out, about(arguments))?;
        Ok((summary, page))
    }

    /// Prints the policies side by side, and after them the algorithms, if there are several.
    fn print(&self, summary: &Summary) -> anyhow::Result<()> {
        let policies = summary
            .policies
            .iter()
            .map(|(policy, _)| policy.key().to_owned());
        print!("{}", self.table(policies)?);
        if !summary.algorithms.is_empty() {
            let others = Variant::algorithms().map(Variant::policy);
            println!();
            print!(
                "{}",
                self.table(others.chain([Algorithm::Dpo.key().to_owned()]))?
            );
        }
        if !summary.family.is_usual() {
            println!("The models are built as {}.", summary.family.name());
        }
        if summary.quick {
            println!("A quick demo: these numbers say nothing about the method.");
        }
        Ok(())
    }

    fn table(&self, policies: impl Iterator<Item = String>) -> anyhow::Result<String> {
        let runs = policies.map(|policy| Run::open(&self.path("eval").join(policy)));
        let runs: Vec<Run> = runs.collect::<Result<_, _>>()?;
        Ok(compare(&runs, self.done.seed).table())
    }

    fn results(&self, policy: &str) -> anyhow::Result<Option<Results>> {
        Ok(Results::read(&self.path("eval").join(policy))?)
    }

    /// The results of all eight variants, once each has been run.
    fn ablation(&self) -> anyhow::Result<Vec<AblationRow>> {
        let mut rows = Vec::new();
        for variant in Variant::ablation() {
            let Some(results) = self.results(&variant.policy())? else {
                return Ok(Vec::new());
            };
            rows.push(AblationRow {
                facts: variant.facts,
                symbolic: variant.symbolic,
                length_penalty: variant.length_penalty,
                results,
            });
        }
        Ok(rows)
    }

    /// The results of all algorithms, once each has been run.
    fn algorithms(&self) -> anyhow::Result<Vec<AlgorithmRow>> {
        let mut rows = Vec::new();
        for variant in Variant::algorithms() {
            let Some(results) = self.results(&variant.policy())? else {
                return Ok(Vec::new());
            };
            let run = variant.folder();
            rows.push(AlgorithmRow {
                algorithm: variant.algorithm,
                facts: Some(variant.facts),
                samples: self.setting(&run, "run.steps")?
                    * self.setting(&run, "batch.rollout_batch")?,
                processor_secs: self.processor_secs(&run),
                curve: Some(format!("{}.json", variant.curve())),
                results,
            });
        }
        let run = Algorithm::Dpo.key();
        let Some(results) = self.results(run)? else {
            return Ok(Vec::new());
        };
        rows.push(AlgorithmRow {
            algorithm: Algorithm::Dpo,
            facts: None,
            samples: 2 * self.setting(run, "run.epochs")? * self.setting(run, "data.n_train")?,
            processor_secs: self.processor_secs(run),
            curve: None,
            results,
        });
        Ok(rows)
    }

    fn processor_secs(&self, run: &str) -> f64 {
        self.done.processor_secs.get(run).copied().unwrap_or(0.0)
    }

    /// A whole number of the recipe that a run was run by.
    fn setting(&self, run: &str, key: &str) -> anyhow::Result<u64> {
        let path = self.path(run).join("resolved.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let value = value_of(&text, key).as_u64();
        value.with_context(|| format!("{} has no whole number {key}", path.display()))
    }
}

//! `candor demo`: every stage on the micro-world, resumable as a whole.

mod annotation;
mod plan;
mod stages;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use candor_judge::compare::compare;
use candor_judge::{Results, Run};
use candor_report::{AblationRow, About, Summary};
use candor_run::{LaunchOptions, Outcome, Ranks, StopSignal};
use candor_train::DeviceChoice;
use candor_world::WorldConfig;
use serde::{Deserialize, Serialize};
use tch::Device;

use self::plan::{Stage, Variant};
use self::stages::SHIPPED;
use super::device::device;
use super::stage::{program, quoted};
use crate::arguments::DemoArguments;

/// `demo.json`: what was done so far, so that an interrupted demo goes on where it stopped.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    seed: u64,
    finished: BTreeSet<String>,
    /// Over all starts; what a killed process did is not counted.
    stage_secs: BTreeMap<String, f64>,
    /// The highest of all starts.
    peak_memory_bytes: u64,
}

/// The demo's folder and how far it is.
struct Demo {
    out: PathBuf,
    done: Done,
    launch: LaunchOptions,
    device: Device,
}

/// Runs what has not been run yet, then writes the report and prints the summary.
pub fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    let mut demo = Demo::open(arguments)?;
    let stages = Stage::all(arguments.ablation);
    for (i, stage) in stages.iter().enumerate() {
        let name = stage.name();
        if demo.done.finished.contains(&name) {
            eprintln!("demo: {name} was finished before");
            continue;
        }
        let stopped = demo.launch.stop.requested();
        if !stopped {
            eprintln!("demo: {} of {}: {name}", i + 1, stages.len());
        }
        if stopped || demo.stage(stage)? == Outcome::Stopped {
            eprintln!(
                "demo: stopped; continue with: {}",
                demo.launch.resume_command
            );
            return Ok(demo.launch.stop.check()?);
        }
    }
    demo.finish(arguments)
}

fn world_config(seed: u64) -> WorldConfig {
    WorldConfig {
        seed,
        ..WorldConfig::default()
    }
}

impl Demo {
    /// Opens the folder, or starts one.
    fn open(arguments: &DemoArguments) -> anyhow::Result<Self> {
        let (out, seed) = (arguments.out.clone(), arguments.seed);
        let path = out.join("demo.json");
        let done = if path.exists() {
            read_json(&path).with_context(|| format!("delete {}", out.display()))?
        } else {
            Done {
                seed,
                ..Done::default()
            }
        };
        let launch = LaunchOptions {
            resume: false,
            init_from: None,
            resume_command: format!("{} {}", program(), words(arguments)),
            stop: StopSignal::install()?,
            ranks: Ranks::alone(),
        };
        let demo = Self {
            out,
            done,
            launch,
            device: device(arguments.device)?,
        };
        anyhow::ensure!(
            demo.done.seed == seed,
            "{} holds a demo of seed {}; give another --out for seed {seed}, or delete that folder",
            demo.out.display(),
            demo.done.seed,
        );
        demo.keep_plan()?;
        Ok(demo)
    }

    /// Writes what this demo is made by into its folder, or refuses to go on with one made by something else.
    fn keep_plan(&self) -> anyhow::Result<()> {
        let world = serde_json::to_string_pretty(&world_config(self.done.seed))? + "\n";
        for (name, text) in SHIPPED.into_iter().chain([("world.json", world.as_str())]) {
            let path = self.path("recipes").join(name);
            if !path.exists() {
                candor_data::atomic::write(&path, text.as_bytes())?;
                continue;
            }
            anyhow::ensure!(
                std::fs::read_to_string(&path).is_ok_and(|then| then == text),
                "{} is not what this version of candor would run, so the demo in {} cannot be continued; give \
                 another --out, or delete that folder",
                path.display(),
                self.out.display()
            );
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// Runs a stage, or the rest of it, and remembers that.
    fn stage(&mut self, stage: &Stage) -> anyhow::Result<Outcome> {
        let name = stage.name();
        let started = Instant::now();
        let launch = LaunchOptions {
            resume: self.path(&name).join("resolved.toml").exists(),
            ..self.launch.clone()
        };
        let outcome = self.execute(stage, &launch)?;
        *self.done.stage_secs.entry(name.clone()).or_default() += started.elapsed().as_secs_f64();
        self.done.peak_memory_bytes = self
            .done
            .peak_memory_bytes
            .max(candor_torch_ext::peak_memory_bytes());
        if outcome == Outcome::Finished {
            self.done.finished.insert(name);
        }
        write_json(&self.path("demo.json"), &self.done)?;
        Ok(outcome)
    }

    /// Writes summary and report, and prints the results.
    fn finish(&self, arguments: &DemoArguments) -> anyhow::Result<()> {
        let summary = Summary {
            seed: self.done.seed,
            wall_secs: self.done.stage_secs.values().sum(),
            stage_secs: self.done.stage_secs.clone(),
            peak_memory_bytes: self.done.peak_memory_bytes,
            ablation: self.ablation()?,
            ..Summary::gather(&self.out)?
        };
        write_json(&self.path("summary.json"), &summary)?;
        let about = About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: format!("candor {}", words(arguments)),
        };
        let page = candor_report::write(&self.out, about)?;
        if arguments.json {
            println!("{}", serde_json::to_string_pretty(&summary)?);
        } else {
            let policies = summary.policies.iter();
            let runs = policies.map(|(policy, _)| Run::open(&self.path("eval").join(policy.key())));
            let runs: Vec<Run> = runs.collect::<Result<_, _>>()?;
            print!("{}", compare(&runs, self.done.seed).table());
        }
        let project = self.write_annotation_project()?;
        eprintln!(
            "demo: {:.0} s of work in all, at most {:.1} GB of memory; open {}",
            summary.wall_secs,
            summary.peak_memory_bytes as f64 / 1e9,
            page.display()
        );
        eprintln!(
            "demo: compare answers yourself: {} annotate serve {}",
            program(),
            quoted(&project.display().to_string())
        );
        Ok(())
    }

    /// The results of all eight variants, once each has been run.
    fn ablation(&self) -> anyhow::Result<Vec<AblationRow>> {
        let mut rows = Vec::new();
        for variant in Variant::all() {
            let Some(results) = Results::read(&self.path("eval").join(variant.policy()))? else {
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
}

/// The demo's command without the program.
fn words(arguments: &DemoArguments) -> String {
    let out = quoted(&arguments.out.display().to_string());
    let ablation = if arguments.ablation {
        " --ablation"
    } else {
        ""
    };
    let device = match arguments.device {
        DeviceChoice::Auto => String::new(),
        named => format!(" --device {named}"),
    };
    format!(
        "demo --out {out} --seed {}{device}{ablation}",
        arguments.seed
    )
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(candor_data::atomic::write(path, &json)?)
}

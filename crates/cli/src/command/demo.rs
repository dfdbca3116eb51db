//! `candor demo`: every stage on the micro-world, resumable as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use candor_eval::{EvalRecipe, Results, table};
use candor_sft::{GroundRecipe, Launch, Outcome, SftRecipe};
use candor_train::{Reader, StopSignal};
use candor_world::{World, WorldConfig};
use serde::{Deserialize, Serialize};

use super::stage::device;
use crate::arguments::DemoArguments;

/// The recipes are part of the binary, so that the demo needs nothing but the binary.
const GROUND: &str = include_str!("../../../../recipes/demo/0-ground.toml");
const PRETRAIN: &str = include_str!("../../../../recipes/demo/0-pretrain.toml");
const SFT: &str = include_str!("../../../../recipes/demo/1-sft.toml");
const EVAL: &str = include_str!("../../../../recipes/demo/6-eval.toml");

/// `demo.json`: what was done so far, so that an interrupted demo goes on where it stopped.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    seed: u64,
    stage_secs: BTreeMap<String, f64>,
}

/// `summary.json`.
#[derive(Debug, Serialize)]
struct Summary {
    seed: u64,
    wall_secs: f64,
    stage_secs: BTreeMap<String, f64>,
    peak_memory_bytes: u64,
    policies: BTreeMap<&'static str, Results>,
}

/// The demo's folder and how far it is.
struct Demo {
    out: PathBuf,
    done: Done,
    launch: Launch,
}

/// Runs what has not been run yet, then prints the summary.
pub fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    let mut demo = Demo::open(arguments)?;
    let seed = arguments.seed;
    demo.stage("world", |demo, _| {
        let world = World::generate(&WorldConfig {
            seed,
            ..WorldConfig::default()
        })?;
        candor_world::write(&world, &demo.path("world"))?;
        Ok(Outcome::Finished)
    })?;
    demo.stage("ground", |demo, launch| {
        let recipe = GroundRecipe::read(demo.recipe("0-ground.toml", GROUND, "ground", None))?;
        Ok(candor_sft::ground::run(&recipe, launch, device())?)
    })?;
    demo.stage("pretrain", |demo, launch| {
        let recipe =
            SftRecipe::read(demo.recipe("0-pretrain.toml", PRETRAIN, "pretrain", Some("ground")))?;
        Ok(candor_sft::run::run(&recipe, launch, device())?)
    })?;
    demo.stage("sft", |demo, launch| {
        let recipe = SftRecipe::read(demo.recipe("1-sft.toml", SFT, "sft", Some("pretrain")))?;
        Ok(candor_sft::run::run(&recipe, launch, device())?)
    })?;
    demo.stage("eval", |demo, _| {
        let recipe = EvalRecipe::read(demo.recipe("6-eval.toml", EVAL, "eval", Some("sft")))?;
        candor_eval::run(&recipe, device())?;
        Ok(Outcome::Finished)
    })?;
    demo.finish(arguments.json)
}

impl Demo {
    /// Opens the folder, or starts one.
    fn open(arguments: &DemoArguments) -> anyhow::Result<Self> {
        let out = arguments.out.clone();
        let path = out.join("demo.json");
        let done = if path.exists() {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged; delete it", path.display()))?
        } else {
            Done {
                seed: arguments.seed,
                ..Done::default()
            }
        };
        anyhow::ensure!(
            done.seed == arguments.seed,
            "{} holds a demo of seed {}; choose another --out for seed {}, or delete it",
            out.display(),
            done.seed,
            arguments.seed
        );
        let resume_command = format!(
            "candor demo --out {} --seed {}",
            out.display(),
            arguments.seed
        );
        let launch = Launch {
            resume: false,
            resume_command,
            stop: StopSignal::install()?,
        };
        Ok(Self { out, done, launch })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// A recipe of the demo, pointed at this folder.
    fn recipe(&self, name: &str, text: &str, stage: &str, base: Option<&str>) -> Reader {
        // Debug formatting quotes a path as TOML's basic strings do.
        let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
        let mut sets = vec![
            format!("seed={}", self.done.seed),
            format!("data.root={}", quoted(self.path("world"))),
            format!("run.out={}", quoted(self.path(stage))),
        ];
        if let Some(base) = base {
            sets.push(format!(
                "model.base={}",
                quoted(self.path(base).join("model"))
            ));
        }
        Reader::parse(name, text, &sets)
    }

    /// Runs a stage unless it was finished before, and remembers how long it took.
    fn stage(
        &mut self,
        name: &str,
        run: impl FnOnce(&Self, &Launch) -> anyhow::Result<Outcome>,
    ) -> anyhow::Result<()> {
        if self.done.stage_secs.contains_key(name) {
            eprintln!("demo: {name} was finished before");
            return Ok(());
        }
        eprintln!("demo: {name}");
        let started = Instant::now();
        let resume = self.path(name).join("resolved.toml").exists();
        let outcome = run(
            self,
            &Launch {
                resume,
                ..self.launch.clone()
            },
        )?;
        if outcome == Outcome::Stopped || self.launch.stop.requested() {
            // Every file is closed by now; there is nothing left to undo.
            std::process::exit(0);
        }
        self.done
            .stage_secs
            .insert(name.to_owned(), started.elapsed().as_secs_f64());
        write_json(&self.path("demo.json"), &self.done)
    }

    /// Writes and prints the summary.
    fn finish(&self, json: bool) -> anyhow::Result<()> {
        let path = self.path("eval/results.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let results: Results = serde_json::from_str(&text)?;
        let summary = Summary {
            seed: self.done.seed,
            wall_secs: self.done.stage_secs.values().sum(),
            stage_secs: self.done.stage_secs.clone(),
            peak_memory_bytes: candor_torch_ext::peak_memory_bytes(),
            policies: [("sft", results)].into(),
        };
        let path = self.path("summary.json");
        write_json(&path, &summary)?;
        if json {
            println!("{}", serde_json::to_string_pretty(&summary)?);
        } else {
            print!("{}", table::render(&summary.policies["sft"]));
        }
        eprintln!(
            "demo: done in {:.0} s; {}",
            summary.wall_secs,
            path.display()
        );
        Ok(())
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(candor_data::atomic::write(path, &json)?)
}

//! `candor demo`: every stage on the micro-world, resumable as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use candor_eval::{EvalRecipe, Results, table};
use candor_sft::{GroundRecipe, SftRecipe};
use candor_train::{Launch, Outcome, Reader, StopSignal};
use candor_world::{World, WorldConfig};
use serde::{Deserialize, Serialize};

use super::stage::{device, program, quoted};
use crate::arguments::DemoArguments;

/// The recipes are part of the binary, so that the demo needs nothing but the binary.
const RECIPES: [(&str, &str); 4] = [
    (
        "0-ground.toml",
        include_str!("../../../../recipes/demo/0-ground.toml"),
    ),
    (
        "0-pretrain.toml",
        include_str!("../../../../recipes/demo/0-pretrain.toml"),
    ),
    (
        "1-sft.toml",
        include_str!("../../../../recipes/demo/1-sft.toml"),
    ),
    (
        "6-eval.toml",
        include_str!("../../../../recipes/demo/6-eval.toml"),
    ),
];

type Stage = fn(&Demo, &Launch) -> anyhow::Result<Outcome>;

/// The stages in their order.
const STAGES: [(&str, Stage); 5] = [
    ("world", world),
    ("ground", ground),
    ("pretrain", pretrain),
    ("sft", sft),
    ("eval", eval),
];

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
    for (name, stage) in STAGES {
        if !demo.stage(name, stage)? {
            eprintln!(
                "demo: stopped; continue with: {}",
                demo.launch.resume_command
            );
            return Ok(());
        }
    }
    demo.finish(arguments.json)
}

fn world(demo: &Demo, _: &Launch) -> anyhow::Result<Outcome> {
    candor_world::write(
        &World::generate(&world_config(demo.done.seed))?,
        &demo.path("world"),
    )?;
    Ok(Outcome::Finished)
}

fn world_config(seed: u64) -> WorldConfig {
    WorldConfig {
        seed,
        ..WorldConfig::default()
    }
}

fn ground(demo: &Demo, launch: &Launch) -> anyhow::Result<Outcome> {
    let recipe = GroundRecipe::read(demo.recipe("0-ground.toml", "ground", None)?)?;
    Ok(candor_sft::ground::run(&recipe, launch, device())?)
}

fn pretrain(demo: &Demo, launch: &Launch) -> anyhow::Result<Outcome> {
    let recipe = SftRecipe::read(demo.recipe("0-pretrain.toml", "pretrain", Some("ground"))?)?;
    Ok(candor_sft::run::run(&recipe, launch, device())?)
}

fn sft(demo: &Demo, launch: &Launch) -> anyhow::Result<Outcome> {
    let recipe = SftRecipe::read(demo.recipe("1-sft.toml", "sft", Some("pretrain"))?)?;
    Ok(candor_sft::run::run(&recipe, launch, device())?)
}

fn eval(demo: &Demo, _: &Launch) -> anyhow::Result<Outcome> {
    let recipe = EvalRecipe::read(demo.recipe("6-eval.toml", "eval", Some("sft"))?)?;
    candor_eval::run(&recipe, device())?;
    Ok(Outcome::Finished)
}

impl Demo {
    /// Opens the folder, or starts one.
    fn open(arguments: &DemoArguments) -> anyhow::Result<Self> {
        let (out, seed) = (arguments.out.clone(), arguments.seed);
        let path = out.join("demo.json");
        let done = if path.exists() {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| {
                format!("{} is damaged; delete {}", path.display(), out.display())
            })?
        } else {
            Done {
                seed,
                ..Done::default()
            }
        };
        let resume_command = format!(
            "{} demo --out {} --seed {seed}",
            program(),
            quoted(&out.display().to_string())
        );
        let launch = Launch {
            resume: false,
            resume_command,
            stop: StopSignal::install()?,
        };
        let demo = Self { out, done, launch };
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
        let files = RECIPES.iter().map(|(name, text)| (*name, *text));
        for (name, text) in files.chain([("world.json", world.as_str())]) {
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

    /// A recipe of the demo, pointed at this folder.
    fn recipe(&self, name: &str, stage: &str, base: Option<&str>) -> anyhow::Result<Reader> {
        let text = RECIPES
            .iter()
            .find(|(recipe, _)| *recipe == name)
            .map(|(_, text)| *text);
        let text = text.with_context(|| format!("the demo has no recipe {name}"))?;
        let set = |key: &str, path: PathBuf| {
            format!("{key}={}", toml::Value::from(path.display().to_string()))
        };
        let mut sets = vec![
            format!("seed={}", self.done.seed),
            set("data.root", self.path("world")),
            set("run.out", self.path(stage)),
        ];
        if let Some(base) = base {
            sets.push(set("model.base", self.path(base).join("model")));
        }
        Ok(Reader::parse(name, text, &sets))
    }

    /// Runs a stage unless it was finished before; returns whether to go on.
    fn stage(&mut self, name: &str, run: Stage) -> anyhow::Result<bool> {
        if self.done.finished.contains(name) {
            eprintln!("demo: {name} was finished before");
            return Ok(true);
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
        *self.done.stage_secs.entry(name.to_owned()).or_default() +=
            started.elapsed().as_secs_f64();
        self.done.peak_memory_bytes = self
            .done
            .peak_memory_bytes
            .max(candor_torch_ext::peak_memory_bytes());
        if outcome == Outcome::Finished {
            self.done.finished.insert(name.to_owned());
        }
        write_json(&self.path("demo.json"), &self.done)?;
        let last = STAGES.last().is_some_and(|(last, _)| *last == name);
        Ok(outcome == Outcome::Finished && (last || !self.launch.stop.requested()))
    }

    /// Writes and prints the summary.
    fn finish(&self, json: bool) -> anyhow::Result<()> {
        let path = self.path("eval/results.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let results: Results = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged; delete {}",
                path.display(),
                self.out.display()
            )
        })?;
        let summary = Summary {
            seed: self.done.seed,
            wall_secs: self.done.stage_secs.values().sum(),
            stage_secs: self.done.stage_secs.clone(),
            peak_memory_bytes: self.done.peak_memory_bytes,
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
            "demo: {:.0} s of work in all, at most {:.1} GB of memory; {}",
            summary.wall_secs,
            summary.peak_memory_bytes as f64 / 1e9,
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

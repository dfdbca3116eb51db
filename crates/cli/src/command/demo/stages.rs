//! How each stage of the demo is run: its recipe, pointed at the demo's folders.

use std::path::PathBuf;

use anyhow::Context as _;
use candor_eval::{EvalRecipe, curve};
use candor_model::Bundle;
use candor_recipe::Reader;
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_run::{LaunchOptions, Outcome};
use candor_sample::SampleRecipe;
use candor_sft::{GroundRecipe, SftRecipe};
use candor_world::{Annotator, World, annotate_candidates};

use super::plan::{Stage, Variant};
use super::{Demo, world_config};

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../../recipes/demo/", $name)))),*]
    };
}

/// The recipes and prompts are part of the binary, so that the demo needs nothing but the binary.
pub const SHIPPED: [(&str, &str); 11] = shipped![
    "0-ground.toml",
    "0-pretrain.toml",
    "1-sft.toml",
    "2-sample.toml",
    "3-reading.toml",
    "3-reward.toml",
    "4-policy-init.toml",
    "5-ppo.toml",
    "6-eval.toml",
    "reward-facts.txt",
    "reward-plain.txt",
];

fn outcome(is_finished: bool) -> Outcome {
    if is_finished {
        Outcome::Finished
    } else {
        Outcome::Stopped
    }
}

impl Demo {
    /// Runs a stage.
    pub(super) fn execute(&self, stage: &Stage, launch: &LaunchOptions) -> anyhow::Result<Outcome> {
        match stage {
            Stage::World => {
                let world = World::generate(&world_config(self.done.seed))?;
                candor_world::write(&world, &self.path("world"))?;
                Ok(Outcome::Finished)
            }
            Stage::Ground => {
                let recipe =
                    GroundRecipe::read(self.recipe("0-ground.toml", &stage.name(), &[])?)?;
                Ok(candor_sft::ground::run(&recipe, launch, self.device)?)
            }
            Stage::Pretrain => self.tune("0-pretrain.toml", stage, "ground", launch),
            Stage::Sft => self.tune("1-sft.toml", stage, "pretrain", launch),
            Stage::Reading => self.tune("3-reading.toml", stage, "sft", launch),
            Stage::PolicyInit => self.tune("4-policy-init.toml", stage, "sft", launch),
            Stage::Sample => {
                let sets = [self.set("model.base", "sft/model")];
                let recipe = self.recipe("2-sample.toml", &stage.name(), &sets)?;
                let recipe = SampleRecipe::read(recipe)?;
                Ok(candor_sample::run(&recipe, launch, self.device)?)
            }
            Stage::Annotate => self.annotate(),
            Stage::Reward { facts } => self.reward(*facts, stage, launch),
            Stage::Rl(variant) => self.rl(*variant, launch),
            Stage::Eval { run, .. } => {
                let adapter = run.as_ref().map(|run| format!("{run}/adapter"));
                let recipe = self.eval_recipe(&stage.name(), adapter.as_deref())?;
                Ok(outcome(
                    candor_eval::run(&recipe, &launch.stop, self.device, &launch.ranks)?.is_some(),
                ))
            }
            Stage::Curve(variant) => {
                let recipe = self.eval_recipe(&stage.name(), None)?;
                let bundle = Bundle::open(&recipe.model, self.device, recipe.base_precision)?;
                let run = self.path(&variant.folder());
                let curve = curve::trace(&recipe, &bundle, &run, &launch.stop)?;
                if let Some(curve) = &curve {
                    curve.write(&self.path(&format!("{}.json", stage.name())))?;
                }
                Ok(outcome(curve.is_some()))
            }
        }
    }

    fn tune(
        &self,
        recipe: &str,
        stage: &Stage,
        base: &str,
        launch: &LaunchOptions,
    ) -> anyhow::Result<Outcome> {
        let base = self.set("model.base", &format!("{base}/model"));
        let recipe = SftRecipe::read(self.recipe(recipe, &stage.name(), &[base])?)?;
        Ok(candor_sft::run::run(&recipe, launch, self.device)?)
    }

    fn annotate(&self) -> anyhow::Result<Outcome> {
        let config = world_config(self.done.seed);
        annotate_candidates(
            &Annotator::new(config.seed, config.annotator_error),
            &self.path("world"),
            &self.path("sample/candidates.jsonl"),
            &self.path("preferences/preferences.json"),
        )?;
        Ok(Outcome::Finished)
    }

    fn reward(
        &self,
        facts: bool,
        stage: &Stage,
        launch: &LaunchOptions,
    ) -> anyhow::Result<Outcome> {
        let prompt = if facts {
            "reward-facts.txt"
        } else {
            "reward-plain.txt"
        };
        let sets = [
            self.set("data.root", ""),
            self.set("model.base", "reading/model"),
            self.set("prompt.file", &format!("recipes/{prompt}")),
        ];
        let recipe = RewardRecipe::read(self.recipe("3-reward.toml", &stage.name(), &sets)?)?;
        Ok(candor_reward::run(&recipe, launch, self.device)?)
    }

    fn rl(&self, variant: Variant, launch: &LaunchOptions) -> anyhow::Result<Outcome> {
        let mut sets = vec![
            self.set("model.base", "sft/model"),
            self.set("model.policy_init", "policy-init/adapter"),
            self.set("model.reward", variant.reward_model()),
        ];
        if !variant.symbolic {
            sets.push("score.symbolic_coef=0.0".to_owned());
        }
        if !variant.length_penalty {
            sets.push("score.length_penalty=0.0".to_owned());
        }
        let recipe = RlRecipe::read(self.recipe("5-ppo.toml", &variant.folder(), &sets)?)?;
        Ok(candor_rl::run(&recipe, launch, self.device)?)
    }

    fn eval_recipe(&self, out: &str, adapter: Option<&str>) -> anyhow::Result<EvalRecipe> {
        let mut sets = vec![self.set("model.base", "sft/model")];
        sets.extend(adapter.map(|adapter| self.set("model.adapter", adapter)));
        Ok(EvalRecipe::read(self.recipe("6-eval.toml", out, &sets)?)?)
    }

    /// A shipped recipe, pointed at this folder; `sets` come last.
    fn recipe(&self, name: &str, out: &str, sets: &[String]) -> anyhow::Result<Reader> {
        let text = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let (_, text) = text.with_context(|| format!("the demo has no recipe {name}"))?;
        let mut all = vec![
            format!("seed={}", self.done.seed),
            self.set("data.root", "world"),
            self.set("run.out", out),
        ];
        all.extend_from_slice(sets);
        Ok(Reader::parse(name, text, &all))
    }

    /// Sets a recipe's key to a path in this folder.
    fn set(&self, key: &str, path: &str) -> String {
        let path: PathBuf = if path.is_empty() {
            self.out.clone()
        } else {
            self.path(path)
        };
        format!("{key}={}", toml::Value::from(path.display().to_string()))
    }
}

//! One stage of a demo, in a process of its own: its recipe, pointed at the demo's folders.

use anyhow::Context as _;
use candor_data::rows::OnBadRow;
use candor_dpo::DpoRecipe;
use candor_eval::{EvalRecipe, curve};
use candor_model::{Bundle, ModelFolder};
use candor_reward::{PairBenchmark, RewardRecipe, pair_benchmark};
use candor_rl::RlRecipe;
use candor_run::{LaunchOptions, Outcome, Ranks, StopSignal};
use candor_sample::SampleRecipe;
use candor_sft::{GroundRecipe, SftRecipe};
use candor_train::BasePrecision;
use candor_world::{Annotator, World, annotate_candidates};
use serde::{Deserialize, Serialize};
use tch::Device;

use super::plan::{Scope, Stage};
use super::recipes::Folder;
use super::variant::Variant;
use crate::arguments::DemoArguments;
use crate::command::process;

/// Answers that a reward model scores together.
const PASS_ROWS: usize = 32;

/// What a stage took: what its process says on stdout when it ends by itself.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Processor seconds of all threads.
    pub processor_secs: f64,
    /// The most memory that the process had.
    pub peak_memory_bytes: u64,
}

/// Runs the stage of this name, or the rest of it, in this process.
pub fn run(arguments: &DemoArguments, name: &str, again: &str) -> anyhow::Result<()> {
    process::end_with_parent();
    let stop = StopSignal::install()?;
    let scope = Scope {
        ablation: true,
        algorithms: true,
    };
    let stages = Stage::all(scope);
    let stage = stages.iter().find(|stage| stage.name() == name);
    let stage = stage.with_context(|| format!("the demo has no stage {name}"))?;
    let folder = Folder::of(arguments)?;
    tch::set_num_threads(i32::try_from(stage.threads())?);
    let launch = LaunchOptions {
        resume: folder.path(name).join("resolved.toml").exists(),
        init_from: None,
        resume_command: again.to_owned(),
        stop,
        ranks: Ranks::alone(),
    };
    let device = arguments.device.find()?.device;
    let outcome = folder.execute(stage, &launch, device)?;
    let cost = Cost {
        processor_secs: candor_torch_ext::processor_secs(),
        peak_memory_bytes: candor_torch_ext::peak_memory_bytes(),
    };
    println!("{}", serde_json::to_string(&cost)?);
    if outcome == Outcome::Stopped {
        launch.stop.check()?;
    }
    Ok(())
}

fn outcome(is_finished: bool) -> Outcome {
    if is_finished {
        Outcome::Finished
    } else {
        Outcome::Stopped
    }
}

impl Folder {
    fn execute(
        &self,
        stage: &Stage,
        launch: &LaunchOptions,
        device: Device,
    ) -> anyhow::Result<Outcome> {
        let name = stage.name();
        match stage {
            Stage::World => {
                let world = World::generate(&self.world()?)?;
                candor_world::write(&world, &self.path("world"))?;
                Ok(Outcome::Finished)
            }
            Stage::Ground => {
                let (recipe, sets) = self.recipe("0-ground.toml", &name, &[]);
                let recipe = GroundRecipe::open(&recipe, &sets)?;
                Ok(candor_sft::ground::run(&recipe, launch, device)?)
            }
            Stage::Pretrain => self.tune("0-pretrain.toml", &name, "ground", launch, device),
            Stage::Sft { gpt4: false } => {
                self.tune("1-sft.toml", &name, "pretrain", launch, device)
            }
            Stage::Sft { gpt4: true } => {
                self.tune("1-sft-gpt4.toml", &name, "pretrain", launch, device)
            }
            Stage::Reading => self.tune("3-reading.toml", &name, "sft", launch, device),
            Stage::PolicyInit => self.tune("4-policy-init.toml", &name, "sft", launch, device),
            Stage::Sample => {
                let sets = [self.set("model.base", "sft/model")];
                let (recipe, sets) = self.recipe("2-sample.toml", &name, &sets);
                let recipe = SampleRecipe::open(&recipe, &sets)?;
                Ok(candor_sample::run(&recipe, launch, device)?)
            }
            Stage::Annotate => self.annotate(),
            Stage::Reward { facts } => self.reward(*facts, &name, launch, device),
            Stage::Rl(variant) => self.rl(*variant, launch, device),
            Stage::Dpo => {
                let sets = [
                    self.set("data.root", ""),
                    self.set("model.base", "sft/model"),
                    self.set("model.adapter", "policy-init/adapter"),
                ];
                let (recipe, sets) = self.recipe("4-dpo.toml", &name, &sets);
                let recipe = DpoRecipe::open(&recipe, &sets)?;
                Ok(candor_dpo::run(&recipe, launch, device)?)
            }
            Stage::Eval { base, adapter, .. } => {
                let recipe = self.eval_recipe(&name, base, adapter.as_deref())?;
                Ok(outcome(
                    candor_eval::run(&recipe, &launch.stop, device, &launch.ranks)?.is_some(),
                ))
            }
            Stage::Curve(variant) => {
                let recipe = self.eval_recipe(&name, "sft", None)?;
                let folder = ModelFolder::find(&recipe.model)?.with_pixels(recipe.pixels);
                let bundle = Bundle::load(folder, device, recipe.base_precision)?;
                let run = self.path(&variant.folder());
                let curve = curve::trace(&recipe, &bundle, &run, &launch.stop)?;
                if let Some(curve) = &curve {
                    curve.write(&self.path(&format!("{name}.json")))?;
                }
                Ok(outcome(curve.is_some()))
            }
        }
    }

    fn tune(
        &self,
        recipe: &str,
        out: &str,
        base: &str,
        launch: &LaunchOptions,
        device: Device,
    ) -> anyhow::Result<Outcome> {
        let base = self.set("model.base", &format!("{base}/model"));
        let (recipe, sets) = self.recipe(recipe, out, &[base]);
        let recipe = SftRecipe::open(&recipe, &sets)?;
        Ok(candor_sft::run::run(&recipe, launch, device)?)
    }

    fn annotate(&self) -> anyhow::Result<Outcome> {
        let config = self.world()?;
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
        out: &str,
        launch: &LaunchOptions,
        device: Device,
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
        let (recipe, sets) = self.recipe("3-reward.toml", out, &sets);
        let recipe = RewardRecipe::open(&recipe, &sets)?;
        let outcome = candor_reward::run(&recipe, launch, device)?;
        if outcome == Outcome::Finished {
            self.measure_reward(out, &recipe, device)?;
        }
        Ok(outcome)
    }

    /// A reward model on the world's pairs, by what is asked; a world that an earlier version drew has none.
    fn measure_reward(
        &self,
        reward: &str,
        recipe: &RewardRecipe,
        device: Device,
    ) -> anyhow::Result<()> {
        let Some(plan) = self.pairs(reward, recipe.base_precision) else {
            eprintln!("pairs: this world was drawn without any, so {reward} is not measured");
            return Ok(());
        };
        let said = |done, n| eprintln!("pairs: {done} of {n}");
        pair_benchmark(&plan, device, said)?;
        Ok(())
    }

    /// How a reward model is measured on the world's pairs, where there are any.
    fn pairs(&self, reward: &str, base_precision: BasePrecision) -> Option<PairBenchmark> {
        let pairs = self.path("world/eval/reward_pairs.jsonl");
        pairs.exists().then(|| PairBenchmark {
            reward: self.path(reward),
            base_precision,
            files: vec![pairs],
            images: self.path("world/images"),
            facts: Some(self.path("world/eval/reward_facts.json")),
            // A small model may have no room for a pair; the report says how many.
            on_bad_row: OnBadRow::Skip,
            out: self.path(reward).join("pairs"),
            pass_rows: PASS_ROWS,
            seed: self.seed,
        })
    }

    fn rl(
        &self,
        variant: Variant,
        launch: &LaunchOptions,
        device: Device,
    ) -> anyhow::Result<Outcome> {
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
        let (recipe, sets) = self.recipe(&variant.recipe(), &variant.folder(), &sets);
        let recipe = RlRecipe::open(&recipe, &sets)?;
        Ok(candor_rl::run(&recipe, launch, device)?)
    }

    fn eval_recipe(
        &self,
        out: &str,
        base: &str,
        adapter: Option<&str>,
    ) -> anyhow::Result<EvalRecipe> {
        let mut sets = vec![self.set("model.base", &format!("{base}/model"))];
        sets.extend(adapter.map(|run| self.set("model.adapter", &format!("{run}/adapter"))));
        let (recipe, sets) = self.recipe("6-eval.toml", out, &sets);
        Ok(EvalRecipe::open(&recipe, &sets)?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    #[test]
    fn a_world_without_pairs_is_one_that_no_reward_model_is_measured_on() {
        let out = tempfile::tempdir().unwrap();
        let words = ["candor", "demo", "--out", out.path().to_str().unwrap()];
        let Command::Demo(arguments) = Arguments::try_parse_from(words).unwrap().command else {
            panic!("another command");
        };
        let folder = Folder::of(&arguments).unwrap();
        let plan = || folder.pairs("reward-facts", BasePrecision::F32);
        assert!(plan().is_none());
        let pairs = out.path().join("world/eval/reward_pairs.jsonl");
        std::fs::create_dir_all(pairs.parent().unwrap()).unwrap();
        std::fs::write(&pairs, "").unwrap();
        assert_eq!(plan().unwrap().files, [pairs]);
    }
}

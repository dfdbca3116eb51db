//! The stages that run a recipe: `candor ground`, `sft`, `sample`, `reward`, `dpo`, `rounds`, `rl`.

use std::path::Path;

use candor_dpo::DpoRecipe;
use candor_recipe::Resolved;
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_rl::recipe::ONE_REWARD_DEVICE;
use candor_rounds::RoundsRecipe;
use candor_run::{Claim, LaunchOptions, Outcome, RunOptions, StopSignal};
use candor_sample::SampleRecipe;
use candor_sft::{GroundRecipe, SftRecipe};
use candor_train::DeviceChoice;
use tch::Device;

use super::annotate;
use super::{device, ranks};
use crate::arguments::{Aggregate, RANK_TIMEOUT, RewardArguments, StageArguments, TrainArguments};

/// Makes a fresh tower see.
pub fn ground(arguments: &StageArguments) -> anyhow::Result<()> {
    let recipe = GroundRecipe::open(&arguments.recipe, &arguments.settings())?;
    let (resolved, choice) = (&recipe.resolved, recipe.session.device);
    run(
        arguments,
        None,
        "ground",
        resolved,
        choice,
        |launch, device| candor_sft::ground::run(&recipe, launch, device),
    )
}

/// Fine-tunes a model.
pub fn sft(arguments: &TrainArguments) -> anyhow::Result<()> {
    let TrainArguments { stage, init_from } = arguments;
    let recipe = SftRecipe::open(&stage.recipe, &stage.settings())?;
    let (resolved, choice) = (&recipe.resolved, recipe.session.device);
    let from = init_from.as_deref();
    run(stage, from, "sft", resolved, choice, |launch, device| {
        candor_sft::run::run(&recipe, launch, device)
    })
}

/// Samples two answers per prompt.
pub fn sample(arguments: &StageArguments) -> anyhow::Result<()> {
    let recipe = SampleRecipe::open(&arguments.recipe, &arguments.settings())?;
    let (resolved, choice) = (&recipe.resolved, recipe.device);
    run(
        arguments,
        None,
        "sample",
        resolved,
        choice,
        |launch, device| candor_sample::run(&recipe, launch, device),
    )
}

/// Trains a reward model.
pub fn reward(arguments: &RewardArguments) -> anyhow::Result<()> {
    let TrainArguments {
        mut stage,
        init_from,
    } = arguments.train.clone();
    if let (Some(project), Some(aggregate)) = (&arguments.annotations, arguments.aggregate) {
        anyhow::ensure!(
            stage.ranks.is_alone(),
            "--annotations writes a file that every rank would write; run `candor annotate export` first, and name its \
             file by --set data.preferences"
        );
        stage.sets.push(exported(&stage, project, aggregate)?);
    }
    let recipe = RewardRecipe::open(&stage.recipe, &stage.settings())?;
    let (resolved, choice) = (&recipe.resolved, recipe.session.device);
    let from = init_from.as_deref();
    run(
        &stage,
        from,
        "reward",
        resolved,
        choice,
        |launch, device| candor_reward::run(&recipe, launch, device),
    )
}

/// Keeps what people said so far beside the run folder, and returns the setting that names it. People may go on; a run
/// that is resumed must find what it began with, so its command has the setting and not the project.
fn exported(
    stage: &StageArguments,
    project: &Path,
    aggregate: Aggregate,
) -> anyhow::Result<String> {
    let run = RewardRecipe::open(&stage.recipe, &stage.settings())?
        .session
        .out;
    let file = std::path::absolute(run.with_added_extension("preferences.jsonl"))?;
    let setting = format!("data.preferences=[{}]", serde_json::to_string(&file)?);
    let mut resumed = stage.clone();
    resumed.sets.push(setting.clone());
    // Before anything is written: a run in the folder could never go on with what people say now.
    drop(Claim::start(&RunOptions {
        dir: &run,
        stage: "reward",
        resolved: "",
        n_keep_checkpoints: 1,
        resume_command: &resume_command("reward", &resumed),
        may_change: &[],
    })?);
    let format = candor_annotate::export::Format::PreferenceLog;
    eprintln!(
        "{}",
        annotate::export_to(project, format, Some(aggregate.into()), &file)?
    );
    Ok(setting)
}

/// Trains a policy on comparisons.
pub fn dpo(arguments: &TrainArguments) -> anyhow::Result<()> {
    let TrainArguments { stage, init_from } = arguments;
    let recipe = DpoRecipe::open(&stage.recipe, &stage.settings())?;
    let (resolved, choice) = (&recipe.resolved, recipe.session.device);
    let from = init_from.as_deref();
    run(stage, from, "dpo", resolved, choice, |launch, device| {
        candor_dpo::run(&recipe, launch, device)
    })
}

/// Samples, has answers compared and learns from that, several times.
pub fn rounds(arguments: &StageArguments) -> anyhow::Result<()> {
    let recipe = RoundsRecipe::open(&arguments.recipe, &arguments.settings())?;
    let (resolved, choice) = (&recipe.resolved, recipe.device);
    run(
        arguments,
        None,
        "rounds",
        resolved,
        choice,
        |launch, device| candor_rounds::run(&recipe, launch, device),
    )
}

/// Trains a policy against a reward model.
pub fn rl(arguments: &TrainArguments) -> anyhow::Result<()> {
    let TrainArguments { stage, init_from } = arguments;
    let recipe = RlRecipe::open(&stage.recipe, &stage.settings())?;
    let (resolved, choice) = (&recipe.resolved, recipe.session.device);
    let from = init_from.as_deref();
    run(stage, from, "rl", resolved, choice, |launch, device| {
        if let Some(choice) = recipe.reward_device {
            anyhow::ensure!(launch.ranks.world() == 1, ONE_REWARD_DEVICE);
            device::of("device of the reward model", choice)?;
        }
        Ok::<_, anyhow::Error>(candor_rl::run(&recipe, launch, device)?)
    })
}

fn run<E>(
    arguments: &StageArguments,
    init_from: Option<&Path>,
    stage: &str,
    resolved: &Resolved,
    device: DeviceChoice,
    start: impl FnOnce(&LaunchOptions, Device) -> Result<Outcome, E>,
) -> anyhow::Result<()>
where
    anyhow::Error: From<E>,
{
    if arguments.dry_run {
        print!("{}", resolved.to_text());
        return Ok(());
    }
    let Some(ranks) = ranks::start(&arguments.ranks)? else {
        return Ok(());
    };
    let launch = LaunchOptions {
        resume: arguments.resume,
        init_from: init_from.map(Path::to_owned),
        resume_command: resume_command(stage, arguments),
        stop: StopSignal::install()?,
        ranks,
    };
    let device = device::of_rank(device, &launch.ranks)?;
    let outcome = start(&launch, device)?;
    // What comes next may read what the first rank writes last. And launchers end all ranks when one has ended with an error
    // (torchrun, and srun with --kill-on-bad-exit): the first would be ended while it writes the checkpoint of a run that is stopped.
    launch.ranks.meet()?;
    if outcome == Outcome::Stopped {
        launch.stop.check()?;
    }
    Ok(())
}

/// The command that continues this run, ready to paste into a shell.
fn resume_command(stage: &str, arguments: &StageArguments) -> String {
    let mut words = vec![
        program(),
        stage.to_owned(),
        quoted(&arguments.recipe.display().to_string()),
    ];
    for set in &arguments.sets {
        words.extend(["--set".to_owned(), quoted(set)]);
    }
    if let Some(device) = arguments.device {
        words.extend(["--device".to_owned(), device.to_string()]);
    }
    if let Some(ranks) = arguments.ranks.ranks {
        words.extend(["--ranks".to_owned(), ranks.to_string()]);
    }
    let timeout = arguments.ranks.rank_timeout;
    if timeout != RANK_TIMEOUT {
        words.extend(["--rank-timeout".to_owned(), timeout.to_string()]);
    }
    words.push("--resume".to_owned());
    words.join(" ")
}

/// This program as it was called, for commands to paste.
pub fn program() -> String {
    let called = std::env::args_os()
        .next()
        .unwrap_or_else(|| "candor".into());
    quoted(&called.to_string_lossy())
}

/// The word as a POSIX shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::RankArguments;

    #[test]
    fn the_resume_command_survives_a_shell() {
        let arguments = StageArguments {
            recipe: "my recipes/1-sft.toml".into(),
            sets: vec!["run.out=it's here".to_owned(), "seed=3".to_owned()],
            device: Some(DeviceChoice::Cuda(1)),
            resume: false,
            dry_run: false,
            ranks: RankArguments {
                ranks: Some(2),
                rank_timeout: 60,
            },
        };
        let command = resume_command("sft", &arguments);
        let command = command.strip_prefix(&program()).unwrap();
        let expected = r" sft 'my recipes/1-sft.toml' --set 'run.out=it'\''s here' --set seed=3 --device cuda:1 --ranks 2 --rank-timeout 60 --resume";
        assert_eq!(command, expected);
    }
}

//! The loop: answers of the policy → comparisons of them → a policy that has learned from those → the next round.
//!
//! A round's folder has `sample-1`, `sample-2`, … (runs of `candor sample`), `labels` and `labels.json`, and `dpo` (a run of
//! `candor dpo`). What is finished is known by its last file and never done again.
//!
//! Several ranks share each stage as they share it alone. The first decides what is done and what is next, and the others hear it
//! from it; so whatever they read next of the folder, which all of them must see, it has written by then.

mod comparing;
mod trained_on;

use std::fs;
use std::path::{Path, PathBuf};

use candor_data::formats::{images, llava};
use candor_dpo::DpoError;
use candor_run::{Claim, LaunchOptions, Outcome, RunError, RunOptions, write_result};
use candor_train::check_lanes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tch::Device;

use self::trained_on::TrainedOn;
use crate::label::Labels;
use crate::recipe::RoundsRecipe;
use crate::round::Round;
use crate::{RoundsError, inputs, label};

/// One line of `metrics.jsonl`; `docs/metrics.md` defines each field.
#[derive(Debug, Serialize)]
pub struct RoundMetrics {
    /// The round, from 1.
    pub step: u64,
    /// Prompts that were answered.
    pub n_prompts: usize,
    /// Mean tokens of an answer, its end token not counted.
    pub mean_response_tokens: f64,
    /// What came of comparing the answers.
    #[serde(flatten)]
    pub labels: Labels,
    /// Share of the held-out comparisons that the policy orders right after the round.
    pub held_out_accuracy: Option<f64>,
    /// Mean difference of their rewards.
    pub held_out_margin: Option<f64>,
    /// How many of them show an image that an earlier round was trained on, where that is known.
    pub n_held_out_seen: Option<usize>,
}

/// `result.json`.
#[derive(Debug, Serialize)]
struct RoundsResult<'a> {
    /// Rounds that are done.
    n_rounds: u64,
    /// The folder of the last policy, an adapter or a whole model, from that of the rounds.
    policy: &'a Path,
    /// The figures of the last round.
    #[serde(flatten)]
    last: &'a RoundMetrics,
}

/// What `candor sample` counted.
#[derive(Debug, Deserialize)]
struct SampleCounts {
    n_prompts: usize,
    mean_response_tokens: f64,
}

/// What `candor dpo` measured on what is held out.
#[derive(Debug, Deserialize)]
struct HeldOut {
    accuracy: Option<f64>,
    margin: Option<f64>,
}

/// Runs the rounds that are not finished and writes `<out>/result.json`.
///
/// # Errors
/// A stage fails, people have yet to compare answers, or the folder cannot be used; or another rank has ended or hangs.
pub fn run(
    recipe: &RoundsRecipe,
    launch: &LaunchOptions,
    device: Device,
) -> Result<Outcome, RoundsError> {
    let ranks = &launch.ranks;
    check_lanes(ranks, recipe.dpo.session.lanes).map_err(DpoError::from)?;
    let asked = vec![("--resume".to_owned(), launch.resume.to_string())];
    ranks.check_same_start(&recipe.resolved.to_text(), asked)?;
    let mut taken = None;
    ranks.made_by_first(|| {
        taken = Some(claim(recipe, launch)?);
        Ok::<_, RoundsError>(())
    })?;
    check_prompts(recipe)?;
    // Who compares is asked by the first rank alone.
    ranks.made_by_first(|| label::check(recipe, launch.resume))?;
    inputs::check(recipe, launch.resume, ranks)?;
    let mut folder = None;
    ranks.made_by_first(|| {
        let learned = (1..=recipe.n_rounds).map(|number| Round::new(recipe, number).learned());
        let n_done = learned.take_while(|run| is_finished(run)).count();
        let opened = taken.map(|claim| claim.open_after(n_done as u64));
        folder = opened.transpose()?.map(|opened| opened.folder);
        Ok::<_, RoundsError>(())
    })?;
    let mut last = None;
    let mut trained_on = TrainedOn::nothing();
    for number in 1..=recipe.n_rounds {
        let round = Round::new(recipe, number);
        let Some(metrics) = one(recipe, round, &mut trained_on, launch, device)? else {
            say(launch, || {
                format!("stopped; continue with: {}", launch.resume_command)
            });
            return Ok(Outcome::Stopped);
        };
        if let Some(folder) = &mut folder {
            folder.log(metrics.step, &metrics)?;
        }
        last = Some((round, metrics));
    }
    if let (Some((round, metrics)), true) = (last, ranks.is_first()) {
        let policy = round.policy();
        say(launch, || format!("the policy is in {}", policy.display()));
        let policy = policy.strip_prefix(&recipe.out).unwrap_or(&policy);
        let result = RoundsResult {
            n_rounds: recipe.n_rounds,
            policy,
            last: &metrics,
        };
        write_result(&recipe.out, &result)?;
    }
    Ok(Outcome::Finished)
}

/// Says what goes on, once for all ranks.
fn say(launch: &LaunchOptions, what: impl FnOnce() -> String) {
    if launch.ranks.is_first() {
        tracing::info!("rounds: {}", what());
    }
}

/// Takes the folder of the rounds. One in which a stage has begun is gone on with by a resume alone.
fn claim(recipe: &RoundsRecipe, launch: &LaunchOptions) -> Result<Claim, RoundsError> {
    let resolved = recipe.resolved.to_text();
    let options = RunOptions {
        dir: &recipe.out,
        stage: "rounds",
        resolved: &resolved,
        // There are none; the stages have their own.
        n_keep_checkpoints: 1,
        resume_command: &launch.resume_command,
        may_change: &recipe.may_change(),
    };
    if launch.resume {
        return Ok(Claim::resume(&options)?);
    }
    if began(&Round::new(recipe, 1).sampling(1)?.out) {
        return Err(RoundsError::Run(RunError::RunExists {
            dir: recipe.out.clone(),
            resume_command: launch.resume_command.clone(),
        }));
    }
    Ok(Claim::start(&options)?)
}

/// Whether a stage has begun in a folder.
fn began(stage: &Path) -> bool {
    stage.join("resolved.toml").exists()
}

/// Whether a stage is finished: `result.json` is the last that it writes.
fn is_finished(stage: &Path) -> bool {
    stage.join("result.json").exists()
}

/// [`is_finished`] as the first rank finds it, for all of them.
fn is_done(stage: &Path, launch: &LaunchOptions) -> Result<bool, RoundsError> {
    (launch.ranks).made_by_first(|| Ok(is_finished(stage)))
}

/// Whether there are prompts for all rounds, before the first of them.
///
/// # Errors
/// There are too few, or their file cannot be read.
pub fn check_prompts(recipe: &RoundsRecipe) -> Result<(), RoundsError> {
    let Some(n) = recipe.n_prompts else {
        return Ok(());
    };
    let sample = &recipe.sample;
    let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
    let mut left = 0_usize;
    llava::each_of_set(&sample.prompts, &mut named, |_| {
        left += 1;
        Ok(())
    })?;
    let left = left.saturating_sub(sample.skip);
    let left = sample.count.map_or(left, |count| left.min(count));
    let rounds = usize::try_from(recipe.n_rounds).unwrap_or(usize::MAX);
    let wanted = n.saturating_mul(rounds);
    if wanted <= left {
        return Ok(());
    }
    Err(RoundsError::Unfit {
        path: sample.prompts.clone(),
        problem: format!(
            "{rounds} rounds of rounds.prompts = {n} ask {wanted} prompts, and there are {left}"
        ),
        remedy: "lower one of them, or leave rounds.prompts out to ask all prompts in every round"
            .to_owned(),
    })
}

/// A round, or the rest of it; none if it was stopped.
fn one(
    recipe: &RoundsRecipe,
    round: Round<'_>,
    trained_on: &mut TrainedOn,
    launch: &LaunchOptions,
    device: Device,
) -> Result<Option<RoundMetrics>, RoundsError> {
    let (number, n_rounds) = (round.number(), recipe.n_rounds);
    if !is_done(&round.learned(), launch)? {
        say(launch, || format!("round {number} of {n_rounds}"));
    }
    let Some(sampled) = sample(recipe, round, launch, device)? else {
        return Ok(None);
    };
    let Some(labels) = comparing::compared(recipe, round, &sampled, launch, device)? else {
        return Ok(None);
    };
    if !learn(round, launch, device)? {
        return Ok(None);
    }
    // The first rank writes last what is read here.
    launch.ranks.meet()?;
    let counts = sampled
        .iter()
        .map(|run| read::<SampleCounts>(&run.join("result.json")));
    let counts = counts.collect::<Result<Vec<_>, _>>()?;
    let held_out: HeldOut = read(&round.learned().join("result.json"))?;
    let n_held_out_seen = trained_on.count(round)?;
    if let Some(n @ 1..) = n_held_out_seen {
        say(launch, || {
            format!(
                "round {number} holds out {n} comparisons about images that an earlier round was trained on, so that its held-out \
                 figures say too much; raise data.n_validation, or ask each image in one round (rounds.prompts)"
            )
        });
    }
    let tokens: f64 = counts.iter().map(|run| run.mean_response_tokens).sum();
    Ok(Some(RoundMetrics {
        step: number,
        n_prompts: counts.iter().map(|run| run.n_prompts).max().unwrap_or(0),
        // Each run answers the same prompts twice.
        mean_response_tokens: tokens / counts.len().max(1) as f64,
        labels,
        held_out_accuracy: held_out.accuracy,
        held_out_margin: held_out.margin,
        n_held_out_seen,
    }))
}

/// How a stage of a round is started: gone on with where it has begun, and of one that begins with the weights of another run,
/// where it has noted which these were.
fn stage(
    launch: &LaunchOptions,
    out: &Path,
    init_from: Option<PathBuf>,
) -> Result<LaunchOptions, RoundsError> {
    let resume = launch.ranks.made_by_first(|| {
        let noted = init_from.is_none() || out.join("init_from.json").exists();
        Ok::<_, RoundsError>(began(out) && noted)
    })?;
    Ok(LaunchOptions {
        resume,
        init_from: init_from.filter(|_| !resume),
        ..launch.clone()
    })
}

/// The folders of sampled answers; none if it was stopped.
fn sample(
    recipe: &RoundsRecipe,
    round: Round<'_>,
    launch: &LaunchOptions,
    device: Device,
) -> Result<Option<Vec<PathBuf>>, RoundsError> {
    let mut folders = Vec::new();
    for file in 1..=recipe.n_answers / 2 {
        let sampling = round.sampling(file)?;
        if !is_done(&sampling.out, launch)? {
            if launch.ranks.should_stop(&launch.stop)? {
                return Ok(None);
            }
            let launch = stage(launch, &sampling.out, None)?;
            if candor_sample::run(&sampling, &launch, device)? == Outcome::Stopped {
                return Ok(None);
            }
        }
        folders.push(sampling.out);
    }
    Ok(Some(folders))
}

/// Learns from the comparisons; `false` if it was stopped.
fn learn(round: Round<'_>, launch: &LaunchOptions, device: Device) -> Result<bool, RoundsError> {
    if is_done(&round.learned(), launch)? {
        return Ok(true);
    }
    if launch.ranks.should_stop(&launch.stop)? {
        return Ok(false);
    }
    let (recipe, init_from) = round.learning()?;
    let launch = stage(launch, &recipe.session.out, init_from)?;
    Ok(candor_dpo::run(&recipe, &launch, device)? == Outcome::Finished)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, RoundsError> {
    let text = fs::read_to_string(path).map_err(|source| RunError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &serde_json::Error) -> RoundsError {
    RoundsError::Unfit {
        path: path.to_owned(),
        problem: format!("damaged: {error}"),
        remedy: "delete the folder of this round and of those after it, and resume".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use candor_testing::metrics::undocumented;

    use super::*;

    #[test]
    fn every_metric_is_documented() {
        let metrics = RoundMetrics {
            step: 1,
            n_prompts: 2,
            mean_response_tokens: 4.0,
            labels: Labels {
                n_cut: 3,
                n_preferences: 5,
                score_mean: None,
                best_score_mean: None,
            },
            held_out_accuracy: None,
            held_out_margin: None,
            n_held_out_seen: None,
        };
        let page = include_str!("../../../docs/metrics.md");
        let missing = undocumented(page, "rounds", &metrics);
        assert!(missing.is_empty(), "{missing:?}");
    }
}

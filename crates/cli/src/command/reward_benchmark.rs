//! `candor eval reward`.

use candor_reward::{PairAccuracy, PairBenchmark, RewardModel, pair_benchmark};

use super::device::device;
use super::precision::precision;
use crate::arguments::RewardBenchmarkArguments;

/// Measures a reward model and prints what is found.
pub fn run(arguments: &RewardBenchmarkArguments) -> anyhow::Result<()> {
    let base = RewardModel::base_path(&arguments.reward)?;
    let plan = PairBenchmark {
        base_precision: precision(arguments.precision, &base)?,
        reward: arguments.reward.clone(),
        files: arguments.files.clone(),
        images: arguments.images.clone(),
        facts: arguments.facts.clone(),
        out: arguments.out.clone(),
        pass_rows: usize::from(arguments.pass_rows),
        seed: arguments.seed,
    };
    let said = |done, n| eprintln!("reward: {done} of {n} pairs");
    let result = pair_benchmark(&plan, device(arguments.device)?, said)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&result)?);
        return Ok(());
    }
    for (group, found) in &result.groups {
        println!("{}", told(group, found));
    }
    println!("{}", told("all", &result.all));
    println!(
        "mean over groups {:.3}; expected calibration error {:.3}; {} equal pairs left out",
        result.macro_accuracy, result.ece, result.n_identical
    );
    let length = &result.length;
    if let (Some(model), Some(people)) = (length.model_prefers_longer, length.people_prefer_longer)
    {
        println!(
            "the longer answer is preferred by the model in {model:.3} of pairs, by people in {people:.3}"
        );
    }
    Ok(())
}

fn told(name: &str, found: &PairAccuracy) -> String {
    let interval = found
        .ci95
        .map(|[low, high]| format!(" [{low:.3}, {high:.3}]"));
    format!(
        "{name}: {:.3}{} of {} pairs",
        found.accuracy,
        interval.unwrap_or_default(),
        found.n_pairs
    )
}

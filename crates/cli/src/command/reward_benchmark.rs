//! `candor eval reward`.

use std::path::Path;

use candor_data::rows::OnBadRow;
use candor_report::{About, write_reward};
use candor_reward::{PairAccuracy, PairBenchmark, RewardModel, pair_benchmark};

use super::device::device;
use super::precision::{precision, word as precision_word};
use super::stage::quoted;
use crate::arguments::RewardBenchmarkArguments;

/// Measures a reward model, writes a page of what is found, and prints it.
pub fn run(arguments: &RewardBenchmarkArguments) -> anyhow::Result<()> {
    let base = RewardModel::base_path(&arguments.reward)?;
    let plan = PairBenchmark {
        base_precision: precision(arguments.scoring.precision, &base)?,
        reward: arguments.reward.clone(),
        files: arguments.files.clone(),
        images: arguments.images.clone(),
        facts: arguments.facts.clone(),
        on_bad_row: arguments.on_bad_row.into(),
        out: arguments.out.clone(),
        pass_rows: usize::from(arguments.scoring.pass_rows),
        seed: arguments.seed,
    };
    let said = |done, n| eprintln!("reward: {done} of {n} pairs");
    let result = pair_benchmark(&plan, device(arguments.scoring.device)?, said)?;
    let page = write_reward(&plan.out, &about(&plan))?;
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
    if let Some(skipped) = result.skipped.filter(|skipped| skipped.n_skipped > 0) {
        println!(
            "{} rows left out that cannot be scored: {} (skipped.jsonl)",
            skipped.n_skipped,
            skipped.summary()
        );
    }
    let length = &result.length;
    if let (Some(model), Some(people)) = (length.model_prefers_longer, length.people_prefer_longer)
    {
        println!(
            "the longer answer is preferred by the model in {model:.3} of pairs, by people in {people:.3}"
        );
    }
    println!("page: {}", page.display());
    Ok(())
}

/// Which program measured it, and the command that measures the same, without what changes no number.
fn about(plan: &PairBenchmark) -> About {
    let path = |path: &Path| quoted(&path.display().to_string());
    let mut words = vec![format!("candor eval reward {}", path(&plan.reward))];
    words.extend(plan.files.iter().map(|file| path(file)));
    words.push(format!("--images {}", path(&plan.images)));
    words.extend(
        plan.facts
            .iter()
            .map(|facts| format!("--facts {}", path(facts))),
    );
    if plan.on_bad_row == OnBadRow::Skip {
        words.push("--on-bad-row skip".to_owned());
    }
    words.push(format!(
        "--precision {} --pass-rows {}",
        precision_word(plan.base_precision),
        plan.pass_rows
    ));
    words.push(format!("--out {} --seed {}", path(&plan.out), plan.seed));
    About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: words.join(" "),
    }
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use candor_train::BasePrecision;

    use super::*;

    #[test]
    fn the_command_says_all_that_changes_a_number() {
        let plan = PairBenchmark {
            reward: PathBuf::from("runs/reward"),
            base_precision: BasePrecision::Nf4,
            files: vec![PathBuf::from("a.json"), PathBuf::from("b c.json")],
            images: PathBuf::from("images"),
            facts: None,
            on_bad_row: OnBadRow::Skip,
            out: PathBuf::from("measured"),
            pass_rows: 4,
            seed: 7,
        };
        let expected = "candor eval reward runs/reward a.json 'b c.json' --images images --on-bad-row skip \
                        --precision nf4 --pass-rows 4 --out measured --seed 7";
        assert_eq!(about(&plan).command, expected);
    }
}

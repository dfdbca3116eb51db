//! What fits one card: the recipes of the Qwen-VLs, and what their heads and docs/checkpoints.md say of it.

use std::path::{Path, PathBuf};

use candor_plan::Planner;

use crate::{plan, recipes, root};

const NF4: &str = "model.base_precision=\"nf4\"";
const FEWER: &str = "sampling.batch_rows=8";

/// What a plan takes in all, in bytes.
fn total(planner: &mut Planner, recipe: &Path, sets: &[&str]) -> u64 {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let memory = plan(planner, recipe, &sets).memory;
    let memory = memory.unwrap_or_else(|| panic!("{}: no memory", recipe.display()));
    memory.total_bytes()
}

fn gigabytes(bytes: u64) -> u64 {
    (bytes as f64 / 1e9).round() as u64
}

/// The whole number that stands between two parts of a recipe's head.
fn said(recipe: &Path, before: &str, after: &str) -> Option<u64> {
    let text = std::fs::read_to_string(recipe).unwrap();
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    let lines: Vec<&str> = lines
        .map(|line| line.trim_start_matches('#').trim())
        .collect();
    let head = lines.join(" ");
    let (_, rest) = head.split_once(before)?;
    rest.split_once(after)?.0.parse().ok()
}

/// All stages of a model with these overrides, those of `rl` with `more` as well: what each takes.
fn stages(name: &str, sets: &[&str], more: &[&str]) -> Vec<(PathBuf, u64)> {
    let mut planner = Planner::default();
    let mut found = Vec::new();
    for recipe in recipes(&root().join("recipes").join(name)) {
        let is_rl = ["5-ppo.toml", "5-grpo.toml"]
            .iter()
            .any(|rl| recipe.ends_with(rl));
        let more = if is_rl { more } else { &[] };
        let bytes = total(&mut planner, &recipe, &[sets, more].concat());
        found.push((recipe, bytes));
    }
    found
}

/// As docs/checkpoints.md has it: gigabytes of the largest stage, in bf16, and packed with fewer answers written together.
#[test]
fn every_stage_of_a_qwen_vl_fits_one_card() {
    let models: [(&str, [u64; 2]); 4] = [
        ("qwen2.5-vl-3b", [20, 16]),
        ("qwen2.5-vl-7b", [36, 22]),
        ("qwen3-vl-4b", [27, 17]),
        ("qwen3-vl-8b", [39, 23]),
    ];
    let cards: [(&[&str], &[&str], u64); 2] = [
        (&[], &[], 80_000_000_000),
        (&[NF4], &[FEWER], 24_000_000_000),
    ];
    for (name, expected) in models {
        for ((sets, more, card), expected) in cards.iter().zip(expected) {
            let all = stages(name, sets, more);
            // Sampling, reward model, policy, PPO, evaluation, DPO and GRPO.
            assert_eq!(all.len(), 7, "{name}");
            let (recipe, bytes) = all.iter().max_by_key(|(_, bytes)| *bytes).unwrap();
            let stage = recipe.display();
            assert!(bytes < card, "{stage}: {bytes}");
            assert_eq!(gigabytes(*bytes), expected, "{name} {sets:?}: {stage}");
        }
    }
}

/// A head that says what a stage needs says what `candor recipe check` says.
#[test]
fn heads_say_what_the_plan_says() {
    let nf4 = "model.base_precision = \"nf4\" ";
    let with_fewer = "with sampling.batch_rows = 8 as well ";
    let said_with: [(&[&str], &[&str], &str, &str); 3] = [
        (&[], &[], "Hardware: ", " GB in bf16"),
        (&[NF4], &[], nf4, " GB"),
        (&[NF4], &[FEWER], with_fewer, " GB"),
    ];
    for name in [
        "qwen2.5-vl-3b",
        "qwen2.5-vl-7b",
        "qwen3-vl-4b",
        "qwen3-vl-8b",
    ] {
        let mut n_checked = 0;
        for (sets, more, before, after) in said_with {
            for (recipe, bytes) in stages(name, sets, more) {
                if let Some(said) = said(&recipe, before, after) {
                    assert_eq!(gigabytes(bytes), said, "{}: {sets:?}", recipe.display());
                    n_checked += 1;
                }
            }
        }
        // Every stage in bf16, and four at least packed.
        assert!(n_checked >= 11, "{name}: {n_checked}");
    }
}

//! What fits one card: the recipes of the Qwen-VLs, and what their heads and docs/checkpoints.md say of it; and what heads of LLaVA's say.

use std::path::{Path, PathBuf};

use candor_plan::Planner;

use crate::{chain, plan, recipes, root};

const NF4: &str = "model.base_precision=\"nf4\"";
const FEWER: &str = "sampling.batch_rows=8";
/// What stands in a head before a number, and after it.
type Around = (&'static str, &'static str);
/// Around the gigabytes in bf16.
const IN_BF16: Around = ("Hardware: ", " GB in bf16");
/// Around those of a packed base.
const IN_NF4: Around = ("model.base_precision = \"nf4\" ", " GB");
/// The models, and how many of their seven recipes say at their head what they take packed, and that with fewer answers.
const MODELS: [(&str, [usize; 2]); 4] = [
    ("qwen2.5-vl-3b", [7, 0]),
    ("qwen2.5-vl-7b", [4, 2]),
    ("qwen3-vl-4b", [7, 0]),
    ("qwen3-vl-8b", [7, 2]),
];

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
fn said(recipe: &Path, (before, after): Around) -> Option<u64> {
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

/// The table of docs/checkpoints.md: folders of recipes, with the gigabytes of the largest stage in bf16, and packed with fewer
/// answers written together.
fn table() -> Vec<(String, [u64; 2])> {
    let page = std::fs::read_to_string(root().join("docs/checkpoints.md")).unwrap();
    let (_, rest) = page.split_once("**One card.**").unwrap();
    let lines = rest.lines().skip_while(|line| !line.starts_with('|'));
    // Below what the columns are called.
    let lines = lines.take_while(|line| line.starts_with('|')).skip(2);
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [model, whole, packed] = cells[..] else {
            panic!("{line}");
        };
        let number = |cell: &str| -> u64 { cell.strip_suffix(" GB").unwrap().parse().unwrap() };
        (model.to_lowercase(), [whole, packed].map(number))
    };
    lines.map(row).collect()
}

#[test]
fn every_stage_of_a_qwen_vl_fits_one_card() {
    let models = table();
    let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, MODELS.map(|(name, _)| name));
    let cards: [(&[&str], &[&str], u64); 2] = [
        (&[], &[], 80_000_000_000),
        (&[NF4], &[FEWER], 24_000_000_000),
    ];
    let mut wrong = Vec::new();
    for (name, expected) in models {
        for ((sets, more, card), expected) in cards.iter().zip(expected) {
            let all = stages(&name, sets, more);
            // Sampling, reward model, policy, PPO, evaluation, DPO and GRPO.
            assert_eq!(all.len(), 7, "{name}");
            let (recipe, bytes) = all.iter().max_by_key(|(_, bytes)| *bytes).unwrap();
            let stage = recipe.display();
            assert!(bytes < card, "{stage}: {bytes}");
            let found = gigabytes(*bytes);
            if found != expected {
                wrong.push(format!(
                    "{name} {sets:?}: {expected}, not {found} ({stage})"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A head that says what a stage needs says what `candor recipe check` says.
#[test]
fn heads_say_what_the_plan_says() {
    let with_fewer = ("with sampling.batch_rows = 8 as well ", " GB");
    let said_with: [(&[&str], &[&str], Around); 3] = [
        (&[], &[], IN_BF16),
        (&[NF4], &[], IN_NF4),
        (&[NF4], &[FEWER], with_fewer),
    ];
    let mut wrong = Vec::new();
    for (name, of_packed) in MODELS {
        let mut n_checked = [0; 3];
        for (n, (sets, more, around)) in n_checked.iter_mut().zip(said_with) {
            for (recipe, bytes) in stages(name, sets, more) {
                if let Some(said) = said(&recipe, around) {
                    let found = gigabytes(bytes);
                    if found != said {
                        wrong.push(format!(
                            "{} {:?}: {said}, not {found}",
                            recipe.display(),
                            around.0
                        ));
                    }
                    *n += 1;
                }
            }
        }
        // Every stage in bf16.
        assert_eq!(n_checked, [7, of_packed[0], of_packed[1]], "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// By hand, in bf16: 7,062,575,104 weights of two bytes; an adapter of 639,631,360 bytes, thrice that for its gradient and moments, and the
/// best one of a reward model beside it; 640,000 bytes for each token of a pass, 16,384 for each that is copied, in `dpo` 512,000 for
/// each that is no image's; 0.5 GB. That is 20.55, 21.87 and 19.17 GB.
#[test]
fn heads_of_a_llava_say_what_the_plan_says() {
    let mut planner = Planner::default();
    // Makes the model that all three start from.
    chain(&mut planner, "llava-7b-224");
    for (name, expected) in [
        ("3-reward.toml", [Some(21), Some(11)]),
        ("dpo/4-dpo.toml", [Some(22), Some(12)]),
        ("segments/3-reward.toml", [Some(19), None]),
    ] {
        let recipe = root().join("recipes/llava-7b-224").join(name);
        let heads = [IN_BF16, IN_NF4].map(|around| said(&recipe, around));
        assert_eq!(heads, expected, "{name}: its head");
        let sets: [&[&str]; 2] = [&[], &[NF4]];
        for (sets, said) in sets.into_iter().zip(expected) {
            let found = gigabytes(total(&mut planner, &recipe, sets));
            assert!(
                said.is_none_or(|said| said == found),
                "{name} {sets:?}: {found}"
            );
        }
    }
}

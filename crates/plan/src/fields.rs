//! The fields of every stage's recipe, from the code that reads them: `candor recipe fields`, docs/recipe-fields.md.

use std::fmt::Write as _;

use candor_dpo::DpoRecipe;
use candor_eval::EvalRecipe;
use candor_recipe::{FieldDoc, Reader, survey};
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_rounds::read_own;
use candor_sample::SampleRecipe;
use candor_sft::{GroundRecipe, SftRecipe};

/// A stage and what its recipe is read by.
type Stage = (&'static str, &'static str, fn(Reader));

const READERS: [Stage; 8] = [
    ("ground", "A fresh tower learns to see.", |reader| {
        drop(GroundRecipe::read(reader));
    }),
    (
        "sft",
        "Supervised fine-tuning, pretraining of the projector included.",
        |reader| drop(SftRecipe::read(reader)),
    ),
    ("sample", "Two answers to every prompt.", |reader| {
        drop(SampleRecipe::read(reader));
    }),
    ("reward", "A reward model from comparisons.", |reader| {
        drop(RewardRecipe::read(reader));
    }),
    (
        "dpo",
        "A policy from comparisons, without a reward model.",
        |reader| {
            drop(DpoRecipe::read(reader));
        },
    ),
    (
        "rounds",
        "Sampling, comparing and learning in turns. The other fields of its recipe are those of `sample` and of `dpo`, without \
         `data.preferences` and `data.rated`.",
        |mut reader| drop(read_own(&mut reader)),
    ),
    (
        "rl",
        "PPO, GRPO and their relatives against a reward model.",
        |reader| {
            drop(RlRecipe::read(reader));
        },
    ),
    ("eval", "Benchmarks.", |reader| {
        drop(EvalRecipe::read(reader));
    }),
];

/// The stages that have recipes, in the order of the pipeline.
pub const STAGES: [&str; 8] = {
    let mut names = [""; 8];
    let mut i = 0;
    while i < names.len() {
        names[i] = READERS[i].0;
        i += 1;
    }
    names
};

const HEAD: &str = "# Every field of every recipe

Made by `candor recipe fields` from the code that reads recipes. A dotted key is a key of a table: `optimizer.eps` is `eps`
in `[optimizer]`, and `data.sources[].name` is `name` in every `[[data.sources]]`. There are no other keys, and none has
a hidden default. Any recipe may begin with `extends = \"FILE\"`, or a list of files: it is then put over them, table by
table; their paths are relative to its folder, all other paths to the folder that candor is started in. `--set KEY=VALUE`
replaces a value of any of them.
";

/// The reference of one stage, or of all with the head of the page.
#[must_use]
pub fn recipe_fields(stage: Option<&str>) -> String {
    let mut page = String::new();
    if stage.is_none() {
        page += HEAD;
    }
    for (name, what, read) in READERS {
        if stage.is_some_and(|stage| stage != name) {
            continue;
        }
        let fields: Vec<FieldDoc> = survey(read);
        let gap = if page.is_empty() { "" } else { "\n" };
        let _ = writeln!(page, "{gap}## {name}\n\n{what}\n");
        for field in fields {
            let _ = writeln!(page, "{field}");
        }
    }
    page
}

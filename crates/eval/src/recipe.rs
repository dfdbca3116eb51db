//! The recipe of an evaluation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_judge::Benchmark;
use candor_recipe::{Reader, Resolved};
use candor_train::stage_fields::{IMAGES, MODEL, OUT, ROOT, read_pixels};
use candor_train::{BasePrecision, DeviceChoice};

use crate::EvalError;
use crate::layout::benchmarks;

/// Everything an evaluation needs to know.
#[derive(Debug, Clone)]
pub struct EvalRecipe {
    /// Decides the resamples of the intervals; answers are greedy and have no randomness.
    pub seed: u64,
    /// Folder that answers, verdicts and results are written to.
    pub out: PathBuf,
    /// What the model runs on.
    pub device: DeviceChoice,
    /// Model folder.
    pub model: PathBuf,
    /// What the model is held in.
    pub base_precision: BasePrecision,
    /// Bounds of images.
    pub pixels: PixelBounds,
    /// Folder of a LoRA adapter on it, if there is one.
    pub adapter: Option<PathBuf>,
    /// Data folder, as `candor world write` lays it out.
    pub data: PathBuf,
    /// Image folder.
    pub images: PathBuf,
    /// What is run.
    pub benchmarks: BTreeSet<Benchmark>,
    /// Sequences that are decoded together.
    pub batch_rows: usize,
    /// Longest answer, its end token included.
    pub max_new_tokens: usize,
    /// Instruction on a line of its own after every POPE question; may be empty.
    pub pope_suffix: String,
    /// The files of POPE's questions, with `{split}` for the split's name.
    pub pope_questions: PathBuf,
    /// What CHAIR's descriptions are asked for with.
    pub chair_question: String,
    /// The recipe as it is run.
    pub resolved: Resolved,
}

/// What stands for the name of a split.
const SPLIT: &str = "{split}";
/// Where the micro-world writes them.
const POPE_QUESTIONS: &str = "eval/pope_{split}.jsonl";

impl EvalRecipe {
    /// The file of one of POPE's splits.
    #[must_use]
    pub fn pope_file(&self, split: &str) -> PathBuf {
        let pattern = self.pope_questions.to_string_lossy();
        PathBuf::from(pattern.replace(SPLIT, split))
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, EvalError> {
        Self::read(Reader::open(path, sets)?)
    }

    /// Reads a recipe that is already in memory.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn read(mut recipe: Reader) -> Result<Self, EvalError> {
        let seed = recipe
            .u64(
                "seed",
                "Decides the resamples of the intervals; answers are greedy.",
            )
            .required();
        let out = recipe.path("run.out", OUT).required();
        let device = DeviceChoice::read(&mut recipe);
        let model = recipe.path("model.base", MODEL).required();
        let base_precision = BasePrecision::read(&mut recipe);
        let pixels = read_pixels(&mut recipe);
        let adapter = recipe
            .path("model.adapter", "Folder of a LoRA adapter on the base.")
            .optional();
        let data = recipe.path("data.root", ROOT).required();
        let images = data.join(recipe.path("data.images", IMAGES).required());
        let benchmarks = read_benchmarks(&mut recipe);
        let batch_rows = recipe
            .usize("answers.batch_rows", "Answers that are written together: changes memory, speed, and the last bits of logits.")
            .within(1..=4096)
            .required();
        let max_new_tokens = recipe
            .usize(
                "answers.max_new_tokens",
                "Tokens of an answer at most, its end included.",
            )
            .within(1..=1 << 20)
            .required();
        let pope_suffix = recipe.string("pope.suffix", "What is asked for on a line of its own after every question of POPE; may be empty.").required();
        let pope_questions = recipe
            .string("pope.questions", "The files of POPE's questions, `{split}` standing for random, popular and adversarial.")
            .check(|pattern| {
                let remedy = "write a pattern such as \"coco_pope_{split}.jsonl\", the slot in the file's name";
                let name = pattern.rsplit('/').next().unwrap_or_default();
                let has_slot = [pattern.as_str(), name].map(|text| text.matches(SPLIT).count()) == [1, 1];
                has_slot
                    .then_some(())
                    .ok_or_else(|| (format!("found {pattern:?}"), remedy.to_owned()))
            })
            .or(POPE_QUESTIONS.to_owned(), &format!("{POPE_QUESTIONS:?}"));
        let chair_question = recipe
            .string(
                "chair.question",
                "What the descriptions that CHAIR counts are asked for with.",
            )
            .check(|question| {
                let asked = !question.trim().is_empty();
                let remedy = "write what a description is asked for with";
                asked
                    .then_some(())
                    .ok_or_else(|| ("empty".to_owned(), remedy.to_owned()))
            })
            .required();
        let resolved = recipe.finish()?;
        Ok(Self {
            seed,
            out,
            device,
            model,
            base_precision,
            pixels,
            adapter,
            images,
            benchmarks,
            batch_rows,
            max_new_tokens,
            pope_suffix,
            pope_questions: data.join(pope_questions),
            data,
            chair_question,
            resolved,
        })
    }
}

fn read_benchmarks(recipe: &mut Reader) -> BTreeSet<Benchmark> {
    let key = "run.benchmarks";
    let known = || -> Vec<&str> { benchmarks().map(Benchmark::key).collect() };
    let names = recipe
        .strings(key, "Some of `mmhal`, `pope`, `chair` and `llava_bench`; all but `pope` need the micro-world's scenes, whose judge is exact (`candor eval run` asks the public ones).")
        .check(|names| {
            let remedy = || format!("name some of {}", known().join(", "));
            if names.is_empty() {
                return Err(("no benchmark is named".to_owned(), remedy()));
            }
            let unknown = names.iter().find(|name| !known().contains(&name.as_str()));
            unknown.map_or(Ok(()), |name| {
                Err((format!("there is no benchmark {name:?}"), remedy()))
            })
        })
        .required();
    benchmarks()
        .filter(|benchmark| names.iter().any(|name| name == benchmark.key()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../../recipes/demo/6-eval.toml");

    #[test]
    fn the_demo_recipe_is_complete() {
        let recipe = EvalRecipe::read(Reader::parse("6-eval.toml", DEMO, &[])).unwrap();
        assert_eq!(recipe.benchmarks.len(), 4);
        assert_eq!(recipe.adapter, None);
        assert_eq!(recipe.images, recipe.data.join("images"));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let sets = [
            "run.benchmarks=[\"pope\", \"mmbench\"]",
            "answers.batch_rows=0",
            "chair.question=\"  \"",
            "typo=1",
        ];
        let sets = sets.map(str::to_owned);
        let error = EvalRecipe::read(Reader::parse("6-eval.toml", DEMO, &sets)).unwrap_err();
        let message = error.to_string();
        for part in [
            "mmbench",
            "mmhal, pope, llava_bench, chair",
            "batch_rows",
            "empty",
            "typo",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(message.contains("4 mistakes"), "{message}");
    }
}

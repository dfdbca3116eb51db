//! The recipe of a sampling run.

use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_data::rows::OnBadRow;
use candor_recipe::{Reader, Resolved};
use candor_train::stage_fields::{IMAGES, MODEL, OUT, ROOT, read_pixels};
use candor_train::{BasePrecision, DeviceChoice, on_bad_row};

use crate::SampleError;

/// Everything a sampling run needs to know.
#[derive(Debug, Clone)]
pub struct SampleRecipe {
    /// Decides every draw.
    pub seed: u64,
    /// The run folder.
    pub out: PathBuf,
    /// What the model runs on.
    pub device: DeviceChoice,
    /// Prompts that are answered and kept at a time: what a kill can cost, and what batches are made of.
    pub chunk: usize,
    /// Model folder.
    pub base: PathBuf,
    /// What the model is held in.
    pub base_precision: BasePrecision,
    /// Bounds of images.
    pub pixels: PixelBounds,
    /// Folder of a LoRA adapter on it, if there is one.
    pub adapter: Option<PathBuf>,
    /// Image folder.
    pub images: PathBuf,
    /// LLaVA conversations whose last answer is sampled anew.
    pub prompts: PathBuf,
    /// What follows from a prompt that cannot be answered.
    pub on_bad_row: OnBadRow,
    /// How many of the file's prompts stand before the first that is asked.
    pub skip: usize,
    /// How many are asked from there on; all if absent.
    pub count: Option<usize>,
    /// Logits are divided by it.
    pub temperature: f64,
    /// Only the smallest set of tokens with at least this probability is sampled from; 1 is all.
    pub top_p: f64,
    /// Longest answer, its end token included.
    pub max_new_tokens: usize,
    /// Sequences that are decoded together.
    pub batch_rows: usize,
    /// The recipe as it is run.
    pub resolved: Resolved,
}

impl SampleRecipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, SampleError> {
        Self::read(Reader::open(path, sets)?)
    }

    /// Reads a recipe that is already in memory.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn read(mut recipe: Reader) -> Result<Self, SampleError> {
        let seed = recipe
            .u64(
                "seed",
                "Decides every draw, together with the index of the prompt.",
            )
            .required();
        let out = recipe.path("run.out", OUT).required();
        let device = DeviceChoice::read(&mut recipe);
        let chunk = recipe
            .usize(
                "run.chunk",
                "Prompts that are answered and kept at a time: what an interruption can cost.",
            )
            .positive()
            .required();
        let base = recipe.path("model.base", MODEL).required();
        let base_precision = BasePrecision::read(&mut recipe);
        let pixels = read_pixels(&mut recipe);
        let adapter = recipe
            .path("model.adapter", "Folder of a LoRA adapter on the base.")
            .optional();
        let root = recipe.path("data.root", ROOT).required();
        let images = root.join(recipe.path("data.images", IMAGES).required());
        let prompts = root.join(
            recipe
                .path(
                    "data.prompts",
                    "LLaVA conversations, in a file or in a folder with the files of a set (docs/formats.md); the last answer of each is what is sampled.",
                )
                .required(),
        );
        let on_bad_row = on_bad_row(&mut recipe);
        let skip = recipe
            .usize(
                "prompts.skip",
                "How many of the file's prompts are passed over before the first that is asked.",
            )
            .or(0, "0");
        let count = recipe
            .usize(
                "prompts.count",
                "How many prompts are asked, from the first that is not passed over; all if absent.",
            )
            .positive()
            .optional();
        let temperature = recipe
            .f64("sampling.temperature", "Logits are divided by it.")
            .positive()
            .required();
        let top_p = recipe
            .f64("sampling.top_p", "Only the likeliest tokens that have at least this probability together are drawn from.")
            .positive()
            .within(..=1.0)
            .required();
        let max_new_tokens = recipe
            .usize(
                "sampling.max_new_tokens",
                "Tokens of an answer at most, its end included.",
            )
            .within(1..=1 << 20)
            .required();
        let batch_rows = recipe
            .usize("sampling.batch_rows", "Answers that are written together, two for a prompt: changes memory, speed, and the last bits of logits.")
            .within(2..=4096)
            .required();
        let resolved = recipe.finish()?;
        Ok(Self {
            seed,
            out,
            device,
            chunk,
            base,
            base_precision,
            pixels,
            adapter,
            images,
            prompts,
            on_bad_row,
            skip,
            count,
            temperature,
            top_p,
            max_new_tokens,
            batch_rows,
            resolved,
        })
    }
}

impl SampleRecipe {
    /// The keys that a resume may change, besides `run.out`: the device, and how many sequences are decoded together. Each
    /// row records with how many it was.
    #[must_use]
    pub fn may_change(&self) -> &'static [&'static str] {
        &["run.device", "sampling.batch_rows"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../../recipes/demo/2-sample.toml");

    #[test]
    fn the_demo_recipe_is_complete_and_samples_as_the_paper_does() {
        let recipe = SampleRecipe::read(Reader::parse("2-sample.toml", DEMO, &[])).unwrap();
        assert_eq!((recipe.temperature, recipe.top_p), (0.7, 1.0));
        assert_eq!((recipe.adapter, recipe.skip, recipe.count), (None, 0, None));
        assert!(recipe.prompts.ends_with("preference/prompts.json"));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let sets = [
            "sampling.temperature=0",
            "sampling.top_p=1.5",
            "sampling.batch_rows=1",
            "run.chunk=0",
            "prompts.cuont=3",
        ];
        let sets = sets.map(str::to_owned);
        let error = SampleRecipe::read(Reader::parse("2-sample.toml", DEMO, &sets)).unwrap_err();
        let message = error.to_string();
        for part in [
            "temperature",
            "top_p",
            "batch_rows",
            "run.chunk",
            "cuont",
            "5 mistakes",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

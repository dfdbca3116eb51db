//! A policy that answers every prompt of a chunk twice.
//!
//! The random number of a token is addressed by the seed, the prompt's index in its file, the answer (0 or 1)
//! and the token's position, so it does not depend on the chunk. The logits it is compared with may, in their
//! last bits, because kernels round by the shape of the batch; a chunk is therefore always decoded as a whole,
//! and what decides its batches is recorded with each answer.

use std::path::PathBuf;

use candor_data::formats::candidates::{Candidate, Sampling};
use candor_data::rows::Skipped;
use candor_data::{random, sha256};
use candor_model::{Adapter, Answerer, Bundle, ImageFeatures, ModelFolder, Query, Written, peft};
use candor_run::{Inputs, Progress};
use candor_train::fingerprint;
use tch::Device;

use crate::prompt::{Prompt, Prompts, in_rows};
use crate::{SampleError, SampleRecipe};

/// Answers per prompt: a comparison has two sides.
const ANSWERS: usize = 2;

/// The folders of the model that answers and of its adapter.
///
/// # Errors
/// There is no such model, or two adapters are named.
pub fn folders(recipe: &SampleRecipe) -> Result<(PathBuf, Option<PathBuf>), SampleError> {
    let (base, adapter) = peft::with_base(&recipe.base, recipe.adapter.as_deref())?;
    Ok((ModelFolder::find(&base)?.path().to_owned(), adapter))
}

/// The model that answers, with what is recorded of it.
#[derive(Debug)]
pub(crate) struct Sampler<'a> {
    recipe: &'a SampleRecipe,
    /// The model.
    pub bundle: Bundle,
    adapter: Option<Adapter>,
    /// The record of an answer to the prompt of index 0, of no tokens.
    record: Sampling,
}

impl<'a> Sampler<'a> {
    /// Opens the recipe's model.
    ///
    /// # Errors
    /// The model or its adapter is missing or damaged.
    pub(crate) fn open(
        recipe: &'a SampleRecipe,
        device: Device,
        progress: &mut Progress,
    ) -> Result<Self, SampleError> {
        progress.doing("opening the model");
        let (base, adapter_folder) = peft::with_base(&recipe.base, recipe.adapter.as_deref())?;
        let folder = ModelFolder::find(&base)?.with_pixels(recipe.pixels);
        let path = folder.path().to_owned();
        let bundle = Bundle::load(folder, device, recipe.base_precision)?;
        let adapter = match &adapter_folder {
            Some(folder) => Some(Adapter::open(folder, &bundle.model)?),
            None => None,
        };
        let model_fingerprint = fingerprint::of_model(&bundle, &path, progress)?;
        let adapter_fingerprint = match (&adapter, &adapter_folder) {
            (Some(adapter), Some(folder)) => Some(fingerprint::of_adapter(adapter, folder)?),
            _ => None,
        };
        let record = Sampling {
            model: base.display().to_string(),
            model_fingerprint,
            adapter: adapter_folder.map(|p| p.display().to_string()),
            adapter_fingerprint,
            seed: recipe.seed,
            temperature: recipe.temperature,
            top_p: recipe.top_p,
            max_new_tokens: recipe.max_new_tokens,
            batch_rows: recipe.batch_rows,
            chunk: recipe.chunk,
            index: 0,
            finished: [false; ANSWERS],
            n_tokens: [0; ANSWERS],
        };
        Ok(Self {
            recipe,
            bundle,
            adapter,
            record,
        })
    }

    /// Fingerprints of what is read.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn inputs(&self, prompts: &Prompts) -> Result<Inputs, SampleError> {
        let mut hash = sha256::Parts::default();
        for row in 0..prompts.len() {
            hash.add(format!("{:?}", self.unanswered(&prompts.row(row)?)));
        }
        Ok(Inputs::new([("model and prompts", hash.finish())]))
    }

    /// The row of a prompt, its answers still empty.
    #[must_use]
    pub(crate) fn unanswered(&self, prompt: &Prompt) -> Candidate {
        Candidate {
            // Public sets repeat ids, and candidates must not.
            id: format!("{}-{}", prompt.id, prompt.index),
            image: prompt.image.clone(),
            turns: prompt.context.clone(),
            original_answer: prompt.original_answer.clone(),
            outputs: [const { String::new() }; ANSWERS],
            sampling: Sampling {
                index: prompt.index,
                ..self.record.clone()
            },
        }
    }

    /// Encodes the images of a chunk, each once.
    ///
    /// # Errors
    /// Images are missing or damaged, told with the rows that show them; rows that are `skipped` are not asked.
    pub(crate) fn encode(
        &self,
        chunk: &[Prompt],
        skipped: Option<&Skipped>,
    ) -> Result<ImageFeatures, SampleError> {
        let images = chunk.iter().filter_map(|prompt| prompt.image.clone());
        let folder = &self.recipe.images;
        ImageFeatures::encode(&self.bundle, folder, images, |_, _| ())
            .map_err(|error| in_rows(self.recipe, error, skipped).into())
    }

    /// Answers the prompts of a chunk twice each; `features` are those of its images.
    ///
    /// # Errors
    /// An answer is no text, or the model's logits are not finite.
    pub(crate) fn answer(
        &self,
        chunk: &[Prompt],
        features: &ImageFeatures,
    ) -> Result<Vec<Candidate>, SampleError> {
        let query = |prompt: &Prompt| Query {
            ids: prompt.ids.to_vec(),
            features: features.of(prompt.image.as_deref()),
            image: prompt.image.clone(),
        };
        let queries: Vec<Query> = chunk.iter().map(query).collect();
        let answerer = Answerer {
            bundle: &self.bundle,
            adapter: self.adapter.as_ref(),
            max_new_tokens: self.recipe.max_new_tokens,
            temperature: self.recipe.temperature,
            top_p: self.recipe.top_p,
            n_samples: ANSWERS,
            batch_rows: self.recipe.batch_rows,
        };
        let draw = |prompt: usize, answer: usize, position: usize| {
            let address = [chunk[prompt].index, answer as u64, position as u64];
            random::uniform(self.recipe.seed, "sample.token", &address)
        };
        let name = |prompt: usize| format!("{}-{}", chunk[prompt].id, chunk[prompt].index);
        let written = answerer.answer(&queries, draw, name)?;
        let rows = chunk.iter().zip(written.chunks_exact(ANSWERS));
        Ok(rows.map(|(prompt, pair)| self.row(prompt, pair)).collect())
    }

    fn row(&self, prompt: &Prompt, pair: &[Written]) -> Candidate {
        let mut row = self.unanswered(prompt);
        for (k, written) in pair.iter().enumerate() {
            row.outputs[k].clone_from(&written.text);
            row.sampling.finished[k] = written.response.finished;
            row.sampling.n_tokens[k] = written.response.n_tokens();
        }
        row
    }
}

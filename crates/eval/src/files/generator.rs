//! A model that answers batches of questions, most of which share their images.

use std::collections::{HashMap, HashSet};

use candor_data::image::ImageProcessor;
use candor_data::random;
use candor_model::image_features::encode;
use candor_model::{Adapter, Answerer, Bundle, Features, Query};

use super::EvalRun;
use super::ahead::NewImages;
use super::plan::{Plan, Prompt};
use crate::EvalError;
use crate::answer::Answer;

/// The model, with the features of the images of the batch that it answered last.
#[derive(Debug)]
pub(crate) struct FileGenerator<'a> {
    answerer: Answerer<'a>,
    plan: &'a Plan,
    seed: u64,
    /// By image.
    features: HashMap<String, Features>,
}

impl<'a> FileGenerator<'a> {
    pub(crate) fn new(
        eval_run: &EvalRun,
        bundle: &'a Bundle,
        adapter: Option<&'a Adapter>,
        plan: &'a Plan,
    ) -> Self {
        Self {
            answerer: Answerer {
                bundle,
                adapter,
                max_new_tokens: plan.max_new_tokens,
                temperature: eval_run.temperature,
                top_p: eval_run.top_p,
                n_samples: 1,
                batch_rows: eval_run.batch_rows.max(1),
            },
            plan,
            seed: eval_run.seed,
            features: HashMap::new(),
        }
    }

    /// What makes images fit for it.
    pub(crate) fn processor(&self) -> &'a ImageProcessor {
        &self.answerer.bundle.processor
    }

    /// Answers a batch; `new` are its images that the batch before did not show.
    ///
    /// # Errors
    /// An answer is no text, or the model's logits are not finite.
    pub(crate) fn answer(
        &mut self,
        batch: &[usize],
        new: &NewImages,
    ) -> Result<Vec<Answer>, EvalError> {
        self.look(batch, new);
        let prompts: Vec<&Prompt> = batch.iter().map(|&at| &self.plan.prompts[at]).collect();
        let query = |prompt: &&Prompt| Query {
            ids: prompt.ids.clone(),
            features: self.features.get(&prompt.image).map(Features::share),
            image: Some(prompt.image.clone()),
        };
        let queries: Vec<Query> = prompts.iter().map(query).collect();
        let draw = |prompt: usize, _, position: usize| {
            // The first question speaks for the prompt, so a draw does not depend on the batch.
            let address = [prompts[prompt].items[0] as u64, position as u64];
            random::uniform(self.seed, "eval.token", &address)
        };
        let name = |prompt: usize| prompts[prompt].id.clone();
        let written = self.answerer.answer(&queries, draw, name)?;
        Ok(written.into_iter().map(Answer::of).collect())
    }

    /// Encodes new images, and forgets those that the batch does not show.
    fn look(&mut self, batch: &[usize], new: &NewImages) {
        let image = |&place: &usize| self.plan.prompts[place].image.as_str();
        let shown: HashSet<&str> = batch.iter().map(image).collect();
        self.features
            .retain(|name, _| shown.contains(name.as_str()));
        if new.names.is_empty() {
            return;
        }
        let bundle = self.answerer.bundle;
        let features = tch::no_grad(|| encode(bundle, &new.fitted));
        self.features
            .extend(new.names.iter().cloned().zip(features));
    }
}

//! A model that answers batches of questions, most of which share their pictures.

use std::collections::{HashMap, HashSet};

use candor_data::image::ImageProcessor;
use candor_data::random;
use candor_model::features::pixels_of;
use candor_model::{Adapter, Bundle, Decoding, Opening, generate_openings};
use tch::Tensor;

use super::Sitting;
use super::ahead::Fitted;
use super::plan::Plan;
use crate::EvalError;
use crate::answer::Answer;

/// The model, with the features of the pictures of the batch that it answered last.
#[derive(Debug)]
pub struct Respondent<'a> {
    bundle: &'a Bundle,
    adapter: Option<&'a Adapter>,
    plan: &'a Plan,
    decoding: Decoding,
    seed: u64,
    /// By picture, `[1, n_image_tokens, tower width]`.
    features: HashMap<String, Tensor>,
}

impl<'a> Respondent<'a> {
    pub fn new(
        sitting: &Sitting,
        bundle: &'a Bundle,
        adapter: Option<&'a Adapter>,
        plan: &'a Plan,
    ) -> Self {
        Self {
            bundle,
            adapter,
            plan,
            decoding: Decoding {
                max_new_tokens: plan.max_new_tokens,
                temperature: sitting.temperature,
                top_p: sitting.top_p,
                eos: bundle.tokenizer.eos,
            },
            seed: sitting.seed,
            features: HashMap::new(),
        }
    }

    /// What makes pictures fit for it.
    pub fn processor(&self) -> &'a ImageProcessor {
        &self.bundle.processor
    }

    /// Answers a batch; `new` are its pictures that the batch before did not show.
    ///
    /// # Errors
    /// An answer is no text, or the model's logits are not finite.
    pub fn answer(&mut self, batch: &[usize], new: &Fitted) -> Result<Vec<Answer>, EvalError> {
        self.look(batch, new);
        let draw = |response: usize, position: usize| {
            // The first question speaks for the prompt, so a draw does not depend on the batch.
            let item = self.plan.prompts[batch[response]].items[0];
            random::uniform(self.seed, "eval.token", &[item as u64, position as u64])
        };
        let openings = self.openings(batch);
        let model = &self.bundle.model;
        let responses = generate_openings(model, self.adapter, &openings, self.decoding, draw);
        let responses = responses
            .map_err(|found| found.of_sample(&self.plan.prompts[batch[found.response]].id))?;
        let answer = |response: candor_model::Response| {
            let text = self.bundle.tokenizer.decode(&response.ids)?;
            Ok(Answer {
                text: text.trim().to_owned(),
                n_tokens: response.ids.len() - usize::from(response.finished),
                finished: response.finished,
            })
        };
        responses.into_iter().map(answer).collect()
    }

    /// Encodes new pictures, and forgets those that the batch does not show.
    fn look(&mut self, batch: &[usize], new: &Fitted) {
        let image = |&place: &usize| self.plan.prompts[place].image.as_str();
        let shown: HashSet<&str> = batch.iter().map(image).collect();
        self.features
            .retain(|name, _| shown.contains(name.as_str()));
        if new.names.is_empty() {
            return;
        }
        let pixels = pixels_of(self.bundle, &new.bytes);
        let features = tch::no_grad(|| self.bundle.model.image_features(&pixels));
        for (row, name) in new.names.iter().enumerate() {
            let one = features.narrow(0, row as i64, 1);
            self.features.insert(name.clone(), one);
        }
    }

    /// The prompts by what they begin with; those that share it stand beside each other.
    fn openings(&self, batch: &[usize]) -> Vec<Opening> {
        let mut openings: Vec<(&str, Opening)> = Vec::new();
        for &place in batch {
            let prompt = &self.plan.prompts[place];
            let (ids, rest) = prompt.ids.split_at(prompt.n_opening);
            match openings.last_mut() {
                Some((image, opening)) if *image == prompt.image && opening.ids == ids => {
                    opening.rests.push(rest.to_vec());
                }
                _ => {
                    let opening = Opening {
                        ids: ids.to_vec(),
                        features: self.features.get(&prompt.image).map(Tensor::shallow_clone),
                        rests: vec![rest.to_vec()],
                    };
                    openings.push((&prompt.image, opening));
                }
            }
        }
        openings.into_iter().map(|(_, opening)| opening).collect()
    }
}

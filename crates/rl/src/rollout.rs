//! Sampling: a step's prompts → responses with the log-probabilities they were sampled with.
//!
//! The uniform number for a token is addressed by step, place of the prompt in the step, position and, of all
//! responses to a prompt but the first, which of them it is. So a response does not depend on what it was batched
//! with, but for the last bits of its logits, and the first one not on how many there are.

use candor_data::Facts;
use candor_data::random::uniform;
use candor_model::{
    Adapter, Answerer, Bundle, ImageFeatures, ModelError, Query, Response, Written,
};
use candor_run::Ranks;

use crate::RlError;
use crate::order::permutation;
use crate::prompts::PromptRow;
use crate::recipe::{QuirksRecipe, SamplingRecipe};

/// A prompt with a sampled response.
#[derive(Debug, Clone)]
pub struct Rollout<'p> {
    /// What was asked.
    pub prompt: &'p PromptRow,
    /// Which of the responses to it this is, from 0.
    pub sample: usize,
    /// What was answered.
    pub response: Response,
    /// The answer without special tokens and surrounding white space.
    pub text: String,
    /// What the reward model is told.
    pub facts: Facts,
}

/// What sampling needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a> {
    /// The policy's base.
    pub bundle: &'a Bundle,
    /// The policy.
    pub policy: &'a Adapter,
    /// Its images.
    pub features: &'a ImageFeatures,
    /// Temperature and sizes.
    pub recipe: SamplingRecipe,
    /// The reference's quirks.
    pub quirks: QuirksRecipe,
    /// The run's seed.
    pub seed: u64,
}

impl Sampler<'_> {
    /// Answers each prompt as often as the recipe says, responses to one prompt beside each other; `done` is the
    /// number of steps done before this one, `first` the place of the first prompt among all that the step asks. Prompts are
    /// cut into `lanes` parts, each of which is answered by itself on one rank: what is written together, and so the last
    /// bits, depends on the lanes and not on the ranks.
    ///
    /// # Errors
    /// The tokenizer refuses a token, the policy's logits are not finite, or another rank has ended or hangs.
    pub fn sample<'p>(
        &self,
        [done, first]: [u64; 2],
        prompts: &[&'p PromptRow],
        lanes: usize,
        ranks: &Ranks,
    ) -> Result<Vec<Rollout<'p>>, RlError> {
        let of_lane = prompts.len().div_ceil(lanes).max(1);
        let parts: Vec<&[&PromptRow]> = prompts.chunks(of_lane).collect();
        let written = ranks.share(parts.len(), |part| {
            let first = first + (part * of_lane) as u64;
            Ok::<_, RlError>(self.answer([done, first], parts[part])?)
        })?;
        let question_marks = self.question_marks()?;
        let n_samples = self.recipe.samples_per_prompt.max(1);
        let numbered = written.into_iter().flatten().enumerate();
        numbered
            .map(|(row, mut written)| {
                let (slot, sample) = (row / n_samples, row % n_samples);
                if cut_after(&mut written.response, &question_marks) {
                    let text = self.bundle.tokenizer.decode(&written.response.ids)?;
                    text.trim().clone_into(&mut written.text);
                }
                Ok(Rollout {
                    prompt: prompts[slot],
                    sample,
                    text: written.text,
                    response: written.response,
                    facts: self.facts(prompts[slot], [done, first + slot as u64], sample),
                })
            })
            .collect()
    }

    /// Answers prompts of a step, the first of which has the place `first` in it.
    fn answer(
        &self,
        [done, first]: [u64; 2],
        prompts: &[&PromptRow],
    ) -> Result<Vec<Written>, ModelError> {
        let queries: Vec<Query> = prompts
            .iter()
            .map(|prompt| Query {
                ids: prompt.query.to_vec(),
                features: self.features.of(prompt.conversation.image.as_deref()),
                image: prompt.conversation.image.clone(),
            })
            .collect();
        let answerer = Answerer {
            bundle: self.bundle,
            adapter: Some(self.policy),
            max_new_tokens: self.recipe.max_new_tokens,
            temperature: self.recipe.temperature,
            top_p: 1.0,
            n_samples: self.recipe.samples_per_prompt,
            batch_rows: self.recipe.batch_rows,
        };
        let draw = |prompt: usize, sample: usize, position: usize| {
            let place = first + prompt as u64;
            let address = of_sample(&[done, place, position as u64], sample);
            uniform(self.seed, "rollout.token", &address)
        };
        answerer.answer(&queries, draw, |prompt| prompts[prompt].id.clone())
    }

    /// The tokens that cut a response; none unless the quirk is on.
    fn question_marks(&self) -> Result<Vec<i64>, ModelError> {
        let tokenizer = &self.bundle.tokenizer;
        let mut found = Vec::new();
        if self.quirks.cut_at_question_mark {
            for id in 0..tokenizer.vocab_size() as i64 {
                if tokenizer.decode(&[id])?.trim() == "?" {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }

    fn facts(&self, prompt: &PromptRow, place: [u64; 2], sample: usize) -> Facts {
        let mut facts = prompt.facts.clone();
        if self.quirks.shuffle_captions {
            let address = of_sample(&place, sample);
            for lines in [&mut facts.captions, &mut facts.rationale] {
                let order = permutation(self.seed, "rollout.facts", &address, lines.len());
                *lines = order.iter().map(|&i| lines[i].clone()).collect();
            }
        }
        facts
    }
}

/// The address of a draw for one of the responses to a prompt.
fn of_sample(address: &[u64], sample: usize) -> Vec<u64> {
    let mut address = address.to_vec();
    if sample > 0 {
        address.push(sample as u64);
    }
    address
}

/// Ends a response after the first of the given tokens, if there is one. What was cut is unfinished.
fn cut_after(response: &mut Response, tokens: &[i64]) -> bool {
    let Some(at) = response.ids.iter().position(|id| tokens.contains(id)) else {
        return false;
    };
    response.ids.truncate(at + 1);
    response.logprobs.truncate(at + 1);
    response.finished = false;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_response_keeps_the_mark_and_loses_its_end() {
        let whole = Response {
            ids: vec![5, 9, 6, 9, 2],
            logprobs: vec![-0.1, -0.2, -0.3, -0.4, -0.5],
            finished: true,
        };
        let mut cut = whole.clone();
        assert!(cut_after(&mut cut, &[7, 9]));
        assert_eq!((cut.ids, cut.logprobs), (vec![5, 9], vec![-0.1, -0.2]));
        assert!(!cut.finished);
        let mut kept = whole.clone();
        assert!(!cut_after(&mut kept, &[]));
        assert_eq!(kept, whole);
    }
}

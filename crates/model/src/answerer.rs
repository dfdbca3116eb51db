//! A model that is asked: prompts in, texts out, whoever asks.

use serde::{Deserialize, Serialize};

use crate::{Adapter, Bundle, Decoding, ModelError, NotFinite, Query, Response, generate};

/// Who answers, and how.
#[derive(Debug, Clone, Copy)]
pub struct Answerer<'a> {
    /// The model.
    pub bundle: &'a Bundle,
    /// An adapter on its decoder.
    pub adapter: Option<&'a Adapter>,
    /// Longest answer, its end token included.
    pub max_new_tokens: usize,
    /// Logits are divided by it; 0 takes the most likely token.
    pub temperature: f64,
    /// Only the smallest set of tokens with at least this probability is sampled from; 1 is all.
    pub top_p: f64,
    /// Answers to each prompt.
    pub n_samples: usize,
    /// Sequences that are written together.
    pub batch_rows: usize,
}

/// One answer to a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// What was written, without special tokens and white space around it.
    pub text: String,
    /// Its tokens with their log-probabilities, and whether it ended by itself.
    pub response: Response,
}

impl Answerer<'_> {
    /// Answers prompts; the answers come in their order, all of one prompt beside each other.
    ///
    /// `uniform(prompt, sample, position)` gives the random number in `[0, 1)` for a token, from its address alone, so that
    /// it does not depend on what is written together; greedy decoding asks none. `name` is what an error calls a prompt.
    ///
    /// # Errors
    /// The model's logits are not finite, or the tokenizer refuses a token.
    pub fn answer(
        &self,
        queries: &[Query],
        uniform: impl Fn(usize, usize, usize) -> f64,
        name: impl Fn(usize) -> String,
    ) -> Result<Vec<Written>, ModelError> {
        let n = self.n_samples.max(1);
        let decoding = Decoding {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            ends: self.bundle.tokenizer.ends,
        };
        let responses = generate(
            &self.bundle.model,
            self.adapter,
            queries,
            n,
            self.batch_rows,
            decoding,
            |row, position| uniform(row / n, row % n, position),
        );
        let named = |found: NotFinite| found.of_sample(name(found.response / n));
        let responses = responses.map_err(named)?;
        let written = responses.into_iter().map(|response| {
            let said = &response.ids[..response.n_tokens()];
            let text = self.bundle.tokenizer.decode(said)?;
            Ok(Written {
                text: text.trim().to_owned(),
                response,
            })
        });
        written.collect()
    }
}

//! Batched generation with a key/value cache.
//!
//! A batch is a number of slots. A prompt is read once for all its samples, and prompts about one image that begin alike
//! read their common beginning once. Sequences that have ended leave the batch at once; where a quarter of the slots is
//! free, the next prompts are read into them. Each step brings the host exactly one small tensor (the chosen tokens with
//! their log-probabilities). Sampling inverts the cumulative distribution at one uniform number per token, which the
//! caller supplies from its address, so what is drawn does not depend on who else is in the batch.

mod choose;
mod ends;
mod ongoing;
mod prefill;
mod slots;

use std::collections::{HashMap, VecDeque};

use candor_torch_ext::libtorch::inference;
use serde::{Deserialize, Serialize};

pub use self::ends::Ends;
pub use self::ongoing::{Chosen, Ongoing};
pub(crate) use self::slots::Slots;
use crate::ModelError;
use crate::Vlm;
use crate::features::Features;
use crate::lora::Adapter;

/// A prompt to answer.
#[derive(Debug)]
pub struct Query {
    /// Token ids, one placeholder for each image patch; never empty.
    pub ids: Vec<i64>,
    /// The tower's features of its images.
    pub features: Option<Features>,
    /// What its images are called. Prompts whose images are called the same share the reading of what they begin with;
    /// one without a name shares nothing.
    pub image: Option<String>,
}

/// How tokens are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoding {
    /// Longest response, its end token included.
    pub max_new_tokens: usize,
    /// Logits are divided by it; 0 takes the most likely token (greedy).
    pub temperature: f64,
    /// Only the smallest set of tokens with at least this probability is sampled from; 1 is all.
    pub top_p: f64,
    /// The tokens that end a response.
    pub ends: Ends,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Response {
    /// Token ids; the last is the end token unless the response was cut.
    pub ids: Vec<i64>,
    /// Log-probability of each token under the tempered distribution, before any top-p cut.
    pub logprobs: Vec<f32>,
    /// Whether it ended by itself.
    pub finished: bool,
}

impl Response {
    /// Its tokens, the end token not counted.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.ids.len() - usize::from(self.finished)
    }
}

/// An answer that cannot go on, because the logits of its next token are no numbers to choose by. A log-probability that
/// is not finite says so: one logit that is NaN or +∞ leaves none of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotFinite {
    /// Which response.
    pub response: usize,
    /// Tokens that it had.
    pub position: usize,
}

impl NotFinite {
    /// The same as an error about the sample of this id.
    #[must_use]
    pub fn of_sample(self, sample: impl Into<String>) -> ModelError {
        ModelError::Logits {
            sample: sample.into(),
            position: self.position,
        }
    }
}

/// Answers `queries`, `n_samples` times each, at most `batch_rows` sequences at a time (or the samples of one query, if
/// those are more), the longest first.
/// The responses come in the order of the queries, all samples of one beside each other.
///
/// `uniform(response, position)` gives the random number in `[0, 1)` for a token; greedy decoding asks none.
///
/// # Errors
/// Logits are not finite; which response had them is said, for the caller to name its sample.
///
/// # Panics
/// A query is empty; every template's begin with a token of their own.
pub fn generate(
    model: &Vlm,
    adapter: Option<&Adapter>,
    queries: &[Query],
    n_samples: usize,
    batch_rows: usize,
    decoding: Decoding,
    uniform: impl Fn(usize, usize) -> f64,
) -> Result<Vec<Response>, NotFinite> {
    assert!(
        queries.iter().all(|query| !query.ids.is_empty()),
        "no query is empty"
    );
    let mut responses = vec![Response::default(); queries.len() * n_samples];
    if responses.is_empty() || decoding.max_new_tokens == 0 {
        return Ok(responses);
    }
    let mut waiting = in_order(queries, model.config().image_token());
    // Nothing of it but numbers is given away.
    inference(|| {
        let adapter = adapter.map(|adapter| adapter.in_kind(model.decoder().kind()));
        let mut slots = Slots::new(model, adapter.as_ref(), n_samples, batch_rows);
        loop {
            slots.fill(queries, &mut waiting);
            if slots.is_empty() {
                return Ok(responses);
            }
            let draw = |row: usize| uniform(row, responses[row].ids.len());
            let chosen = slots.choose(decoding, draw);
            let mut going = Vec::with_capacity(chosen.len());
            for (place, (row, token, logprob)) in chosen.into_iter().enumerate() {
                let response = &mut responses[row];
                if !logprob.is_finite() {
                    return Err(NotFinite {
                        response: row,
                        position: response.ids.len(),
                    });
                }
                response.ids.push(token);
                response.logprobs.push(logprob);
                response.finished = decoding.ends.contains(token);
                if !response.finished && response.ids.len() < decoding.max_new_tokens {
                    going.push(place as i64);
                }
            }
            slots.go_on(&going);
        }
    })
}

/// Queries that share what they begin with beside each other; the longest first, where a lack of memory should show.
fn in_order(queries: &[Query], image: i64) -> VecDeque<usize> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut of_opening = HashMap::new();
    for (at, query) in queries.iter().enumerate() {
        match query.opening(image) {
            Some(opening) => {
                let group = *of_opening.entry(opening).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                groups[group].push(at);
            }
            None => groups.push(vec![at]),
        }
    }
    let longest_first = |&at: &usize| (std::cmp::Reverse(queries[at].ids.len()), at);
    for group in &mut groups {
        group.sort_by_key(longest_first);
    }
    groups.sort_by_key(|group| longest_first(&group[0]));
    groups.into_iter().flatten().collect()
}

impl Query {
    /// What it may share with others: the name of its images, and its tokens up to the last placeholder `image`. What
    /// follows is never empty.
    fn opening(&self, image: i64) -> Option<(&str, &[i64])> {
        let name = self.image.as_deref()?;
        let last = self.ids.iter().rposition(|&id| id == image)?;
        (last + 1 < self.ids.len()).then(|| (name, &self.ids[..=last]))
    }
}

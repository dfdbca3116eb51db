//! Responses that are written together while other prompts come and go.
//!
//! [`generate`](super::generate) answers prompts that are all there when it begins. Here whoever asks goes from token to
//! token, and reads new prompts in between, each with a decoding of its own.

use std::ops::Range;

use super::{Decoding, Query, Slots};
use crate::Vlm;
use crate::lora::Adapter;

/// The next token of a response.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Which response.
    pub row: usize,
    /// The token.
    pub token: i64,
    /// Its log-probability under the tempered distribution, before any top-p cut. One that is not finite says that the
    /// logits are no numbers to choose by.
    pub logprob: f32,
    /// The likeliest tokens with their log-probabilities, the likeliest first.
    pub likeliest: Vec<(i64, f32)>,
}

/// Responses in progress of one model with one adapter. Gradients are the caller's to switch off.
pub struct Ongoing<'a> {
    slots: Slots<'a>,
}

impl<'a> Ongoing<'a> {
    /// None yet.
    #[must_use]
    pub fn new(model: &'a Vlm, adapter: Option<&'a Adapter>) -> Self {
        Self {
            slots: Slots::new(model, adapter, 1, 1),
        }
    }

    /// Reads prompts. The responses of each are called by the numbers beside it, which no other response in progress has;
    /// prompts about one image that stand beside each other read what they begin with once.
    ///
    /// # Panics
    /// A prompt is empty.
    pub fn read(&mut self, prompts: &[(&Query, Range<usize>)]) {
        let is_empty = |(query, _): &(&Query, _)| query.ids.is_empty();
        assert!(!prompts.iter().any(is_empty), "no prompt is empty");
        if !prompts.is_empty() {
            self.slots.read(prompts);
        }
    }

    /// Whether nothing is in progress.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Chooses the next token of every response, in one transfer. `how` gives a response's decoding, whose limits are the
    /// caller's to keep, and its random number in `[0, 1)`, unused where it is greedy; of each the `n_likeliest` likeliest
    /// tokens are told.
    pub fn choose(
        &mut self,
        how: impl Fn(usize) -> (Decoding, f64),
        n_likeliest: usize,
    ) -> Vec<Chosen> {
        self.slots.choose_each(how, n_likeliest)
    }

    /// Goes on with the responses that `goes_on` says, and lets the others go.
    pub fn go_on(&mut self, goes_on: impl Fn(usize) -> bool) {
        let rows = self.slots.rows().iter().enumerate();
        let going = rows.filter(|&(_, &row)| goes_on(row));
        let going: Vec<i64> = going.map(|(place, _)| place as i64).collect();
        self.slots.go_on(&going);
    }
}

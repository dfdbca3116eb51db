//! One answer while it is written.

use std::rc::Rc;
use std::time::Instant;

use axum::http::StatusCode;
use candor_data::random;
use candor_model::{Chosen, Decoding, Detokenizer, Ends, ModelError, NotFinite, Query, Tokenizer};
use tokio::sync::mpsc::UnboundedSender;

use super::settling::Settling;
use super::{End, Event, Ready, Said};
use crate::api::chat::ChatRequest;
use crate::api::refusal::Refusal;
use crate::http::Metrics;

/// What the answers to a request have in common.
pub(super) struct Told {
    request: ChatRequest,
    listener: UnboundedSender<Event>,
    seed: u64,
    arrived: Instant,
    decoding: Decoding,
    /// Positions that each may take.
    pub longest: usize,
}

impl Told {
    /// What is told of a request, and its prompt. Its place among those who wait is free from now on.
    pub(super) fn new(ready: Ready, ends: Ends) -> (Self, Query) {
        let longest = ready.len();
        let Ready {
            asked,
            query,
            max_new_tokens,
        } = ready;
        let decoding = Decoding {
            max_new_tokens,
            temperature: asked.request.temperature,
            top_p: asked.request.top_p,
            ends,
        };
        let told = Self {
            request: asked.request,
            listener: asked.listener,
            seed: asked.seed,
            arrived: asked.arrived,
            decoding,
            longest,
        };
        drop(asked.place);
        (told, query)
    }

    pub(super) fn n_likeliest(&self) -> usize {
        self.request.n_likeliest.unwrap_or(0)
    }

    /// Whether somebody listens.
    pub(super) fn is_wanted(&self) -> bool {
        !self.listener.is_closed()
    }

    fn send(&self, event: Event) {
        // Whoever has left is noticed at the next token.
        drop(self.listener.send(event));
    }
}

/// An answer.
pub(super) struct Writing<'a> {
    pub told: Rc<Told>,
    sample: usize,
    detokenizer: Detokenizer<'a>,
    settling: Settling,
    /// Tokens chosen, the end token included.
    n_chosen: usize,
    /// Tokens that were said since the last part.
    said: Vec<Said>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(told: Rc<Told>, sample: usize, tokenizer: &'a Tokenizer) -> Self {
        Self {
            settling: Settling::new(told.request.stops.clone()),
            told,
            sample,
            detokenizer: Detokenizer::new(tokenizer),
            n_chosen: 0,
            said: Vec::new(),
        }
    }

    /// How its next token is chosen, and its random number.
    pub(super) fn how(&self) -> (Decoding, f64) {
        let decoding = self.told.decoding;
        let draw = if decoding.temperature > 0.0 {
            let address = [self.sample as u64, self.n_chosen as u64];
            random::uniform(self.told.seed, "serve", &address)
        } else {
            0.0
        };
        (decoding, draw)
    }

    /// Takes the token that was chosen; returns whether the answer goes on.
    pub(super) fn push(&mut self, chosen: &Chosen, metrics: &Metrics) -> bool {
        if !chosen.logprob.is_finite() {
            let found = NotFinite {
                response: self.sample,
                position: self.n_chosen,
            };
            return self.fail(&found.of_sample("chat"));
        }
        if self.n_chosen == 0 && self.sample == 0 {
            metrics
                .first_token_secs
                .observe(self.told.arrived.elapsed().as_secs_f64());
        }
        self.n_chosen += 1;
        if self.told.decoding.ends.contains(chosen.token) {
            return self.end(End::Finished, false);
        }
        match self.hear(chosen) {
            Err(error) => self.fail(&error),
            Ok(true) => self.end(End::Finished, true),
            Ok(false) if self.n_chosen == self.told.decoding.max_new_tokens => {
                self.end(End::Length, false)
            }
            Ok(false) => true,
        }
    }

    /// Takes a token that is part of the answer; returns whether a stop string has ended it.
    fn hear(&mut self, chosen: &Chosen) -> Result<bool, ModelError> {
        if let Some(n) = self.told.request.n_likeliest {
            let text_of = |id: i64| self.detokenizer.preview(id);
            let likeliest = chosen.likeliest.iter().take(n);
            let likeliest = likeliest.map(|&(id, logprob)| Ok((text_of(id)?, logprob)));
            self.said.push(Said {
                text: text_of(chosen.token)?,
                logprob: chosen.logprob,
                likeliest: likeliest.collect::<Result<_, ModelError>>()?,
            });
        }
        let piece = self.detokenizer.push(chosen.token)?;
        let (text, stopped) = self.settling.push(&piece);
        self.give(text);
        Ok(stopped)
    }

    /// Sends text that is certain, with the tokens since the last part.
    fn give(&mut self, text: String) {
        if !text.is_empty() {
            let said = std::mem::take(&mut self.said);
            self.told.send(Event::Part {
                sample: self.sample,
                text,
                said,
            });
        }
    }

    /// Ends the answer; returns that it does not go on.
    fn end(&mut self, end: End, stopped: bool) -> bool {
        let mut end = end;
        if !stopped {
            let rest = match self.detokenizer.finish() {
                Ok(rest) => rest,
                Err(error) => return self.fail(&error),
            };
            let (text, stopped) = self.settling.push(&rest);
            self.give(text);
            if stopped {
                end = End::Finished;
            } else {
                let rest = self.settling.end();
                self.give(rest);
            }
        }
        if !self.said.is_empty() {
            let said = std::mem::take(&mut self.said);
            self.told.send(Event::Part {
                sample: self.sample,
                text: String::new(),
                said,
            });
        }
        self.told.send(Event::Ended {
            sample: self.sample,
            n_tokens: self.detokenizer.n_tokens(),
            end,
        });
        false
    }

    fn fail(&self, error: &ModelError) -> bool {
        tracing::error!("candor serve: {error}");
        self.told.send(Event::Failed(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "model_failed",
            error.to_string(),
        )));
        false
    }
}

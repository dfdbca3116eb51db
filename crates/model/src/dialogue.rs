//! A conversation with a model: several turns, several images, one cache.
//!
//! What the model reads is always the whole conversation as its template renders it, so that a turn is answered as if
//! it had been asked at once. The keys and values of earlier turns are kept, and only tokens after the first that
//! differs from what was read before are computed.

use std::path::Path;

use candor_data::{Turn, random};
use rand::RngExt as _;
use tch::{Kind, Tensor};

use crate::cache::KvCache;
use crate::conversation_query::{CHAT, conversation_ids};
use crate::detokenizer::Detokenizer;
use crate::features::{Features, ImageSpan};
use crate::generate::{NotFinite, Slots};
use crate::image_features::{Seen, features_of};
use crate::llama::Visible;
use crate::tokenizer::IMAGE;
use crate::{Adapter, Bundle, Decoding, ModelError, Template};

/// Room in the cache grows in steps of so many tokens.
const ROOM: i64 = 256;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Finished,
    /// At the longest length allowed.
    Length,
    /// At the last position that the decoder has.
    Full,
    /// Whoever listened wanted no more.
    Stopped,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What was said.
    pub text: String,
    /// Its tokens, the end token included.
    pub ids: Vec<i64>,
    /// The log-probability of each under the tempered distribution, before any top-p cut.
    pub logprobs: Vec<f32>,
    /// Tokens of the conversation before it.
    pub n_read: usize,
    /// How many of these were in the cache already.
    pub n_kept: usize,
    /// Why it ended.
    pub end: End,
}

/// A conversation in progress.
#[derive(Debug)]
pub struct Dialogue<'a> {
    bundle: &'a Bundle,
    adapter: Option<&'a Adapter>,
    template: Template,
    turns: Vec<Turn>,
    /// The tower's features of all images in their order.
    images: Vec<Features>,
    /// Those of the first, where it is the only one yet and would be seen otherwise among several.
    first_among: Option<Features>,
    /// How many of them wait for the question that they are shown with.
    n_waiting: usize,
    /// The tokens whose keys and values the cache holds.
    held: Vec<i64>,
    cache: KvCache,
}

impl<'a> Dialogue<'a> {
    /// A conversation that has not begun. `system` takes the place of the template's own system sentence.
    ///
    /// # Errors
    /// The template has no place for a system sentence.
    pub fn new(
        bundle: &'a Bundle,
        adapter: Option<&'a Adapter>,
        system: Option<&str>,
    ) -> Result<Self, ModelError> {
        let template = match system {
            Some(system) => bundle.template.clone().with_system(system)?,
            None => bundle.template.clone(),
        };
        Ok(Self {
            bundle,
            adapter,
            template,
            turns: Vec::new(),
            images: Vec::new(),
            first_among: None,
            n_waiting: 0,
            held: Vec::new(),
            cache: bundle.model.cache(1, 0),
        })
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.turns.clear();
        self.images.clear();
        self.first_among = None;
        self.n_waiting = 0;
        self.held.clear();
        self.cache.truncate(0);
    }

    /// Shows an image; the next question is about it, and about those before it.
    ///
    /// # Errors
    /// The file is missing, damaged or no image.
    pub fn show(&mut self, image: &Path) -> Result<(), ModelError> {
        let Seen { alone, among } = features_of(self.bundle, image)?;
        let features = match among {
            Some(among) if !self.images.is_empty() => {
                self.see_first_among_several();
                among
            }
            among => {
                self.first_among = among;
                alone
            }
        };
        self.images.push(features);
        self.n_waiting += 1;
        Ok(())
    }

    /// The first image is no longer the only one: what was read of it is read again.
    fn see_first_among_several(&mut self) {
        if let (Some(among), Some(first)) = (self.first_among.take(), self.images.first_mut()) {
            *first = among;
            self.held.clear();
            self.cache.truncate(0);
        }
    }

    /// Answers a question. `hear` is given the answer piece by piece, and says whether to go on. What is drawn is a
    /// function of `seed`, of how many questions were asked before and of the token's position.
    ///
    /// # Errors
    /// The question is empty or holds a placeholder, the template refuses it, there is no room for it, or the model's
    /// logits are not finite. The
    /// conversation is then what it was before.
    pub fn ask(
        &mut self,
        question: &str,
        decoding: Decoding,
        seed: u64,
        mut hear: impl FnMut(&str) -> bool,
    ) -> Result<Answer, ModelError> {
        let n_turns = self.turns.len();
        let question = format!(
            "{}{}",
            format!("{IMAGE}\n").repeat(self.n_waiting),
            question.trim()
        );
        self.turns.push(Turn::human(question));
        let n_tokens: Vec<usize> = self.images.iter().map(Features::n_tokens).collect();
        let ids = conversation_ids(self.bundle, &self.template, &self.turns, &n_tokens);
        let answer =
            ids.and_then(|ids| tch::no_grad(|| self.answer(&ids, decoding, seed, &mut hear)));
        match answer {
            Ok(answer) => {
                self.n_waiting = 0;
                self.turns.push(Turn::gpt(answer.text.clone()));
                Ok(answer)
            }
            Err(error) => {
                self.turns.truncate(n_turns);
                // What was read for it may hold no numbers, and memory that did is not read again.
                self.held.clear();
                self.cache = self.bundle.model.cache(1, 0);
                Err(error)
            }
        }
    }

    fn answer(
        &mut self,
        prompt: &[i64],
        decoding: Decoding,
        seed: u64,
        hear: &mut impl FnMut(&str) -> bool,
    ) -> Result<Answer, ModelError> {
        let n_kept = self.keep_common(prompt);
        let mut detokenizer = Detokenizer::new(&self.bundle.tokenizer);
        let hidden = self.read(&prompt[n_kept..]);
        let room = self.bundle.model.n_positions() - prompt.len();
        let (limit, at_limit) = if decoding.max_new_tokens <= room {
            (decoding.max_new_tokens, End::Length)
        } else {
            (room, End::Full)
        };
        let question = (self.turns.len() / 2) as u64;
        let mut end = at_limit;
        let (mut ids, mut logprobs) = (Vec::new(), Vec::new());
        let model = &self.bundle.model;
        let cache = std::mem::replace(&mut self.cache, model.cache(1, 0));
        let next = self.next_position();
        let mut slots = Slots::of_one(model, self.adapter, cache, hidden, next);
        for position in 0..limit {
            let draw = |_| {
                let mut stream = random::stream(seed, "chat", &[question, position as u64]);
                stream.random::<f64>()
            };
            let Some(&(_, token, logprob)) = slots.choose(decoding, draw).first() else {
                unreachable!("one sequence grows")
            };
            if !logprob.is_finite() {
                let found = NotFinite {
                    response: 0,
                    position,
                };
                return Err(found.of_sample(CHAT));
            }
            ids.push(token);
            logprobs.push(logprob);
            if decoding.ends.contains(token) {
                end = End::Finished;
                break;
            }
            let piece = detokenizer.push(token)?;
            if !hear(&piece) {
                end = End::Stopped;
                break;
            }
            if position + 1 < limit {
                slots.go_on(&[0]);
                self.held.push(token);
            }
        }
        if let Some(cache) = slots.into_cache() {
            self.cache = cache;
        }
        let rest = detokenizer.finish()?;
        if !rest.is_empty() {
            hear(&rest);
        }
        Ok(Answer {
            text: detokenizer.text().trim_end().to_owned(),
            ids,
            logprobs,
            n_read: prompt.len(),
            n_kept,
            end,
        })
    }

    /// Drops what is held beyond the beginning that it has in common with `ids`, and returns the length of that. The
    /// last token is always read again, because the answer begins with its hidden state.
    fn keep_common(&mut self, ids: &[i64]) -> usize {
        let pairs = self.held.iter().zip(&ids[..ids.len() - 1]);
        let mut common = pairs.take_while(|(held, id)| held == id).count();
        // An image is read as a whole.
        let image = self.bundle.tokenizer.image;
        if ids[common] == image {
            common -= self.images_in(&ids[..common]).1;
        }
        self.held.truncate(common);
        self.cache.truncate(common as i64);
        common
    }

    /// Reads tokens after those that are held; returns the hidden state of the last, `[1, width]`.
    fn read(&mut self, ids: &[i64]) -> Tensor {
        let model = &self.bundle.model;
        let device = model.device();
        let seen = self.images_in(&self.held).0;
        let shown = self.images_in(&[&self.held, ids].concat()).0;
        let features = Features::cat(&self.images[seen..shown]);
        let (held, new) = (self.held.len() as i64, ids.len() as i64);
        let total = held + new;
        self.cache.reserve((total + ROOM - 1) / ROOM * ROOM);

        let tokens = Tensor::from_slice(ids).unsqueeze(0).to_device(device);
        let embedded = model.embed(&tokens, features.as_ref(), self.adapter);
        let start = self.next_position();
        let positions = match &embedded.axial {
            Some(axial) => &axial.positions + start,
            None => Tensor::arange_start(start, start + new, (Kind::Int64, device)).unsqueeze(0),
        };
        let rotary = model.decoder().rotary(&positions);
        let mask = (held > 0 && new > 1).then(|| {
            let all = Tensor::ones([new, total], (Kind::Bool, device));
            all.tril(held).unsqueeze(0).unsqueeze(0)
        });
        let visible = match &mask {
            Some(mask) => Visible::Mask(mask),
            None if new == 1 => Visible::All,
            None => Visible::Causal,
        };
        let hidden = model.decoder().forward(
            &embedded.x,
            embedded.deep.as_ref(),
            &rotary,
            visible,
            self.adapter,
            Some(&mut self.cache),
        );
        self.held.extend_from_slice(ids);
        hidden.select(1, -1)
    }

    /// How many images tokens hold whole, and how many tokens of the next one they end with. A placeholder that was
    /// sampled is a word like any other: only what a question showed is an image.
    fn images_in(&self, ids: &[i64]) -> (usize, usize) {
        let image = self.bundle.tokenizer.image;
        let mut left = ids.iter().filter(|&&id| id == image).count();
        for (whole, image) in self.images.iter().enumerate() {
            if left < image.n_tokens() {
                return (whole, left);
            }
            left -= image.n_tokens();
        }
        (self.images.len(), 0)
    }

    /// Where the token after those that are held stands.
    fn next_position(&self) -> i64 {
        let held = &self.images[..self.images_in(&self.held).0];
        let spans = held.iter().flat_map(Features::spans);
        self.held.len() as i64 + spans.map(ImageSpan::delta).sum::<i64>()
    }
}

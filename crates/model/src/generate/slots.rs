//! The sequences that are still growing, and the next ones in the places of those that have ended.

use std::collections::VecDeque;
use std::ops::Range;

use tch::{Kind, Tensor};

use super::choose::{choose, choose_each};
use super::{Chosen, Decoding, Query, prefill};
use crate::Vlm;
use crate::cache::KvCache;
use crate::llama::Visible;
use crate::lora::Adapter;

/// Room in a cache that is full grows by so many tokens, because the longest length allowed is often many times the usual
/// one.
pub(super) const ROOM: i64 = 64;

/// Sequences that have been read, and go on with one token at a time.
pub(crate) struct Live {
    /// Index of each row's response, or of its query where it has just been read.
    pub rows: Vec<usize>,
    /// Columns of the cache before the first token of each row.
    pub pads: Vec<i64>,
    /// `[rows, 1]` i64: the position of the next token.
    pub positions: Tensor,
    /// `[rows, 1, 1, capacity]` bool, true = a real token or one to come; only where not all columns are.
    pub readable: Option<Tensor>,
    /// Keys and values of what was read.
    pub cache: KvCache,
    /// The last hidden state of each, `[rows, width]`.
    pub hidden: Tensor,
}

impl Live {
    /// Keeps the rows at the given places, which may repeat.
    fn keep(&mut self, places: &[i64]) {
        let index = Tensor::from_slice(places).to_device(self.hidden.device());
        let at = |&place: &i64| place as usize;
        self.rows = places.iter().map(|place| self.rows[at(place)]).collect();
        self.pads = places.iter().map(|place| self.pads[at(place)]).collect();
        self.positions = self.positions.index_select(0, &index);
        self.readable = self.readable.take().map(|r| r.index_select(0, &index));
        self.cache.select_rows(&index);
        self.hidden = self.hidden.index_select(0, &index);
    }

    /// Both as one batch. Columns that no row needs any more are dropped.
    fn joined(self, other: Self) -> Self {
        let skipped = |part: &Self| part.pads.iter().copied().min().unwrap_or(0);
        let skipped = [skipped(&self), skipped(&other)];
        let held = [
            self.cache.len() - skipped[0],
            other.cache.len() - skipped[1],
        ];
        let len = held[0].max(held[1]);
        let capacity = len + ROOM;
        let moved = [0, 1].map(|part| len - held[part] - skipped[part]);
        let pads_of = |part: usize, pads: &[i64]| -> Vec<i64> {
            pads.iter().map(|pad| pad + moved[part]).collect()
        };
        let pads = [pads_of(0, &self.pads), pads_of(1, &other.pads)].concat();
        let whole = self.readable.is_none() && other.readable.is_none();
        let readable = (!whole || held[0] != held[1]).then(|| {
            let of = |part: usize, live: &Self| {
                let shape = [live.rows.len() as i64, 1, 1, capacity];
                let all = Tensor::ones(shape, (Kind::Bool, live.hidden.device()));
                let _ = all.narrow(3, 0, len - held[part]).fill_(0);
                if let Some(readable) = &live.readable {
                    let own = readable.narrow(3, skipped[part], held[part]);
                    all.narrow(3, len - held[part], held[part]).copy_(&own);
                }
                all
            };
            Tensor::cat(&[of(0, &self), of(1, &other)], 0)
        });
        Self {
            rows: [self.rows, other.rows].concat(),
            pads,
            positions: Tensor::cat(&[self.positions, other.positions], 0),
            readable,
            hidden: Tensor::cat(&[self.hidden, other.hidden], 0),
            cache: KvCache::joined(
                [(self.cache, skipped[0]), (other.cache, skipped[1])],
                capacity,
            ),
        }
    }

    /// Makes room for more tokens in a cache that is full. Columns that no row needs any more, since those who were longer
    /// have left, are dropped. They were masked, and added zeros to what others read; dropped by multiples of [`ROOM`], they
    /// leave the rest in the same lanes of the processor's vectors, where its sums keep their order.
    fn make_room(&mut self) {
        let spare = self.pads.iter().copied().min().unwrap_or(0);
        let skipped = spare - spare % ROOM;
        let held = self.cache.len() - skipped;
        if skipped > 0 {
            self.cache.drop_first(skipped, held + ROOM);
            for pad in &mut self.pads {
                *pad -= skipped;
            }
        } else {
            self.cache.reserve(held + ROOM);
        }
        self.readable = self.readable.take().map(|readable| {
            let shape = [readable.size()[0], 1, 1, ROOM];
            let more = Tensor::ones(shape, (Kind::Bool, readable.device()));
            Tensor::cat(&[readable.narrow(3, skipped, held), more], 3)
        });
    }

    /// Runs one new token of each row, `[rows, 1]`.
    fn step(&mut self, model: &Vlm, adapter: Option<&Adapter>, tokens: &Tensor) {
        let decoder = model.decoder();
        if self.cache.len() == self.cache.capacity() {
            self.make_room();
        }
        let rotary = decoder.rotary(&self.positions);
        let readable = self.readable.as_ref();
        let mask = readable.map(|r| r.narrow(3, 0, self.cache.len() + 1));
        let visible = mask.as_ref().map_or(Visible::All, Visible::Mask);
        let embedded = decoder.embed(tokens);
        let cache = Some(&mut self.cache);
        let hidden = decoder.forward(&embedded, None, &rotary, visible, adapter, cache);
        self.positions = &self.positions + 1;
        self.hidden = hidden.select(1, 0);
    }
}

/// Places for so many sequences.
pub(crate) struct Slots<'a> {
    model: &'a Vlm,
    adapter: Option<&'a Adapter>,
    n_samples: usize,
    n_rows: usize,
    live: Option<Live>,
    /// What was chosen for each row, `[rows, 1]` i64.
    tokens: Tensor,
}

impl<'a> Slots<'a> {
    pub(crate) fn new(
        model: &'a Vlm,
        adapter: Option<&'a Adapter>,
        n_samples: usize,
        n_rows: usize,
    ) -> Self {
        Self {
            model,
            adapter,
            n_samples,
            n_rows: n_rows.max(n_samples),
            live: None,
            tokens: Tensor::new(),
        }
    }

    /// One sequence that has been read already: `cache` holds it, `hidden` is its last hidden state, `[1, width]`, and
    /// `next` the position of its next token.
    pub(crate) fn of_one(
        model: &'a Vlm,
        adapter: Option<&'a Adapter>,
        cache: KvCache,
        hidden: Tensor,
        next: i64,
    ) -> Self {
        let next = Tensor::from_slice(&[next]).reshape([1, 1]);
        let live = Live {
            rows: vec![0],
            pads: vec![0],
            positions: next.to_device(hidden.device()),
            readable: None,
            cache,
            hidden,
        };
        Self {
            live: Some(live),
            ..Self::new(model, adapter, 1, 1)
        }
    }

    /// The cache of what is growing; none where nothing is.
    pub(crate) fn into_cache(self) -> Option<KvCache> {
        self.live.map(|live| live.cache)
    }

    /// Index of the response that each row grows.
    pub(crate) fn rows(&self) -> &[usize] {
        self.live.as_ref().map_or(&[], |live| &live.rows)
    }

    /// Whether nothing grows.
    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_none()
    }

    /// Chooses the next token of each row: the row, the token and its log-probability, which is not finite where the row's
    /// logits are no numbers to choose by. `uniform` gives a row's random number; greedy decoding asks none.
    pub(crate) fn choose(
        &mut self,
        decoding: Decoding,
        uniform: impl Fn(usize) -> f64,
    ) -> Vec<(usize, i64, f32)> {
        let Some(live) = &self.live else {
            return Vec::new();
        };
        let draws: Vec<f64> = if decoding.temperature > 0.0 {
            live.rows.iter().map(|&row| uniform(row)).collect()
        } else {
            Vec::new()
        };
        let logits = self.model.decoder().logits(&live.hidden);
        let (tokens, host) = to_host(&choose(&logits, decoding, &draws, 0));
        let (ids, logprobs) = host.split_at(live.rows.len());
        let both = ids.iter().zip(logprobs).zip(&live.rows);
        let chosen = both.map(|((&id, &logprob), &row)| (row, id as i64, logprob as f32));
        let chosen = chosen.collect();
        self.tokens = tokens;
        chosen
    }

    /// [`Slots::choose`] where each row has a decoding and a random number of its own, which `how` gives, and with the
    /// `n_likeliest` likeliest tokens of each.
    pub(crate) fn choose_each(
        &mut self,
        how: impl Fn(usize) -> (Decoding, f64),
        n_likeliest: usize,
    ) -> Vec<Chosen> {
        let Some(live) = &self.live else {
            return Vec::new();
        };
        let (decodings, draws): (Vec<_>, Vec<_>) = live.rows.iter().map(|&row| how(row)).unzip();
        let logits = self.model.decoder().logits(&live.hidden);
        let n_likeliest = n_likeliest.min(logits.size()[1] as usize);
        let (tokens, host) = to_host(&choose_each(&logits, &decodings, &draws, n_likeliest));
        let n_rows = live.rows.len();
        let at = |line: usize, place: usize| host[line * n_rows + place];
        let chosen = live.rows.iter().enumerate().map(|(place, &row)| {
            let likeliest = (2..2 + n_likeliest).map(|line| {
                let logprob = at(line + n_likeliest, place) as f32;
                (at(line, place) as i64, logprob)
            });
            Chosen {
                row,
                token: at(0, place) as i64,
                logprob: at(1, place) as f32,
                likeliest: likeliest.collect(),
            }
        });
        let chosen = chosen.collect();
        self.tokens = tokens;
        chosen
    }

    /// Reads the next of the waiting queries where enough slots are free: reading a few at a time would cost more than the
    /// free slots do.
    pub(crate) fn fill(&mut self, queries: &[Query], waiting: &mut VecDeque<usize>) {
        let free = self.n_rows - self.rows().len();
        if self.live.is_some() && free * 4 < self.n_rows {
            return;
        }
        let next: Vec<usize> = (0..free / self.n_samples)
            .map_while(|_| waiting.pop_front())
            .collect();
        if next.is_empty() {
            return;
        }
        let n = self.n_samples;
        let batch: Vec<(&Query, Range<usize>)> = next
            .iter()
            .map(|&at| (&queries[at], at * n..(at + 1) * n))
            .collect();
        self.read(&batch);
    }

    /// Reads prompts, each with the responses that it gets, whether slots are free for them or not.
    pub(crate) fn read(&mut self, batch: &[(&Query, Range<usize>)]) {
        let queries: Vec<&Query> = batch.iter().map(|&(query, _)| query).collect();
        let mut fresh = prefill::read(self.model, self.adapter, &queries);
        let of_query = |(at, (_, rows)): (usize, &(_, Range<usize>))| vec![at as i64; rows.len()];
        let repeats: Vec<i64> = batch.iter().enumerate().flat_map(of_query).collect();
        if repeats.len() > batch.len() {
            fresh.keep(&repeats);
        }
        fresh.rows = batch.iter().flat_map(|(_, rows)| rows.clone()).collect();
        self.live = Some(match self.live.take() {
            Some(live) => live.joined(fresh),
            None => fresh,
        });
    }

    /// Reads the tokens that were chosen for the rows at `going`, and lets the other rows go.
    pub(crate) fn go_on(&mut self, going: &[i64]) {
        let Some(live) = self.live.as_mut().filter(|_| !going.is_empty()) else {
            self.live = None;
            return;
        };
        if going.len() < live.rows.len() {
            let index = Tensor::from_slice(going).to_device(self.tokens.device());
            self.tokens = self.tokens.index_select(0, &index);
            live.keep(going);
        }
        live.step(self.model, self.adapter, &self.tokens);
    }
}

/// What was chosen, `[rows, 1]` i64 where it is, and all that was said of it on the host: the one transfer of a step.
fn to_host(chosen: &Tensor) -> (Tensor, Vec<f64>) {
    let host = Vec::<f64>::try_from(chosen.flatten(0, 1)).expect("one dimension of f64");
    (chosen.get(0).to_kind(Kind::Int64).unsqueeze(1), host)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tch::Device;

    use super::*;
    use crate::Bundle;

    const N_TOKENS: usize = 128;

    fn query(ids: [i64; 4]) -> Query {
        Query {
            ids: ids.to_vec(),
            features: None,
            image: None,
        }
    }

    /// The next token of every row.
    fn next(slots: &mut Slots) -> Vec<i64> {
        let decoding = Decoding {
            max_new_tokens: N_TOKENS,
            temperature: 0.0,
            top_p: 1.0,
            ends: (-1_i64).into(),
        };
        let chosen = slots.choose(decoding, |_| unreachable!("greedy decoding draws nothing"));
        chosen.into_iter().map(|(_, token, _)| token).collect()
    }

    fn len(slots: &Slots) -> i64 {
        slots.live.as_ref().unwrap().cache.len()
    }

    #[test]
    fn columns_of_those_who_have_left_are_not_held_for_the_others() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/qwen/folders/published");
        let bundle = Bundle::open(&folder, Device::Cpu, Kind::Float).unwrap();
        let (first, second) = (query([10, 11, 12, 13]), query([20, 21, 22, 23]));
        tch::no_grad(|| {
            let mut alone = Slots::new(&bundle.model, None, 1, 1);
            alone.read(&[(&second, 0..1)]);
            let mut expected = next(&mut alone);
            while expected.len() < N_TOKENS {
                alone.go_on(&[0]);
                expected.extend(next(&mut alone));
            }
            assert_eq!(len(&alone), 131);

            let mut slots = Slots::new(&bundle.model, None, 1, 2);
            slots.read(&[(&first, 0..1)]);
            for _ in 1..N_TOKENS {
                next(&mut slots);
                slots.go_on(&[0]);
            }
            assert_eq!(len(&slots), 131);
            slots.read(&[(&second, 1..2)]);
            // The last token of the first response, and the first of the second.
            let mut said = next(&mut slots)[1..].to_vec();
            slots.go_on(&[1]);
            let mut longest = len(&slots);
            loop {
                said.extend(next(&mut slots));
                if said.len() == N_TOKENS {
                    break;
                }
                slots.go_on(&[0]);
                longest = longest.max(len(&slots));
            }
            assert!(longest <= 132 + ROOM, "{longest}");
            assert_eq!(said, expected);
        });
    }
}

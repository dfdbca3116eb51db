//! Batched generation with a key/value cache.
//!
//! The prompt is prefilled once for all its samples; sequences that have ended leave the batch at once; each
//! step brings the host exactly one small tensor (the chosen tokens with their log-probabilities). Sampling
//! inverts the cumulative distribution at one uniform number per token, which the caller supplies from its
//! address, so what is drawn does not depend on who else is in the batch.

use tch::{Device, Kind, Tensor};

use crate::ModelError;
use crate::block::Visible;
use crate::cache::KvCache;
use crate::left_padded::LeftPadded;
use crate::llava::Llava;
use crate::logprobs;
use crate::lora::Adapter;

/// Room in a cache that is full grows by so many tokens.
const ROOM: i64 = 64;

/// A prompt to answer.
#[derive(Debug)]
pub struct Query {
    /// Token ids, one placeholder for each image patch.
    pub ids: Vec<i64>,
    /// The tower's features of its images, `[n_images, n_image_tokens, tower width]`.
    pub features: Option<Tensor>,
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
    /// The token that ends a response.
    pub eos: i64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Response {
    /// Token ids; the last is the end token unless the response was cut.
    pub ids: Vec<i64>,
    /// Log-probability of each token under the tempered distribution, before any top-p cut.
    pub logprobs: Vec<f32>,
    /// Whether it ended by itself.
    pub finished: bool,
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

/// Answers `queries`, `n_samples` times each, in batches of at most `batch_rows` sequences (or the samples of one
/// query, if those are more) grouped by length.
/// The responses come in the order of the queries, all samples of one beside each other.
///
/// `uniform(response, position)` gives the random number in `[0, 1)` for a token; greedy decoding asks none.
///
/// # Errors
/// Logits are not finite; which response had them is said, for the caller to name its sample.
pub fn generate(
    model: &Llava,
    adapter: Option<&Adapter>,
    queries: &[Query],
    n_samples: usize,
    batch_rows: usize,
    decoding: Decoding,
    uniform: impl Fn(usize, usize) -> f64,
) -> Result<Vec<Response>, NotFinite> {
    let mut order: Vec<usize> = (0..queries.len()).collect();
    // Longest first: the largest batch comes at the start, where a lack of memory should show.
    order.sort_by_key(|&i| (std::cmp::Reverse(queries[i].ids.len()), i));
    let mut responses = vec![Response::default(); queries.len() * n_samples];
    for chunk in order.chunks((batch_rows / n_samples.max(1)).max(1)) {
        let batch: Vec<&Query> = chunk.iter().map(|&i| &queries[i]).collect();
        let slots: Vec<usize> = chunk
            .iter()
            .flat_map(|&i| (0..n_samples).map(move |k| i * n_samples + k))
            .collect();
        let draw = |row: usize, position: usize| uniform(slots[row], position);
        let answers = tch::no_grad(|| one_batch(model, adapter, &batch, n_samples, decoding, draw));
        let answers = answers.map_err(|found| NotFinite {
            response: slots[found.response],
            ..found
        })?;
        for (slot, answer) in slots.iter().zip(answers) {
            responses[*slot] = answer;
        }
    }
    Ok(responses)
}

/// The sequences that are still growing.
pub(crate) struct Live {
    /// Index of each row's response.
    pub rows: Vec<usize>,
    /// `[rows, 1]` i64: the position of the next token.
    pub positions: Tensor,
    /// `[rows, 1, 1, capacity]` bool, true = real token; only where prompts were padded.
    pub readable: Option<Tensor>,
    pub cache: KvCache,
}

impl Live {
    /// Keeps the rows at the given places.
    fn keep(&mut self, places: &[i64], device: Device) {
        let index = Tensor::from_slice(places).to_device(device);
        self.rows = places.iter().map(|&p| self.rows[p as usize]).collect();
        self.positions = self.positions.index_select(0, &index);
        self.readable = self.readable.take().map(|r| r.index_select(0, &index));
        self.cache.select_rows(&index);
    }
}

fn one_batch(
    model: &Llava,
    adapter: Option<&Adapter>,
    queries: &[&Query],
    n_samples: usize,
    decoding: Decoding,
    uniform: impl Fn(usize, usize) -> f64,
) -> Result<Vec<Response>, NotFinite> {
    let device = model.device();
    let n_rows = queries.len() * n_samples;
    if n_rows == 0 || decoding.max_new_tokens == 0 {
        return Ok(vec![Response::default(); n_rows]);
    }
    let (mut live, hidden) = prefill(model, adapter, queries, decoding.max_new_tokens);
    let repeats: Vec<i64> = (0..n_rows).map(|r| (r / n_samples) as i64).collect();
    live.keep(&repeats, device);
    live.rows = (0..n_rows).collect();
    let hidden = hidden.index_select(0, &Tensor::from_slice(&repeats).to_device(device));
    decode(model, adapter, live, hidden, decoding, uniform)
}

/// Answers prompts that were read. `hidden`: the last hidden state of each, `[rows, width]`.
pub(crate) fn decode(
    model: &Llava,
    adapter: Option<&Adapter>,
    mut live: Live,
    mut hidden: Tensor,
    decoding: Decoding,
    uniform: impl Fn(usize, usize) -> f64,
) -> Result<Vec<Response>, NotFinite> {
    let device = model.device();
    let mut responses = vec![Response::default(); live.rows.len()];
    for position in 0..decoding.max_new_tokens {
        let draws: Vec<f64> = if decoding.temperature > 0.0 {
            live.rows
                .iter()
                .map(|&row| uniform(row, position))
                .collect()
        } else {
            Vec::new()
        };
        let chosen = choose(&model.decoder().logits(&hidden), decoding, &draws);
        // The one transfer of this step.
        let host = Vec::<f64>::try_from(chosen.flatten(0, 1)).expect("one dimension of f64");
        let n_live = live.rows.len();
        let mut going = Vec::with_capacity(n_live);
        for (place, &row) in live.rows.iter().enumerate() {
            let (token, logprob) = (host[place] as i64, host[n_live + place]);
            if !logprob.is_finite() {
                return Err(NotFinite {
                    response: row,
                    position,
                });
            }
            let response = &mut responses[row];
            response.ids.push(token);
            response.logprobs.push(logprob as f32);
            response.finished = token == decoding.eos;
            if !response.finished {
                going.push(place as i64);
            }
        }
        if going.is_empty() || position + 1 == decoding.max_new_tokens {
            break;
        }
        let mut tokens = chosen.get(0).to_kind(Kind::Int64).unsqueeze(1);
        if going.len() < n_live {
            tokens = tokens.index_select(0, &Tensor::from_slice(&going).to_device(device));
            live.keep(&going, device);
        }
        hidden = step(model, adapter, &mut live, &tokens);
    }
    Ok(responses)
}

/// Runs the prompts, padded on the left, and returns the last hidden state of each, `[batch, width]`.
fn prefill(
    model: &Llava,
    adapter: Option<&Adapter>,
    queries: &[&Query],
    n_new: usize,
) -> (Live, Tensor) {
    let ids: Vec<&[i64]> = queries.iter().map(|query| query.ids.as_slice()).collect();
    let rows = LeftPadded::new(&ids, model.device());
    let capacity = rows.len + n_new as i64;
    let features: Vec<&Tensor> = queries.iter().filter_map(|q| q.features.as_ref()).collect();
    let features = (!features.is_empty()).then(|| Tensor::cat(&features, 0));
    let embedded = model.embed(&rows.ids, features.as_ref());
    let mask = rows.causal_mask();
    let visible = mask.as_ref().map_or(Visible::Causal, Visible::Mask);
    let rotary = model.decoder().rotary(&rows.positions());
    let text = &model.config().text_config;
    let n_rows = queries.len() as i64;
    let mut cache = KvCache::new(text, n_rows, capacity, embedded.kind(), model.device());
    let hidden = model
        .decoder()
        .forward(&embedded, &rotary, visible, adapter, Some(&mut cache));
    let live = Live {
        rows: (0..queries.len()).collect(),
        positions: rows.pads.neg() + rows.len,
        readable: rows.readable(capacity),
        cache,
    };
    (live, hidden.select(1, -1))
}

/// Runs one new token of each row; `[rows, 1]` i64 → hidden states `[rows, width]`.
fn step(model: &Llava, adapter: Option<&Adapter>, live: &mut Live, tokens: &Tensor) -> Tensor {
    let decoder = model.decoder();
    if live.cache.len() == live.cache.capacity() {
        live.cache.reserve(live.cache.len() + ROOM);
    }
    let rotary = decoder.rotary(&live.positions);
    let mask = live
        .readable
        .as_ref()
        .map(|r| r.narrow(3, 0, live.cache.len() + 1));
    let visible = mask.as_ref().map_or(Visible::All, Visible::Mask);
    let embedded = decoder.embed(tokens);
    let hidden = decoder.forward(&embedded, &rotary, visible, adapter, Some(&mut live.cache));
    live.positions = &live.positions + 1;
    hidden.select(1, 0)
}

/// Chooses a token for each row.
///
/// # Shapes
/// `logits`: `[rows, vocab]`; `draws`: one for each row, unused by greedy decoding → `[2, rows]` f64: the
/// tokens (exact, being far below 2⁵³) and their log-probabilities.
pub(crate) fn choose(logits: &Tensor, decoding: Decoding, draws: &[f64]) -> Tensor {
    let logprobs = logprobs::distribution(logits, decoding.temperature);
    let tokens = if decoding.temperature > 0.0 {
        invert_cdf(&logprobs, decoding.top_p, draws)
    } else {
        logits.argmax(-1, false)
    };
    let chosen = logprobs::of_targets(&logprobs, &tokens);
    Tensor::stack(
        &[tokens.to_kind(Kind::Double), chosen.to_kind(Kind::Double)],
        0,
    )
}

/// The token at which the cumulative distribution passes each draw, `[rows]` i64.
fn invert_cdf(logprobs: &Tensor, top_p: f64, draws: &[f64]) -> Tensor {
    let probabilities = logprobs.to_kind(Kind::Double).exp();
    let draws = Tensor::from_slice(draws)
        .unsqueeze(1)
        .to_device(logprobs.device());
    let n_vocab = logprobs.size()[1];
    let pass = |p: &Tensor| {
        let cdf = p.cumsum(-1, Kind::Double);
        // "Not above" skips tokens of probability zero even at a draw of exactly zero.
        let target = draws * cdf.narrow(1, n_vocab - 1, 1);
        cdf.le_tensor(&target)
            .sum_dim_intlist([-1].as_slice(), true, Kind::Int64)
            .clamp_max(n_vocab - 1)
    };
    if top_p >= 1.0 {
        return pass(&probabilities).squeeze_dim(1);
    }
    let (sorted, order) = probabilities.sort_stable(true, -1, true);
    let before = sorted.cumsum(-1, Kind::Double) - &sorted;
    // The likeliest token always stays, even where `top_p` is 0.
    let kept = sorted
        * before
            .lt(top_p.max(f64::MIN_POSITIVE))
            .to_kind(Kind::Double);
    order.gather(-1, &pass(&kept), false).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoding(temperature: f64, top_p: f64) -> Decoding {
        Decoding {
            max_new_tokens: 1,
            temperature,
            top_p,
            eos: -1,
        }
    }

    fn pick(probabilities: &[f64], top_p: f64, draw: f64) -> (i64, f64) {
        let logits = Tensor::from_slice(probabilities).log().unsqueeze(0);
        let chosen = choose(&logits, decoding(1.0, top_p), &[draw]);
        (
            chosen.double_value(&[0, 0]) as i64,
            chosen.double_value(&[1, 0]),
        )
    }

    #[test]
    fn a_draw_picks_the_token_where_the_cumulative_distribution_passes_it() {
        let p = [0.0, 0.25, 0.0, 0.5, 0.25];
        for (draw, token) in [
            (0.0, 1),
            (0.2499, 1),
            (0.2501, 3),
            (0.7499, 3),
            (0.7501, 4),
            (0.999_999, 4),
        ] {
            let (found, logprob) = pick(&p, 1.0, draw);
            assert_eq!(found, token, "draw {draw}");
            assert!((logprob - f64::ln(p[token as usize])).abs() < 1e-6);
        }
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_it() {
        let p = [0.1, 0.4, 0.2, 0.3];
        for draw in [0.0, 0.5, 0.999_999] {
            assert_eq!(pick(&p, 0.0, draw).0, 1, "draw {draw}");
        }
        // Tokens 1 and 3 together reach 0.6; the draw is spread over their 0.7.
        for (draw, token) in [(0.0, 1), (0.57, 1), (0.58, 3), (0.999_999, 3)] {
            assert_eq!(pick(&p, 0.6, draw).0, token, "draw {draw}");
        }
    }

    #[test]
    fn temperature_zero_is_greedy_and_logprobs_are_untempered() {
        let logits = Tensor::from_slice(&[1.0_f32, 3.0, 2.0]).unsqueeze(0);
        let chosen = choose(&logits, decoding(0.0, 1.0), &[]);
        assert_eq!(chosen.double_value(&[0, 0]) as i64, 1);
        let expected = 3.0 - (1_f64.exp() + 2_f64.exp() + 3_f64.exp()).ln();
        assert!((chosen.double_value(&[1, 0]) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_logit_that_is_no_number_leaves_no_probability() {
        for bad in [f32::NAN, f32::INFINITY] {
            let logits = Tensor::from_slice(&[1.0, bad, 2.0, 0.0, 1.0, 2.0]).reshape([2, 3]);
            for temperature in [0.0, 0.7] {
                let chosen = choose(&logits, decoding(temperature, 0.9), &[0.5, 0.5]);
                assert!(!chosen.double_value(&[1, 0]).is_finite(), "{bad}");
                assert!(chosen.double_value(&[1, 1]).is_finite(), "{bad}");
            }
        }
    }
}

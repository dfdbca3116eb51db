//! Answers to prompts that begin alike: what they have in common is read once.
//!
//! All questions about a picture share the words before it and the picture's tokens, which are most of a prompt. So a
//! batch is read in two passes: the openings, each once, and then what follows them, each part behind its opening. From
//! there on it is decoded as any batch ([`crate::generate()`]). Room for answers is made as they grow, because the longest
//! length allowed is often many times the usual one.

use tch::{Kind, Tensor};

use crate::block::Visible;
use crate::cache::KvCache;
use crate::generate::{Live, NotFinite, decode};
use crate::left_padded::LeftPadded;
use crate::{Adapter, Decoding, Llava, Response};

/// The common beginning of some prompts.
#[derive(Debug)]
pub struct Opening {
    /// Token ids, one placeholder for each image patch.
    pub ids: Vec<i64>,
    /// The tower's features of its images, `[n_images, n_image_tokens, tower width]`.
    pub features: Option<Tensor>,
    /// What follows it in each prompt: ids without placeholders.
    pub rests: Vec<Vec<i64>>,
}

impl Opening {
    /// Where the part of a prompt ends that questions about its picture share: after the last placeholder `image`, or
    /// after the first token where there is none. What follows is never empty.
    #[must_use]
    pub fn len_in(ids: &[i64], image: i64) -> usize {
        let last = ids.iter().rposition(|&id| id == image);
        last.map_or(1, |at| at + 1).min(ids.len().saturating_sub(1))
    }
}

/// Answers all prompts as one batch; the responses come in the order of the openings, and for each in that of its rests.
///
/// `uniform(response, position)` gives the random number in `[0, 1)` for a token; greedy decoding asks none.
///
/// # Errors
/// Logits are not finite.
///
/// # Panics
/// An opening or a rest is empty; every template's prompts begin with a token of their own and end where the assistant
/// speaks.
pub fn generate_openings(
    model: &Llava,
    adapter: Option<&Adapter>,
    openings: &[Opening],
    decoding: Decoding,
    uniform: impl Fn(usize, usize) -> f64,
) -> Result<Vec<Response>, NotFinite> {
    let rests: Vec<&[i64]> = openings
        .iter()
        .flat_map(|opening| opening.rests.iter().map(Vec::as_slice))
        .collect();
    assert!(
        openings.iter().all(|opening| !opening.ids.is_empty())
            && rests.iter().all(|rest| !rest.is_empty()),
        "no part of a prompt is empty"
    );
    if rests.is_empty() || decoding.max_new_tokens == 0 {
        return Ok(vec![Response::default(); rests.len()]);
    }
    tch::no_grad(|| {
        let (live, hidden) = read(model, adapter, openings, &rests, decoding.max_new_tokens);
        decode(model, adapter, live, hidden, decoding, uniform)
    })
}

/// Reads the prompts; returns the last hidden state of each, `[prompts, width]`.
fn read(
    model: &Llava,
    adapter: Option<&Adapter>,
    openings: &[Opening],
    rests: &[&[i64]],
    n_new: usize,
) -> (Live, Tensor) {
    let device = model.device();
    let decoder = model.decoder();
    let ids: Vec<&[i64]> = openings
        .iter()
        .map(|opening| opening.ids.as_slice())
        .collect();
    let first = LeftPadded::new(&ids, device);
    let mut cache = read_openings(model, adapter, openings, &first);

    // From here on a row is a prompt.
    let of_opening = |(at, opening): (usize, &Opening)| vec![at as i64; opening.rests.len()];
    let owners: Vec<i64> = openings.iter().enumerate().flat_map(of_opening).collect();
    let owners = Tensor::from_slice(&owners).to_device(device);
    cache.select_rows(&owners);
    let pads = first.pads.index_select(0, &owners);
    let second = LeftPadded::new(rests, device);
    cache.reserve(first.len + second.len);

    let readable = (first.padded || second.padded).then(|| {
        let n_keys = first.len + second.len + n_new as i64;
        let keys = Tensor::arange(n_keys, (Kind::Int64, device)).unsqueeze(0);
        let in_opening = keys.ge_tensor(&pads).logical_and(&keys.lt(first.len));
        let after = keys.ge_tensor(&(&second.pads + first.len));
        in_opening.logical_or(&after).unsqueeze(1).unsqueeze(1)
    });
    let both = first.len + second.len;
    // A pad of the second part reads the opening, so that no softmax is over nothing.
    let causal = Tensor::ones([second.len, both], (Kind::Bool, device)).tril(first.len);
    let mask = match &readable {
        Some(readable) => readable.narrow(3, 0, both).logical_and(&causal),
        None => causal.unsqueeze(0).unsqueeze(0),
    };
    let start = pads.neg() + first.len;
    let positions = second.positions() + &start;
    let rotary = decoder.rotary(&positions);
    let embedded = decoder.embed(&second.ids);
    let visible = Visible::Mask(&mask);
    let hidden = decoder.forward(&embedded, &rotary, visible, adapter, Some(&mut cache));
    let live = Live {
        rows: (0..rests.len()).collect(),
        positions: start + second.len - &second.pads,
        readable,
        cache,
    };
    (live, hidden.select(1, -1))
}

/// Reads the openings, a row for each.
fn read_openings(
    model: &Llava,
    adapter: Option<&Adapter>,
    openings: &[Opening],
    rows: &LeftPadded,
) -> KvCache {
    let device = model.device();
    let features: Vec<&Tensor> = openings
        .iter()
        .filter_map(|opening| opening.features.as_ref())
        .collect();
    let features = (!features.is_empty()).then(|| Tensor::cat(&features, 0));
    let embedded = model.embed(&rows.ids, features.as_ref());
    let mask = rows.causal_mask();
    let visible = mask.as_ref().map_or(Visible::Causal, Visible::Mask);
    let rotary = model.decoder().rotary(&rows.positions());
    let text = &model.config().text_config;
    let n_rows = openings.len() as i64;
    let mut cache = KvCache::new(text, n_rows, rows.len, embedded.kind(), device);
    let decoder = model.decoder();
    // Wanted are the keys and values alone.
    let _ = decoder.forward(&embedded, &rotary, visible, adapter, Some(&mut cache));
    cache
}

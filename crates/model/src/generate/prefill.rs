//! The reading of prompts.
//!
//! All questions about an image share the words before it and the image's tokens, which are most of a prompt. Where there
//! are such, a batch is read in two passes: the openings, each once, and then what follows them, each part behind its
//! opening.

use tch::{Kind, Tensor};

use super::Query;
use super::slots::{Live, ROOM};
use crate::Vlm;
use crate::cache::KvCache;
use crate::features::Features;
use crate::left_padded::LeftPadded;
use crate::llama::Visible;
use crate::lora::Adapter;

/// Reads prompts, a row for each, in their order.
pub(super) fn read(model: &Vlm, adapter: Option<&Adapter>, queries: &[&Query]) -> Live {
    let openings = openings(queries, model.config().image_token());
    match openings.filter(|openings| openings.len() < queries.len()) {
        Some(openings) => behind_openings(model, adapter, queries, &openings),
        None => whole(model, adapter, queries),
    }
}

/// What prompts beside each other begin with.
struct PrefixGroup<'a> {
    /// Its tokens, all placeholders among them; of a prompt that shares nothing, all but its last.
    ids: &'a [i64],
    /// The features of its images.
    features: Option<&'a Features>,
    n_queries: usize,
}

/// The openings of all prompts; none if there is a prompt that cannot be cut in two.
fn openings<'a>(queries: &[&'a Query], image: i64) -> Option<Vec<PrefixGroup<'a>>> {
    let alike = |left: &&Query, right: &&Query| {
        let opening = left.opening(image);
        opening.is_some() && opening == right.opening(image)
    };
    let groups = queries.chunk_by(alike).map(|group| {
        let query = group[0];
        let ids = match (query.opening(image), query.ids.split_last()) {
            (Some((_, ids)), _) => ids,
            (None, Some((&last, ids))) if last != image && !ids.is_empty() => ids,
            (None, _) => return None,
        };
        Some(PrefixGroup {
            ids,
            features: query.features.as_ref(),
            n_queries: group.len(),
        })
    });
    groups.collect()
}

/// Rows that were read from their beginning.
struct Begun {
    cache: KvCache,
    /// The last hidden state of each, `[rows, width]`.
    hidden: Tensor,
    /// The position of the next token of each, `[rows, 1]` i64.
    next: Tensor,
}

/// Reads rows from their beginning, and leaves room for `room` tokens more.
fn from_the_beginning<'a>(
    model: &Vlm,
    adapter: Option<&Adapter>,
    rows: &LeftPadded,
    features: impl Iterator<Item = Option<&'a Features>>,
    room: i64,
) -> Begun {
    let features = Features::cat(features.flatten());
    let embedded = model.embed(&rows.ids, features.as_ref(), adapter);
    let mask = rows.causal_mask();
    let visible = mask.as_ref().map_or(Visible::Causal, Visible::Mask);
    let decoder = model.decoder();
    let end = rows.pads.neg() + rows.len;
    let (positions, next) = match &embedded.axial {
        Some(axial) => {
            let positions = (&axial.positions - &rows.pads).clamp_min(0);
            (positions, end + &axial.delta)
        }
        None => (rows.positions(), end),
    };
    let rotary = decoder.rotary(&positions);
    let mut cache = model.cache(rows.ids.size()[0], rows.len + room);
    let hidden = decoder.forward(
        &embedded.x,
        embedded.deep.as_ref(),
        &rotary,
        visible,
        adapter,
        Some(&mut cache),
    );
    Begun {
        cache,
        hidden: hidden.select(1, -1),
        next,
    }
}

/// Each prompt in one pass.
fn whole(model: &Vlm, adapter: Option<&Adapter>, queries: &[&Query]) -> Live {
    let ids: Vec<&[i64]> = queries.iter().map(|query| query.ids.as_slice()).collect();
    let rows = LeftPadded::new(&ids, model.device());
    let features = queries.iter().map(|query| query.features.as_ref());
    let begun = from_the_beginning(model, adapter, &rows, features, ROOM);
    Live {
        rows: (0..queries.len()).collect(),
        pads: ids.iter().map(|row| rows.len - row.len() as i64).collect(),
        positions: begun.next,
        readable: rows.readable(rows.len + ROOM),
        cache: begun.cache,
        hidden: begun.hidden,
    }
}

/// Openings first, and then what follows them.
fn behind_openings(
    model: &Vlm,
    adapter: Option<&Adapter>,
    queries: &[&Query],
    openings: &[PrefixGroup<'_>],
) -> Live {
    let (device, decoder) = (model.device(), model.decoder());
    let of_opening = |(at, opening): (usize, &PrefixGroup<'_>)| vec![at; opening.n_queries];
    let owners: Vec<usize> = openings.iter().enumerate().flat_map(of_opening).collect();
    let heads: Vec<&[i64]> = openings.iter().map(|opening| opening.ids).collect();
    let suffixes = owners.iter().zip(queries);
    let suffixes: Vec<&[i64]> = suffixes
        .map(|(&at, query)| &query.ids[heads[at].len()..])
        .collect();
    let first = LeftPadded::new(&heads, device);
    let second = LeftPadded::new(&suffixes, device);
    let both = first.len + second.len;
    let features = openings.iter().map(|opening| opening.features);
    let begun = from_the_beginning(model, adapter, &first, features, second.len + ROOM);
    let mut cache = begun.cache;

    // From here on a row is a prompt.
    let rows: Vec<i64> = owners.iter().map(|&at| at as i64).collect();
    let rows = Tensor::from_slice(&rows).to_device(device);
    cache.select_rows(&rows);
    let pads = first.pads.index_select(0, &rows);
    let readable = (first.padded || second.padded).then(|| {
        let keys = Tensor::arange(both + ROOM, (Kind::Int64, device)).unsqueeze(0);
        let in_opening = keys.ge_tensor(&pads).logical_and(&keys.lt(first.len));
        let after = keys.ge_tensor(&(&second.pads + first.len));
        in_opening.logical_or(&after).unsqueeze(1).unsqueeze(1)
    });
    // A pad of the second part reads the opening, so that no softmax is over nothing.
    let causal = Tensor::ones([second.len, both], (Kind::Bool, device)).tril(first.len);
    let mask = match &readable {
        Some(readable) => readable.narrow(3, 0, both).logical_and(&causal),
        None => causal.unsqueeze(0).unsqueeze(0),
    };
    let start = begun.next.index_select(0, &rows);
    let rotary = decoder.rotary(&(second.positions() + &start));
    let embedded = decoder.embed(&second.ids);
    let visible = Visible::Mask(&mask);
    let hidden = decoder.forward(&embedded, None, &rotary, visible, adapter, Some(&mut cache));
    Live {
        rows: (0..queries.len()).collect(),
        pads: owners
            .iter()
            .map(|&at| first.len - heads[at].len() as i64)
            .collect(),
        positions: start + second.len - &second.pads,
        readable,
        cache,
        hidden: hidden.select(1, -1),
    }
}

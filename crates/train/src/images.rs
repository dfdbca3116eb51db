//! Features of images that ranks encode for each other: each image is encoded once, in the pass in which one rank would encode
//! it, and so with the same bits. Where they are kept on disk, every rank keeps those of all images on its machine's.

use std::path::Path;

use candor_model::{Bundle, Features, ImageFeatures, ImageSpan};
use candor_run::{Ranks, RunError};
use tch::Tensor;

use crate::error::TrainError;
use crate::feature_place::FeaturePlace;
use crate::lanes::bytes_of;

/// Bytes that a rank sends at a time, which it has 2 W + 2 times in memory while W ranks exchange them.
const PIECE_BYTES: usize = 16 << 20;

/// As [`ImageFeatures::encode`], the passes shared out to ranks by their [`turns`]. All ranks have the features of all images
/// then, where `place` says.
///
/// # Errors
/// As [`ImageFeatures::encode`], on the rank whose pass it is; or there is no room on the disk, or another rank has ended or
/// hangs.
pub fn encode_images(
    bundle: &Bundle,
    folder: &Path,
    names: impl IntoIterator<Item = String>,
    place: &FeaturePlace,
    ranks: &Ranks,
    progress: impl FnMut(usize, usize),
) -> Result<ImageFeatures, TrainError> {
    let open = |n_images| Ok::<_, TrainError>(place.store(bundle, n_images)?);
    let gather = |mine| Ok::<_, TrainError>(gather_features(ranks, bundle, mine)?);
    let turns = turns(bundle, ranks);
    ImageFeatures::encode_in_turns(bundle, folder, names, open, turns, progress, gather)
}

/// The turn of this rank, and how many there are: images that each pass sees anew are read by every rank itself.
#[must_use]
pub fn turns(bundle: &Bundle, ranks: &Ranks) -> [usize; 2] {
    if bundle.model.sees_anew() {
        [0, 1]
    } else {
        [ranks.rank(), ranks.world()]
    }
}

/// What every rank has encoded with its copy of a model, in the order of ranks; `mine` are one image each, on the host.
///
/// # Errors
/// A rank has ended or hangs, or its model is another.
pub fn gather_features(
    ranks: &Ranks,
    bundle: &Bundle,
    mine: Vec<Features>,
) -> Result<Vec<Vec<Features>>, RunError> {
    if turns(bundle, ranks)[1] == 1 {
        return Ok(vec![mine]);
    }
    let spans: Vec<ImageSpan> = mine.iter().flat_map(|of| of.spans().to_vec()).collect();
    let bytes: Vec<Vec<u8>> = mine.iter().map(|of| bytes_of(of.rows())).collect();
    drop(mine);
    let (width, kind) = (bundle.model.config().feature_width(), bundle.model.kind());
    let n_bytes = |span: &ImageSpan| (span.n_rows * width) as usize * kind.elt_size_in_bytes();
    let spans = ranks.all_of(&spans)?;
    let lengths = spans
        .iter()
        .map(|spans| spans.iter().map(n_bytes).sum::<usize>());
    let lengths: Vec<usize> = lengths.collect();
    let bytes = gather_in_pieces(ranks, &bytes.concat(), &lengths)?;
    let of_rank = |(spans, bytes): (&Vec<ImageSpan>, &Vec<u8>)| {
        let mut rest = bytes.as_slice();
        let mut of_image = |span: &ImageSpan| {
            let (image, after) = rest.split_at(n_bytes(span));
            rest = after;
            let rows = Tensor::from_data_size(image, &[span.n_rows, width], kind);
            Features::of_image(rows, *span)
        };
        spans.iter().map(&mut of_image).collect()
    };
    Ok(spans.iter().zip(&bytes).map(of_rank).collect())
}

/// The bytes of all ranks, of which each has as many as `lengths` says.
fn gather_in_pieces(
    ranks: &Ranks,
    mine: &[u8],
    lengths: &[usize],
) -> Result<Vec<Vec<u8>>, RunError> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut all: Vec<Vec<u8>> = lengths.iter().map(|n| Vec::with_capacity(*n)).collect();
    let mut pieces = mine.chunks(PIECE_BYTES);
    for _ in (0..longest).step_by(PIECE_BYTES) {
        let of_ranks = ranks.all_gather(pieces.next().unwrap_or_default())?;
        for (whole, piece) in all.iter_mut().zip(of_ranks) {
            whole.extend(piece);
        }
    }
    let as_said = |(bytes, length): (&Vec<u8>, &usize)| bytes.len() == *length;
    if all.iter().zip(lengths).all(as_said) {
        return Ok(all);
    }
    let source = "the features of images are not of the sizes that the model has";
    Err(RunError::Ranks {
        source: source.into(),
    })
}

#[cfg(test)]
mod tests {
    use candor_testing::ranks::on_threads;

    use super::*;

    /// Three ranks with more, fewer and no bytes than go at a time.
    #[test]
    fn bytes_of_all_ranks_arrive_whole_and_in_order() {
        let lengths = [2 * PIECE_BYTES + 3, 5, 0];
        let bytes = |rank: usize| -> Vec<u8> {
            let of_rank = |at: usize| (at / PIECE_BYTES + 10 * rank) as u8;
            (0..lengths[rank]).map(of_rank).collect()
        };
        let found = on_threads(3, |ranks| {
            let mine = bytes(ranks.rank());
            let all = gather_in_pieces(&ranks, &mine, &lengths).unwrap();
            all == [bytes(0), bytes(1), bytes(2)]
        });
        assert_eq!(found, [true; 3]);
        let message = on_threads(2, |ranks| {
            let found = gather_in_pieces(&ranks, &[1, 2], &[2, 3]);
            found.unwrap_err().to_string()
        });
        assert!(message[0].contains("not of the sizes that the model has"));
    }
}

//! Scores of sequences without gradients, and what a set of comparisons' scores amounts to.

use candor_model::shared::{SharedBatch, SharedPrefix};
use candor_model::{Adapter, Bundle, Features, ImageFeatures, ScalarHead};
use candor_run::Ranks;
use candor_train::inference;
use tch::{Device, Kind, Tensor};

use crate::RewardError;
use crate::loss::pair_loss;

/// A model that scores: base, adapter and head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scorer<'a> {
    /// The base with its tokenizer.
    pub bundle: &'a Bundle,
    /// The adapter.
    pub adapter: &'a Adapter,
    /// From a hidden state to the score.
    pub head: &'a ScalarHead,
    /// Features of all images that will be asked for.
    pub features: &'a ImageFeatures,
}

impl Scorer<'_> {
    /// The score of every branch of every item, in passes of at most `batch_rows` items of nearly one length.
    ///
    /// The last bits of a score may depend on what it shares a pass with, so equal calls give equal scores, but
    /// other batches need not.
    ///
    /// The passes are shared out to `ranks`.
    ///
    /// # Errors
    /// An image was never encoded, or another rank has ended or hangs.
    ///
    /// # Panics
    /// The items differ in their number of branches.
    pub(crate) fn scores(
        &self,
        items: &[&SharedPrefix],
        batch_rows: usize,
        ranks: &Ranks,
    ) -> Result<Vec<Vec<f64>>, RewardError> {
        let mut order: Vec<usize> = (0..items.len()).collect();
        // Longest first: the largest batch comes at the start, where a lack of memory should show.
        order.sort_by_key(|&i| (std::cmp::Reverse(items[i].n_tokens()), i));
        let chunks: Vec<&[usize]> = order.chunks(batch_rows.max(1)).collect();
        let found = ranks.share_numbers(chunks.len(), |number| {
            let chosen: Vec<&SharedPrefix> = chunks[number].iter().map(|&i| items[i]).collect();
            self.pass(&chosen)
        })?;
        let mut scores = vec![Vec::new(); items.len()];
        for (chunk, found) in chunks.iter().zip(found) {
            let n_branches = found.len() / chunk.len();
            for (&i, row) in chunk.iter().zip(found.chunks(n_branches)) {
                scores[i] = row.to_vec();
            }
        }
        Ok(scores)
    }

    /// The scores of the branches of the first item, then those of the second, and so on.
    fn pass(&self, items: &[&SharedPrefix]) -> Result<Vec<f64>, RewardError> {
        let images = features_of(self.features, items)?;
        let batch = SharedBatch::new(items, self.bundle.tokenizer.pad, self.bundle.model.device());
        Ok(inference(|| {
            let model = &self.bundle.model;
            let hidden = model.hidden_shared(&batch, images.as_ref(), Some(self.adapter));
            to_host(&self.head.forward(&hidden))
        }))
    }
}

/// Features of the images of a pass, in the order of its items.
///
/// # Errors
/// An image was never encoded.
pub(crate) fn features_of(
    features: &ImageFeatures,
    items: &[&SharedPrefix],
) -> Result<Option<Features>, RewardError> {
    let names = || items.iter().filter_map(|item| item.image.as_deref());
    let found = features.of(names());
    if found.is_none()
        && let Some(missing) = names().find(|name| features.of([*name]).is_none())
    {
        return Err(RewardError::Unfit {
            path: missing.into(),
            problem: "the image was not encoded".to_owned(),
            remedy: "encode the images of all items with the reward model's tower first",
        });
    }
    Ok(found)
}

/// Scores on the host.
///
/// # Shapes
/// Any shape, flattened.
#[must_use]
pub(crate) fn to_host(scores: &Tensor) -> Vec<f64> {
    let host = scores.detach().to_kind(Kind::Double).to_device(Device::Cpu);
    let mut values = vec![0.0; host.numel()];
    host.contiguous().copy_data(&mut values, host.numel());
    values
}

/// Scores of a pair: chosen, then rejected; of a rated answer its own and 0.
pub(crate) type PairScores = [f64; 2];

/// What the scores of some comparisons amount to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    /// Share of the pairs whose chosen response has the higher score; a tie counts half.
    pub accuracy: f64,
    /// Mean pair loss, without the centering term.
    pub pair_loss: f64,
    /// Mean of chosen − rejected.
    pub margin_mean: f64,
    /// Mean of all scores.
    pub score_mean: f64,
}

impl Figures {
    /// The figures of at least one pair, or rated answer.
    #[must_use]
    pub(crate) fn of(scores: &[PairScores], are_rated: bool) -> Self {
        let n = scores.len() as f64;
        let mean = |of: fn(&PairScores) -> f64| scores.iter().map(of).sum::<f64>() / n;
        let [chosen, rejected] = columns(scores);
        Self {
            accuracy: mean(right),
            pair_loss: pair_loss(&chosen, &rejected, 0.0).double_value(&[]),
            margin_mean: mean(|[chosen, rejected]| chosen - rejected),
            // The other of a rated answer's scores is 0 and nobody's.
            score_mean: if are_rated {
                mean(|[chosen, rejected]| chosen + rejected)
            } else {
                mean(|[chosen, rejected]| f64::midpoint(*chosen, *rejected))
            },
        }
    }
}

/// 1 for a pair whose chosen response has the higher score, 1/2 for a tie.
#[must_use]
pub(crate) fn right([chosen, rejected]: &PairScores) -> f64 {
    if chosen > rejected {
        1.0
    } else if chosen < rejected {
        0.0
    } else {
        0.5
    }
}

/// Chosen and rejected scores.
///
/// # Shapes
/// → two of `[n]` f64, on the CPU.
pub(crate) fn columns(scores: &[PairScores]) -> [Tensor; 2] {
    [0, 1].map(|side| Tensor::from_slice(&scores.iter().map(|pair| pair[side]).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_pairs_worked_by_hand() {
        let ln3 = 3_f64.ln();
        let figures = Figures::of(&[[ln3, 0.0], [1.0, 1.0], [-ln3, 0.0]], false);
        let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
        close(figures.accuracy, 0.5);
        // ln 4/3, ln 2 and ln 4.
        close(figures.pair_loss, (4_f64 / 3.0 * 2.0 * 4.0).ln() / 3.0);
        close(figures.margin_mean, 0.0);
        close(figures.score_mean, 1.0 / 3.0);
    }
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn swapping_the_pairs_negates_the_margin(
            // Whole numbers, so that there are ties and sums are exact.
            pairs in prop::collection::vec((-5_i32..5, -5_i32..5), 1..20),
        ) {
            let scores: Vec<PairScores> = pairs.iter().map(|(c, r)| [(*c).into(), (*r).into()]).collect();
            let swapped: Vec<PairScores> = scores.iter().map(|[c, r]| [*r, *c]).collect();
            let (kept, swapped) = (Figures::of(&scores, false), Figures::of(&swapped, false));
            prop_assert!((kept.margin_mean + swapped.margin_mean).abs() < 1e-12);
            prop_assert!((kept.accuracy + swapped.accuracy - 1.0).abs() < 1e-12);
            prop_assert!((kept.score_mean - swapped.score_mean).abs() < 1e-12);
        }
    }
}

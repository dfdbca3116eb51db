//! What it takes to share a run among ranks, by the formulas of `docs/many-devices.md`.
//!
//! `P` are the bytes of what is trained, in f32, `L` the lanes, `W` the ranks, `B` the bytes of a bucket: 64 MB, the largest
//! tensor where that is more, or `P` where that is less.
//!
//! | what | bytes |
//! |---|---|
//! | sent by a rank in an update, and as many received | `P (W − 1) ⌈L / W⌉`: every round each gives all of its gradient |
//! | sent by a rank of `rl` in a step besides | `(W − 1) / W` of [`ANSWER_TOKEN`] for each token of an answer, and [`VALUE_TOKEN`] where there is a critic |
//! | received by a rank before the first step | `3 P`, where the best weights so far are kept also these (`P`; half of it where a base in bf16 is trained), and `(W − 1) / W` of all features of images, but for those that an adapter's tower sees anew |
//! | memory on the host while a bucket is exchanged | `(2 W + 2) B` |
//!
//! Where ranks share out the optimizer (`run.shard = "zero2"`) gradients go to their owners alone, and weights come back. An owner
//! has whole tensors, so let `S` be the bytes of the one that has most, in f32 and at least `P / W`, and `R` those of all weights as
//! passes read them but for what the rank that owns least owns. A bucket is 64 MB, or `P` where that is less, whatever the largest
//! tensor is:
//!
//! | what | bytes |
//! |---|---|
//! | received in an update, and at most as many sent | `S ⌈L / W⌉ (W − 1) + R` at most |
//! | received by that rank before the first step | `P + 2 S` in place of `3 P` |
//! | memory on the host while a bucket is exchanged | `4 B` |
//!
//! Where they share out the weights of blocks too (`"zero3"`), `R` is of what is outside of blocks, and every pass that ranks make side by
//! side brings all blocks twice. A rank gets all but its own of them, and gives its own to all others, `W − 1` times: where owners are
//! uneven the one that has most gives more than any gets. What is counted, of blocks and of `R` then, is the larger of both.
//!
//! What losses, figures and texts of `sample` and `eval` take is left out: it is some hundred bytes a row. So are the weights of blocks
//! that every rank gets once for a look at held-out conversations, and once at the end.

use candor_train::BUCKET_BYTES;
use serde::Serialize;

use crate::trained::{Trained, shares};

/// A sampled token as ranks tell each other: id, log-probability and text as JSON, and the reference's log-probability.
pub(crate) const ANSWER_TOKEN: u64 = 46;
/// The value of a token.
pub(crate) const VALUE_TOKEN: u64 = 21;

/// What it takes to share a run among ranks. The bytes are estimates: what Gloo adds to them is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sharing {
    /// Ranks.
    pub n_ranks: u64,
    /// Lanes that gradients are summed in; none in stages without gradients.
    pub n_lanes: Option<u64>,
    /// Pieces of work that are shared out: passes of an update, or chunks of a run; none where their number is not known.
    pub n_pieces: Option<u64>,
    /// Those of the rank that has most of them.
    pub most_pieces: Option<u64>,
    /// Memory of the host that a rank needs besides while gradients are exchanged, in bytes.
    pub exchange_bytes: u64,
    /// Bytes that a rank receives in a step, and that one sends, at most.
    pub step_bytes: u64,
    /// Bytes that a rank receives before the first step, at most.
    pub start_bytes: u64,
}

/// What a stage with gradients sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Training {
    /// The recipe's lanes.
    pub n_lanes: u64,
    /// Passes of an update.
    pub n_passes: u64,
    /// Whether that is the most that there can be, because tokens bound passes.
    pub passes_are_a_bound: bool,
    /// Updates of a step.
    pub n_updates: u64,
    /// What is trained.
    pub trained: Trained,
    /// Bytes that the run keeps besides and a checkpoint holds.
    pub kept_bytes: u64,
    /// Bytes that all ranks together find out in a step, and tell each other.
    pub found_bytes: u64,
    /// Features of all images that ranks encode for each other.
    pub features_bytes: u64,
    /// What is where, where ranks share out the optimizer.
    pub shared_out: Option<SharedOut>,
    /// What a rank gets or gives in a pass at most, where they share out the weights of blocks, which come twice.
    pub gathered_bytes: u64,
}

/// What is where, where ranks share out the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SharedOut {
    /// Bytes in f32 of the tensors of the rank that owns most.
    pub most_bytes: u64,
    /// Weights, as passes read them, that a rank gets after an update at most; where those of blocks are shared out too, or gives.
    pub read_bytes: u64,
}

impl SharedOut {
    /// Of tensors of so many weights. `in_bf16` says whether passes read weights of the base rounded to bf16.
    pub(crate) fn of(sizes: &[u64], n_ranks: u64, in_bf16: bool) -> Self {
        let shares = shares(sizes, n_ranks);
        let least = shares.iter().copied().min().unwrap_or(0);
        let of_others = shares.iter().sum::<u64>() - least;
        Self {
            most_bytes: shares.into_iter().max().unwrap_or(0),
            read_bytes: of_others / (1 + u64::from(in_bf16)),
        }
    }
}

impl Training {
    /// A stage whose step is one update of so many rows, in passes of so many.
    pub(crate) fn new(
        lanes: usize,
        [batch, micro_batch]: [usize; 2],
        trained: Trained,
        features_bytes: u64,
    ) -> Self {
        Self {
            n_lanes: lanes as u64,
            n_passes: batch.div_ceil(micro_batch) as u64,
            passes_are_a_bound: false,
            n_updates: 1,
            trained,
            kept_bytes: 0,
            found_bytes: 0,
            features_bytes,
            shared_out: None,
            gathered_bytes: 0,
        }
    }

    /// Passes of an update that ranks make side by side: in each round as many as its first lane has, which has no fewer than others.
    fn turns(&self, n_ranks: u64) -> u64 {
        let of_lane = |lane: u64| self.n_passes.saturating_sub(lane).div_ceil(self.n_lanes);
        (0..self.n_lanes)
            .step_by(n_ranks as usize)
            .map(of_lane)
            .sum()
    }

    /// Bytes of what is exchanged at a time, of an update, and of weights and states at the start.
    fn exchanged(&self, n_ranks: u64) -> [u64; 3] {
        let (all, bucket) = (self.trained.bytes, BUCKET_BYTES as u64);
        let rounds = self.n_lanes.div_ceil(n_ranks);
        match self.shared_out {
            None => {
                let of_update = all * (n_ranks - 1) * rounds;
                let on_host = (2 * n_ranks + 2) * self.trained.bucket();
                [on_host, of_update, 3 * all]
            }
            Some(share) => {
                let given = rounds * share.most_bytes * (n_ranks - 1);
                let gathered = self.turns(n_ranks) * self.gathered_bytes;
                let of_update = given + share.read_bytes + gathered;
                [4 * bucket.min(all), of_update, all + 2 * share.most_bytes]
            }
        }
    }
}

impl Sharing {
    /// Of a stage with gradients; none on one rank.
    pub(crate) fn of_training(n_ranks: u64, stage: &Training) -> Option<Self> {
        let [exchange_bytes, of_update, of_start] = stage.exchanged(n_ranks);
        let lanes = |rank: u64| (0..stage.n_lanes).filter(move |lane| lane % n_ranks == rank);
        let passes = |lane: u64| (stage.n_passes + stage.n_lanes - 1 - lane) / stage.n_lanes;
        let most = (0..n_ranks)
            .map(|rank| lanes(rank).map(passes).sum::<u64>())
            .max();
        (n_ranks > 1).then(|| Self {
            n_ranks,
            n_lanes: Some(stage.n_lanes),
            n_pieces: Some(stage.n_passes),
            most_pieces: most,
            exchange_bytes,
            step_bytes: stage.n_updates * of_update + of_others(n_ranks, stage.found_bytes),
            start_bytes: of_start + stage.kept_bytes + of_others(n_ranks, stage.features_bytes),
        })
    }

    /// Of a stage without gradients, which has so many chunks, where that is known, and features of all images; none on one rank.
    pub(crate) fn of_chunks(
        n_ranks: u64,
        n_chunks: Option<u64>,
        features_bytes: u64,
    ) -> Option<Self> {
        (n_ranks > 1).then(|| Self {
            n_ranks,
            n_lanes: None,
            n_pieces: n_chunks,
            most_pieces: n_chunks.map(|n| n.div_ceil(n_ranks)),
            exchange_bytes: 0,
            step_bytes: 0,
            start_bytes: of_others(n_ranks, features_bytes),
        })
    }

    /// Seconds that the bytes of a step take over a link of so many gigabytes a second each way, were nothing else in its way.
    #[must_use]
    pub fn step_secs(&self, link_gb: u32) -> f64 {
        self.step_bytes as f64 / 1e9 / f64::from(link_gb)
    }

    /// How many times as fast as on one rank the shared work is at most: as many times as it has more pieces than the rank with
    /// most of them.
    #[must_use]
    pub fn speedup(&self) -> Option<f64> {
        let (all, most) = (self.n_pieces?, self.most_pieces?);
        Some(all as f64 / most.max(1) as f64)
    }
}

/// What a rank gets from the others, or gives them, of what all have a share in.
fn of_others(n_ranks: u64, bytes: u64) -> u64 {
    bytes - bytes / n_ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn training(n_lanes: usize, n_passes: usize, mb: [u64; 2]) -> Training {
        let [bytes, largest_bytes] = mb.map(|mb| mb * MB);
        let trained = Trained {
            bytes,
            largest_bytes,
        };
        Training::new(n_lanes, [n_passes, 1], trained, 0)
    }

    fn shared(n_ranks: u64, stage: &Training) -> Sharing {
        Sharing::of_training(n_ranks, stage).unwrap()
    }

    /// Eight lanes on four ranks are two rounds, and on three ranks three, in each of which all gradients go to all others.
    #[test]
    fn every_round_sends_all_gradients_to_all_others() {
        let stage = training(8, 16, [100, 1]);
        let sent = |n_ranks| shared(n_ranks, &stage).step_bytes / MB;
        assert_eq!([2, 3, 4, 8].map(sent), [400, 600, 600, 700]);
        let ppo = Training {
            n_updates: 4,
            found_bytes: 12 * MB,
            ..stage
        };
        assert_eq!(shared(4, &ppo).step_bytes, (4 * 600 + 9) * MB);
        assert_eq!(Sharing::of_training(1, &stage), None);
    }

    /// Passes 0, 1, 2 … are lanes 0, 1, 2 …, and lanes 0, 3, 6 are rank 0's of three.
    #[test]
    fn the_rank_with_most_passes_decides_how_fast_it_can_be() {
        let most = |n_ranks, n_lanes, n_passes| {
            let found = shared(n_ranks, &training(n_lanes, n_passes, [1, 1]));
            (found.most_pieces.unwrap(), found.speedup().unwrap())
        };
        assert_eq!(most(4, 8, 16), (4, 4.0));
        assert_eq!(most(3, 8, 16), (6, 16.0 / 6.0));
        // Passes 0 to 9: lane 0 has 0 and 8, lane 1 has 1 and 9.
        assert_eq!(most(4, 8, 10), (3, 10.0 / 3.0));
        // Two passes leave two of four lanes without work.
        assert_eq!(most(4, 4, 2), (1, 2.0));
    }

    #[test]
    fn a_bucket_is_64_mb_or_the_largest_tensor_or_all_there_is() {
        let exchanged = |mb| shared(2, &training(2, 2, mb)).exchange_bytes / MB;
        assert_eq!(exchanged([1000, 10]), 6 * 64);
        assert_eq!(exchanged([1000, 500]), 6 * 500);
        assert_eq!(exchanged([7, 2]), 6 * 7);
    }

    /// 100 MB of gradients in two rounds, a quarter for each of four owners, who give 12.5 MB of weights in bf16.
    #[test]
    fn owners_alone_get_gradients_and_give_weights() {
        let quarter = MB * 25 / 4;
        let stage = Training {
            shared_out: Some(SharedOut::of(&[quarter; 4], 4, true)),
            ..training(8, 16, [100, 25])
        };
        let found = shared(4, &stage);
        assert_eq!(found.step_bytes, (2 * 75) * MB + 75 * MB / 2);
        assert_eq!(found.start_bytes, 150 * MB);
        assert_eq!(found.exchange_bytes, 4 * 64 * MB);
        // 187.5 MiB are 196,608,000 bytes.
        assert!((found.step_secs(2) - 0.098_304).abs() < 1e-12);
    }

    /// Sixteen passes in eight lanes are two in each of two rounds on four ranks, and ten are two, and one in the second.
    #[test]
    fn weights_of_blocks_come_anew_for_every_pass() {
        let stage = |n_passes| Training {
            shared_out: Some(SharedOut {
                most_bytes: 25 * MB,
                read_bytes: MB,
            }),
            gathered_bytes: 2 * 24 * MB,
            ..training(8, n_passes, [100, 25])
        };
        let sent = |n_passes| shared(4, &stage(n_passes)).step_bytes / MB;
        assert_eq!(sent(16), 2 * 25 * 3 + 1 + 4 * 48);
        assert_eq!(sent(10), 2 * 25 * 3 + 1 + 3 * 48);
    }

    /// Of 60, 24 and 16 MB the first has an owner of its own, who gets it from each of the others in both rounds; the fourth rank
    /// owns nothing, and gets all weights back. On three ranks that share 90 MB evenly, one has no more than a third.
    #[test]
    fn the_owner_of_the_largest_tensor_gets_all_of_it() {
        let of = |mb: &[u64], n_ranks, in_bf16| {
            let sizes: Vec<u64> = mb.iter().map(|mb| mb * MB / 4).collect();
            let stage = Training {
                shared_out: Some(SharedOut::of(&sizes, n_ranks, in_bf16)),
                ..training(8, 16, [mb.iter().sum(), mb[0]])
            };
            let found = shared(n_ranks, &stage);
            [found.step_bytes, found.start_bytes].map(|bytes| bytes / MB)
        };
        let uneven = [60, 24, 16];
        assert_eq!(of(&uneven, 4, false), [2 * 60 * 3 + 100, 100 + 2 * 60]);
        assert_eq!(of(&uneven, 4, true), [2 * 60 * 3 + 50, 100 + 2 * 60]);
        // Eight lanes on three ranks are three rounds.
        let even = [3 * 30 * 2 + 60, 90 + 2 * 30];
        assert_eq!(of(&[30, 30, 20, 10], 3, false), even);
    }

    #[test]
    fn a_run_begins_with_weights_moments_and_the_features_of_others() {
        let stage = Training {
            kept_bytes: 5 * MB,
            features_bytes: 40 * MB,
            ..training(4, 4, [10, 1])
        };
        assert_eq!(shared(4, &stage).start_bytes, (3 * 10 + 5 + 30) * MB);
        let chunks = Sharing::of_chunks(4, Some(10), 40 * MB).unwrap();
        assert_eq!((chunks.start_bytes, chunks.step_bytes), (30 * MB, 0));
        assert_eq!(
            (chunks.most_pieces, chunks.speedup()),
            (Some(3), Some(10.0 / 3.0))
        );
        assert_eq!(Sharing::of_chunks(1, Some(10), 0), None);
    }
}

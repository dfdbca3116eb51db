//! What a rank has of the decoder's blocks where ranks share out their weights, as `session/blocks.rs` of `candor_train` brings them.

use candor_model::Part;
use candor_train::{BUCKET_BYTES, SessionRecipe, Shard, owners};

use crate::memory::{Budget, Memory};
use crate::trained::{F32, Held};

/// The weights of the decoder's blocks where ranks share these out too (`run.shard = "zero3"`), in numbers of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InBlocks {
    /// Of the largest block.
    pub largest: u64,
    /// Of all blocks.
    pub all: u64,
    /// Outside of blocks.
    pub rest: u64,
    /// What the rank that has most lacks of them while it computes a block.
    pub away: u64,
    /// What a rank gets or gives at most until all have had all blocks once: the one that owns least of them gets all others, and
    /// the one that owns most gives its own to all others.
    pub gathered: u64,
    /// The same of what is outside of blocks.
    pub rest_gathered: u64,
}

impl InBlocks {
    /// Of a run that trains all but the tower, tensors of these sizes; none where ranks share out no weights.
    pub(crate) fn of_run(
        session: &SessionRecipe,
        budget: Budget<'_>,
        sizes: &[u64],
        n_ranks: u64,
    ) -> Option<Self> {
        (session.shard == Shard::Zero3 && n_ranks > 1).then(|| {
            let blocks = budget.blocks_of(|part| part != Part::Tower);
            Self::of(sizes, &blocks, n_ranks)
        })
    }

    /// Of tensors of so many weights, each with the block that it is of.
    pub(crate) fn of(sizes: &[u64], blocks: &[Option<usize>], n_ranks: u64) -> Self {
        let n_ranks = n_ranks as usize;
        let n_blocks = blocks.iter().flatten().max().map_or(0, |last| last + 1);
        // What each rank owns of each block, and at last of what is outside of them.
        let mut owned = vec![vec![0_u64; n_ranks]; n_blocks + 1];
        let tensors = owners(sizes, n_ranks).into_iter().zip(sizes).zip(blocks);
        for ((owner, size), block) in tensors {
            owned[block.unwrap_or(n_blocks)][owner] += size;
        }
        let rest = owned.pop().unwrap_or_default();
        let sum = |of_ranks: &Vec<u64>| of_ranks.iter().sum::<u64>();
        let own = |rank: usize| -> u64 { owned.iter().map(|of_ranks| of_ranks[rank]).sum() };
        let here = |rank: usize| {
            let others = owned.iter().map(|of_ranks| sum(of_ranks) - of_ranks[rank]);
            own(rank) + others.max().unwrap_or(0)
        };
        let all: u64 = owned.iter().map(sum).sum();
        let exchanged = |of_ranks: &[u64]| {
            let of_others = of_ranks.iter().sum::<u64>() - of_ranks.iter().min().unwrap_or(&0);
            let to_others = of_ranks.iter().max().unwrap_or(&0) * (n_ranks as u64 - 1);
            of_others.max(to_others)
        };
        let of_blocks: Vec<u64> = (0..n_ranks).map(own).collect();
        Self {
            largest: owned.iter().map(sum).max().unwrap_or(0),
            all,
            rest: sum(&rest),
            away: all - (0..n_ranks).map(here).max().unwrap_or(0),
            gathered: exchanged(&of_blocks),
            rest_gathered: exchanged(&rest),
        }
    }

    /// The memory of a run whose ranks would hold `memory` if all had all weights. A lane has one pass, or `several`; `training` is
    /// what a pass takes besides, and `looks` whether held-out conversations are looked at.
    ///
    /// Where a lane has one pass, there are gradients of one block at a time. All weights are here between updates, when no gradients
    /// are: at the start, in evaluations and at the end.
    pub(crate) fn memory(
        self,
        memory: Memory,
        held: Held,
        [training, encoding]: [u64; 2],
        [several, looks]: [bool; 2],
        read: Read,
    ) -> Memory {
        let gradients = if several { 0 } else { self.all - self.largest };
        let weights_bytes = memory.weights_bytes - read.bytes * self.away;
        let trained_bytes = memory.trained_bytes - read.bytes * gradients;
        let exchanged = |n: u64| {
            let in_f32 = if read.bytes == F32 || several {
                0
            } else {
                (F32 * n).min(read.in_f32_bytes)
            };
            2 * (BUCKET_BYTES as u64).min(F32 * n) + in_f32
        };
        let looking = if looks { training } else { 0 };
        let whole = memory.weights_bytes + held.states_bytes + exchanged(self.largest) + looking;
        Memory {
            weights_bytes,
            trained_bytes,
            work_bytes: (training + exchanged(self.largest))
                .max(exchanged(self.rest))
                .max(encoding)
                .max(whole.saturating_sub(weights_bytes + trained_bytes)),
            ..memory
        }
    }
}

/// How passes read trained weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    /// Bytes of a number.
    pub bytes: u64,
    /// Of the largest tensor in f32, one for each rank.
    pub in_f32_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two ranks one owns the tensors of 6 and 2, the other those of 5 and 4. The first has all of its 8 in blocks and borrows 4 for
    /// the first of them.
    #[test]
    fn a_rank_has_its_own_weights_of_blocks_and_one_block_more() {
        let uneven = InBlocks::of(&[6, 4, 2, 5], &[Some(0), Some(0), Some(1), None], 2);
        let expected = InBlocks {
            largest: 10,
            all: 12,
            rest: 5,
            away: 0,
            gathered: 12 - 4,
            rest_gathered: 5,
        };
        assert_eq!(uneven, expected);
        // Four blocks of 3, of which each of two ranks owns two and borrows one.
        let blocks = [Some(0), Some(1), Some(2), Some(3), None];
        let even = InBlocks::of(&[3; 5], &blocks, 2);
        assert_eq!((even.all, even.away, even.gathered), (12, 3, 6));
        // Of three ranks one owns a block of 9, the others one of 3 each. These get 12, and the first gives its 9 to both.
        let blocks = [Some(0), Some(1), Some(2), None];
        let three = InBlocks::of(&[9, 3, 3, 1], &blocks, 3);
        assert_eq!((three.all, three.gathered), (15, 18));
        // Outside of blocks one of them owns 1, of which each of the others gets 1.
        assert_eq!((three.rest, three.rest_gathered), (1, 2));

        let memory = Memory {
            weights_bytes: 100,
            trained_bytes: 200,
            features_bytes: 7,
            work_bytes: 0,
        };
        let held = Held {
            bytes: 200,
            giving_bytes: 0,
            host_bytes: 0,
            states_bytes: 60,
        };
        let of = |work, kinds, bytes| {
            let read = Read {
                bytes,
                in_f32_bytes: 10,
            };
            let found = even.memory(memory, held, work, kinds, read);
            [found.weights_bytes, found.trained_bytes, found.work_bytes]
        };
        // Gradients of three of four blocks are never there, and what is exchanged of one block is 12 bytes, sent and received.
        assert_eq!(of([50, 0], [false, false], 4), [88, 164, 50 + 24]);
        // In bf16 half of the weights, and a gradient that is rounded up: 12 bytes, of which tensors have room for 10.
        assert_eq!(of([50, 0], [false, false], 2), [94, 182, 50 + 24 + 10]);
        // Lanes of several passes add up the gradients of all.
        assert_eq!(of([50, 0], [true, false], 4), [88, 200, 50 + 24]);
        assert_eq!(of([50, 90], [false, false], 4), [88, 164, 90]);
        let large = Memory {
            weights_bytes: 1000,
            ..memory
        };
        let read = Read {
            bytes: 4,
            in_f32_bytes: 10,
        };
        let states = Held {
            states_bytes: 300,
            ..held
        };
        // All weights, states and what a look takes, less what was counted before.
        let looked = even.memory(large, states, [50, 0], [false, true], read);
        assert_eq!(looked.work_bytes, 1000 + 300 + 24 + 50 - (988 + 164));
    }
}

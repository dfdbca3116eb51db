//! What a rank has of the decoder's blocks where ranks share out their weights, as `session/blocks.rs` of `candor_train` brings them.

use candor_model::Part;
use candor_train::{BUCKET_BYTES, SessionRecipe, Shard, owners};

use crate::memory::{Budget, Memory};
use crate::trained::{F32, Held};

/// The block of each trained tensor of a run that trains all but the tower; none of any where ranks share out no weights.
pub(crate) fn blocks_of_run(
    session: &SessionRecipe,
    budget: Budget<'_>,
    n_ranks: u64,
) -> Vec<Option<usize>> {
    if session.shard == Shard::Zero3 && n_ranks > 1 {
        budget.blocks_of(|part| part != Part::Tower)
    } else {
        Vec::new()
    }
}

/// The weights of the decoder's blocks where ranks share these out too (`run.shard = "zero3"`), in numbers of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InBlocks {
    /// Of the largest block.
    pub largest: u64,
    /// What the rank that has most lacks of them while it computes a block.
    pub away: u64,
    /// What a rank gets or gives at most until all have had all blocks once: the one that owns least of them gets all others, and
    /// the one that owns most gives its own to all others.
    pub gathered: u64,
    /// The same of what is outside of blocks.
    pub rest_gathered: u64,
}

impl InBlocks {
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
            away: all - (0..n_ranks).map(here).max().unwrap_or(0),
            gathered: exchanged(&of_blocks),
            rest_gathered: exchanged(&rest),
        }
    }

    /// The memory of a run, where `memory` has all weights on every rank and everything else as it is. `training` is what a pass
    /// takes besides, `looks` says whether held-out conversations are looked at, and `read_bytes` what passes read of a weight.
    ///
    /// All weights are here between updates, when no gradients are: at the start, in evaluations and at the end.
    pub(crate) fn memory(
        self,
        memory: Memory,
        held: Held,
        training: u64,
        looks: bool,
        read_bytes: u64,
    ) -> Memory {
        let weights_bytes = memory.weights_bytes - read_bytes * self.away;
        // What is sent of a block, and what comes.
        let gathering = 2 * read_bytes * self.largest.min(BUCKET_BYTES as u64 / F32);
        let looking = if looks { training } else { 0 };
        let whole = memory.weights_bytes + held.states_bytes + gathering + looking;
        let least = whole.saturating_sub(weights_bytes + memory.trained_bytes);
        Memory {
            weights_bytes,
            work_bytes: memory.work_bytes.max(least),
            ..memory
        }
    }
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
            away: 0,
            gathered: 12 - 4,
            rest_gathered: 5,
        };
        assert_eq!(uneven, expected);
        // Four blocks of 3, of which each of two ranks owns two and borrows one.
        let blocks = [Some(0), Some(1), Some(2), Some(3), None];
        let even = InBlocks::of(&[3; 5], &blocks, 2);
        assert_eq!((even.away, even.gathered), (3, 6));
        // Of three ranks one owns a block of 9, the others one of 3 each. These get 12, and the first gives its 9 to both.
        let blocks = [Some(0), Some(1), Some(2), None];
        let three = InBlocks::of(&[9, 3, 3, 1], &blocks, 3);
        assert_eq!(three.gathered, 18);
        // Outside of blocks one of them owns 1, of which each of the others gets 1.
        assert_eq!(three.rest_gathered, 2);

        let memory = Memory {
            weights_bytes: 100,
            trained_bytes: 200,
            features_bytes: 7,
            work_bytes: 50,
        };
        let held = Held {
            bytes: 200,
            giving_bytes: 0,
            host_bytes: 0,
            states_bytes: 60,
        };
        let of = |memory, held, looks, read_bytes| {
            let found = even.memory(memory, held, 50, looks, read_bytes);
            [found.weights_bytes, found.trained_bytes, found.work_bytes]
        };
        // Three weights are with others.
        assert_eq!(of(memory, held, false, 4), [100 - 3 * 4, 200, 50]);
        assert_eq!(of(memory, held, false, 2), [100 - 3 * 2, 200, 50]);
        // All weights, states and a block that is sent and comes, less what was counted before; and what a look takes.
        let large = Memory {
            weights_bytes: 1000,
            ..memory
        };
        let states = Held {
            states_bytes: 300,
            ..held
        };
        let gathered = 1000 + 300 + 2 * 4 * 3;
        let before = 1000 - 3 * 4 + 200;
        assert_eq!(of(large, states, false, 4)[2], gathered - before);
        assert_eq!(of(large, states, true, 4)[2], gathered + 50 - before);
    }
}

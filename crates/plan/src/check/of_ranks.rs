//! What ranks hold and send in fine-tuning, as they share out nothing, the optimizer, or the weights of blocks too.

use candor_sft::SftRecipe;
use candor_train::Shard;

use crate::in_blocks::InBlocks;
use crate::memory::Memory;
use crate::sharing::SharedOut;
use crate::trained::{F32, Held};

/// How ranks share out a model that is fine-tuned.
#[derive(Clone, Copy)]
pub(super) struct OfRanks {
    /// How many they are.
    pub n_ranks: u64,
    /// Whether passes read trained weights rounded to bf16.
    pub in_bf16: bool,
    /// Where they share out the weights of blocks.
    pub blocks: Option<InBlocks>,
}

impl OfRanks {
    /// Bytes of a trained weight as passes read it.
    fn read_bytes(self) -> u64 {
        F32 / (1 + u64::from(self.in_bf16))
    }

    /// The memory of each, where `memory` is that of ranks that have all weights and a pass takes `training` besides.
    pub(super) fn memory(
        self,
        recipe: &SftRecipe,
        memory: Memory,
        held: Held,
        training: u64,
    ) -> Memory {
        let looks = recipe.evaluation.is_some();
        self.blocks.map_or(memory, |blocks| {
            blocks.memory(memory, held, training, looks, self.read_bytes())
        })
    }

    /// What is where of the optimizer, and what weights come after an update.
    pub(super) fn shared_out(self, shard: Shard, sizes: &[u64]) -> Option<SharedOut> {
        let all = SharedOut::of(sizes, self.n_ranks, self.in_bf16);
        let read_bytes = self.blocks.map_or(all.read_bytes, |blocks| {
            self.read_bytes() * blocks.rest_gathered
        });
        (shard != Shard::Nothing).then_some(SharedOut { read_bytes, ..all })
    }

    /// Weights of blocks that a rank gets or gives in a pass at most, forward and backward.
    pub(super) fn gathered_bytes(self) -> u64 {
        let gathered = self.blocks.map_or(0, |blocks| blocks.gathered);
        2 * self.read_bytes() * gathered
    }
}

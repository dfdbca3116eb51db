//! What the layers of a wrapped model are called in an adapter's file.
//!
//! PEFT puts `base_model.model.` before the name that a layer has in memory, and that name depends on the code that
//! had the model in memory: transformers before and since 4.52, the original LLaVA, or a LLaMA without a tower. One
//! file keeps to one of these, and the patterns of its configuration are about these names.

use crate::lora::{TARGETS, target_name};
use crate::names::{HUGGING_FACE, Names, ORIGINAL};

/// What PEFT puts before every name.
pub(crate) const WRAPPER: &str = "base_model.model.";
/// What candor's names of the decoder's blocks begin with.
const BLOCKS: &str = "language_model.model.layers.";

/// One way to name the layers of a model in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spelling {
    /// What the names of the decoder's blocks begin with.
    blocks: &'static str,
    /// How all its names become candor's.
    names: &'static Names,
}

/// Transformers since 4.52.
pub(crate) const TODAY: Spelling = Spelling {
    blocks: "model.language_model.layers.",
    names: &HUGGING_FACE,
};
/// Transformers before that.
const EARLIER: Spelling = Spelling {
    blocks: BLOCKS,
    names: &HUGGING_FACE,
};
/// The original LLaVA, and LLaMA alone.
pub(crate) const LLAMA: Spelling = Spelling {
    blocks: "model.layers.",
    names: &ORIGINAL,
};

impl Spelling {
    /// The spelling of a file with these names of layers or tensors, without [`WRAPPER`]. Where none is of a block,
    /// it is the original LLaVA's if that is the only one which knows the first.
    pub(crate) fn of(paths: &[&str]) -> Self {
        let uses = |start: &str| paths.iter().any(|path| path.starts_with(start));
        let spellings = [TODAY, EARLIER, LLAMA];
        let found = spellings.into_iter().find(|spelling| uses(spelling.blocks));
        found.unwrap_or(
            if uses("model.mm_projector.") || uses("model.vision_tower.vision_tower.") {
                LLAMA
            } else {
                TODAY
            },
        )
    }

    /// Whether the tower is always in the same model, with layers whose names end as the decoder's.
    pub(crate) fn has_tower(self) -> bool {
        self.blocks != LLAMA.blocks
    }

    /// candor's name of the layer or tensor `path`.
    pub(crate) fn here(self, path: &str) -> String {
        // The table is one of tensors, which have one more part than layers; and what no model needs is no layer.
        self.names.here(path).unwrap_or_else(|| path.to_owned())
    }

    /// The name in the file of one of [`TARGETS`] in a decoder block.
    pub(crate) fn target(self, layer: i64, slot: usize) -> String {
        target_name(layer, slot).replacen(BLOCKS, self.blocks, 1)
    }

    /// The name in the file of candor's `name` of a tensor in the decoder's blocks.
    pub(crate) fn in_file(self, name: &str) -> String {
        name.replacen(BLOCKS, self.blocks, 1)
    }
}

/// The block and the slot among [`TARGETS`] of candor's `name` of a layer, if it is one of these.
pub(crate) fn slot_of(name: &str) -> Option<(i64, usize)> {
    let (layer, rest) = name.strip_prefix(BLOCKS)?.split_once('.')?;
    let (_, last) = rest.rsplit_once('.')?;
    let slot = TARGETS.iter().position(|target| *target == last)?;
    let layer = layer.parse().ok()?;
    (target_name(layer, slot) == name).then_some((layer, slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_by_every_spelling() {
        for (path, blocks) in [
            ("model.language_model.layers.3.mlp.up_proj", TODAY.blocks),
            ("language_model.model.layers.3.mlp.up_proj", EARLIER.blocks),
            ("model.layers.3.mlp.up_proj", LLAMA.blocks),
        ] {
            let spelling = Spelling::of(&["lm_head", path]);
            assert_eq!(spelling.blocks, blocks);
            let name = spelling.here(path);
            assert_eq!(name, "language_model.model.layers.3.mlp.up_proj");
            assert_eq!(slot_of(&name), Some((3, 5)));
            assert_eq!(spelling.target(3, 5), path);
            assert_eq!(spelling.in_file(&name), path);
        }
        let projector = Spelling::of(&["model.mm_projector.0.weight"]);
        assert_eq!(
            projector.here("model.mm_projector.0.weight"),
            "multi_modal_projector.linear_1.weight"
        );
    }

    #[test]
    fn other_layers_have_no_slot() {
        for name in [
            "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj",
            "language_model.model.layers.0.mlp.q_proj",
            "language_model.model.layers.00.self_attn.q_proj",
            "language_model.model.layers.x.self_attn.q_proj",
            "language_model.model.layers.0.self_attn.q_proj.base_layer",
            "language_model.lm_head",
        ] {
            assert_eq!(slot_of(name), None, "{name}");
        }
    }
}

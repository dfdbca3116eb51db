//! What the layers of a wrapped model are called in an adapter's file.
//!
//! PEFT puts `base_model.model.` before the name that a layer has in memory, and that name depends on the code that
//! had the model in memory: transformers before and since 4.52, the original LLaVA, or a LLaMA without a tower. One
//! file keeps to one of these, and the patterns of its configuration are about these names.

use crate::ModelConfig;
use crate::llama::layers::{TARGETS, target_name};
use crate::names::{HUGGING_FACE, Names, ORIGINAL, QWEN};

/// What PEFT puts before every name.
pub(crate) const WRAPPER: &str = "base_model.model.";
/// What candor's names of the decoder's blocks begin with.
const BLOCKS: &str = "language_model.model.layers.";

/// One way to name the layers of a model in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spelling {
    /// What the names of its parts begin with, where `names` leaves a choice.
    prefixes: &'static [&'static str],
    /// How all its names become candor's.
    names: &'static Names,
    /// Whether tower and projector are always in the same model.
    has_tower: bool,
}

/// Transformers since 5.
pub(crate) const TODAY: Spelling = Spelling {
    prefixes: &[
        "model.language_model.",
        "lm_head.",
        "model.multi_modal_projector.",
        "model.vision_tower.",
    ],
    names: &HUGGING_FACE,
    has_tower: true,
};
/// Transformers from 4.52 to 4.57.
const BETWEEN: Spelling = Spelling {
    prefixes: &[
        "model.language_model.",
        "lm_head.",
        "model.multi_modal_projector.",
        "model.vision_tower.vision_model.",
    ],
    ..TODAY
};
/// Transformers before that.
const EARLIER: Spelling = Spelling {
    prefixes: &[
        "language_model.model.",
        "language_model.lm_head.",
        "multi_modal_projector.",
        "vision_tower.vision_model.",
    ],
    ..TODAY
};
/// Qwen-VL in transformers since 4.52.
const QWEN_TODAY: Spelling = Spelling {
    prefixes: &[
        "model.language_model.",
        "lm_head.",
        "model.visual.merger.",
        "model.visual.",
        "model.visual.deepstack_merger_list.",
    ],
    names: &QWEN,
    has_tower: true,
};
/// Qwen-VL in transformers before that.
const QWEN_EARLIER: Spelling = Spelling {
    prefixes: &[
        "model.",
        "lm_head.",
        "visual.merger.",
        "visual.",
        "visual.deepstack_merger_list.",
    ],
    ..QWEN_TODAY
};
/// The original LLaVA, and LLaMA alone.
pub(crate) const LLAMA: Spelling = Spelling {
    prefixes: &[],
    names: &ORIGINAL,
    has_tower: false,
};
/// What only names of the last begin with.
const ONLY_LLAMA: [&str; 5] = [
    "model.layers.",
    "model.embed_tokens.",
    "model.norm.",
    "model.mm_projector.",
    "model.vision_tower.vision_tower.",
];

/// What candor's names begin with in Qwen-VL alone.
const ONLY_QWEN: [&str; 3] = [
    "vision_tower.blocks.",
    "multi_modal_projector.mlp.",
    "multi_modal_projector.linear_fc",
];

impl Spelling {
    /// That of a model in transformers of today.
    pub(crate) fn today(model: &ModelConfig) -> Self {
        match model {
            ModelConfig::Llava(_) => TODAY,
            ModelConfig::Qwen(_) => QWEN_TODAY,
        }
    }

    /// The spelling of a file with these names of tensors, without [`WRAPPER`]. Names of the output layer alone are the
    /// same in several.
    pub(crate) fn of(paths: &[&str]) -> Self {
        let uses = |start: &&str| paths.iter().any(|path| path.starts_with(start));
        for qwen in [QWEN_TODAY, QWEN_EARLIER] {
            if uses(&qwen.prefixes[3]) {
                return qwen;
            }
        }
        if !uses(&TODAY.prefixes[0]) && !uses(&TODAY.prefixes[2]) {
            if EARLIER.prefixes.iter().any(uses) {
                return EARLIER;
            }
            if ONLY_LLAMA.iter().any(uses) {
                return LLAMA;
            }
        }
        if uses(&BETWEEN.prefixes[3]) {
            BETWEEN
        } else {
            TODAY
        }
    }

    /// The same, for a model that has these tensors by candor's names: names of the decoder alone do not tell the family.
    pub(crate) fn on_base<'a>(self, mut tensors: impl Iterator<Item = &'a str>) -> Self {
        if !tensors.any(|name| ONLY_QWEN.iter().any(|start| name.starts_with(start))) {
            return self;
        }
        match self.prefixes.first() {
            Some(&"model.language_model.") => QWEN_TODAY,
            _ => QWEN_EARLIER,
        }
    }

    /// Whether tower and projector are always in the same model.
    pub(crate) fn has_tower(self) -> bool {
        self.has_tower
    }

    /// candor's name of the tensor `path`.
    pub(crate) fn here(self, path: &str) -> String {
        // What no model needs is no tensor of any.
        self.names.here(path).unwrap_or_else(|| path.to_owned())
    }

    /// candor's name of the layer `path`.
    pub(crate) fn layer_here(self, path: &str) -> String {
        of_weight(path, |path| self.here(path))
    }

    /// The name in the file of the tensor that candor calls `name`.
    pub(crate) fn in_file(self, name: &str) -> String {
        self.names.in_file(name, self.prefixes)
    }

    /// The name in the file of the layer that candor calls `name`.
    pub(crate) fn layer_in_file(self, name: &str) -> String {
        of_weight(name, |name| self.in_file(name))
    }
}

/// Renames a layer as its weight is.
fn of_weight(layer: &str, rename: impl FnOnce(&str) -> String) -> String {
    let mut name = rename(&format!("{layer}.weight"));
    name.truncate(name.len() - ".weight".len());
    name
}

/// Whether candor's `name` is of a layer of the projector.
pub(crate) fn is_of_projector(name: &str) -> bool {
    name.starts_with("multi_modal_projector.")
}

/// Whether candor's `name` is of a layer of the tower's blocks.
pub(crate) fn is_of_tower(name: &str) -> bool {
    let blocks = [
        "vision_tower.vision_model.encoder.layers.",
        "vision_tower.blocks.",
    ];
    blocks.iter().any(|start| name.starts_with(start))
}

/// Whether candor's `name` is of a layer of the tower's blocks or of the projector.
pub(crate) fn is_of_vision(name: &str) -> bool {
    is_of_tower(name) || is_of_projector(name)
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
        for path in [
            "model.language_model.layers.3.mlp.up_proj",
            "language_model.model.layers.3.mlp.up_proj",
            "model.layers.3.mlp.up_proj",
        ] {
            let spelling = Spelling::of(&[path]);
            let name = spelling.layer_here(path);
            assert_eq!(name, "language_model.model.layers.3.mlp.up_proj");
            assert_eq!(slot_of(&name), Some((3, 5)));
            assert_eq!(spelling.layer_in_file(&name), path);
        }
    }

    #[test]
    fn mergers_of_several_blocks_keep_their_names() {
        let here = "multi_modal_projector.deepstack.1.linear_fc1";
        for (start, layer) in [
            ("model.visual.", "model.language_model.layers.0.mlp.up_proj"),
            ("visual.", "model.layers.0.mlp.up_proj"),
        ] {
            let merger = format!("{start}deepstack_merger_list.1.linear_fc1");
            let spelling = Spelling::of(&[&merger, layer]);
            assert_eq!(spelling.layer_here(&merger), here);
            assert_eq!(spelling.layer_in_file(here), merger);
            assert_eq!(
                spelling.layer_in_file("multi_modal_projector.norm"),
                format!("{start}merger.norm")
            );
        }
    }

    /// Names as the versions of transformers and the original LLaVA have them, each of a file that says no more.
    #[test]
    fn one_name_tells_the_spelling_of_the_others() {
        let head = "language_model.lm_head";
        let tower = "vision_tower.vision_model.encoder.layers.0.mlp.fc1";
        let projector = "multi_modal_projector.linear_1";
        let norm = "language_model.model.norm";
        let spelled = [
            (
                "model.language_model.embed_tokens.weight",
                [
                    "lm_head",
                    "model.vision_tower.encoder.layers.0.mlp.fc1",
                    "model.multi_modal_projector.linear_1",
                    "model.language_model.norm",
                ],
            ),
            (
                "model.vision_tower.vision_model.pre_layrnorm.bias",
                [
                    "lm_head",
                    "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1",
                    "model.multi_modal_projector.linear_1",
                    "model.language_model.norm",
                ],
            ),
            (
                "language_model.lm_head.lora_A.weight",
                [head, tower, projector, norm],
            ),
            (
                "model.norm.weight",
                [
                    "lm_head",
                    "model.vision_tower.vision_tower.vision_model.encoder.layers.0.mlp.fc1",
                    "model.mm_projector.0",
                    "model.norm",
                ],
            ),
        ];
        for (only, names) in spelled {
            let spelling = Spelling::of(&[only]);
            for (name, here) in names.into_iter().zip([head, tower, projector, norm]) {
                assert_eq!(spelling.layer_here(name), here);
                assert_eq!(spelling.layer_in_file(here), name, "beside {only}");
            }
        }
        assert_eq!(
            Spelling::of(&["lm_head.lora_A.weight"]).layer_here("lm_head"),
            head
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

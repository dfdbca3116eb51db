//! Every tensor that a configuration calls for, by name, shape and part of the model.
//!
//! The modules take their tensors one by one ([`crate::weights`]); this list is for those who want to know before
//! anything is loaded: what a folder lacks, how many parameters there are, how much memory they take.

use crate::lora::{TARGETS, target_size};
use crate::{LlavaConfig, ProjectorKind, TextConfig, VisionConfig};

/// The parts that people count the parameters of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The vision tower.
    Tower,
    /// The projector.
    Projector,
    /// The embedding of the words.
    Embedding,
    /// The decoder's blocks, and the norm after them.
    Blocks,
    /// The output layer, where it is not the embedding.
    Head,
}

impl Part {
    /// All of them, in the order in which a picture and its question go through them.
    pub const ALL: [Self; 5] = [
        Self::Tower,
        Self::Projector,
        Self::Embedding,
        Self::Blocks,
        Self::Head,
    ];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tower => "vision tower",
            Self::Projector => "projector",
            Self::Embedding => "embedding",
            Self::Blocks => "decoder blocks",
            Self::Head => "output layer",
        }
    }
}

/// A tensor that a configuration calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Its name, as candor spells it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Where it belongs.
    pub part: Part,
    /// Whether a quantised base packs it: the linear layers of the decoder's blocks.
    pub packable: bool,
}

impl Called {
    /// Number of elements.
    #[must_use]
    pub fn n_elements(&self) -> u64 {
        self.shape.iter().product::<i64>() as u64
    }
}

/// All tensors of a model.
#[must_use]
pub fn inventory(config: &LlavaConfig) -> Vec<Called> {
    let mut list = List::default();
    list.tower(&config.vision_config);
    list.projector(config);
    list.decoder(&config.text_config);
    if !config.tied() {
        let text = &config.text_config;
        let table = [text.vocab_size, text.hidden_size];
        list.add(Part::Head, "language_model.lm_head.weight", &table);
    }
    list.called
}

#[derive(Default)]
struct List {
    called: Vec<Called>,
}

impl List {
    fn add(&mut self, part: Part, name: impl Into<String>, shape: &[i64]) {
        self.called.push(Called {
            name: name.into(),
            shape: shape.to_vec(),
            part,
            packable: false,
        });
    }

    /// `<name>.weight` and `<name>.bias` of a layer `[n_out, n_in]` or of a norm `[width]`.
    fn with_bias(&mut self, part: Part, name: &str, shape: &[i64]) {
        self.add(part, format!("{name}.weight"), shape);
        self.add(part, format!("{name}.bias"), &shape[..1]);
    }

    fn tower(&mut self, c: &VisionConfig) {
        let (part, root) = (Part::Tower, "vision_tower.vision_model");
        let (width, inner) = (c.hidden_size, c.intermediate_size);
        let patch = [width, 3, c.patch_size, c.patch_size];
        let positions = [(c.image_size / c.patch_size).pow(2) + 1, width];
        let embeddings = format!("{root}.embeddings");
        self.add(part, format!("{embeddings}.class_embedding"), &[width]);
        let name = format!("{embeddings}.patch_embedding.weight");
        self.add(part, name, &patch);
        let name = format!("{embeddings}.position_embedding.weight");
        self.add(part, name, &positions);
        // The spelling is CLIP's.
        self.with_bias(part, &format!("{root}.pre_layrnorm"), &[width]);
        self.with_bias(part, &format!("{root}.post_layernorm"), &[width]);
        for layer in 0..c.num_hidden_layers {
            let block = format!("{root}.encoder.layers.{layer}");
            for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                let name = format!("{block}.self_attn.{projection}");
                self.with_bias(part, &name, &[width, width]);
            }
            self.with_bias(part, &format!("{block}.layer_norm1"), &[width]);
            self.with_bias(part, &format!("{block}.layer_norm2"), &[width]);
            self.with_bias(part, &format!("{block}.mlp.fc1"), &[inner, width]);
            self.with_bias(part, &format!("{block}.mlp.fc2"), &[width, inner]);
        }
    }

    fn projector(&mut self, config: &LlavaConfig) {
        let (from, to) = (
            config.vision_config.hidden_size,
            config.text_config.hidden_size,
        );
        let layers: &[(&str, i64)] = match config.mm_projector_type {
            ProjectorKind::Linear => &[("linear", from)],
            ProjectorKind::Mlp => &[("linear_1", from), ("linear_2", to)],
        };
        for (layer, n_in) in layers {
            let name = format!("multi_modal_projector.{layer}");
            self.add(Part::Projector, format!("{name}.weight"), &[to, *n_in]);
            if config.multimodal_projector_bias {
                self.add(Part::Projector, format!("{name}.bias"), &[to]);
            }
        }
    }

    fn decoder(&mut self, c: &TextConfig) {
        let root = "language_model.model";
        let table = [c.vocab_size, c.hidden_size];
        let name = format!("{root}.embed_tokens.weight");
        self.add(Part::Embedding, name, &table);
        for layer in 0..c.num_hidden_layers {
            let block = format!("{root}.layers.{layer}");
            for (slot, target) in TARGETS.iter().enumerate() {
                let group = if slot < 4 { "self_attn" } else { "mlp" };
                let [n_in, n_out] = target_size(c, target);
                self.called.push(Called {
                    name: format!("{block}.{group}.{target}.weight"),
                    shape: vec![n_out, n_in],
                    part: Part::Blocks,
                    packable: true,
                });
            }
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                let name = format!("{block}.{norm}.weight");
                self.add(Part::Blocks, name, &[c.hidden_size]);
            }
        }
        let norm = format!("{root}.norm.weight");
        self.add(Part::Blocks, norm, &[c.hidden_size]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use tch::Device;

    use super::*;
    use crate::{Llava, ModelFolder};

    /// The model that is built is the judge of the list.
    #[test]
    fn the_list_is_what_the_modules_take() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        for folder in ["llava_mha", "llava_gqa", "llava_tied", "llava_linear"] {
            let folder = ModelFolder::find(&golden.join(folder)).unwrap();
            let config = folder.config();
            let model = Llava::fresh(config.clone(), 0, Device::Cpu).unwrap();
            let taken = model.parameters().iter();
            let taken: BTreeMap<_, _> = taken.map(|(n, t)| (n.clone(), t.size())).collect();
            let listed = inventory(config).into_iter();
            let listed: BTreeMap<_, _> = listed.map(|c| (c.name, c.shape)).collect();
            assert_eq!(listed, taken, "{}", folder.path().display());
        }
    }
}

//! The vision tower: the vision transformer of CLIP or of SigLIP, up to the last hidden layer that the projector reads.
//!
//! Blocks after that layer are kept, so that a folder survives reading and writing, but never computed.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::linear::Linear;
use crate::lora::Adapter;
use crate::weights::{Init, Weights};
use crate::{FeatureSelect, LlavaConfig, ModelError, Part, VisionConfig};

/// A vision transformer of CLIP or of SigLIP.
#[derive(Debug)]
pub struct VisionTower {
    patch_embedding: Tensor,
    position_embedding: Tensor,
    start: Start,
    blocks: Vec<Block>,
    /// How many blocks are before each hidden layer that is handed on.
    layers: Vec<usize>,
    patch_size: i64,
    /// Whether the class token is left out.
    drop_class: bool,
}

/// What happens before the blocks.
#[derive(Debug)]
enum Start {
    /// CLIP: a class token before the patches, and a norm.
    Clip { class: Tensor, norm: LayerNorm },
    /// SigLIP: patches have a bias.
    Siglip { bias: Tensor },
}

#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    attention: [Linear; 4],
    n_heads: i64,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    activation: crate::Activation,
}

/// A layer norm.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn take(
        weights: &mut Weights,
        name: &str,
        width: i64,
        eps: f64,
    ) -> Result<Self, ModelError> {
        let weight = weights.take(&format!("{name}.weight"), &[width], Init::Ones)?;
        let bias = weights.take(&format!("{name}.bias"), &[width], Init::Zeros)?;
        Ok(Self { weight, bias, eps })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(
            self.weight.size(),
            Some(&self.weight),
            Some(&self.bias),
            self.eps,
            true,
        )
    }
}

impl VisionTower {
    /// Takes the tower's tensors.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub fn take(weights: &mut Weights, config: &LlavaConfig) -> Result<Self, ModelError> {
        weights.begin(Part::Tower);
        let c = &config.vision_config;
        let root = "vision_tower.vision_model";
        let has_class = c.has_class_token();
        let n_positions = c.patches_to_a_side().pow(2) + i64::from(has_class);
        // CLIP's own initialisation, with its factor of 1.
        let narrow = Init::Normal((c.hidden_size as f64).sqrt().recip());
        let patch_embedding = weights.take(
            &format!("{root}.embeddings.patch_embedding.weight"),
            &[c.hidden_size, 3, c.patch_size, c.patch_size],
            Init::Normal(0.02),
        )?;
        let mut of_patches = |name: &str, init| {
            let name = format!("{root}.embeddings.{name}");
            weights.take(&name, &[c.hidden_size], init)
        };
        let beside = if has_class {
            of_patches("class_embedding", narrow)?
        } else {
            of_patches("patch_embedding.bias", Init::Zeros)?
        };
        let position_embedding = weights.take(
            &format!("{root}.embeddings.position_embedding.weight"),
            &[n_positions, c.hidden_size],
            Init::Normal(0.02),
        )?;
        let start = if has_class {
            // The spelling is CLIP's.
            let name = format!("{root}.pre_layrnorm");
            let norm = LayerNorm::take(weights, &name, c.hidden_size, c.layer_norm_eps)?;
            Start::Clip {
                class: beside,
                norm,
            }
        } else {
            Start::Siglip { bias: beside }
        };
        let mut blocks = Vec::new();
        for layer in 0..c.num_hidden_layers {
            blocks.push(Block::take(
                weights,
                &format!("{root}.encoder.layers.{layer}"),
                c,
            )?);
        }
        LayerNorm::take(
            weights,
            &format!("{root}.post_layernorm"),
            c.hidden_size,
            c.layer_norm_eps,
        )?;
        let layers = config.feature_layers();
        blocks.truncate(layers.iter().copied().max().unwrap_or(0));
        Ok(Self {
            patch_embedding,
            position_embedding,
            start,
            blocks,
            layers,
            patch_size: c.patch_size,
            drop_class: has_class
                && config.vision_feature_select_strategy == FeatureSelect::Default,
        })
    }

    /// Rows of features that a view has.
    pub(crate) fn n_rows(&self) -> i64 {
        self.position_embedding.size()[0] - i64::from(self.drop_class)
    }

    /// The features of the chosen hidden layers, beside each other.
    ///
    /// # Shapes
    /// `pixels`: `[n_views, 3, image_size, image_size]`, normalised → `[n_views, n_rows, n_layers · hidden]`.
    pub fn forward(&self, pixels: &Tensor, adapter: Option<&Adapter>) -> Tensor {
        let n = pixels.size()[0];
        let stride = [self.patch_size, self.patch_size];
        let pixels = pixels.to_kind(self.patch_embedding.kind());
        let patches = |bias: Option<&Tensor>| {
            let cut = pixels.conv2d(&self.patch_embedding, bias, stride, [0, 0], [1, 1], 1);
            cut.flatten(2, 3).transpose(1, 2)
        };
        let mut x = match &self.start {
            Start::Clip { class, norm } => {
                let class = class.expand([n, 1, -1], false);
                norm.forward(&(Tensor::cat(&[class, patches(None)], 1) + &self.position_embedding))
            }
            Start::Siglip { bias } => patches(Some(bias)) + &self.position_embedding,
        };
        // Of the others nothing is kept: an image may be of many views.
        let mut hidden = BTreeMap::new();
        for (layer, block) in self.blocks.iter().enumerate() {
            if self.layers.contains(&layer) {
                hidden.insert(layer, x.shallow_clone());
            }
            x = block.forward(&x, adapter);
        }
        hidden.insert(self.blocks.len(), x);
        let chosen: Vec<&Tensor> = self.layers.iter().map(|layer| &hidden[layer]).collect();
        let features = match chosen[..] {
            [one] => one.shallow_clone(),
            _ => Tensor::cat(&chosen, -1),
        };
        if self.drop_class {
            features.narrow(1, 1, features.size()[1] - 1)
        } else {
            features
        }
    }
}

impl Block {
    fn take(weights: &mut Weights, name: &str, c: &VisionConfig) -> Result<Self, ModelError> {
        let (width, inner) = (c.hidden_size, c.intermediate_size);
        let depth = (2.0 * c.num_hidden_layers as f64).sqrt();
        let width_std = (width as f64).sqrt().recip();
        let (inward, outward) = (Init::Normal(width_std / depth), Init::Normal(width_std));
        let mut projection = |part: &str, init| {
            Linear::take(
                weights,
                &format!("{name}.self_attn.{part}"),
                [width, width],
                true,
                init,
            )
        };
        let attention = [
            projection("q_proj", inward)?,
            projection("k_proj", inward)?,
            projection("v_proj", inward)?,
            projection("out_proj", outward)?,
        ];
        Ok(Self {
            norm1: LayerNorm::take(
                weights,
                &format!("{name}.layer_norm1"),
                width,
                c.layer_norm_eps,
            )?,
            attention,
            n_heads: c.num_attention_heads,
            norm2: LayerNorm::take(
                weights,
                &format!("{name}.layer_norm2"),
                width,
                c.layer_norm_eps,
            )?,
            fc1: Linear::take(
                weights,
                &format!("{name}.mlp.fc1"),
                [width, inner],
                true,
                Init::Normal((2.0 * width as f64).sqrt().recip()),
            )?,
            fc2: Linear::take(
                weights,
                &format!("{name}.mlp.fc2"),
                [inner, width],
                true,
                inward,
            )?,
            activation: c.hidden_act,
        })
    }

    fn forward(&self, x: &Tensor, adapter: Option<&Adapter>) -> Tensor {
        let x = x + self.attend(&self.norm1.forward(x), adapter);
        let inner = self.fc1.adapted(&self.norm2.forward(&x), adapter);
        let inner = self.activation.apply(&inner);
        x + self.fc2.adapted(&inner, adapter)
    }

    fn attend(&self, x: &Tensor, adapter: Option<&Adapter>) -> Tensor {
        let [q, k, v, out] = &self.attention;
        let heads = |linear: &Linear| {
            linear
                .adapted(x, adapter)
                .unflatten(2, [self.n_heads, -1])
                .transpose(1, 2)
        };
        let mixed = Tensor::scaled_dot_product_attention::<&Tensor>(
            &heads(q),
            &heads(k),
            &heads(v),
            None,
            0.0,
            false,
            None,
            false,
        );
        out.adapted(&mixed.transpose(1, 2).flatten(2, 3), adapter)
    }
}

//! The vision tower: CLIP's vision transformer, up to the hidden layer that the projector reads.
//!
//! Blocks after that layer are kept, so that a folder survives reading and writing, but never computed.

use tch::Tensor;

use crate::linear::Linear;
use crate::weights::{Init, Weights};
use crate::{FeatureSelect, LlavaConfig, ModelError, Part, VisionConfig};

/// A CLIP vision transformer.
#[derive(Debug)]
pub struct VisionTower {
    patch_embedding: Tensor,
    class_embedding: Tensor,
    position_embedding: Tensor,
    pre_norm: LayerNorm,
    blocks: Vec<Block>,
    patch_size: i64,
    select: FeatureSelect,
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
        let n_positions = (c.image_size / c.patch_size).pow(2) + 1;
        // CLIP's own initialisation, with its factor of 1.
        let narrow = Init::Normal((c.hidden_size as f64).sqrt().recip());
        let patch_embedding = weights.take(
            &format!("{root}.embeddings.patch_embedding.weight"),
            &[c.hidden_size, 3, c.patch_size, c.patch_size],
            Init::Normal(0.02),
        )?;
        let class_embedding = weights.take(
            &format!("{root}.embeddings.class_embedding"),
            &[c.hidden_size],
            narrow,
        )?;
        let position_embedding = weights.take(
            &format!("{root}.embeddings.position_embedding.weight"),
            &[n_positions, c.hidden_size],
            Init::Normal(0.02),
        )?;
        // The spelling is CLIP's.
        let pre_norm = LayerNorm::take(
            weights,
            &format!("{root}.pre_layrnorm"),
            c.hidden_size,
            c.layer_norm_eps,
        )?;
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
        blocks.truncate(config.feature_layer() as usize);
        Ok(Self {
            patch_embedding,
            class_embedding,
            position_embedding,
            pre_norm,
            blocks,
            patch_size: c.patch_size,
            select: config.vision_feature_select_strategy,
        })
    }

    /// The features of the chosen hidden layer.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, image_size, image_size]`, normalised → `[n_images, n_image_tokens, hidden]`.
    pub fn forward(&self, pixels: &Tensor) -> Tensor {
        let n = pixels.size()[0];
        let stride = [self.patch_size, self.patch_size];
        let patches = pixels
            .to_kind(self.patch_embedding.kind())
            .conv2d::<&Tensor>(&self.patch_embedding, None, stride, [0, 0], [1, 1], 1)
            .flatten(2, 3)
            .transpose(1, 2);
        let class = self.class_embedding.expand([n, 1, -1], false);
        let mut x = Tensor::cat(&[class, patches], 1) + &self.position_embedding;
        x = self.pre_norm.forward(&x);
        for block in &self.blocks {
            x = block.forward(&x);
        }
        match self.select {
            FeatureSelect::Default => x.narrow(1, 1, x.size()[1] - 1),
            FeatureSelect::Full => x,
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

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = x + self.attend(&self.norm1.forward(x));
        let inner = self
            .activation
            .apply(&self.fc1.forward(&self.norm2.forward(&x)));
        x + self.fc2.forward(&inner)
    }

    fn attend(&self, x: &Tensor) -> Tensor {
        let [q, k, v, out] = &self.attention;
        let heads = |linear: &Linear| {
            linear
                .forward(x)
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
        out.forward(&mixed.transpose(1, 2).flatten(2, 3))
    }
}

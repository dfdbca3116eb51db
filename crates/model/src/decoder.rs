//! The LLaMA decoder: RMS norms, rotary positions, grouped-query attention, SwiGLU.

use tch::{Kind, Tensor};

use crate::cache::KvCache;
use crate::linear::Linear;
use crate::lora::{Adapter, BlockAdapter, LowRank, TARGETS, target_size};
use crate::weights::{Init, Weights};
use crate::{LlavaConfig, ModelError, TextConfig};

/// Which earlier positions a position may read.
#[derive(Debug, Clone, Copy)]
pub enum Visible<'a> {
    /// All up to itself; right for batches padded on the right, whose pads come after every real token.
    Causal,
    /// Everything there is; right for one new token per row when no row is padded on the left.
    All,
    /// As the mask says: `[batch, 1, new, len + new]`, true = may read.
    Mask(&'a Tensor),
}

/// A LLaMA decoder with its embedding and output layer.
#[derive(Debug)]
pub struct Decoder {
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: RmsNorm,
    head: Tensor,
    inverse_frequencies: Tensor,
}

#[derive(Debug)]
struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    fn take(weights: &mut Weights, name: &str, width: i64, eps: f64) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[width], Init::Ones)?,
            eps,
        })
    }

    /// The mean square is taken in f32, whatever the weights are in, as transformers does.
    fn forward(&self, x: &Tensor) -> Tensor {
        let wide = x.to_kind(Kind::Float);
        let scale = (wide.square().mean_dim([-1].as_slice(), true, None) + self.eps).rsqrt();
        &self.weight * (wide * scale).to_kind(x.kind())
    }
}

/// Cosines and sines of the rotary positions of one pass, `[batch or 1, 1, len, head_dim]`.
#[derive(Debug)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    fn apply(&self, x: &Tensor) -> Tensor {
        let halves = x.chunk(2, -1);
        let turned = Tensor::cat(&[halves[1].neg(), halves[0].shallow_clone()], -1);
        x * &self.cos + turned * &self.sin
    }
}

/// Spread of a fresh embedding. transformers starts at 0.02, where the features of a fresh projector are a
/// hundred times larger than the words beside them.
const EMBEDDING_STD: f64 = 0.5;

impl Decoder {
    /// Takes the decoder's tensors.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub fn take(weights: &mut Weights, config: &LlavaConfig) -> Result<Self, ModelError> {
        let c = &config.text_config;
        // transformers initialises with 0.02 at any width; narrow models need the usual 1/√width.
        let init = Init::Normal((c.hidden_size as f64).sqrt().recip());
        let table = [c.vocab_size, c.hidden_size];
        let embedding = weights.take(
            "language_model.model.embed_tokens.weight",
            &table,
            Init::Normal(EMBEDDING_STD),
        )?;
        let mut blocks = Vec::new();
        for layer in 0..c.num_hidden_layers {
            blocks.push(Block::take(
                weights,
                &format!("language_model.model.layers.{layer}"),
                c,
            )?);
        }
        let norm = RmsNorm::take(
            weights,
            "language_model.model.norm",
            c.hidden_size,
            c.rms_norm_eps,
        )?;
        let head = if config.tied() {
            embedding.shallow_clone()
        } else {
            weights.take("language_model.lm_head.weight", &table, init)?
        };
        let half = c.head_dim() / 2;
        let exponents: Vec<f32> = (0..half)
            .map(|i| (2 * i) as f32 / c.head_dim() as f32)
            .collect();
        // The same operations as transformers, in f32: at far positions the last bit of these matters.
        let inverse_frequencies =
            Tensor::pow_scalar(c.rope_base(), &Tensor::from_slice(&exponents))
                .reciprocal()
                .to_device(embedding.device());
        Ok(Self {
            embedding,
            blocks,
            norm,
            head,
            inverse_frequencies,
        })
    }

    /// Embeds token ids.
    ///
    /// # Shapes
    /// `ids`: `[batch, len]` i64 → `[batch, len, width]`.
    pub fn embed(&self, ids: &Tensor) -> Tensor {
        Tensor::embedding(&self.embedding, ids, -1, false, false)
    }

    /// Rotary tables for the given positions.
    ///
    /// # Shapes
    /// `positions`: `[batch or 1, len]` i64.
    #[must_use]
    pub fn rotary(&self, positions: &Tensor) -> Rotary {
        let angles = positions.to_kind(Kind::Float).unsqueeze(-1) * &self.inverse_frequencies;
        let angles = Tensor::cat(&[&angles, &angles], -1).unsqueeze(1);
        let kind = self.embedding.kind();
        Rotary {
            cos: angles.cos().to_kind(kind),
            sin: angles.sin().to_kind(kind),
        }
    }

    /// Rotary tables for the positions `0..len`, shared by all rows.
    #[must_use]
    pub fn rotary_up_to(&self, len: i64) -> Rotary {
        self.rotary(&Tensor::arange(len, (Kind::Int64, self.embedding.device())).unsqueeze(0))
    }

    /// Number of blocks.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// One block.
    ///
    /// # Shapes
    /// `x`: `[batch, len, width]` → the same.
    pub fn block(
        &self,
        layer: usize,
        x: &Tensor,
        rotary: &Rotary,
        visible: Visible<'_>,
        adapter: Option<&Adapter>,
        cache: Option<&mut KvCache>,
    ) -> Tensor {
        let lora = adapter.map(|a| a.block(layer));
        self.blocks[layer].forward(layer, x, rotary, visible, lora, cache)
    }

    /// All blocks and the final norm.
    ///
    /// # Shapes
    /// `x`: `[batch, len, width]` → the same.
    pub fn forward(
        &self,
        x: &Tensor,
        rotary: &Rotary,
        visible: Visible<'_>,
        adapter: Option<&Adapter>,
        mut cache: Option<&mut KvCache>,
    ) -> Tensor {
        let new = x.size()[1];
        let mut x = x.shallow_clone();
        for layer in 0..self.blocks.len() {
            x = self.block(layer, &x, rotary, visible, adapter, cache.as_deref_mut());
        }
        if let Some(cache) = cache {
            cache.advance(new);
        }
        self.final_norm(&x)
    }

    /// The norm after the last block.
    ///
    /// # Shapes
    /// `[.., width]` → the same.
    pub fn final_norm(&self, x: &Tensor) -> Tensor {
        self.norm.forward(x)
    }

    /// Logits of hidden states; give it only the positions that need them.
    ///
    /// # Shapes
    /// `hidden`: `[.., width]` → `[.., vocab]`.
    pub fn logits(&self, hidden: &Tensor) -> Tensor {
        hidden.linear::<&Tensor>(&self.head, None)
    }
}

#[derive(Debug)]
struct Block {
    norm1: RmsNorm,
    norm2: RmsNorm,
    linears: [Linear; 7],
    n_heads: i64,
    n_kv_heads: i64,
    head_dim: i64,
}

impl Block {
    fn take(weights: &mut Weights, name: &str, c: &TextConfig) -> Result<Self, ModelError> {
        let norm1 = RmsNorm::take(
            weights,
            &format!("{name}.input_layernorm"),
            c.hidden_size,
            c.rms_norm_eps,
        )?;
        let norm2 = RmsNorm::take(
            weights,
            &format!("{name}.post_attention_layernorm"),
            c.hidden_size,
            c.rms_norm_eps,
        )?;
        let mut linears = Vec::with_capacity(TARGETS.len());
        for (slot, target) in TARGETS.iter().enumerate() {
            let part = if slot < 4 { "self_attn" } else { "mlp" };
            let size = target_size(c, target);
            // Layers that write into the residual stream start smaller, so that depth does not add up.
            let residual = matches!(*target, "o_proj" | "down_proj");
            let depth = if residual {
                (2.0 * c.num_hidden_layers as f64).sqrt()
            } else {
                1.0
            };
            let init = Init::Normal((size[0] as f64).sqrt().recip() / depth);
            linears.push(Linear::take(
                weights,
                &format!("{name}.{part}.{target}"),
                size,
                false,
                init,
            )?);
        }
        let Ok(linears) = <[Linear; 7]>::try_from(linears) else {
            unreachable!("one layer for each target")
        };
        Ok(Self {
            norm1,
            norm2,
            linears,
            n_heads: c.num_attention_heads,
            n_kv_heads: c.n_kv_heads(),
            head_dim: c.head_dim(),
        })
    }

    fn forward(
        &self,
        layer: usize,
        x: &Tensor,
        rotary: &Rotary,
        visible: Visible<'_>,
        lora: Option<&BlockAdapter>,
        cache: Option<&mut KvCache>,
    ) -> Tensor {
        let slot = |i: usize| -> Option<&LowRank> { lora.and_then(|l| l.slot(i)) };
        let linear = |i: usize, x: &Tensor| self.linears[i].adapted(x, slot(i));

        let normed = self.norm1.forward(x);
        let split = |y: Tensor, heads: i64| y.unflatten(2, [heads, self.head_dim]).transpose(1, 2);
        let query = rotary.apply(&split(linear(0, &normed), self.n_heads));
        let key = rotary.apply(&split(linear(1, &normed), self.n_kv_heads));
        let value = split(linear(2, &normed), self.n_kv_heads);
        let [key, value] = match cache {
            Some(cache) => cache.extend(layer, &key, &value),
            None => [key, value],
        };
        let (mask, causal) = match visible {
            Visible::Causal => (None, true),
            Visible::All => (None, false),
            Visible::Mask(mask) => (Some(mask), false),
        };
        let grouped = self.n_kv_heads != self.n_heads;
        let mixed = Tensor::scaled_dot_product_attention(
            &query, &key, &value, mask, 0.0, causal, None, grouped,
        );
        let x = x + linear(3, &mixed.transpose(1, 2).flatten(2, 3));

        let normed = self.norm2.forward(&x);
        let gated = linear(4, &normed).silu() * linear(5, &normed);
        &x + linear(6, &gated)
    }
}

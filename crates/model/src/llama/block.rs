//! One block of the decoder: norm, attention, norm, SwiGLU.
//!
//! Everything but attention treats each token by itself. [`Block`] therefore has the token-wise work in parts,
//! which every way of attending goes through: padded batches with or without a cache, and sequences that
//! share their beginning ([`crate::shared`]).

use tch::{Kind, Tensor};

use super::attention::{Visible, attend};
use super::layers::{TARGETS, target_size};
use super::rotary::Rotary;
use crate::cache::KvCache;
use crate::linear::BlockLinear;
use crate::lora::BlockAdapter;
use crate::shared::SharedBatch;
use crate::weights::{Init, Weights};
use crate::{ModelError, TextConfig};

/// Root-mean-square norm.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(crate) fn take(
        weights: &mut Weights,
        name: &str,
        width: i64,
        eps: f64,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[width], Init::Ones)?,
            eps,
        })
    }

    /// The mean square is taken in f32, whatever the weights are in, as transformers does.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let wide = x.to_kind(Kind::Float);
        let scale = (wide.square().mean_dim([-1].as_slice(), true, None) + self.eps).rsqrt();
        &self.weight * (wide * scale).to_kind(x.kind())
    }
}

/// One block.
#[derive(Debug)]
pub(crate) struct Block {
    norm1: RmsNorm,
    norm2: RmsNorm,
    linears: [BlockLinear; 7],
    /// Of queries, keys and values.
    biases: Option<[Tensor; 3]>,
    /// Of each head of queries and of keys.
    head_norms: Option<[RmsNorm; 2]>,
    n_heads: i64,
    n_kv_heads: i64,
    head_dim: i64,
}

impl Block {
    pub(crate) fn take(
        weights: &mut Weights,
        name: &str,
        c: &TextConfig,
    ) -> Result<Self, ModelError> {
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
            let name = format!("{name}.{part}.{target}.weight");
            linears.push(weights.take_linear(&name, size, init)?);
        }
        let Ok(linears) = <[BlockLinear; 7]>::try_from(linears) else {
            unreachable!("one layer for each target")
        };
        let mut bias = |target: &str| {
            let [_, n_out] = target_size(c, target);
            let name = format!("{name}.self_attn.{target}.bias");
            weights.take(&name, &[n_out], Init::Zeros)
        };
        let [q, k, v, ..] = TARGETS;
        let biases = if c.qkv_bias {
            Some([bias(q)?, bias(k)?, bias(v)?])
        } else {
            None
        };
        let mut head_norm = |target: &str| {
            let name = format!("{name}.self_attn.{target}");
            RmsNorm::take(weights, &name, c.head_dim(), c.rms_norm_eps)
        };
        let head_norms = if c.qk_norms {
            Some([head_norm("q_norm")?, head_norm("k_norm")?])
        } else {
            None
        };
        Ok(Self {
            norm1,
            norm2,
            linears,
            biases,
            head_norms,
            n_heads: c.num_attention_heads,
            n_kv_heads: c.n_kv_heads(),
            head_dim: c.head_dim(),
        })
    }

    /// The block over a batch of rows.
    ///
    /// # Shapes
    /// `x`: `[batch, len, width]` → the same.
    pub(crate) fn forward(
        &self,
        layer: usize,
        x: &Tensor,
        rotary: &Rotary,
        visible: Visible<'_>,
        lora: Option<&BlockAdapter>,
        cache: Option<&mut KvCache>,
    ) -> Tensor {
        let normed = self.norm1.forward(x);
        let query = self.query(&normed, rotary, lora);
        let [key, value] = self.key_and_value(&normed, rotary, lora);
        let [key, value] = match cache {
            Some(cache) => cache.extend(layer, &key, &value),
            None => [key, value],
        };
        let mixed = attend(&query, &key, &value, visible);
        self.after_attention(x, &mixed.transpose(1, 2), lora)
    }

    /// The block over all tokens of a shared batch.
    ///
    /// # Shapes
    /// `x`: `[1, n_tokens, width]` → the same.
    pub(crate) fn forward_shared(
        &self,
        x: &Tensor,
        rotary: &Rotary,
        batch: &SharedBatch,
        lora: Option<&BlockAdapter>,
    ) -> Tensor {
        let normed = self.norm1.forward(x);
        let query = self.query(&normed, rotary, lora);
        let [key, value] = self.key_and_value(&normed, rotary, lora);
        self.after_attention(x, &batch.attend(&query, &key, &value), lora)
    }

    /// The same for the last block, of which only the last token of each branch is wanted: the others are read
    /// as keys and values, and nothing else of them is computed.
    ///
    /// # Shapes
    /// `x`: `[1, n_tokens, width]` → `[1, n_branches, width]`.
    pub(crate) fn forward_shared_last(
        &self,
        x: &Tensor,
        rotary: &Rotary,
        batch: &SharedBatch,
        lora: Option<&BlockAdapter>,
    ) -> Tensor {
        let normed = self.norm1.forward(x);
        let last = batch.last();
        let query = self.query(&normed.index_select(1, last), &rotary.at(last), lora);
        let [key, value] = self.key_and_value(&normed, rotary, lora);
        let mixed = batch.attend_from_last(&query, &key, &value);
        self.after_attention(&x.index_select(1, last), &mixed, lora)
    }

    /// # Shapes
    /// `normed`: `[batch, len, width]` → `[batch, heads, len, head_dim]`, turned to their positions.
    fn query(&self, normed: &Tensor, rotary: &Rotary, lora: Option<&BlockAdapter>) -> Tensor {
        self.turned(0, normed, self.n_heads, rotary, lora)
    }

    /// # Shapes
    /// `normed`: `[batch, len, width]` → twice `[batch, kv_heads, len, head_dim]`.
    fn key_and_value(
        &self,
        normed: &Tensor,
        rotary: &Rotary,
        lora: Option<&BlockAdapter>,
    ) -> [Tensor; 2] {
        // Keys first: gradients are added up in the order of these, and with it change in their last bits.
        let key = self.turned(1, normed, self.n_kv_heads, rotary, lora);
        let value = self.split(&self.linear(2, normed, lora), self.n_kv_heads);
        [key, value]
    }

    /// Queries (slot 0) or keys (slot 1).
    ///
    /// # Shapes
    /// `normed`: `[batch, len, width]` → `[batch, heads, len, head_dim]`.
    fn turned(
        &self,
        slot: usize,
        normed: &Tensor,
        heads: i64,
        rotary: &Rotary,
        lora: Option<&BlockAdapter>,
    ) -> Tensor {
        let split = self.split(&self.linear(slot, normed, lora), heads);
        match &self.head_norms {
            Some(norms) => rotary.apply(&norms[slot].forward(&split)),
            None => rotary.apply(&split),
        }
    }

    /// What follows attention: output layer and residual, norm, SwiGLU and residual.
    ///
    /// # Shapes
    /// `x`: `[batch, len, width]`; `mixed`: `[batch, len, heads, head_dim]` → as `x`.
    fn after_attention(&self, x: &Tensor, mixed: &Tensor, lora: Option<&BlockAdapter>) -> Tensor {
        let x = x + self.linear(3, &mixed.flatten(2, 3), lora);
        let normed = self.norm2.forward(&x);
        let gated = self.linear(4, &normed, lora).silu() * self.linear(5, &normed, lora);
        &x + self.linear(6, &gated, lora)
    }

    /// The `slot`-th of [`TARGETS`] with its bias and its adapter's term.
    fn linear(&self, slot: usize, x: &Tensor, lora: Option<&BlockAdapter>) -> Tensor {
        let bias = self.biases.as_ref().and_then(|biases| biases.get(slot));
        self.linears[slot].adapted(x, bias, lora.and_then(|lora| lora.slot(slot)))
    }

    fn split(&self, y: &Tensor, heads: i64) -> Tensor {
        y.unflatten(2, [heads, self.head_dim]).transpose(1, 2)
    }
}

//! One block of the decoder: norm, attention, norm, SwiGLU.
//!
//! Everything but attention treats each token by itself. [`Block`] therefore has the token-wise work in parts,
//! which every way of attending goes through: padded batches with or without a cache, and sequences that
//! share their beginning ([`crate::shared`]).

use candor_torch_ext::fused;
use tch::Tensor;

use super::attention::{Visible, attend};
use super::layers::{TARGETS, target_size};
use super::rotary::Rotary;
use crate::cache::KvCache;
use crate::linear::{BlockLinear, adapted};
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
        fused::rms_norm(x, &self.weight, self.eps)
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
        let [query, key, value] = self.read(&self.norm1.forward(x), rotary, lora);
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
        let [query, key, value] = self.read(&self.norm1.forward(x), rotary, lora);
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
        let [query] = self.linears([0], &normed.index_select(1, last), lora);
        let query = self.turned(0, &query, &rotary.at(last));
        let [key, value] = self.linears([1, 2], &normed, lora);
        let (key, value) = (self.turned(1, &key, rotary), self.split(&value));
        let mixed = batch.attend_from_last(&query, &key, &value);
        self.after_attention(&x.index_select(1, last), &mixed, lora)
    }

    /// Queries, keys and values, the former two turned to their positions.
    ///
    /// # Shapes
    /// `normed`: `[batch, len, width]` → `[batch, heads, len, head_dim]`, of which keys and values have their own number.
    fn read(&self, normed: &Tensor, rotary: &Rotary, lora: Option<&BlockAdapter>) -> [Tensor; 3] {
        let [query, key, value] = self.linears([0, 1, 2], normed, lora);
        let query = self.turned(0, &query, rotary);
        [query, self.turned(1, &key, rotary), self.split(&value)]
    }

    /// Queries (slot 0) or keys (slot 1).
    ///
    /// # Shapes
    /// `y`: `[batch, len, heads · head_dim]` → `[batch, heads, len, head_dim]`.
    fn turned(&self, slot: usize, y: &Tensor, rotary: &Rotary) -> Tensor {
        let split = self.split(y);
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
        let [mixed] = self.linears([3], &mixed.flatten(2, 3), lora);
        let x = x + mixed;
        let [gate, up] = self.linears([4, 5], &self.norm2.forward(&x), lora);
        let [inward] = self.linears([6], &fused::swiglu(&gate, &up), lora);
        &x + inward
    }

    /// Some of [`TARGETS`], by their slots, of one input, with their biases and their adapter's terms.
    fn linears<const N: usize>(
        &self,
        slots: [usize; N],
        x: &Tensor,
        lora: Option<&BlockAdapter>,
    ) -> [Tensor; N] {
        let layers = slots.map(|slot| {
            let bias = self.biases.as_ref().and_then(|biases| biases.get(slot));
            let lora = lora.and_then(|lora| lora.slot(slot));
            (&self.linears[slot], bias, lora)
        });
        adapted(x, layers)
    }

    fn split(&self, y: &Tensor) -> Tensor {
        y.unflatten(2, [-1, self.head_dim]).transpose(1, 2)
    }
}

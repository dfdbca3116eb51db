//! The decoder of LLaMA and of those built like it: embedding, blocks at rotary positions, final norm, output layer.

use tch::{Kind, Tensor};

use super::attention::Visible;
use super::block::{Block, RmsNorm};
use super::rotary::Rotary;
use crate::cache::KvCache;
use crate::deep::Deep;
use crate::lora::Adapter;
use crate::shared::SharedBatch;
use crate::weights::{Init, Weights};
use crate::{ModelError, Part, TextConfig};

/// A LLaMA decoder with its embedding and output layer.
#[derive(Debug)]
pub struct Decoder {
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: RmsNorm,
    head: Tensor,
    inverse_frequencies: Tensor,
    /// The axis of positions of each frequency, `[head_dim / 2]` i64, where there are several.
    axes: Option<Tensor>,
}

/// The embedding's name.
pub(crate) const EMBEDDING: &str = "language_model.model.embed_tokens.weight";
/// The output layer's name.
pub(crate) const HEAD: &str = "language_model.lm_head.weight";

/// Spread of a fresh embedding. transformers starts at 0.02, where the features of a fresh projector are a
/// hundred times larger than the words beside them.
const EMBEDDING_STD: f64 = 0.5;

impl Decoder {
    /// Takes the decoder's tensors.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub fn take(weights: &mut Weights, c: &TextConfig, tied: bool) -> Result<Self, ModelError> {
        // transformers initialises with 0.02 at any width; narrow models need the usual 1/√width.
        let init = Init::Normal((c.hidden_size as f64).sqrt().recip());
        let table = [c.vocab_size, c.hidden_size];
        weights.begin(Part::Embedding);
        let embedding = weights.take(EMBEDDING, &table, Init::Normal(EMBEDDING_STD))?;
        weights.begin(Part::Blocks);
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
        weights.begin(Part::Head);
        let head = if tied {
            embedding.shallow_clone()
        } else {
            weights.take(HEAD, &table, init)?
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
        let inverse_frequencies = match c.llama3() {
            Some(llama3) => llama3.stretch(&inverse_frequencies),
            None => inverse_frequencies,
        };
        let axes = c.rope_axes.as_deref().map(Tensor::from_slice);
        Ok(Self {
            axes: axes.map(|axes| axes.to_device(embedding.device())),
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

    /// What the arithmetic is done in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.embedding.kind()
    }

    /// Rotary tables for the given positions, which may be the same on all axes.
    ///
    /// # Shapes
    /// `positions`: `[batch or 1, len]` or `[axes, batch or 1, len]`, i64.
    #[must_use]
    pub fn rotary(&self, positions: &Tensor) -> Rotary {
        let positions = positions.to_kind(Kind::Float);
        let of_frequencies = match &self.axes {
            Some(axes) if positions.dim() == 3 => {
                positions.index_select(0, axes).permute([1, 2, 0])
            }
            _ => positions.unsqueeze(-1),
        };
        let angles = of_frequencies * &self.inverse_frequencies;
        Rotary::new(&angles.unsqueeze(1), self.embedding.kind())
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

    /// One block over a batch of sequences that share their beginning. Where nothing but the last token of each
    /// branch is read, the last block gives those alone.
    ///
    /// # Shapes
    /// `x`: `[1, n_tokens, width]` → the same, or `[1, n_branches, width]` from such a last block.
    pub fn block_shared(
        &self,
        layer: usize,
        x: &Tensor,
        rotary: &Rotary,
        batch: &SharedBatch,
        adapter: Option<&Adapter>,
    ) -> Tensor {
        let block = &self.blocks[layer];
        let lora = adapter.map(|a| a.block(layer));
        if layer + 1 == self.blocks.len() && batch.reads_last_alone() {
            block.forward_shared_last(x, rotary, batch, lora)
        } else {
            block.forward_shared(x, rotary, batch, lora)
        }
    }

    /// All blocks, what is added between them, and the final norm.
    ///
    /// # Shapes
    /// `x`: `[batch, len, width]` → the same.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        deep: Option<&Deep>,
        rotary: &Rotary,
        visible: Visible<'_>,
        adapter: Option<&Adapter>,
        mut cache: Option<&mut KvCache>,
    ) -> Tensor {
        let new = x.size()[1];
        let mut x = x.shallow_clone();
        for layer in 0..self.blocks.len() {
            let given = self.block(layer, &x, rotary, visible, adapter, cache.as_deref_mut());
            x = Deep::add(deep, layer, given);
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

//! A block of the tower: norm, attention, norm, MLP.

use candor_torch_ext::fused;
use tch::{Kind, Tensor};

use super::config::{Generation, QwenVisionConfig};
use super::windows::Alike;
use crate::clip::LayerNorm;
use crate::linear::Linear;
use crate::llama::RmsNorm;
use crate::lora::Adapter;
use crate::weights::{Init, Weights};
use crate::{Activation, ModelError};

/// Epsilon of all norms of tower and mergers.
const EPS: f64 = 1e-6;

/// A norm of any generation.
#[derive(Debug)]
pub(super) enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl Norm {
    pub(super) fn take(
        weights: &mut Weights,
        name: &str,
        generation: Generation,
        width: i64,
    ) -> Result<Self, ModelError> {
        Ok(match generation {
            Generation::Qwen2Vl | Generation::Qwen3Vl => {
                Self::Layer(LayerNorm::take(weights, name, width, EPS)?)
            }
            Generation::Qwen25Vl => Self::Rms(RmsNorm::take(weights, name, width, EPS)?),
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Layer(norm) => norm.forward(x),
            Self::Rms(norm) => norm.forward(x),
        }
    }
}

/// One block.
#[derive(Debug)]
pub(super) struct Block {
    norm1: Norm,
    qkv: Linear,
    proj: Linear,
    norm2: Norm,
    mlp: Mlp,
    n_heads: i64,
    /// Whether it sees the whole image.
    pub whole: bool,
}

/// What is inside a block's MLP.
#[derive(Debug)]
enum Mlp {
    Plain(Activation, [Linear; 2]),
    /// Gate, up and down.
    SwiGlu([Linear; 3]),
}

/// Cosines and sines of the patches' positions, `[n_patches, head_dim]` f32.
pub(super) struct Turns {
    pub cos: Tensor,
    pub sin: Tensor,
}

impl Turns {
    /// Turns heads, in f32 whatever they are in.
    ///
    /// # Shapes
    /// `x`: `[n_images, heads, n_patches, head_dim]` → the same.
    fn apply(&self, x: &Tensor) -> Tensor {
        let wide = x.to_kind(Kind::Float);
        let halves = wide.chunk(2, -1);
        let turned = Tensor::cat(&[halves[1].neg(), halves[0].shallow_clone()], -1);
        (&wide * &self.cos + turned * &self.sin).to_kind(x.kind())
    }
}

impl Block {
    pub(super) fn take(
        weights: &mut Weights,
        at: i64,
        c: &QwenVisionConfig,
    ) -> Result<Self, ModelError> {
        let name = format!("vision_tower.blocks.{at}");
        let (width, inner) = (c.width, c.mlp_width);
        let depth = (2.0 * c.depth as f64).sqrt();
        let of_width = Init::Normal((width as f64).sqrt().recip());
        let outward = Init::Normal((inner as f64).sqrt().recip() / depth);
        let mut linear = |part: &str, size: [i64; 2], init: Init| {
            Linear::take(weights, &format!("{name}.{part}"), size, true, init)
        };
        let qkv = linear("attn.qkv", [width, 3 * width], of_width)?;
        let proj = linear("attn.proj", [width, width], of_width)?;
        let mlp = match c.generation {
            Generation::Qwen2Vl | Generation::Qwen3Vl => {
                let [first, second] = match c.generation {
                    Generation::Qwen3Vl => ["mlp.linear_fc1", "mlp.linear_fc2"],
                    _ => ["mlp.fc1", "mlp.fc2"],
                };
                let first = linear(first, [width, inner], of_width)?;
                let second = linear(second, [inner, width], outward)?;
                Mlp::Plain(c.activation, [first, second])
            }
            Generation::Qwen25Vl => Mlp::SwiGlu([
                linear("mlp.gate_proj", [width, inner], of_width)?,
                linear("mlp.up_proj", [width, inner], of_width)?,
                linear("mlp.down_proj", [inner, width], outward)?,
            ]),
        };
        let whole = c.windows.as_ref();
        Ok(Self {
            norm1: Norm::take(weights, &format!("{name}.norm1"), c.generation, width)?,
            norm2: Norm::take(weights, &format!("{name}.norm2"), c.generation, width)?,
            qkv,
            proj,
            mlp,
            n_heads: c.n_heads,
            whole: whole.is_none_or(|(_, blocks)| blocks.contains(&at)),
        })
    }

    /// # Shapes
    /// `x`: `[n_images, n_patches, width]` → the same. `windows`: of tokens of `unit` patches; none is the whole image.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        turns: &Turns,
        windows: Option<&[Alike]>,
        unit: i64,
        adapter: Option<&Adapter>,
    ) -> Tensor {
        let normed = self.norm1.forward(x);
        let heads = self
            .qkv
            .adapted(&normed, adapter)
            .unflatten(2, [3, self.n_heads, -1]);
        // [3, n_images, heads, n_patches, head_dim]
        let heads = heads.permute([2, 0, 3, 1, 4]);
        let (query, key) = (turns.apply(&heads.get(0)), turns.apply(&heads.get(1)));
        let value = heads.get(2);
        let mixed = match windows {
            None => attend(&query, &key, &value),
            Some(windows) => in_windows(&query, &key, &value, windows, unit),
        };
        let mixed = mixed.transpose(1, 2).flatten(2, 3);
        let x = x + self.proj.adapted(&mixed, adapter);
        let normed = self.norm2.forward(&x);
        &x + self.mlp.forward(&normed, adapter)
    }
}

impl Mlp {
    fn forward(&self, x: &Tensor, adapter: Option<&Adapter>) -> Tensor {
        match self {
            Self::Plain(activation, [fc1, fc2]) => {
                fc2.adapted(&activation.apply(&fc1.adapted(x, adapter)), adapter)
            }
            Self::SwiGlu([gate, up, down]) => {
                let [gate, up] = [gate, up].map(|linear| linear.adapted(x, adapter));
                down.adapted(&fused::swiglu(&gate, &up), adapter)
            }
        }
    }
}

/// # Shapes
/// All `[batch, heads, n, head_dim]`.
fn attend(query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
    let no_mask = None::<&Tensor>;
    Tensor::scaled_dot_product_attention(query, key, value, no_mask, 0.0, false, None, false)
}

/// Attention within windows, those of one size together.
///
/// # Shapes
/// All `[n_images, heads, n_patches, head_dim]`.
fn in_windows(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    windows: &[Alike],
    unit: i64,
) -> Tensor {
    let n_images = query.size()[0];
    let mut start = 0;
    let parts = windows.iter().map(|group| {
        let n = group.n_windows * group.n_tokens * unit;
        // [n_images · n_windows, heads, patches of a window, head_dim]
        let batch = |x: &Tensor| {
            let x = x.narrow(2, start, n).unflatten(2, [group.n_windows, -1]);
            x.transpose(1, 2).flatten(0, 1)
        };
        let mixed = attend(&batch(query), &batch(key), &batch(value));
        start += n;
        mixed
            .unflatten(0, [n_images, group.n_windows])
            .transpose(1, 2)
            .flatten(2, 3)
    });
    Tensor::cat(&parts.collect::<Vec<_>>(), 2)
}

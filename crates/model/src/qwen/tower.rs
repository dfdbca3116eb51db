//! The tower: a vision transformer over an image in its own size, with rotary positions of rows and columns.
//!
//! The patches of a token stand beside each other, tokens row by row; that is the order of what goes in and comes out.
//! Between, tokens are ordered by windows where blocks see windows.

use tch::{Device, Kind, Tensor};

use super::config::{Generation, QwenVisionConfig};
use super::windows::{Alike, Windows};
use crate::clip::LayerNorm;
use crate::features::ImageSpan;
use crate::linear::Linear;
use crate::llama::RmsNorm;
use crate::weights::{Init, Weights};
use crate::{Activation, ModelError, Part};

/// Epsilon of all norms of tower and merger.
const EPS: f64 = 1e-6;
/// Base of the rotary frequencies.
const THETA: f64 = 10_000.0;

/// A norm of either generation.
#[derive(Debug)]
pub(super) enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl Norm {
    pub fn take(
        weights: &mut Weights,
        name: &str,
        c: &QwenVisionConfig,
    ) -> Result<Self, ModelError> {
        Ok(match c.generation {
            Generation::Qwen2Vl => Self::Layer(LayerNorm::take(weights, name, c.width, EPS)?),
            Generation::Qwen25Vl => Self::Rms(RmsNorm::take(weights, name, c.width, EPS)?),
        })
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Layer(norm) => norm.forward(x),
            Self::Rms(norm) => norm.forward(x),
        }
    }
}

/// The tower.
#[derive(Debug)]
pub(crate) struct QwenTower {
    /// `[width, 3, temporal, patch, patch]`.
    patch_embedding: Tensor,
    blocks: Vec<Block>,
    config: QwenVisionConfig,
}

#[derive(Debug)]
struct Block {
    norm1: Norm,
    qkv: Linear,
    proj: Linear,
    norm2: Norm,
    mlp: Mlp,
    n_heads: i64,
    /// Whether it sees the whole image.
    whole: bool,
}

/// What is inside a block's MLP.
#[derive(Debug)]
enum Mlp {
    Plain(Activation, [Linear; 2]),
    /// Gate, up and down.
    SwiGlu([Linear; 3]),
}

/// Cosines and sines of the patches' positions, `[n_patches, head_dim]` f32.
struct Turns {
    cos: Tensor,
    sin: Tensor,
}

impl QwenTower {
    /// Takes the tower's tensors.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub fn take(weights: &mut Weights, c: &QwenVisionConfig) -> Result<Self, ModelError> {
        weights.begin(Part::Tower);
        let patch = [
            c.width,
            3,
            c.temporal_patch_size,
            c.patch_size,
            c.patch_size,
        ];
        let name = "vision_tower.patch_embed.proj.weight";
        let patch_embedding = weights.take(name, &patch, Init::Normal(0.02))?;
        let blocks = (0..c.depth).map(|at| Block::take(weights, at, c));
        Ok(Self {
            patch_embedding,
            blocks: blocks.collect::<Result<_, _>>()?,
            config: c.clone(),
        })
    }

    /// What an image of this height and width is to the decoder.
    pub fn span(&self, size: [i64; 2]) -> ImageSpan {
        let grid = self.config.grid(size);
        let n_tokens = grid[0] * grid[1];
        ImageSpan {
            n_rows: n_tokens * self.config.merge_size.pow(2),
            n_tokens,
            grid: Some(grid),
        }
    }

    /// The features of images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]`, normalised, both sides whole tokens →
    /// `[n_images, n_patches, width]`.
    pub fn forward(&self, pixels: &Tensor) -> Tensor {
        let size = pixels.size();
        let grid = self.config.grid([size[2], size[3]]);
        let unit = self.config.merge_size.pow(2);
        let windows = self.config.windows.as_ref().map(|&(pixels, _)| {
            let windows = Windows::of(grid, pixels / self.config.token_side());
            let order = Tensor::from_slice(&windows.order).to_device(self.patch_embedding.device());
            (windows.groups, order)
        });
        // Tokens, each with its patches, come in the order of the windows.
        let arranged = |x: &Tensor, dim: i64| match &windows {
            Some((_, order)) => x
                .unflatten(dim, [-1, unit])
                .index_select(dim, order)
                .flatten(dim, dim + 1),
            None => x.shallow_clone(),
        };
        let turns = self.turns(grid);
        let turns = Turns {
            cos: arranged(&turns.cos, 0),
            sin: arranged(&turns.sin, 0),
        };
        let mut x = arranged(&self.patches(pixels), 1);
        for block in &self.blocks {
            let groups = windows.as_ref().filter(|_| !block.whole);
            x = block.forward(
                &x,
                &turns,
                groups.map(|(groups, _)| groups.as_slice()),
                unit,
            );
        }
        match &windows {
            Some((_, order)) => x
                .unflatten(1, [-1, unit])
                .index_select(1, &order.argsort(0, false))
                .flatten(1, 2),
            None => x,
        }
    }

    /// Embeds patches.
    ///
    /// # Shapes
    /// `[n_images, 3, height, width]` → `[n_images, n_patches, width]`.
    fn patches(&self, pixels: &Tensor) -> Tensor {
        let (c, size) = (&self.config, pixels.size());
        let (p, m) = (c.patch_size, c.merge_size);
        let [rows, columns] = c.grid([size[2], size[3]]);
        // A still image is its own next picture.
        let patches = pixels
            .to_kind(self.patch_embedding.kind())
            .reshape([size[0], 3, rows, m, p, columns, m, p])
            .permute([0, 2, 5, 3, 6, 1, 4, 7])
            .unsqueeze(6)
            .expand(
                [-1, -1, -1, -1, -1, -1, c.temporal_patch_size, -1, -1],
                false,
            )
            .reshape([size[0], rows * columns * m * m, -1]);
        patches.linear::<&Tensor>(&self.patch_embedding.flatten(1, 4), None)
    }

    /// The turns of all patches: a quarter of a head's numbers by rows, a quarter by columns, and both again.
    fn turns(&self, [rows, columns]: [i64; 2]) -> Turns {
        let (c, m) = (&self.config, self.config.merge_size);
        let options = (Kind::Float, Device::Cpu);
        let place = |len: i64| Tensor::arange(len, options).reshape([-1, m]);
        let shape = [rows, columns, m, m];
        let row = place(rows * m)
            .reshape([rows, 1, m, 1])
            .expand(shape, false);
        let column = place(columns * m)
            .reshape([1, columns, 1, m])
            .expand(shape, false);
        let quarter = c.width / c.n_heads / 4;
        let exponents: Vec<f32> = (0..quarter)
            .map(|i| (2 * i) as f32 / (2 * quarter) as f32)
            .collect();
        let frequencies = Tensor::pow_scalar(THETA, &Tensor::from_slice(&exponents)).reciprocal();
        let angles = [row, column].map(|place| place.reshape([-1, 1]) * &frequencies);
        let [rows, columns] = &angles;
        let angles = Tensor::cat(&[rows, columns, rows, columns], -1)
            .to_device(self.patch_embedding.device());
        Turns {
            cos: angles.cos(),
            sin: angles.sin(),
        }
    }
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
    fn take(weights: &mut Weights, at: i64, c: &QwenVisionConfig) -> Result<Self, ModelError> {
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
            Generation::Qwen2Vl => Mlp::Plain(
                c.activation,
                [
                    linear("mlp.fc1", [width, inner], of_width)?,
                    linear("mlp.fc2", [inner, width], outward)?,
                ],
            ),
            Generation::Qwen25Vl => Mlp::SwiGlu([
                linear("mlp.gate_proj", [width, inner], of_width)?,
                linear("mlp.up_proj", [width, inner], of_width)?,
                linear("mlp.down_proj", [inner, width], outward)?,
            ]),
        };
        let whole = c.windows.as_ref();
        Ok(Self {
            norm1: Norm::take(weights, &format!("{name}.norm1"), c)?,
            norm2: Norm::take(weights, &format!("{name}.norm2"), c)?,
            qkv,
            proj,
            mlp,
            n_heads: c.n_heads,
            whole: whole.is_none_or(|(_, blocks)| blocks.contains(&at)),
        })
    }

    /// # Shapes
    /// `x`: `[n_images, n_patches, width]` → the same. `windows`: of tokens of `unit` patches; none is the whole image.
    fn forward(&self, x: &Tensor, turns: &Turns, windows: Option<&[Alike]>, unit: i64) -> Tensor {
        let normed = self.norm1.forward(x);
        let heads = self
            .qkv
            .forward(&normed)
            .unflatten(2, [3, self.n_heads, -1]);
        // [3, n_images, heads, n_patches, head_dim]
        let heads = heads.permute([2, 0, 3, 1, 4]);
        let (query, key) = (turns.apply(&heads.get(0)), turns.apply(&heads.get(1)));
        let value = heads.get(2);
        let mixed = match windows {
            None => attend(&query, &key, &value),
            Some(windows) => in_windows(&query, &key, &value, windows, unit),
        };
        let x = x + self.proj.forward(&mixed.transpose(1, 2).flatten(2, 3));
        let normed = self.norm2.forward(&x);
        &x + self.mlp.forward(&normed)
    }
}

impl Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Plain(activation, [fc1, fc2]) => fc2.forward(&activation.apply(&fc1.forward(x))),
            Self::SwiGlu([gate, up, down]) => {
                down.forward(&(gate.forward(x).silu() * up.forward(x)))
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

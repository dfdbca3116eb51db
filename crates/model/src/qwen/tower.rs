//! The tower: a vision transformer over an image in its own size, with rotary positions of rows and columns.
//!
//! The patches of a token stand beside each other, tokens row by row; that is the order of what goes in and comes out.
//! Between, tokens are ordered by windows where blocks see windows.

use tch::{Device, Kind, Tensor};

use super::block::{Block, Turns};
use super::config::{QwenVisionConfig, THETA};
use super::places::Places;
use super::windows::Windows;
use crate::features::ImageSpan;
use crate::lora::Adapter;
use crate::weights::{Init, Weights};
use crate::{ModelError, Part};

/// The tower.
#[derive(Debug)]
pub(crate) struct QwenTower {
    /// `[width, 3, temporal, patch, patch]`.
    patch_embedding: Tensor,
    /// `[width]`, where there is one.
    patch_bias: Option<Tensor>,
    places: Option<Places>,
    blocks: Vec<Block>,
    config: QwenVisionConfig,
}

impl QwenTower {
    /// Takes the tower's tensors.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub(crate) fn take(weights: &mut Weights, c: &QwenVisionConfig) -> Result<Self, ModelError> {
        weights.begin(Part::Tower);
        let patch = [
            c.width,
            3,
            c.temporal_patch_size,
            c.patch_size,
            c.patch_size,
        ];
        let name = "vision_tower.patch_embed.proj";
        let patch_embedding =
            weights.take(&format!("{name}.weight"), &patch, Init::Normal(0.02))?;
        let (patch_bias, places) = match c.n_places {
            Some(n) => (
                Some(weights.take(&format!("{name}.bias"), &[c.width], Init::Zeros)?),
                Some(Places::take(weights, n, c.width)?),
            ),
            None => (None, None),
        };
        let blocks = (0..c.depth).map(|at| Block::take(weights, at, c));
        Ok(Self {
            patch_embedding,
            patch_bias,
            places,
            blocks: blocks.collect::<Result<_, _>>()?,
            config: c.clone(),
        })
    }

    /// What an image of this height and width is to the decoder.
    pub(crate) fn span(&self, size: [i64; 2]) -> ImageSpan {
        let grid = self.config.grid(size);
        let n_tokens = grid[0] * grid[1];
        ImageSpan {
            n_rows: n_tokens * self.config.merge_size.pow(2),
            n_tokens,
            grid: Some(grid),
            lines: None,
        }
    }

    /// The features of images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]`, normalised, both sides whole tokens →
    /// `[n_images, n_patches, feature_width]`: what the last block gives, and beside it what those give that go into the
    /// decoder as well.
    pub(crate) fn forward(&self, pixels: &Tensor, adapter: Option<&Adapter>) -> Tensor {
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
        let mut patches = self.patches(pixels);
        if let Some(places) = &self.places {
            let of_grid = places.of(grid, self.config.merge_size);
            patches += of_grid.to_kind(patches.kind());
        }
        let mut x = arranged(&patches, 1);
        let mut deep = Vec::new();
        for (at, block) in (0..).zip(&self.blocks) {
            let groups = windows.as_ref().filter(|_| !block.whole);
            x = block.forward(
                &x,
                &turns,
                groups.map(|(groups, _)| groups.as_slice()),
                unit,
                adapter,
            );
            if self.config.deep.contains(&at) {
                deep.push(x.shallow_clone());
            }
        }
        if !deep.is_empty() {
            deep.insert(0, x);
            x = Tensor::cat(&deep, -1);
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
        // A still image is its own next image.
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
        patches.linear(
            &self.patch_embedding.flatten(1, 4),
            self.patch_bias.as_ref(),
        )
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

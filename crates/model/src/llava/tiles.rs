//! How the views of an image become rows of features and tokens: LLaVA-NeXT's and LLaVA-OneVision's images, which are seen
//! as a whole and in tiles.
//!
//! The tiles' patches are laid together to the finer view, and what padding gave is cut away again. LLaVA-OneVision brings a
//! finer view of very many patches to fewer tokens. A learned token ends each row.
//!
//! # Reference
//! transformers' `pack_image_features`, `unpad_image` and the processors' `_get_unpadded_features`.

use candor_data::image::ImageSize;
use tch::Tensor;

use super::config::{LlavaConfig, LlavaKind};
use crate::features::{Features, ImageSpan, Lines};

/// A finer view is brought to fewer tokens if its sides are so many times longer than those of the most that it may have.
const LEAST_RATIO: f64 = 1.1;

/// No model has a limit beyond so many tiles; OneVision's is 9.
const MOST_TILES: i64 = 1024;

/// How an image is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Rows and columns of tiles.
    pub tiles: [i64; 2],
    /// Rows and columns of patches of the finer view, without padding.
    pub fine: [i64; 2],
    /// Rows and columns of its tokens, without the newlines.
    pub tokens: [i64; 2],
}

impl Tiling {
    /// How such an image stands in a sequence, of whose view as a whole there are so many rows.
    pub(crate) fn span(&self, n_view_rows: i64) -> ImageSpan {
        let [rows, columns] = self.tokens;
        ImageSpan {
            n_rows: n_view_rows + self.fine.iter().product::<i64>(),
            n_tokens: n_view_rows + rows * (columns + 1),
            grid: None,
            lines: Some(Lines::Each {
                fine: self.fine,
                tokens: self.tokens,
            }),
        }
    }
}

impl LlavaConfig {
    /// How an image of this size of its own is put together; none where an image is one view.
    pub(crate) fn tiling(&self, own: ImageSize) -> Option<Tiling> {
        if self.kind() == LlavaKind::Plain {
            return None;
        }
        let best = self.image_grid_pinpoints.as_ref()?.best(own);
        let side = self.vision_config.patches_to_a_side();
        let tiles = [best.height, best.width].map(|n| i64::from(n) / self.vision_config.image_size);
        let fine = unpadded(tiles.map(|n| n * side), own);
        let tokens = match self.most_tiles() {
            Some(most) => pooled(fine, most, side),
            None => fine,
        };
        Some(Tiling {
            tiles,
            fine,
            tokens,
        })
    }

    /// Tiles whose tokens an image has at most, or nearly.
    fn most_tiles(&self) -> Option<i64> {
        let most = self.vision_aspect_ratio.as_deref()?;
        let most = most.strip_prefix("anyres_max_")?.parse().ok();
        most.filter(|most| (1..=MOST_TILES).contains(most) && self.kind() == LlavaKind::Onevision)
    }

    /// Whether tiles are such as the tower takes, and what limits their tokens is understood.
    pub(super) fn check_tiles(&self) -> Result<(), String> {
        if self.kind() == LlavaKind::Plain {
            return Ok(());
        }
        let side = u32::try_from(self.vision_config.image_size).unwrap_or(u32::MAX);
        let Some(pinpoints) = &self.image_grid_pinpoints else {
            return Err("`image_grid_pinpoints` is missing".to_owned());
        };
        let checked = pinpoints.check(side, crate::config::FEW as u32);
        checked.map_err(|problem| format!("`image_grid_pinpoints`: {problem}"))?;
        if self.kind() == LlavaKind::Onevision && self.most_tiles().is_none() {
            let found = self.vision_aspect_ratio.as_deref().unwrap_or("missing");
            return Err(format!(
                "`vision_aspect_ratio` is `{found}`, only `anyres_max_` with a number is supported"
            ));
        }
        Ok(())
    }

    /// Rows of features of an image of this size.
    pub(crate) fn n_rows_of(&self, own: ImageSize) -> i64 {
        let whole = self.n_view_rows();
        self.tiling(own)
            .map_or(whole, |tiling| tiling.span(whole).n_rows)
    }

    /// Tokens of an image of this size.
    pub(crate) fn n_tokens_of(&self, own: ImageSize) -> i64 {
        let whole = self.n_view_rows();
        self.tiling(own)
            .map_or(whole, |tiling| tiling.span(whole).n_tokens)
    }

    /// Views that the tower takes of an image of this size.
    pub(crate) fn n_views_of(&self, own: ImageSize) -> i64 {
        let tiles = |tiling: Tiling| tiling.tiles.iter().product::<i64>();
        1 + self.tiling(own).map_or(0, tiles)
    }
}

/// What is left of a grid of patches where padding is cut away, for an image of this size.
fn unpadded(patches: [i64; 2], own: ImageSize) -> [i64; 2] {
    let [rows, columns] = patches.map(|n| n as f64);
    let (width, height) = (f64::from(own.width), f64::from(own.height));
    // Python rounds to seven digits, and then down.
    let left = |length: f64, scale: f64| ((length * scale * 1e7).round() / 1e7) as i64;
    let cut = |of: i64, left: i64| of - (of - left) / 2 * 2;
    if width / height > columns / rows {
        [cut(patches[0], left(height, columns / width)), patches[1]]
    } else {
        [patches[0], cut(patches[1], left(width, rows / height))]
    }
}

/// Rows and columns of tokens for a finer view that is to have hardly more than `most` tiles of `side` × `side`.
fn pooled(fine: [i64; 2], most: i64, side: i64) -> [i64; 2] {
    let ratio = ((fine[0] * fine[1]) as f64 / (most * side * side) as f64).sqrt();
    if ratio <= LEAST_RATIO {
        return fine;
    }
    // Python's `//` of two fractions.
    fine.map(|n| ((n as f64 - n as f64 % ratio) / ratio).round() as i64)
}

/// Rows of features of images of one size: the whole, and the finer view row by row.
///
/// # Shapes
/// `views`: `[n_images, 1 + n_tiles, rows of a view, width]`, tiles row by row.
pub(crate) fn lay_together(views: &Tensor, tiling: &Tiling, side: i64) -> Features {
    let shape = views.size();
    let (whole, parts) = (views.select(1, 0), views.narrow(1, 1, shape[1] - 1));
    let [down, across] = tiling.tiles;
    let patches = parts
        .reshape([shape[0], down, across, side, side, shape[3]])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([shape[0], down * side, across * side, shape[3]]);
    let [rows, columns] = tiling.fine;
    let inner = patches.narrow(1, (down * side - rows) / 2, rows).narrow(
        2,
        (across * side - columns) / 2,
        columns,
    );
    let all = Tensor::cat(&[whole, inner.flatten(1, 2)], 1);
    Features::alike(&all, tiling.span(shape[2]))
}

/// Tokens of images whose rows have gone through the projector, with what ends their lines.
///
/// # Shapes
/// `projected`: `[n_rows, width]` → `[n_tokens, width]`; `newline`: `[width]`.
pub(crate) fn with_newlines(projected: &Tensor, spans: &[ImageSpan], newline: &Tensor) -> Tensor {
    let newline = newline.to_kind(projected.kind());
    let mut start = 0;
    let mut tokens = Vec::new();
    for span in spans {
        let own = projected.narrow(0, start, span.n_rows);
        start += span.n_rows;
        match span.lines {
            None => tokens.push(own),
            Some(Lines::One) => tokens.extend([own, newline.unsqueeze(0)]),
            Some(Lines::Each { fine, tokens: to }) => {
                let n_fine = fine[0] * fine[1];
                let n_whole = span.n_rows - n_fine;
                let mut view = own.narrow(0, n_whole, n_fine).unflatten(0, fine);
                if to != fine {
                    let channels = view.permute([2, 0, 1]).unsqueeze(0);
                    let fewer = channels.upsample_bilinear2d(to, false, None, None);
                    view = fewer.squeeze_dim(0).permute([1, 2, 0]);
                }
                let ends = newline.expand([to[0], 1, -1], false);
                let lines = Tensor::cat(&[view, ends], 1).flatten(0, 1);
                tokens.extend([own.narrow(0, 0, n_whole), lines]);
            }
        }
    }
    Tensor::cat(&tokens, 0)
}

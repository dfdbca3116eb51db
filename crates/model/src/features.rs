//! What a tower gave of images: a value that goes from the tower to the projector, and stays with the images' names.
//!
//! Images may be of different sizes, and so have different numbers of rows and of tokens.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// How an image stands in a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpan {
    /// Rows of features.
    pub n_rows: i64,
    /// Tokens, which the projector makes of them.
    pub n_tokens: i64,
    /// Rows and columns of tokens, where positions know two dimensions.
    pub grid: Option<[i64; 2]>,
    /// Where learned tokens stand that end lines; none in families without such.
    pub lines: Option<Lines>,
}

/// Where the learned token stands that ends a line of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lines {
    /// After the image's only view.
    One,
    /// After each row of the finer view, which comes after the view of the whole.
    Each {
        /// Rows and columns of its features.
        fine: [i64; 2],
        /// Rows and columns that they are resized to, before the ends of the lines.
        tokens: [i64; 2],
    },
}

impl ImageSpan {
    /// How much further the token after the image stands than it would if the image's tokens were words.
    pub(crate) fn delta(&self) -> i64 {
        self.grid
            .map_or(0, |[height, width]| height.max(width) - height * width)
    }
}

/// Features of images, before the projector.
#[derive(Debug)]
pub struct Features {
    /// `[n_rows, width]`, one image's rows after another's. Where a projector reads several blocks of the tower, their
    /// outputs are beside each other.
    rows: Tensor,
    /// Of each image, in this order.
    spans: Vec<ImageSpan>,
}

impl Features {
    /// Features of one image, from its rows.
    ///
    /// # Shapes
    /// `rows`: `[span.n_rows, width]`.
    #[must_use]
    pub fn of_image(rows: Tensor, span: ImageSpan) -> Self {
        Self {
            rows,
            spans: vec![span],
        }
    }

    /// Features of images that are all alike.
    ///
    /// # Shapes
    /// `features`: `[n_images, n_rows, width]`.
    pub(crate) fn alike(features: &Tensor, span: ImageSpan) -> Self {
        let n_images = features.size()[0] as usize;
        Self {
            rows: features.flatten(0, 1),
            spans: vec![span; n_images],
        }
    }

    /// `[n_rows, width]`, one image's rows after another's.
    pub fn rows(&self) -> &Tensor {
        &self.rows
    }

    /// Of each image.
    #[must_use]
    pub fn spans(&self) -> &[ImageSpan] {
        &self.spans
    }

    /// Number of images.
    #[must_use]
    pub fn n_images(&self) -> usize {
        self.spans.len()
    }

    /// Tokens that the images take.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.spans.iter().map(|span| span.n_tokens as usize).sum()
    }

    /// Those of one image, in the same memory.
    ///
    /// # Panics
    /// There are fewer images.
    #[must_use]
    pub fn image(&self, at: usize) -> Self {
        let start = self.spans[..at].iter().map(|span| span.n_rows).sum();
        let span = self.spans[at];
        Self {
            rows: self.rows.narrow(0, start, span.n_rows),
            spans: vec![span],
        }
    }

    /// Those on a device: on their own another handle on the same memory.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        Self {
            rows: self.rows.to_device(device),
            spans: self.spans.clone(),
        }
    }

    /// Another handle on the same memory.
    #[must_use]
    pub fn share(&self) -> Self {
        Self {
            rows: self.rows.shallow_clone(),
            spans: self.spans.clone(),
        }
    }

    /// All of them as one; none where there are none.
    #[must_use]
    pub fn cat<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let parts: Vec<&Self> = parts.into_iter().collect();
        if parts.is_empty() {
            return None;
        }
        let rows: Vec<&Tensor> = parts.iter().map(|part| &part.rows).collect();
        Some(Self {
            rows: Tensor::cat(&rows, 0),
            spans: parts.iter().flat_map(|part| part.spans.clone()).collect(),
        })
    }
}

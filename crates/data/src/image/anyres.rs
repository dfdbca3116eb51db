//! An image is seen as a whole and, near its own size, in square tiles, as LLaVA-NeXT and LLaVA-OneVision take it.
//!
//! Of a list of resolutions the one is chosen that keeps most of the image's pixels and wastes least. The image is
//! resized into it, its shape kept, padded with black, and cut into tiles; before these comes the whole image, squeezed
//! into one tile. How many tokens an image takes follows from its own size.
//!
//! # Reference
//! Hugging Face's `LlavaNextImageProcessorPil` and `LlavaOnevisionImageProcessorPil` for one image in a text, and
//! `select_best_resolution`; Pillow's bicubic as in [`super::resize`].

use ::image::{RgbImage, imageops};
use serde::{Deserialize, Serialize};

use super::resize::bicubic;
use super::{Colours, Fit, Fitted, ImageSize, SquareProcessor};

/// Heights and widths, in pixels, that images may be brought to (`image_grid_pinpoints`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pinpoints(Vec<[u32; 2]>);

/// More resolutions than this are a mistake; LLaVA-OneVision has 36.
const MAX_PINPOINTS: usize = 1024;

impl Pinpoints {
    /// Of heights and widths.
    #[must_use]
    pub fn new(pinpoints: Vec<[u32; 2]>) -> Self {
        Self(pinpoints)
    }

    /// What transformers takes for LLaVA-NeXT where a file says nothing.
    #[must_use]
    pub fn next() -> Self {
        Self(vec![
            [336, 672],
            [672, 336],
            [672, 672],
            [1008, 336],
            [336, 1008],
        ])
    }

    /// What transformers takes for LLaVA-OneVision where a file says nothing: one to six tiles of 384 pixels high and wide.
    #[must_use]
    pub fn onevision() -> Self {
        let grids = (1..=6).flat_map(|rows| (1..=6).map(move |columns| [rows, columns]));
        Self(grids.map(|grid| grid.map(|n| 384 * n)).collect())
    }

    /// Whether there is one, and all are of whole tiles of this side and no side is longer than `longest`; the message
    /// says which is not.
    ///
    /// # Errors
    /// Says what was found and what is expected.
    pub fn check(&self, side: u32, longest: u32) -> Result<(), String> {
        if self.0.is_empty() || self.0.len() > MAX_PINPOINTS {
            let n = self.0.len();
            return Err(format!(
                "found {n} resolutions, expected 1 to {MAX_PINPOINTS}"
            ));
        }
        let whole = |&length: &u32| side > 0 && length % side == 0;
        let fits = |length: &u32| (1..=longest).contains(length) && whole(length);
        match self.0.iter().find(|sides| !sides.iter().all(fits)) {
            None => Ok(()),
            Some([height, width]) => Err(format!(
                "found [{height}, {width}], expected multiples of the tile's {side} pixels up to {longest}"
            )),
        }
    }

    /// The resolution for an image: that which keeps most of its pixels and, among equals, wastes least. The first of
    /// [`Pinpoints::check`]ed ones counts.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn best(&self, image: ImageSize) -> ImageSize {
        let (width, height) = (f64::from(image.width), f64::from(image.height));
        let kept = |&[to_height, to_width]: &[u32; 2]| {
            let scale = (f64::from(to_width) / width).min(f64::from(to_height) / height);
            let scaled = (width * scale) as u64 * (height * scale) as u64;
            let kept = scaled.min(image.n_pixels() as u64);
            let wasted = u64::from(to_height) * u64::from(to_width) - kept;
            // Of several with the same rank `max_by_key` takes the last, and the first is wanted.
            (kept, std::cmp::Reverse(wasted))
        };
        let best = self.0.iter().rev().max_by_key(|sides| kept(sides));
        let [height, width] = *best.expect("a resolution");
        ImageSize { width, height }
    }
}

/// Whose class of transformers writes the same processor; of one image they make the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnyresClass {
    /// `LlavaNextImageProcessor`.
    Next,
    /// `LlavaOnevisionImageProcessor`.
    Onevision,
}

/// Sees every image as a whole and in tiles.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyresProcessor {
    /// Side of a tile, in pixels.
    pub side: u32,
    /// What images may be brought to.
    pub pinpoints: Pinpoints,
    /// Mean and spread of the colours.
    pub colours: Colours,
    /// Its class.
    pub class: AnyresClass,
}

impl AnyresProcessor {
    pub(super) fn fit(&self, image: &RgbImage) -> Fitted {
        let own = ImageSize::of(image);
        let best = self.pinpoints.best(own);
        let (width, height) = within(own, best);
        let mut canvas = RgbImage::new(best.width, best.height);
        let (left, top) = ((best.width - width) / 2, (best.height - height) / 2);
        let resized = bicubic(image, width, height);
        imageops::replace(&mut canvas, &resized, i64::from(left), i64::from(top));

        let side = self.side;
        let (rows, columns) = (best.height / side, best.width / side);
        let mut views = RgbImage::new(side, side * (1 + rows * columns));
        imageops::replace(&mut views, &bicubic(image, side, side), 0, 0);
        for tile in 0..rows * columns {
            let (x, y) = (tile % columns * side, tile / columns * side);
            let cut = imageops::crop_imm(&canvas, x, y, side, side).to_image();
            imageops::replace(&mut views, &cut, 0, i64::from((1 + tile) * side));
        }
        Fitted {
            own: Some(own),
            ..Fitted::of(&views)
        }
    }

    /// Bytes of all that is made of an image which is brought to this resolution.
    fn bytes_at(&self, best: ImageSize) -> usize {
        let view = 3 * self.side as usize * self.side as usize;
        let n_whole = match self.class {
            AnyresClass::Next => 1,
            // The second is for a text with several images.
            AnyresClass::Onevision => 2,
        };
        3 * best.n_pixels() + n_whole * view
    }

    /// Bytes of all that is made of an image of this size.
    pub(super) fn fitted_bytes(&self, image: ImageSize) -> usize {
        self.bytes_at(self.pinpoints.best(image))
    }

    /// The same of the image of which most is made.
    pub(super) fn most_fitted_bytes(&self) -> usize {
        let sizes = self.pinpoints.0.iter();
        let bytes = sizes.map(|&[height, width]| self.bytes_at(ImageSize { width, height }));
        bytes.max().unwrap_or(0)
    }

    pub(super) fn fit_among(&self, image: &RgbImage) -> Option<Fitted> {
        let square = SquareProcessor {
            side: self.side,
            fit: Fit::Pad,
            colours: self.colours,
        };
        (self.class == AnyresClass::Onevision).then(|| square.fit(image))
    }
}

/// Width and height of an image that keeps its shape in a resolution.
fn within(own: ImageSize, best: ImageSize) -> (u32, u32) {
    let [by_width, by_height] = [(best.width, own.width), (best.height, own.height)]
        .map(|(to, of)| f64::from(to) / f64::from(of));
    let scaled = |length: u32, scale: f64| (f64::from(length) * scale).ceil() as u32;
    if by_width < by_height {
        (best.width, scaled(own.height, by_width).min(best.height))
    } else {
        (scaled(own.width, by_height).min(best.width), best.height)
    }
}

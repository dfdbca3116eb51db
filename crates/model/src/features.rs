//! What a tower gave of images: a value that goes from the tower to the projector, and stays with the images' names.
//!
//! Images may be of different sizes, and so have different numbers of rows and of tokens. Where adapters change the tower,
//! what it gives follows from the pass: then the value holds the images themselves, and each pass sees them anew.

use candor_data::image::ImageSize;
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
    kept: Kept,
    /// Of each image, in this order.
    spans: Vec<ImageSpan>,
}

/// What is kept of images.
#[derive(Debug)]
pub(crate) enum Kept {
    /// What the tower gave, `[n_rows, width]`, one image's rows after another's. Where a projector reads several blocks of
    /// the tower, their outputs are beside each other.
    Rows(Tensor),
    /// The images, for each pass to see.
    Pixels(Vec<Pixels>),
}

/// An image as the tower takes it.
#[derive(Debug)]
pub(crate) struct Pixels {
    /// `[n_views, 3, height, width]`, normalised.
    pub views: Tensor,
    /// Its size before it was fitted, where it is seen as a whole and in tiles.
    pub own: Option<ImageSize>,
}

impl Pixels {
    fn with(&self, views: Tensor) -> Self {
        let own = self.own;
        Self { views, own }
    }
}

impl Features {
    /// Features of one image, from its rows.
    ///
    /// # Shapes
    /// `rows`: `[span.n_rows, width]`.
    #[must_use]
    pub fn of_image(rows: Tensor, span: ImageSpan) -> Self {
        Self {
            kept: Kept::Rows(rows),
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
            kept: Kept::Rows(features.flatten(0, 1)),
            spans: vec![span; n_images],
        }
    }

    /// Images that are all alike, for each pass to see.
    ///
    /// # Shapes
    /// `images`: `[n_images, n_views, 3, height, width]`, normalised.
    pub(crate) fn unseen(images: &Tensor, own: Option<ImageSize>, span: ImageSpan) -> Self {
        let n_images = images.size()[0];
        let pixels = (0..n_images).map(|at| Pixels {
            views: images.get(at),
            own,
        });
        Self {
            kept: Kept::Pixels(pixels.collect()),
            spans: vec![span; n_images as usize],
        }
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// `[n_rows, width]`, one image's rows after another's.
    ///
    /// # Panics
    /// The model's tower has an adapter, so that the rows follow from the pass.
    pub fn rows(&self) -> &Tensor {
        match &self.kept {
            Kept::Rows(rows) => rows,
            Kept::Pixels(_) => panic!("images that each pass sees anew have no rows of their own"),
        }
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
        let span = self.spans[at];
        let kept = match &self.kept {
            Kept::Rows(rows) => {
                let start = self.spans[..at].iter().map(|span| span.n_rows).sum();
                Kept::Rows(rows.narrow(0, start, span.n_rows))
            }
            Kept::Pixels(images) => {
                let image = &images[at];
                Kept::Pixels(vec![image.with(image.views.shallow_clone())])
            }
        };
        Self {
            kept,
            spans: vec![span],
        }
    }

    /// Those on a device: on their own another handle on the same memory.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        self.with_each(|tensor| tensor.to_device(device))
    }

    /// Those of one image each on the host, which those of a device reach together: it is waited for once.
    ///
    /// # Panics
    /// Not all of them are of one model.
    #[must_use]
    pub fn on_host(each: &[Self]) -> Vec<Self> {
        let is_there = |one: &Self| match &one.kept {
            Kept::Rows(rows) => rows.device() == Device::Cpu,
            Kept::Pixels(_) => true,
        };
        if each.iter().all(is_there) {
            return each.iter().map(|one| one.to_device(Device::Cpu)).collect();
        }
        let all = Self::cat(each).map(|all| all.to_device(Device::Cpu));
        let images = all
            .iter()
            .flat_map(|all| (0..each.len()).map(|at| all.image(at)));
        images.collect()
    }

    /// Another handle on the same memory.
    #[must_use]
    pub fn share(&self) -> Self {
        self.with_each(Tensor::shallow_clone)
    }

    fn with_each(&self, of: impl Fn(&Tensor) -> Tensor) -> Self {
        let kept = match &self.kept {
            Kept::Rows(rows) => Kept::Rows(of(rows)),
            Kept::Pixels(images) => {
                let images = images.iter().map(|image| image.with(of(&image.views)));
                Kept::Pixels(images.collect())
            }
        };
        Self {
            kept,
            spans: self.spans.clone(),
        }
    }

    /// All of them as one; none where there are none.
    #[must_use]
    pub fn cat<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let parts: Vec<&Self> = parts.into_iter().collect();
        let first = parts.first()?;
        let kept = match first.kept {
            Kept::Rows(_) => {
                let rows: Vec<&Tensor> = parts.iter().map(|part| part.rows()).collect();
                Kept::Rows(Tensor::cat(&rows, 0))
            }
            Kept::Pixels(_) => {
                let images = parts.iter().flat_map(|part| part.pixels());
                let images = images.map(|image| image.with(image.views.shallow_clone()));
                Kept::Pixels(images.collect())
            }
        };
        Some(Self {
            kept,
            spans: parts.iter().flat_map(|part| part.spans.clone()).collect(),
        })
    }

    /// The images, where each pass sees them anew.
    fn pixels(&self) -> &[Pixels] {
        match &self.kept {
            Kept::Pixels(images) => images,
            Kept::Rows(_) => panic!("all images of a model are kept in one way"),
        }
    }
}

//! How a model sees: the tower that makes features of pixels, and the projector that makes tokens of features.

use std::collections::BTreeMap;

use candor_data::image::ImageSize;
use tch::Tensor;

use crate::clip::VisionTower;
use crate::deep::Projected;
use crate::features::{Features, ImageSpan, Kept, Lines, Pixels};
use crate::llava::projector::Projector;
use crate::llava::tiles::{Tiling, lay_together, with_newlines};
use crate::lora::Adapter;
use crate::qwen::{Mergers, QwenTower};
use crate::weights::{Init, Weights};
use crate::{LlavaConfig, LlavaKind, ModelConfig, ModelError};

/// Tower and projector of each family.
#[derive(Debug)]
pub(crate) enum Vision {
    /// CLIP or SigLIP, and a projector of one or two layers.
    Llava(VisionTower, Projector),
    /// The same for images in several views, and what lays these together.
    Tiled(VisionTower, Projector, Box<Tiles>),
    /// A tower for images of any size, and the mergers of its patches.
    Qwen(QwenTower, Mergers),
}

/// What laying tiles together takes.
#[derive(Debug)]
pub(crate) struct Tiles {
    config: LlavaConfig,
    /// `[decoder width]`.
    newline: Tensor,
}

impl Tiles {
    fn take(weights: &mut Weights, config: &LlavaConfig) -> Result<Self, ModelError> {
        let width = config.text_config.hidden_size;
        let init = Init::Normal((width as f64).sqrt().recip());
        Ok(Self {
            newline: weights.take("image_newline", &[width], init)?,
            config: config.clone(),
        })
    }
}

impl Vision {
    /// Takes the tensors of both.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub(crate) fn take(weights: &mut Weights, config: &ModelConfig) -> Result<Self, ModelError> {
        Ok(match config {
            ModelConfig::Llava(c) => {
                let tower = VisionTower::take(weights, c)?;
                let projector = Projector::take(weights, c)?;
                if c.kind() == LlavaKind::Plain {
                    Self::Llava(tower, projector)
                } else {
                    let tiles = Box::new(Tiles::take(weights, c)?);
                    Self::Tiled(tower, projector, tiles)
                }
            }
            ModelConfig::Qwen(c) => {
                let tower = QwenTower::take(weights, &c.vision)?;
                Self::Qwen(tower, Mergers::take(weights, &c.vision)?)
            }
        })
    }

    /// Features of images of one size, each of one view.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]`, normalised.
    pub(crate) fn encode(&self, pixels: &Tensor, adapter: Option<&Adapter>) -> Features {
        let features = match self {
            Self::Llava(tower, _) | Self::Tiled(tower, ..) => tower.forward(pixels, adapter),
            Self::Qwen(tower, _) => tower.forward(pixels, adapter),
        };
        Features::alike(&features, self.span(pixels))
    }

    /// The same, for each pass to see.
    pub(crate) fn unseen(&self, pixels: &Tensor) -> Features {
        Features::unseen(&pixels.unsqueeze(1), None, self.span(pixels))
    }

    /// How an image of one view of this size stands in a sequence.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]`.
    fn span(&self, pixels: &Tensor) -> ImageSpan {
        let (tower, lines) = match self {
            Self::Llava(tower, _) => (tower, None),
            Self::Tiled(tower, ..) => (tower, Some(Lines::One)),
            Self::Qwen(tower, _) => {
                let size = pixels.size();
                return tower.span([size[2], size[3]]);
            }
        };
        let n_rows = tower.n_rows();
        ImageSpan {
            n_rows,
            n_tokens: n_rows + i64::from(lines.is_some()),
            grid: None,
            lines,
        }
    }

    /// Features of images of one size of their own, each of a view of the whole and of its tiles.
    ///
    /// # Shapes
    /// `views`: `[n_images, n_views, 3, side, side]`, normalised.
    ///
    /// # Panics
    /// The family sees no tiles.
    pub(crate) fn encode_views(
        &self,
        views: &Tensor,
        own: ImageSize,
        adapter: Option<&Adapter>,
    ) -> Features {
        let (tower, tiles, layout) = self.tiling(own);
        let shape = views.size();
        let features = tower.forward(&views.flatten(0, 1), adapter);
        let features = features.unflatten(0, [shape[0], shape[1]]);
        let side = tiles.config.vision_config.patches_to_a_side();
        lay_together(&features, &layout, side)
    }

    /// The same, for each pass to see.
    ///
    /// # Panics
    /// As [`Vision::encode_views`].
    pub(crate) fn unseen_views(&self, views: &Tensor, own: ImageSize) -> Features {
        let (tower, _, layout) = self.tiling(own);
        Features::unseen(views, Some(own), layout.span(tower.n_rows()))
    }

    fn tiling(&self, own: ImageSize) -> (&VisionTower, &Tiles, Tiling) {
        let Self::Tiled(tower, _, tiles) = self else {
            unreachable!("only processors of tiled families make views");
        };
        let Some(layout) = tiles.config.tiling(own) else {
            unreachable!("a tiled family tiles all sizes");
        };
        (tower, tiles, layout)
    }

    /// Tokens of features, and what is added to them later.
    ///
    /// # Panics
    /// The adapter changes the tower, and what the tower gave without it was kept.
    pub(crate) fn project(&self, features: &Features, adapter: Option<&Adapter>) -> Projected {
        let rows = match features.kept() {
            Kept::Rows(rows) => {
                let changed = adapter.is_some_and(Adapter::adapts_tower);
                assert!(!changed, "images were seen before the adapter was opened");
                rows.shallow_clone()
            }
            Kept::Pixels(images) => self.see(images, adapter),
        };
        match self {
            Self::Llava(_, projector) => Projected::plain(projector.forward(&rows, adapter)),
            Self::Tiled(_, projector, tiles) => {
                let projected = projector.forward(&rows, adapter);
                let tokens = with_newlines(&projected, features.spans(), &tiles.newline);
                Projected::plain(tokens)
            }
            Self::Qwen(_, mergers) => mergers.forward(&rows, adapter),
        }
    }

    /// What the tower gives of images, in their order. Those of one size go through it together.
    ///
    /// # Shapes
    /// → `[n_rows, width]`.
    fn see(&self, images: &[Pixels], adapter: Option<&Adapter>) -> Tensor {
        let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, image) in images.iter().enumerate() {
            let own = image.own.map(|own| [own.height, own.width]);
            let size = image.views.size();
            alike.entry((own, size)).or_default().push(at);
        }
        let mut seen: Vec<Option<Features>> = images.iter().map(|_| None).collect();
        for places in alike.into_values() {
            let views: Vec<&Tensor> = places.iter().map(|&at| &images[at].views).collect();
            let features = match images[places[0]].own {
                None => self.encode(&Tensor::cat(&views, 0), adapter),
                Some(own) => self.encode_views(&Tensor::stack(&views, 0), own, adapter),
            };
            for (image, &at) in places.iter().enumerate() {
                seen[at] = Some(features.image(image));
            }
        }
        let rows: Vec<&Tensor> = seen.iter().flatten().map(Features::rows).collect();
        Tensor::cat(&rows, 0)
    }
}

//! How a model sees: the tower that makes features of pixels, and the projector that makes tokens of features.

use candor_data::image::ImageSize;
use tch::Tensor;

use crate::clip::VisionTower;
use crate::deep::Projected;
use crate::features::{Features, ImageSpan, Lines};
use crate::llava::projector::Projector;
use crate::llava::tiles::{lay_together, with_newlines};
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
    pub(crate) fn encode(&self, pixels: &Tensor) -> Features {
        let (tower, lines) = match self {
            Self::Llava(tower, _) => (tower, None),
            Self::Tiled(tower, ..) => (tower, Some(Lines::One)),
            Self::Qwen(tower, _) => {
                let size = pixels.size();
                let span = tower.span([size[2], size[3]]);
                return Features::alike(&tower.forward(pixels), span);
            }
        };
        let features = tower.forward(pixels);
        let n = features.size()[1];
        let span = ImageSpan {
            n_rows: n,
            n_tokens: n + i64::from(lines.is_some()),
            grid: None,
            lines,
        };
        Features::alike(&features, span)
    }

    /// Features of images of one size of their own, each of a view of the whole and of its tiles.
    ///
    /// # Shapes
    /// `views`: `[n_images, n_views, 3, side, side]`, normalised.
    ///
    /// # Panics
    /// The family sees no tiles.
    pub(crate) fn encode_views(&self, views: &Tensor, own: ImageSize) -> Features {
        let Self::Tiled(tower, _, tiles) = self else {
            unreachable!("only processors of tiled families make views");
        };
        let Some(layout) = tiles.config.tiling(own) else {
            unreachable!("a tiled family tiles all sizes");
        };
        let shape = views.size();
        let features = tower.forward(&views.flatten(0, 1));
        let features = features.unflatten(0, [shape[0], shape[1]]);
        let side = tiles.config.vision_config.patches_to_a_side();
        lay_together(&features, &layout, side)
    }

    /// Tokens of features, and what is added to them later.
    pub(crate) fn project(&self, features: &Features, adapter: Option<&Adapter>) -> Projected {
        match self {
            Self::Llava(_, projector) => {
                Projected::plain(projector.forward(features.rows(), adapter))
            }
            Self::Tiled(_, projector, tiles) => {
                let projected = projector.forward(features.rows(), adapter);
                let tokens = with_newlines(&projected, features.spans(), &tiles.newline);
                Projected::plain(tokens)
            }
            Self::Qwen(_, mergers) => mergers.forward(features.rows(), adapter),
        }
    }
}

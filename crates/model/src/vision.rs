//! How a model sees: the tower that makes features of pixels, and the projector that makes tokens of features.

use tch::Tensor;

use crate::clip::VisionTower;
use crate::deep::Projected;
use crate::features::{Features, ImageSpan};
use crate::llava::projector::Projector;
use crate::qwen::{Mergers, QwenTower};
use crate::weights::Weights;
use crate::{ModelConfig, ModelError};

/// Tower and projector of each family.
#[derive(Debug)]
pub(crate) enum Vision {
    /// CLIP and a projector of one or two layers.
    Llava(VisionTower, Projector),
    /// A tower for images of any size, and the mergers of its patches.
    Qwen(QwenTower, Mergers),
}

impl Vision {
    /// Takes the tensors of both.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub fn take(weights: &mut Weights, config: &ModelConfig) -> Result<Self, ModelError> {
        Ok(match config {
            ModelConfig::Llava(c) => {
                let tower = VisionTower::take(weights, c)?;
                Self::Llava(tower, Projector::take(weights, c)?)
            }
            ModelConfig::Qwen(c) => {
                let tower = QwenTower::take(weights, &c.vision)?;
                Self::Qwen(tower, Mergers::take(weights, &c.vision)?)
            }
        })
    }

    /// Features of images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]`, normalised.
    pub fn encode(&self, pixels: &Tensor) -> Features {
        match self {
            Self::Llava(tower, _) => {
                let features = tower.forward(pixels);
                let n = features.size()[1];
                let span = ImageSpan {
                    n_rows: n,
                    n_tokens: n,
                    grid: None,
                };
                Features::alike(&features, span)
            }
            Self::Qwen(tower, _) => {
                let size = pixels.size();
                let span = tower.span([size[2], size[3]]);
                Features::alike(&tower.forward(pixels), span)
            }
        }
    }

    /// Tokens of features, and what is added to them later.
    pub fn project(&self, features: &Features) -> Projected {
        match self {
            Self::Llava(_, projector) => Projected::plain(projector.forward(features.rows())),
            Self::Qwen(_, mergers) => mergers.forward(features.rows()),
        }
    }
}

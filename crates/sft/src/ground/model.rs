//! The probe on the tower: two linear maps per square that is asked about, and their loss.

use super::labels::BatchLabels;
use candor_model::{Init, Linear, ModelError, Weights};
use tch::{Device, Kind, Tensor};

/// Linear maps from a square's features to its class and to its attributes.
#[derive(Debug)]
pub(crate) struct Probe {
    kind: Linear,
    attribute: Linear,
    /// Weights by name.
    pub parameters: Vec<(String, Tensor)>,
}

/// What the probe got right on a batch.
#[derive(Debug)]
pub(crate) struct ProbeLoss {
    /// Scalar to minimise.
    pub loss: Tensor,
    /// Squares with an object whose class was right, and how many there were.
    pub kinds_right: (i64, i64),
}

impl Probe {
    /// A fresh probe.
    ///
    /// # Errors
    /// None in practice; a fresh source has every tensor.
    pub(crate) fn fresh(
        seed: u64,
        width: i64,
        n_classes: i64,
        n_attributes: i64,
        device: Device,
    ) -> Result<Self, ModelError> {
        let mut weights = Weights::fresh(seed, device, Kind::Float);
        let init = Init::Normal((width as f64).sqrt().recip());
        let kind = Linear::take(&mut weights, "probe.kind", [width, n_classes], true, init)?;
        let attribute = Linear::take(
            &mut weights,
            "probe.attribute",
            [width, n_attributes],
            true,
            init,
        )?;
        Ok(Self {
            kind,
            attribute,
            parameters: weights.finish()?.into_iter().collect(),
        })
    }

    /// Cross-entropy of the class of every square, plus binary cross-entropy of the attributes of squares
    /// with an object.
    ///
    /// # Shapes
    /// `features`: `[batch, n_squares, width]`; labels as [`super::labels::batch_labels`] gives them.
    #[must_use]
    pub(crate) fn loss(&self, features: &Tensor, labels: &BatchLabels) -> ProbeLoss {
        let BatchLabels {
            classes,
            places,
            held,
        } = labels;
        let flat = features.flatten(0, 1);
        let logits = self.kind.forward(&flat);
        let mut loss =
            logits.cross_entropy_loss::<&Tensor>(classes, None, tch::Reduction::Mean, -100, 0.0);
        let n_objects = places.size()[0];
        if n_objects == 0 {
            return ProbeLoss {
                loss,
                kinds_right: (0, 0),
            };
        }
        // Plain COCO files have no attributes, and a mean over nothing is not a number.
        if held.numel() > 0 {
            let attributes = self.attribute.forward(&flat.index_select(0, places));
            loss += attributes.binary_cross_entropy_with_logits::<&Tensor>(
                held,
                None,
                None,
                tch::Reduction::Mean,
            );
        }
        let chosen = logits.detach().index_select(0, places).argmax(-1, false);
        let right = chosen
            .eq_tensor(&classes.index_select(0, places))
            .sum(Kind::Int64)
            .int64_value(&[]);
        ProbeLoss {
            loss,
            kinds_right: (right, n_objects),
        }
    }
}

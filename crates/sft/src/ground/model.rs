//! The probe on the tower: two linear maps per square that is asked about, and their loss.

use super::labels::{BatchLabels, PatchLabels};
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

/// How much of its batch a part of it is: what its means count for in those of the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    images: f64,
    objects: f64,
}

impl Shares {
    /// Of all that there is.
    pub(crate) const WHOLE: Self = Self {
        images: 1.0,
        objects: 1.0,
    };

    /// Of some images among those of a batch, each of which has as many squares.
    pub(crate) fn of(part: &[&PatchLabels], batch: &[&PatchLabels]) -> Self {
        let n_objects = |images: &[&PatchLabels]| -> usize {
            images.iter().map(|image| image.objects.len()).sum()
        };
        let of = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        Self {
            images: of(part.len(), batch.len()),
            objects: of(n_objects(part), n_objects(batch)),
        }
    }
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
    /// with an object. Of a part of a batch it is that part's share of both: those of all parts add up to the batch's.
    ///
    /// # Shapes
    /// `features`: `[batch, n_squares, width]`; labels as [`super::labels::batch_labels`] gives them.
    #[must_use]
    pub(crate) fn loss(
        &self,
        features: &Tensor,
        labels: &BatchLabels,
        shares: Shares,
    ) -> ProbeLoss {
        let BatchLabels {
            classes,
            places,
            held,
        } = labels;
        let flat = features.flatten(0, 1);
        let logits = self.kind.forward(&flat);
        let mean =
            logits.cross_entropy_loss::<&Tensor>(classes, None, tch::Reduction::Mean, -100, 0.0);
        let mut loss = mean * shares.images;
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
            let mean = attributes.binary_cross_entropy_with_logits::<&Tensor>(
                held,
                None,
                None,
                tch::Reduction::Mean,
            );
            loss += mean * shares.objects;
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

#[cfg(test)]
mod tests {
    use super::super::labels::batch_labels;
    use super::*;

    fn image(objects: Vec<(usize, i64, Vec<usize>)>) -> PatchLabels {
        PatchLabels {
            image: String::new(),
            objects,
        }
    }

    /// Of parts with one, two and no objects among three, and one or two images among four.
    #[test]
    fn parts_of_a_batch_add_up_to_it() {
        let images = [
            image(vec![(1, 3, vec![0])]),
            image(vec![(0, 2, vec![1, 2]), (3, 1, Vec::new())]),
            image(Vec::new()),
            image(Vec::new()),
        ];
        let batch: Vec<&PatchLabels> = images.iter().collect();
        let probe = Probe::fresh(1, 5, 4, 3, Device::Cpu).unwrap();
        let features = Tensor::arange(4 * 4 * 5, (Kind::Float, Device::Cpu)).sin();
        let features = features.view([4, 4, 5]);
        let loss_of = |first: usize, n: usize, shares: Shares| {
            let labels = batch_labels(&batch[first..first + n], 4, 3);
            let features = features.narrow(0, first as i64, n as i64);
            let found = probe.loss(&features, &labels, shares);
            (found.loss.double_value(&[]), found.kinds_right)
        };
        let (whole, right) = loss_of(0, 4, Shares::WHOLE);
        let parts = [(0, 1), (1, 1), (2, 2)].map(|(first, n)| {
            let shares = Shares::of(&batch[first..first + n], &batch);
            loss_of(first, n, shares)
        });
        let sum: f64 = parts.iter().map(|(loss, _)| loss).sum();
        assert!((sum - whole).abs() < 1e-5, "{sum} against {whole}");
        let of_parts = parts
            .iter()
            .fold((0, 0), |all, (_, right)| (all.0 + right.0, all.1 + right.1));
        assert_eq!((of_parts, right.1), (right, 3));
    }

    /// A probe of zeros holds everything for as likely as not: a square costs ln 2, and so does the one attribute that there is.
    #[test]
    fn a_loss_is_that_of_its_squares_and_objects() {
        let probe = Probe::fresh(1, 1, 2, 1, Device::Cpu).unwrap();
        for (_, weights) in &probe.parameters {
            let _ = tch::no_grad(|| weights.shallow_clone().zero_());
        }
        let features = Tensor::ones([2, 1, 1], (Kind::Float, Device::Cpu));
        let images = [image(vec![(0, 1, vec![0])]), image(Vec::new())];
        let batch: Vec<&PatchLabels> = images.iter().collect();
        let of = |images: &[&PatchLabels], shares: Shares| {
            let features = features.narrow(0, 0, images.len() as i64);
            let loss = probe.loss(&features, &batch_labels(images, 1, 1), shares);
            loss.loss.double_value(&[])
        };
        let ln_2 = std::f64::consts::LN_2;
        assert!((of(&batch, Shares::WHOLE) - 2.0 * ln_2).abs() < 1e-6);
        let [first, second] = [0, 1].map(|n| {
            let part = &batch[n..=n];
            of(part, Shares::of(part, &batch))
        });
        assert!((first - 1.5 * ln_2).abs() < 1e-6, "{first}");
        assert!((second - 0.5 * ln_2).abs() < 1e-6, "{second}");
    }
}

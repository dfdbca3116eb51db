//! The grounding loop: images → tower → probe → loss. A batch is cut into as many passes as there are lanes, or images where these are
//! fewer, which ranks share.

use candor_data::{random, sha256};
use candor_model::Bundle;
use candor_model::image_features::path_in;
use candor_run::{Inputs, LaunchOptions, Outcome, Ranks};
use candor_train::data_order::{BatchConfig, epoch_batches};
use candor_train::{Session, TrainState, deterministically};
use rand::seq::SliceRandom as _;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::labels::{GroundTruth, PatchLabels, batch_labels};
use super::model::{Probe, ProbeLoss, Shares};
use super::recipe::GroundRecipe;
use crate::SftError;
use crate::rows;

/// One line of the grounding run's `metrics.jsonl`.
#[derive(Debug, Serialize)]
pub struct GroundMetrics {
    /// Updates done.
    pub step: u64,
    /// Class loss plus attribute loss, mean over the batch.
    pub loss: f64,
    /// Share of squares with an object whose class is the most likely one.
    pub kind_accuracy: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
}

/// The stage's `result.json`: what the tower sees on images it was not trained on.
#[derive(Debug, Serialize)]
struct HeldOut {
    /// Share of objects whose class is the most likely one.
    kind_accuracy: f64,
    /// Objects looked at.
    n_objects: i64,
}

/// Creates a model, trains its tower and writes `<out>/model`.
///
/// # Errors
/// Damaged data, a run folder that cannot be used, or a number that is not finite.
pub fn run(
    recipe: &GroundRecipe,
    launch: &LaunchOptions,
    device: Device,
) -> Result<Outcome, SftError> {
    let resolved = recipe.resolved.to_text();
    let mut opening = Session::prepare("ground", &recipe.session, &resolved, launch, &[])?;
    opening.doing("training a tokenizer and reading the images' objects");
    let stage = Grounding::new(recipe, device)?;
    let (train, held_out) = stage.truth.images.split_at(stage.n_train);
    let truth = format!("{:?}", stage.truth).into_bytes();
    let inputs = Inputs::new([("training data", sha256::of_bytes([truth]))]);
    let parts = TrainState {
        trained: stage.parameters(),
        kept: Vec::new(),
    };
    let mut session = opening.open(parts, recipe.n_steps, inputs)?;
    session.doing("learning to see");

    let per_epoch = (train.len() / recipe.batch_images) as u64;
    let mut epoch = (u64::MAX, Vec::new());
    for done in session.steps_left() {
        if epoch.0 != done / per_epoch {
            epoch = (
                done / per_epoch,
                epoch_images(train.len(), recipe, done / per_epoch),
            );
        }
        let chosen = &epoch.1[(done % per_epoch) as usize];
        let batch: Vec<&PatchLabels> = chosen.iter().map(|&i| &train[i]).collect();
        session.begin_step();
        session.phase("pass");
        // A lane has one part of the batch.
        let parts = parts_of(&batch, recipe.session.lanes);
        let found = session.passes(&parts, &mut |part| {
            deterministically(|| stage.learn(part, &batch))
        })?;
        let sum = |n: usize| found.iter().map(|of_part| of_part[n]).sum::<f64>();
        let (loss, kinds_right) = (sum(0), (sum(1) as i64, sum(2) as i64));
        session.phase("update");
        let update = session.apply(loss, || batch.iter().map(|i| i.image.clone()).collect())?;
        let metrics = GroundMetrics {
            step: done + 1,
            loss,
            kind_accuracy: share(kinds_right),
            grad_norm: update.grad_norm,
            learning_rate: update.learning_rate,
        };
        let shown = [("loss", loss), ("kinds", metrics.kind_accuracy)];
        if !session.end_step(&metrics, &shown, batch.len() * stage.grid * stage.grid)? {
            return Ok(Outcome::Stopped);
        }
    }
    let right = stage.kinds_right(held_out, session.ranks())?;
    session.write_result(&HeldOut {
        kind_accuracy: share(right),
        n_objects: right.1,
    })?;
    if session.writes() {
        stage.bundle.save(&session.path().join("model"))?;
    }
    session.finish(&format!(
        "held-out objects named right: {:.3} of {}",
        share(right),
        right.1
    ));
    Ok(Outcome::Finished)
}

/// A batch in so many parts of nearly one size, or one for each of its images where that is fewer: none is empty.
fn parts_of<T>(batch: &[T], n: usize) -> Vec<&[T]> {
    let n = n.min(batch.len());
    let end = |part: usize| part * batch.len() / n;
    (0..n)
        .map(|part| &batch[end(part)..end(part + 1)])
        .collect()
}

/// The images of each batch of an epoch.
fn epoch_images(n: usize, recipe: &GroundRecipe, epoch: u64) -> Vec<Vec<usize>> {
    let seed = recipe.session.seed;
    let order = BatchConfig {
        seed,
        batch_size: recipe.batch_images,
        window_batches: 1,
    };
    let shuffled = shuffled(n, seed, epoch);
    let batches = epoch_batches(&vec![1; n], &order, epoch).into_iter();
    batches
        .map(|batch| batch.into_iter().map(|i| shuffled[i]).collect())
        .collect()
}

/// `0..n` in the order of an epoch.
fn shuffled(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut random::stream(seed, "ground.order", &[epoch]));
    order
}

/// What stays the same from update to update.
struct Grounding<'a> {
    recipe: &'a GroundRecipe,
    bundle: Bundle,
    probe: Probe,
    truth: GroundTruth,
    n_train: usize,
    /// Squares that are asked about along a side of an image.
    grid: usize,
    device: Device,
}

impl<'a> Grounding<'a> {
    fn new(recipe: &'a GroundRecipe, device: Device) -> Result<Self, SftError> {
        let texts = rows::texts(&recipe.texts, &recipe.model.template)?.into_iter();
        let (max_vocab, seed) = (recipe.max_vocab, recipe.session.seed);
        let bundle = recipe.model.build(texts, max_vocab, seed, device)?;
        let grid = recipe.model.grid();
        let truth = GroundTruth::read(&recipe.instances, grid, recipe.model.pads())?;
        let n_train = truth.images.len().saturating_sub(recipe.n_held_out);
        if n_train < recipe.batch_images {
            let n = truth.images.len();
            return Err(SftError::Unfit {
                path: recipe.instances.clone(),
                problem: format!("{n} images, {} of them held out", recipe.n_held_out),
                remedy: "lower data.n_held_out or data.batch_images, or give more images",
            });
        }
        let n_classes = truth.categories.len() as i64 + 1;
        let n_attributes = truth.attributes.len() as i64;
        let width = recipe.model.width();
        let probe = Probe::fresh(seed, width, n_classes, n_attributes, device)?;
        Ok(Self {
            recipe,
            bundle,
            probe,
            truth,
            n_train,
            grid,
            device,
        })
    }

    /// The trained tensors: the tower's and the probe's.
    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut parameters = self
            .bundle
            .model
            .set_trainable(|name| name.starts_with("vision_tower."));
        for (name, tensor) in &self.probe.parameters {
            parameters.push((name.clone(), tensor.set_requires_grad(true)));
        }
        parameters
    }

    /// Forward and backward of a part of a batch.
    ///
    /// # Shapes
    /// → `[3]` f64: the part's share of the loss, the objects whose class is the most likely one, and how many there are.
    fn learn(&self, part: &[&PatchLabels], batch: &[&PatchLabels]) -> Result<Tensor, SftError> {
        let ProbeLoss {
            loss,
            kinds_right: (right, n_objects),
        } = self.pass(part, Shares::of(part, batch))?;
        loss.backward();
        let counts = Tensor::from_slice(&[right as f64, n_objects as f64]).to_device(self.device);
        let loss = loss.detach().to_kind(Kind::Double).view([1]);
        Ok(Tensor::cat(&[loss, counts], 0))
    }

    /// Tower, probe and loss of images that are so much of their batch.
    fn pass(&self, images: &[&PatchLabels], shares: Shares) -> Result<ProbeLoss, SftError> {
        let folder = &self.recipe.images;
        let paths: Result<Vec<_>, _> = images
            .iter()
            .map(|image| path_in(folder, &image.image))
            .collect();
        let seen = self.recipe.model.look(&self.bundle, &paths?)?;
        let labels = batch_labels(images, self.grid * self.grid, self.truth.attributes.len());
        let labels = labels.to_device(self.device);
        Ok(self.probe.loss(&seen, &labels, shares))
    }

    /// Objects of these images whose class is the most likely one, and how many there are.
    fn kinds_right(&self, images: &[PatchLabels], ranks: &Ranks) -> Result<(i64, i64), SftError> {
        let chunks: Vec<&[PatchLabels]> = images.chunks(self.recipe.batch_images).collect();
        let found = ranks.share(chunks.len(), |n| {
            let chunk: Vec<&PatchLabels> = chunks[n].iter().collect();
            let found = tch::no_grad(|| self.pass(&chunk, Shares::WHOLE))?;
            Ok::<_, SftError>(found.kinds_right)
        })?;
        let add = |all: (i64, i64), of_chunk: (i64, i64)| (all.0 + of_chunk.0, all.1 + of_chunk.1);
        Ok(found.into_iter().fold((0, 0), add))
    }
}

fn share((right, n): (i64, i64)) -> f64 {
    if n == 0 { 0.0 } else { right as f64 / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nine images leave none of eight lanes without work, and ten are two parts of two and two of three.
    #[test]
    fn every_lane_has_a_part_of_the_batch() {
        let sizes = |n_images: usize, n: usize| {
            let batch: Vec<usize> = (0..n_images).collect();
            let parts = parts_of(&batch, n);
            assert_eq!(parts.concat(), batch);
            let mut sizes: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            sizes.sort_unstable();
            sizes
        };
        assert_eq!(sizes(9, 8), [1, 1, 1, 1, 1, 1, 1, 2]);
        assert_eq!(sizes(10, 4), [2, 2, 3, 3]);
        assert_eq!(sizes(8, 4), [2; 4]);
        assert_eq!(sizes(8, 1), [8]);
        assert_eq!(sizes(3, 8), [1; 3]);
    }
}

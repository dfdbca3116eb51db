//! The grounding loop: images → tower → probe → loss.

use candor_data::image::ImageProcessor;
use candor_model::{Bundle, Llava, Tokenizer, features};
use candor_train::data_order::{BatchConfig, epoch_batches};
use serde::Serialize;
use tch::{Device, Tensor};

use super::labels::{GroundTruth, PatchLabels, batch_labels};
use super::model::Probe;
use super::recipe::GroundRecipe;
use crate::SftError;
use crate::corpus;
use crate::session::{Inputs, Launch, Outcome, Session};

/// One line of the grounding run's `metrics.jsonl`.
#[derive(Debug, Serialize)]
pub struct GroundMetrics {
    /// Updates done.
    pub step: u64,
    /// Class loss plus attribute loss, mean over the batch.
    pub loss: f64,
    /// Share of patches with an object whose class is the most likely one.
    pub kind_accuracy: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
}

/// The stage's `result.json`: what the tower sees on pictures it was not trained on.
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
pub fn run(recipe: &GroundRecipe, launch: &Launch, device: Device) -> Result<Outcome, SftError> {
    let bundle = create(recipe, device)?;
    let vision = &recipe.model.vision_config;
    let grid = (vision.image_size / vision.patch_size) as usize;
    let truth = GroundTruth::read(&recipe.instances, grid)?;
    let n_train = truth.images.len().saturating_sub(recipe.n_held_out);
    if n_train < recipe.batch_images {
        return Err(SftError::Unfit {
            path: recipe.instances.clone(),
            problem: format!(
                "{} images, {} of them held out",
                truth.images.len(),
                recipe.n_held_out
            ),
            remedy: "lower data.n_held_out or data.batch_images, or give more images",
        });
    }
    let (train, held_out) = truth.images.split_at(n_train);
    let n_classes = truth.categories.len() as i64 + 1;
    let n_attributes = truth.attributes.len();
    let probe = Probe::fresh(
        recipe.session.seed,
        vision.hidden_size,
        n_classes,
        n_attributes as i64,
        device,
    )?;
    let mut parameters = bundle
        .model
        .set_trainable(|name| name.starts_with("vision_tower."));
    for (name, tensor) in &probe.parameters {
        parameters.push((name.clone(), tensor.set_requires_grad(true)));
    }
    let resolved = recipe.resolved.to_text();
    let inputs = Inputs {
        data: corpus::fingerprint([format!("{truth:?}").into_bytes()]),
        base: "fresh".to_owned(),
    };
    let mut session = Session::open(
        &recipe.session,
        &resolved,
        launch,
        parameters,
        recipe.n_steps,
        inputs,
    )?;
    session.doing("learning to see");

    let pass = |images: &[&PatchLabels]| -> Result<super::model::ProbeLoss, SftError> {
        let paths: Result<Vec<_>, _> = images
            .iter()
            .map(|i| features::path_in(&recipe.images, &i.image))
            .collect();
        let seen = bundle
            .model
            .image_features(&features::pixels(&bundle, &paths?)?);
        let (classes, places, held) = batch_labels(images, grid * grid, n_attributes);
        let [classes, places, held] = [classes, places, held].map(|t: Tensor| t.to_device(device));
        Ok(probe.loss(&seen, (&classes, &places, &held)))
    };
    let order = BatchConfig {
        seed: recipe.session.seed,
        batch_size: recipe.batch_images,
        window_batches: 1,
    };
    let per_epoch = (train.len() / recipe.batch_images) as u64;
    let mut epoch = (u64::MAX, Vec::new());
    for done in session.steps_left() {
        if epoch.0 != done / per_epoch {
            let shuffled = corpus::shuffled(train.len(), recipe.session.seed, done / per_epoch);
            let batches = epoch_batches(&vec![1; train.len()], &order, done / per_epoch);
            let images = batches
                .iter()
                .map(|b| b.iter().map(|&i| shuffled[i]).collect())
                .collect();
            epoch = (done / per_epoch, images);
        }
        let chosen: &Vec<usize> = &epoch.1[(done % per_epoch) as usize];
        let batch: Vec<&PatchLabels> = chosen.iter().map(|&i| &train[i]).collect();
        session.begin_step();
        let result = pass(&batch)?;
        result.loss.backward();
        let loss = result.loss.double_value(&[]);
        let update = session.update(loss, || batch.iter().map(|i| i.image.clone()).collect())?;
        let metrics = GroundMetrics {
            step: update.step,
            loss,
            kind_accuracy: share(result.kinds_right),
            grad_norm: update.grad_norm,
            learning_rate: update.learning_rate,
        };
        let shown = [("loss", loss), ("kinds", metrics.kind_accuracy)];
        if !session.end_step(&metrics, &shown, batch.len() * grid * grid)? {
            return Ok(Outcome::Stopped);
        }
    }
    let mut right = (0, 0);
    for chunk in held_out.chunks(recipe.batch_images) {
        let (r, n) = tch::no_grad(|| pass(&chunk.iter().collect::<Vec<_>>()))?.kinds_right;
        right = (right.0 + r, right.1 + n);
    }
    session.write_result(&HeldOut {
        kind_accuracy: share(right),
        n_objects: right.1,
    })?;
    bundle.save(&session.path().join("model"))?;
    session.finish(&format!(
        "held-out objects named right: {:.3} of {}",
        share(right),
        right.1
    ));
    Ok(Outcome::Finished)
}

/// The fresh model with a tokenizer trained on the recipe's texts.
fn create(recipe: &GroundRecipe, device: Device) -> Result<Bundle, SftError> {
    let texts = corpus::texts(&recipe.texts, &recipe.template)?;
    let tokenizer = Tokenizer::train(texts.into_iter(), recipe.max_vocab)?;
    let mut config = recipe.model.clone();
    config.text_config.vocab_size = tokenizer.vocab_size() as i64;
    config.image_token_index = tokenizer.image;
    let processor = ImageProcessor::clip(config.vision_config.image_size as u32);
    let model = Llava::fresh(config, recipe.session.seed, device)?;
    Ok(Bundle {
        model,
        tokenizer,
        template: recipe.template.clone(),
        processor,
    })
}

fn share((right, n): (i64, i64)) -> f64 {
    if n == 0 { 0.0 } else { right as f64 / n as f64 }
}

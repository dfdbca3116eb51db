//! The loop of supervised fine-tuning: conversations → tokens → hidden states → cross-entropy → update.

use candor_model::sample::{Batch, Sample};
use candor_model::{Adapter, Bundle, ImageFeatures, Template, preflight};
use candor_train::{Inputs, Launch, Outcome, Parts, Session, fingerprint};
use serde::Serialize;
use tch::{Device, Tensor};

use crate::SftError;
use crate::corpus::Corpus;
use crate::loss::cross_entropy;
use crate::recipe::{Length, LoraStart, SftRecipe, Tune};

/// One line of the run's `metrics.jsonl`.
#[derive(Debug, Serialize)]
pub struct SftMetrics {
    /// Updates done.
    pub step: u64,
    /// Cross-entropy per trained token of this update's batch, in nats.
    pub loss: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Trained tokens of this update.
    pub n_target_tokens: usize,
    /// Tokens of this update, image patches included, pads not.
    pub n_tokens: usize,
}

/// Trains and writes `<out>/model`, or `<out>/adapter` for LoRA.
///
/// # Errors
/// Damaged data, a run folder that cannot be used, or a number that is not finite.
pub fn run(recipe: &SftRecipe, launch: &Launch, device: Device) -> Result<Outcome, SftError> {
    let mut bundle = Bundle::open(&recipe.base, device, recipe.base_precision)?;
    let template = bundle.template.clone();
    if recipe.plain {
        bundle.template = Template::Plain;
    }
    check_room(recipe, &bundle)?;
    preflight::check_answers_end(&recipe.base, &bundle.template, &bundle.tokenizer)?;
    let (adapter, trained) = trainable(recipe, &bundle)?;
    let corpus = Corpus::read(recipe, bundle.rules(recipe.max_tokens))?;
    let n_steps = match recipe.length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => epochs * corpus.steps_per_epoch(),
    };
    let resolved = recipe.resolved.to_text();
    let inputs = inputs(recipe, &bundle, adapter.as_ref(), &corpus);
    let parts = Parts {
        trained,
        kept: Vec::new(),
    };
    let mut session = Session::open(&recipe.session, &resolved, launch, parts, n_steps, inputs)?;
    session.doing("encoding images");
    let features = ImageFeatures::encode(&bundle, &recipe.images, corpus.images(), |_| ())?;
    session.doing("training");

    let mut batches = corpus.batches();
    for done in session.steps_left() {
        session.begin_step();
        session.phase("pass");
        let passes = batches.of_step(done);
        let samples = || passes.iter().flatten();
        let n_targets: usize = samples().map(|s| s.n_targets()).sum();
        let mut loss = 0.0;
        for micro in &passes {
            let batch = Batch::new(micro, bundle.tokenizer.pad, device);
            loss += pass(
                &bundle,
                adapter.as_ref(),
                &features,
                micro,
                &batch,
                recipe,
                n_targets.max(1),
            );
        }
        session.phase("update");
        let update = session.apply(loss, || samples().map(|s| s.id.clone()).collect())?;
        let metrics = SftMetrics {
            step: done + 1,
            loss,
            grad_norm: update.grad_norm,
            learning_rate: update.learning_rate,
            n_target_tokens: n_targets,
            n_tokens: samples().map(|s| s.ids.len()).sum(),
        };
        let shown = [("loss", loss), ("grad norm", update.grad_norm)];
        if !session.end_step(&metrics, &shown, metrics.n_tokens)? {
            return Ok(Outcome::Stopped);
        }
    }
    bundle.template = template;
    match &adapter {
        Some(adapter) => adapter.save(&session.path().join("adapter"))?,
        None => bundle.save(&session.path().join("model"))?,
    }
    session.finish("done");
    Ok(Outcome::Finished)
}

/// Whether the model has a position for every token of the longest sequence allowed.
fn check_room(recipe: &SftRecipe, bundle: &Bundle) -> Result<(), SftError> {
    let positions = bundle.model.config().text_config.max_position_embeddings as usize;
    if recipe.max_tokens <= positions {
        return Ok(());
    }
    Err(SftError::Unfit {
        path: recipe.base.clone(),
        problem: format!(
            "data.max_tokens is {}, but the model has {positions} positions",
            recipe.max_tokens
        ),
        remedy: "lower data.max_tokens",
    })
}

/// Fingerprints of what is read, taken before the first update.
fn inputs(
    recipe: &SftRecipe,
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    corpus: &Corpus,
) -> Inputs {
    let mut inputs = vec![
        ("training data", corpus.fingerprint()),
        (
            "base model",
            fingerprint::of_tensors(bundle.model.parameters().iter()),
        ),
    ];
    if let (Some(adapter), Tune::Lora(LoraStart::Adapter(_))) = (adapter, &recipe.tune) {
        let print = fingerprint::of_tensors(adapter.parameters().iter());
        inputs.push(("adapter", print));
    }
    Inputs::new(inputs)
}

/// Forward and backward of one micro-batch; returns its share of the update's loss.
fn pass(
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    features: &ImageFeatures,
    samples: &[&Sample],
    batch: &Batch,
    recipe: &SftRecipe,
    n_step_targets: usize,
) -> f64 {
    let images = features.of(samples.iter().filter_map(|s| s.image.as_deref()));
    let embedded = bundle.model.embed(&batch.ids, images.as_ref());
    let model = &bundle.model;
    let loss = model.backward(&embedded, adapter, recipe.activations, |hidden| {
        let loss = cross_entropy(model.decoder(), batch, hidden, n_step_targets);
        let value = loss.detach();
        (loss, value)
    });
    loss.double_value(&[])
}

/// Trained tensors by name.
type Trained = Vec<(String, Tensor)>;

/// The adapter, if one is trained, and the trained tensors.
fn trainable(recipe: &SftRecipe, bundle: &Bundle) -> Result<(Option<Adapter>, Trained), SftError> {
    match &recipe.tune {
        Tune::AllButTower => Ok((
            None,
            bundle
                .model
                .set_trainable(|name| !name.starts_with("vision_tower.")),
        )),
        Tune::Projector => Ok((
            None,
            bundle
                .model
                .set_trainable(|name| name.starts_with("multi_modal_projector.")),
        )),
        Tune::Lora(start) => {
            bundle.model.set_trainable(|_| false);
            let adapter = first_adapter(recipe, start, bundle)?;
            adapter.set_trainable(true);
            let named = adapter
                .parameters()
                .iter()
                .map(|(n, t)| (n.clone(), t.shallow_clone()))
                .collect();
            Ok((Some(adapter), named))
        }
    }
}

/// The adapter before the first update.
fn first_adapter(
    recipe: &SftRecipe,
    start: &LoraStart,
    bundle: &Bundle,
) -> Result<Adapter, SftError> {
    let (text, device) = (&bundle.model.config().text_config, bundle.model.device());
    Ok(match start {
        LoraStart::Fresh(config) => {
            let mut config = config.clone();
            config.base_model_name_or_path = Some(recipe.base.display().to_string());
            Adapter::fresh(*config, text, recipe.session.seed, device)?
        }
        LoraStart::Adapter(folder) => Adapter::open(folder, text, device)?,
    })
}

//! The loop of supervised fine-tuning: conversations → tokens → hidden states → cross-entropy → update.

use candor_data::rows::{Look, SkippedCounts};
use candor_model::sample::{Batch, Sample};
use candor_model::{Adapter, Bundle, ImageFeatures, ModelFolder, Template, preflight};
use candor_run::{Inputs, LaunchOptions, Outcome};
use candor_train::{
    Length, LoraStart, Opening, Session, TrainState, Tune, check_room, encode_images, fingerprint,
    say_seen_anew,
    say_skipped,
};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::SftError;
use crate::corpus::Corpus;
use crate::loss::cross_entropy;
use crate::recipe::SftRecipe;

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

/// The `result.json` of a run that skips bad rows.
#[derive(Debug, Serialize)]
struct SftResult {
    /// Conversations trained on.
    n_rows: usize,
    #[serde(flatten)]
    skipped: SkippedCounts,
}

/// Trains and writes `<out>/model`, or `<out>/adapter` for LoRA.
///
/// # Errors
/// Damaged data, a run folder that cannot be used, or a number that is not finite.
pub fn run(
    recipe: &SftRecipe,
    launch: &LaunchOptions,
    device: Device,
) -> Result<Outcome, SftError> {
    let resolved = recipe.resolved.to_text();
    let mut opening = Session::prepare(&recipe.session, &resolved, launch, recipe.may_change())?;
    opening.doing("opening the model");
    let folder = ModelFolder::find(&recipe.base)?.with_pixels(recipe.pixels);
    let mut bundle = Bundle::load(folder, device, recipe.base_precision)?;
    let template = bundle.template.clone();
    if let Some(template) = &recipe.template {
        bundle.template = template.clone();
    }
    check_room(&recipe.base, recipe.max_tokens, &bundle.model)?;
    preflight::check_answers_end(&recipe.base, &bundle.template, &bundle.tokenizer)?;
    let (adapter, trained) = (recipe.tune).start(&bundle, &recipe.base, recipe.session.seed)?;
    opening.doing("reading the conversations");
    // Which conversations an update takes follows from the micro-batch that the run began with.
    let first_micro_batch = opening.began_with("data.micro_batch");
    let ordered = SftRecipe {
        micro_batch: first_micro_batch.unwrap_or(recipe.micro_batch),
        ..recipe.clone()
    };
    let look = Look::of_run(recipe.on_bad_row);
    let rules = bundle.rules(recipe.max_tokens, recipe.images.as_path());
    let corpus = Corpus::read(&ordered, rules, look)?;
    say_skipped("sft", corpus.skipped());
    say_seen_anew("sft", &bundle.model);
    if let Some(repeats) = corpus.repeats() {
        tracing::info!("sft: {repeats}");
    }
    let n_steps = match recipe.length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => epochs * corpus.steps_per_epoch(),
    };
    let inputs = inputs(recipe, &mut opening, &bundle, adapter.as_ref(), &corpus);
    opening.read_earlier(|run| Ok::<_, SftError>(recipe.tune.result(run, &bundle)?))?;
    let parts = TrainState {
        trained,
        kept: Vec::new(),
    };
    let mut session = opening.open(parts, n_steps, inputs)?;
    if let Some(skipped) = corpus.skipped().filter(|_| session.writes()) {
        skipped.write(session.path())?;
    }
    let progress = session.counter("encoding images");
    let (folder, ranks) = (&recipe.images, &launch.ranks);
    let features = encode_images(&bundle, folder, corpus.images(), ranks, progress)
        .map_err(|error| error.in_rows(corpus.image_rows()))?;
    session.doing("training");

    let mut batches = corpus.batches();
    for done in session.steps_left() {
        session.begin_step();
        session.phase("pass");
        let mut passes = batches.of_step(done);
        if ordered.micro_batch != recipe.micro_batch {
            let samples = passes.concat();
            let cut = samples.chunks(recipe.micro_batch);
            passes = cut.map(<[&Sample]>::to_vec).collect();
        }
        let samples = || passes.iter().flatten();
        let n_targets: usize = samples().map(|s| s.n_targets()).sum();
        let losses = session.passes(&passes, &mut |micro| {
            let batch = Batch::new(micro, bundle.tokenizer.pad, device);
            Ok::<_, SftError>(pass(
                &bundle,
                adapter.as_ref(),
                &features,
                micro,
                &batch,
                recipe,
                n_targets.max(1),
            ))
        })?;
        let loss = losses.iter().flatten().sum();
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
    // Captions alone are a way to train, not to talk; any other template is what the model now knows.
    if matches!(bundle.template, Template::Plain) {
        bundle.template = template;
    }
    if session.writes() {
        Tune::save(session.path(), &bundle, adapter.as_ref())?;
    }
    if let Some(skipped) = corpus.skipped() {
        session.write_result(&SftResult {
            n_rows: corpus.n_rows(),
            skipped: skipped.counts(),
        })?;
    }
    session.finish("done");
    Ok(Outcome::Finished)
}

/// Fingerprints of what is read, taken before the first update.
fn inputs(
    recipe: &SftRecipe,
    opening: &mut Opening,
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    corpus: &Corpus,
) -> Inputs {
    let mut inputs = vec![("training data", corpus.fingerprint())];
    let base = opening.fingerprint("base model", bundle.model.parameters());
    inputs.push(("base model", base));
    if let (Some(adapter), Tune::Lora(LoraStart::Adapter(_))) = (adapter, &recipe.tune) {
        let print = fingerprint::of_tensors(adapter.parameters().iter());
        inputs.push(("adapter", print));
    }
    Inputs::new(inputs)
}

/// Forward and backward of one micro-batch; returns its share of the update's loss, f64 where the model is.
fn pass(
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    features: &ImageFeatures,
    samples: &[&Sample],
    batch: &Batch,
    recipe: &SftRecipe,
    n_step_targets: usize,
) -> Tensor {
    let images = features.of(samples.iter().filter_map(|s| s.image.as_deref()));
    let embedded = bundle.model.embed(&batch.ids, images.as_ref(), adapter);
    let model = &bundle.model;
    let loss = model.backward(&embedded, adapter, recipe.activations, |hidden| {
        let loss = cross_entropy(model.decoder(), batch, hidden, n_step_targets);
        let value = loss.detach();
        (loss, value)
    });
    loss.to_kind(Kind::Double)
}

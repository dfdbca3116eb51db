//! The loop of supervised fine-tuning: conversations → tokens → hidden states → cross-entropy → update → held-out loss.

use std::collections::BTreeMap;
use std::sync::Arc;

use candor_data::rows::{LEAVE_OUT, Look, OnBadRow, Skipped, SkippedCounts};
use candor_eval::training_suite::{SuiteFigures, TrainingSuite};
use candor_model::sample::{Batch, Sample, SampleRules};
use candor_model::{Adapter, Blocks, Bundle, ImageFeatures, ModelFolder, Template, preflight};
use candor_run::{Inputs, LaunchOptions, Outcome};
use candor_train::{
    Best, BestBy, Found, Length, LoraStart, Opening, PassSize, RowShape, Session, TrainState, Tune,
    check_room, encode_images, fingerprint, keep_snapshot, say_seen_anew, say_skipped,
};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::SftError;
use crate::ahead::Ahead;
use crate::corpus::Corpus;
use crate::held_out::{HeldOut, HeldOutFigures, Measured};
use crate::loss::cross_entropy;
use crate::recipe::SftRecipe;
use crate::rows::in_rows;
use crate::tokenised::Keeping;

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
    /// Loss of the held-out conversations after this update, where they were evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Share of their tokens that the model holds for the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// Both by source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub validation: BTreeMap<String, HeldOutFigures>,
    /// What the suite measured after this update, where it did.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub suite: SuiteFigures,
}

/// The `result.json` of a run that skips bad rows or has held-out conversations.
#[derive(Debug, Serialize)]
struct SftResult {
    /// Conversations trained on.
    n_rows: usize,
    #[serde(flatten)]
    skipped: Option<SkippedCounts>,
    #[serde(flatten)]
    held_out: Option<HeldOutResult>,
}

/// What the model that the run wrote makes of the held-out conversations.
#[derive(Debug, Serialize)]
struct HeldOutResult {
    /// Held-out conversations.
    n_held_out: usize,
    validation_loss: f64,
    validation_accuracy: f64,
    validation: BTreeMap<String, HeldOutFigures>,
    /// The step whose weights were kept, where the best ones are.
    #[serde(skip_serializing_if = "Option::is_none")]
    best_step: Option<u64>,
}

/// What is trained, and what it takes to train it.
struct Learner<'a> {
    recipe: &'a SftRecipe,
    bundle: &'a Bundle,
    adapter: Option<&'a Adapter>,
    features: &'a ImageFeatures,
}

impl Learner<'_> {
    /// An update by these passes.
    fn update(
        &self,
        session: &mut Session,
        passes: &[Vec<&Sample>],
        step: u64,
    ) -> Result<SftMetrics, SftError> {
        let samples = || passes.iter().flatten();
        self.features
            .read_ahead(samples().filter_map(|s| s.image.as_deref()));
        let n_targets: usize = samples().map(|s| s.n_targets()).sum();
        let losses = session.passes_by_blocks(passes, &mut |micro, blocks| {
            Ok::<_, SftError>(self.pass(micro, n_targets.max(1), blocks))
        })?;
        let loss = losses.iter().flatten().sum();
        session.phase("update");
        let update = session.apply(loss, || samples().map(|s| s.id.clone()).collect())?;
        Ok(SftMetrics {
            step,
            loss,
            grad_norm: update.grad_norm,
            learning_rate: update.learning_rate,
            n_target_tokens: n_targets,
            n_tokens: samples().map(|s| s.ids.len()).sum(),
            validation_loss: None,
            validation_accuracy: None,
            validation: BTreeMap::new(),
            suite: SuiteFigures::new(),
        })
    }

    /// Forward and backward of one micro-batch; returns its share of the update's loss, f64 where the model is.
    fn pass(&self, samples: &[&Sample], n_step_targets: usize, blocks: &dyn Blocks) -> Tensor {
        let (model, adapter) = (&self.bundle.model, self.adapter);
        let batch = Batch::new(samples, self.bundle.tokenizer.pad, model.device());
        let images = (self.features).of(samples.iter().filter_map(|s| s.image.as_deref()));
        let embedded = model.embed(&batch.ids, images.as_ref(), adapter);
        let activations = self.recipe.activations;
        let loss = model.backward_by_blocks(&embedded, adapter, activations, blocks, |hidden| {
            let loss = cross_entropy(model.decoder(), &batch, hidden, n_step_targets);
            let value = loss.detach();
            (loss, value)
        });
        loss.to_kind(Kind::Double)
    }
}

/// What is looked at along the way. The features of its images are of passes of their own: what shares a pass may decide their last
/// bits, and nothing that is trained on may depend on what is held out. An image of both is encoded twice.
struct Looking<'a> {
    held_out: &'a HeldOut,
    features: ImageFeatures,
}

impl Looking<'_> {
    /// What the model as it is makes of them.
    fn measure(&self, learner: &Learner<'_>, session: &Session) -> Result<Measured, SftError> {
        let (bundle, adapter) = (learner.bundle, learner.adapter);
        (self.held_out).measure(bundle, adapter, &self.features, session.ranks())
    }

    /// Measures after a step, whose metrics say what is found, and offers its weights as the best ones.
    fn look(
        &self,
        learner: &Learner<'_>,
        session: &Session,
        metrics: &mut SftMetrics,
        best: Option<&mut Best>,
    ) -> Result<Measured, SftError> {
        let found = self.measure(learner, session)?;
        let evaluated = Found {
            step: metrics.step,
            accuracy: found.all.accuracy,
            loss: found.all.loss,
        };
        let evaluated = evaluated.checked()?;
        if let Some(best) = best {
            best.offer(evaluated)?;
        }
        metrics.validation_loss = Some(found.all.loss);
        metrics.validation_accuracy = Some(found.all.accuracy);
        metrics.validation = found.by_source.clone();
        Ok(found)
    }

    /// What is found at the end; `known` is what the weights as they are were measured to be, where they were.
    fn result(
        &self,
        learner: &Learner<'_>,
        session: &mut Session,
        best: Option<&Best>,
        known: Option<Measured>,
    ) -> Result<HeldOutResult, SftError> {
        let found = if let Some(known) = known {
            known
        } else {
            session.doing("measuring the held-out conversations");
            self.measure(learner, session)?
        };
        Ok(HeldOutResult {
            n_held_out: self.held_out.n_rows(),
            validation_loss: found.all.loss,
            validation_accuracy: found.all.accuracy,
            validation: found.by_source,
            best_step: best.and_then(Best::found).map(|found| found.step),
        })
    }
}

/// The recipe with the passes that the run began with: which conversations an update takes, and those of a pass of held-out ones,
/// follow from these.
fn ordered(recipe: &SftRecipe, opening: &Opening) -> SftRecipe {
    let first_micro_batch = opening.began_with("data.micro_batch");
    SftRecipe {
        pass: PassSize {
            rows: first_micro_batch.unwrap_or(recipe.pass.rows),
            tokens: opening.began_with("data.pass_tokens"),
        },
        ..recipe.clone()
    }
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
    let may_change = recipe.may_change();
    let mut opening = Session::prepare("sft", &recipe.session, &resolved, launch, may_change)?;
    opening.doing("opening the model");
    let folder = ModelFolder::find(&recipe.base)?.with_pixels(recipe.pixels);
    let mut bundle = Bundle::load(folder, device, recipe.base_precision)?;
    let template = bundle.template.clone();
    if let Some(template) = &recipe.template {
        bundle.template = template.clone();
    }
    check_room(&recipe.base, recipe.max_tokens, bundle.model.n_positions())?;
    preflight::check_answers_end(&recipe.base, &bundle.template, &bundle.tokenizer)?;
    let (adapter, trained) = (recipe.tune).start(&bundle, &recipe.base, recipe.session.seed)?;
    let ordered = ordered(recipe, &opening);
    let rules = bundle.rules(recipe.max_tokens, recipe.images.as_path());
    let (corpus, held_out) = read(&ordered, rules, &mut opening)?;
    say_seen_anew("sft", &bundle.model);
    let keep_best = (recipe.evaluation.as_ref()).is_some_and(|evaluation| evaluation.keep_best);
    let mut best = keep_best.then(|| Best::new(BestBy::Loss, &trained));
    let model = recipe.in_training(&bundle, adapter.as_ref());
    let mut suite = TrainingSuite::open(model, &mut opening, &trained)?;
    let n_steps = n_steps(recipe.length, &corpus);
    let rows = (&*corpus, held_out.as_ref());
    let inputs = inputs(recipe, &mut opening, &bundle, adapter.as_ref(), rows)?;
    opening.read_earlier(|run| Ok::<_, SftError>(recipe.tune.result(run, &bundle)?))?;
    let kept = best.iter().flat_map(Best::state);
    let parts = TrainState {
        trained,
        kept: kept.chain(suite.state()).collect(),
    };
    let mut session = opening.open(parts, n_steps, inputs.with(suite.inputs()?))?;
    if let Some(skipped) = corpus.skipped().filter(|_| session.writes()) {
        skipped.write(session.path())?;
    }
    let progress = session.counter("encoding images");
    let (folder, ranks, place) = (&recipe.images, &launch.ranks, &recipe.session.features);
    let seed = recipe.session.seed;
    let names = corpus.images().names.iter().cloned();
    let features = encode_images(&bundle, folder, names, place, ranks, progress)
        .map_err(|error| in_rows(error, &recipe.sources, seed, Some(LEAVE_OUT)))?;
    let learner = Learner {
        recipe,
        bundle: &bundle,
        adapter: adapter.as_ref(),
        features: &features,
    };
    let looking = held_out.as_ref().map(|held_out| {
        let progress = session.counter("encoding held-out images");
        let names = held_out.images().names.iter().cloned();
        let sources = recipe.evaluation.iter().flat_map(|it| &it.sources);
        let features = encode_images(&bundle, folder, names, place, ranks, progress)
            .map_err(|error| in_rows(error, sources, seed, None))?;
        Ok::<_, SftError>(Looking { held_out, features })
    });
    let looking = looking.transpose()?;
    session.doing("training");

    let mut conversations = Ahead::new(&corpus, n_steps);
    let mut last = None;
    for done in session.steps_left() {
        session.begin_step();
        session.phase("pass");
        let read = conversations.of_step(done)?;
        let mut passes: Vec<Vec<&Sample>> = read.iter().map(|pass| pass.iter().collect()).collect();
        if ordered.pass != recipe.pass || recipe.pass.tokens.is_some() {
            passes = recipe.pass.cut(&passes.concat(), |sample| {
                RowShape::sequence(sample.ids.len())
            });
        }
        let mut metrics = learner.update(&mut session, &passes, done + 1)?;
        let due = |looking: &&Looking<'_>| looking.held_out.is_due(done + 1, n_steps);
        if let Some(looking) = looking.as_ref().filter(due) {
            session.phase("evaluate");
            session.gather_weights()?;
            last = Some(looking.look(&learner, &session, &mut metrics, best.as_mut())?);
            session.release_weights();
        }
        metrics.suite = suite.after_step(&mut session, model, done + 1)?;
        keep_snapshot(&session, done + 1, recipe.snapshot_every, adapter.as_ref())?;
        let shown = [("loss", metrics.loss), ("grad norm", metrics.grad_norm)];
        if !session.end_step(&metrics, &shown, metrics.n_tokens)? {
            return Ok(Outcome::Stopped);
        }
    }
    session.gather_weights()?;
    best.iter().for_each(Best::recall);
    // The weights as they are were measured after the last step, unless those of an earlier one came back.
    let is_last = |best: &Best| best.found().is_none_or(|found| found.step == n_steps);
    let known = last.filter(|_| best.as_ref().is_none_or(is_last));
    let found = looking
        .as_ref()
        .map(|looking| looking.result(&learner, &mut session, best.as_ref(), known));
    let found = found.transpose()?;
    // Captions alone are a way to train, not to talk; any other template is what the model now knows.
    if matches!(bundle.template, Template::Plain) {
        bundle.template = template;
    }
    if session.writes() {
        Tune::save(session.path(), &bundle, adapter.as_ref())?;
    }
    suite.finish(|folder| Tune::save(folder, &bundle, adapter.as_ref()))?;
    finish(session, &corpus, found)?;
    Ok(Outcome::Finished)
}

fn n_steps(length: Length, corpus: &Corpus) -> u64 {
    match length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => epochs * corpus.steps_per_epoch(),
    }
}

/// What is trained on, and what is only looked at.
fn read(
    recipe: &SftRecipe,
    rules: SampleRules<'_>,
    opening: &mut Opening,
) -> Result<(Arc<Corpus>, Option<HeldOut>), SftError> {
    let folder = recipe.session.out.as_path();
    let corpus = {
        let mut progress = opening.counter("reading the conversations, in MB");
        let keeping = Keeping {
            folder,
            progress: &mut progress,
        };
        let look = Look::of_run(recipe.on_bad_row);
        Corpus::read(recipe, rules, look, Some(keeping))?
    };
    say_skipped("sft", corpus.skipped());
    if let Some(repeats) = corpus.repeats() {
        tracing::info!("sft: {repeats}");
    }
    let held_out = recipe.evaluation.as_ref().map(|evaluation| {
        let look = Look::of_run(OnBadRow::Stop);
        // In the passes that the run began with: what shares a pass may decide the last bits of a loss.
        let rows = recipe.pass.rows_of(recipe.max_tokens);
        let mut progress = opening.counter("reading the held-out conversations, in MB");
        let keeping = Keeping {
            folder,
            progress: &mut progress,
        };
        HeldOut::read(recipe, evaluation, rules, look, rows, Some(keeping))
    });
    Ok((Arc::new(corpus), held_out.transpose()?))
}

/// Writes what there is to tell of the data, and ends.
fn finish(
    session: Session,
    corpus: &Corpus,
    held_out: Option<HeldOutResult>,
) -> Result<(), SftError> {
    let told = held_out
        .as_ref()
        .map_or_else(|| "done".to_owned(), HeldOutResult::told);
    if corpus.skipped().is_some() || held_out.is_some() {
        session.write_result(&SftResult {
            n_rows: corpus.n_rows(),
            skipped: corpus.skipped().map(Skipped::counts),
            held_out,
        })?;
    }
    session.finish(&told);
    Ok(())
}

impl HeldOutResult {
    /// As a person is told it.
    fn told(&self) -> String {
        let best = self
            .best_step
            .map(|step| format!(", the best, of step {step}"));
        format!(
            "done, held-out loss {:.3}{}",
            self.validation_loss,
            best.unwrap_or_default()
        )
    }
}

/// Fingerprints of what is read, taken before the first update.
fn inputs(
    recipe: &SftRecipe,
    opening: &mut Opening,
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    (corpus, held_out): (&Corpus, Option<&HeldOut>),
) -> Result<Inputs, SftError> {
    let mut inputs = vec![("training data", corpus.fingerprint()?)];
    let base = opening.fingerprint("base model", bundle.model.parameters());
    inputs.push(("base model", base));
    if let (Some(adapter), Tune::Lora(LoraStart::Adapter(_))) = (adapter, &recipe.tune) {
        let print = fingerprint::of_tensors(adapter.parameters().iter());
        inputs.push(("adapter", print));
    }
    if let Some(rows) = held_out {
        inputs.push(("held-out data", rows.fingerprint()?));
    }
    Ok(Inputs::new(inputs))
}

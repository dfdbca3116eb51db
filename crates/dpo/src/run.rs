//! The loop: comparisons or rated answers → log-probabilities of their answers → what they cost → update → validation.

use candor_eval::training_suite::{SuiteFigures, TrainingSuite};
use candor_model::{Adapter, Bundle, ModelFolder, preflight};
use candor_run::{Inputs, LaunchOptions, Outcome};
use candor_train::{
    Judgements, LoraStart, Opening, Session, TrainState, Tune, check_room, encode_images,
    fingerprint, keep_snapshot, say_seen_anew, say_skipped,
};
use serde::Serialize;
use tch::{Device, Tensor};

use crate::all_rows::Rows;
use crate::figures::{Figures, rewards};
use crate::held_out::{DpoResult, Line, write_lines};
use crate::loss::{Logprobs, Loss, divergence};
use crate::objective::{Objective, Update};
use crate::policy::{Policy, Scored};
use crate::recipe::DpoRecipe;
use crate::reference::{Reference, fingerprint_of};
use crate::rows::Row;
use crate::spoilt::{Seeing, Spoilt};
use crate::{DpoError, rows};

/// One line of the run's `metrics.jsonl`; `docs/metrics.md` defines each field.
#[derive(Debug, Serialize)]
pub struct DpoMetrics {
    /// Updates done.
    pub step: u64,
    /// The figures of this update's rows, before the update.
    #[serde(flatten)]
    pub figures: Figures,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Tokens of this update, a comparison's common beginning counted once, image patches included, pads not.
    pub n_tokens: usize,
    /// Loss of the validation rows after this update, where it was evaluated.
    pub validation_loss: Option<f64>,
    /// Accuracy on them.
    pub validation_accuracy: Option<f64>,
    /// Mean difference of their rewards.
    pub validation_margin: Option<f64>,
    /// What the suite measured after this update, where it did.
    #[serde(skip_serializing_if = "SuiteFigures::is_empty")]
    pub suite: SuiteFigures,
}

/// What is trained, and what it takes to train it.
struct Learner<'a> {
    recipe: &'a DpoRecipe,
    policy: Policy<'a>,
    reference: Option<&'a Reference>,
}

/// Trains, measures the held-out comparisons and writes `<out>/adapter`, or `<out>/model`.
///
/// # Errors
/// Damaged data, a run folder that cannot be used, or a number that is not finite.
pub fn run(
    recipe: &DpoRecipe,
    launch: &LaunchOptions,
    device: Device,
) -> Result<Outcome, DpoError> {
    let resolved = recipe.resolved.to_text();
    let may_change = recipe.may_change();
    let mut opening = Session::prepare("dpo", &recipe.session, &resolved, launch, may_change)?;
    opening.doing("opening the model");
    let folder = ModelFolder::find(&recipe.base)?.with_pixels(recipe.pixels);
    let bundle = Bundle::load(folder, device, recipe.base_precision)?;
    check_room(&recipe.base, recipe.max_tokens, bundle.model.n_positions())?;
    preflight::check_answers_end(&recipe.base, &bundle.template, &bundle.tokenizer)?;
    let (adapter, trained) = (recipe.tune).start(&bundle, &recipe.base, recipe.session.seed)?;
    opening.doing(&format!("reading the {}", recipe.judgements.rows()));
    let images = recipe.judgements.images();
    let rules = bundle.rules(recipe.max_tokens, images);
    let rows = rows::read(recipe, rules, Some(recipe.session.out.as_path()))?;
    say_rows(recipe, &rows);
    say_seen_anew("dpo", &bundle.model);
    let mut batches = rows.batches(recipe)?;
    let n_steps = batches.n_steps(recipe.length);
    let inputs = fingerprints(recipe, &mut opening, &bundle, adapter.as_ref(), &rows)?;
    let shown = rows.parts.images();
    let ranks = &launch.ranks;
    let progress = opening.counter("encoding images");
    let place = &recipe.session.features;
    let features = encode_images(&bundle, images, shown, place, ranks, progress)
        .map_err(|error| recipe.judgements.in_rows(error, &rows.parts))?;
    let seeing = Seeing {
        bundle: &bundle,
        folder: images,
        shown: &features,
        ranks,
    };
    let spoilt = recipe.objective.image_negative.map(|kind| {
        let progress = opening.counter("spoiling images");
        Spoilt::of_rows(kind, &rows, recipe.session.seed, seeing, progress)
    });
    let spoilt = spoilt.transpose()?;
    let policy = Policy {
        bundle: &bundle,
        adapter: adapter.as_ref(),
        features: &features,
        spoilt: spoilt.as_ref(),
        mean: recipe.objective.counting.mean,
        ranks,
    };
    // Before a resume or another run's weights are put into the tensors.
    let has_reference = recipe.objective.loss.has_reference();
    let reference = has_reference
        .then(|| reference(recipe, launch, &mut opening, policy, &rows, &inputs))
        .transpose()?;
    let model = recipe.in_training(&bundle, adapter.as_ref());
    let mut suite = TrainingSuite::open(model, &mut opening, &trained)?;
    opening.read_earlier(|run| Ok::<_, DpoError>(recipe.tune.result(run, &bundle)?))?;
    let parts = TrainState {
        trained,
        kept: suite.state(),
    };
    let inputs = Inputs::new(inputs).with(suite.inputs()?);
    let mut session = opening.open(parts, n_steps, inputs)?;
    if let Some(skipped) = rows.parts.skipped.as_ref().filter(|_| session.writes()) {
        skipped.write(session.path())?;
    }
    if let Some(reference) = reference.as_ref().filter(|_| session.writes()) {
        reference.keep(session.path())?;
    }
    session.doing("training");
    let learner = Learner {
        recipe,
        policy,
        reference: reference.as_ref(),
    };

    for done in session.steps_left() {
        let passes = rows.passes(batches.of_step(done))?;
        let passes: Vec<Vec<&Row>> = passes.iter().map(|pass| pass.iter().collect()).collect();
        let mut metrics = learner.update(&mut session, &passes, done + 1)?;
        if (done + 1).is_multiple_of(recipe.evaluate_every) || done + 1 == n_steps {
            session.phase("evaluate");
            let validation = rows.rows(rows.parts.validation())?;
            let (figures, _) = learner.measure(&validation)?;
            metrics.validation_loss = Some(figures.loss);
            metrics.validation_accuracy = figures.accuracy;
            metrics.validation_margin = figures.margin;
        }
        metrics.suite = suite.after_step(&mut session, model, done + 1)?;
        keep_snapshot(&session, done + 1, recipe.snapshot_every, adapter.as_ref())?;
        let figures = &metrics.figures;
        let shown = [
            ("loss", Some(figures.loss)),
            ("accuracy", figures.accuracy),
            ("margin", figures.margin),
        ];
        let shown = shown.into_iter();
        let shown: Vec<(&str, f64)> = shown.filter_map(|(name, x)| Some((name, x?))).collect();
        if !session.end_step(&metrics, &shown, metrics.n_tokens)? {
            return Ok(Outcome::Stopped);
        }
    }
    session.doing("measuring what is held out");
    let result = learner.write(&session, &rows)?;
    suite.finish(|folder| Tune::save(folder, &bundle, adapter.as_ref()))?;
    session.write_result(&result)?;
    session.finish(&result.told());
    Ok(Outcome::Finished)
}

/// Says which rows the run does without, and of which kinds the others are.
fn say_rows(recipe: &DpoRecipe, rows: &Rows) {
    say_skipped("dpo", rows.parts.skipped.as_ref());
    if rows.parts.n_equal > 0 {
        let n = rows.parts.n_equal;
        tracing::info!("dpo: {n} comparisons are left out because both answers are the same");
    }
    if matches!(recipe.judgements, Judgements::Rated(_)) {
        say_kinds(&recipe.objective, rows.kinds());
    }
}

/// Says how many rated answers there are of either kind, and whether their weights make up for it.
fn say_kinds(objective: &Objective, [n_good, n_bad]: [usize; 2]) {
    tracing::info!("dpo: {}", rows::kinds_told([n_good, n_bad]));
    if let Loss::Kto {
        desirable,
        undesirable,
        ..
    } = objective.loss
    {
        let ratio = desirable * n_good as f64 / (undesirable * n_bad as f64);
        if !(0.99..=1.34).contains(&ratio) {
            tracing::warn!(
                "dpo: with dpo.desirable_weight and dpo.undesirable_weight the desirable answers weigh {ratio:.2} times as much as \
                 the others; TRL advises 1 to 4/3"
            );
        }
    }
}

/// Something that is read, with its fingerprint.
type Input = (&'static str, String);

/// Fingerprints of what is read, taken before the first update.
fn fingerprints(
    recipe: &DpoRecipe,
    opening: &mut Opening,
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    rows: &Rows,
) -> Result<Vec<Input>, DpoError> {
    let base = opening.fingerprint("base model", bundle.model.parameters());
    let mut inputs = vec![
        (recipe.judgements.rows(), rows.fingerprint()?),
        ("base model", base),
    ];
    if let (Some(adapter), Tune::Lora(LoraStart::Adapter(_))) = (adapter, &recipe.tune) {
        let print = fingerprint::of_tensors(adapter.parameters().iter());
        inputs.push(("adapter", print));
    }
    Ok(inputs)
}

/// The log-probabilities under the model that the recipe starts from: those that the run has kept, or new ones.
fn reference(
    recipe: &DpoRecipe,
    launch: &LaunchOptions,
    opening: &mut Opening,
    policy: Policy<'_>,
    rows: &Rows,
    inputs: &[Input],
) -> Result<Reference, DpoError> {
    let prints: Vec<&str> = inputs.iter().map(|(_, print)| print.as_str()).collect();
    let print = fingerprint_of(&recipe.objective, &prints);
    let kept = launch.ranks.made_by_first(|| {
        if launch.resume {
            return Reference::read(&recipe.session.out, &print, rows.parts.len());
        }
        Ok(None)
    })?;
    if let Some(kept) = kept {
        return Ok(kept);
    }
    // A fresh adapter changes nothing yet.
    let adapter = match &recipe.tune {
        Tune::Lora(LoraStart::Fresh(_)) => None,
        _ => policy.adapter,
    };
    let policy = Policy { adapter, ..policy };
    let progress = opening.counter("reading the answers as the reference");
    Reference::compute(print, &policy, rows, recipe.rows_of_a_pass(), progress)
}

impl Learner<'_> {
    /// One update; its figures are those before the update.
    fn update(
        &self,
        session: &mut Session,
        passes: &[Vec<&Row>],
        step: u64,
    ) -> Result<DpoMetrics, DpoError> {
        session.begin_step();
        let rows: Vec<&Row> = passes.iter().flatten().copied().collect();
        let images = rows.iter().map(|row| row.answers.shared.image.as_deref());
        self.policy.features.read_ahead(images.flatten());
        let objective = &self.recipe.objective;
        if objective.loss.needs_divergence() {
            session.phase("divergence");
        }
        let divergence = self.divergence(&rows)?;
        session.phase("pass");
        let update = Update {
            n_rows: rows.len(),
            n_targets: rows.iter().map(|row| row.n_targets()).sum(),
            divergence,
        };
        let device = self.policy.bundle.model.device();
        let of_passes = session.passes(passes, &mut |pass| {
            let reference = self.reference.map(|all| all.of(pass).to_device(device));
            let cost = |policy: &Logprobs, nll: &Tensor| {
                objective.cost(policy, nll, reference.as_ref(), update)
            };
            let scored = (self.policy).backward(pass, self.recipe.activations, cost)?;
            let numbers: Vec<[f64; 5]> = scored.into_iter().map(Scored::to_numbers).collect();
            Ok::<_, DpoError>(Tensor::from_slice(numbers.as_flattened()))
        })?;
        let numbers = of_passes.concat();
        let scored = numbers.as_chunks().0.iter().copied();
        let scored: Vec<Scored> = scored.map(Scored::of_numbers).collect();
        session.phase("update");
        let figures = Figures::of(objective, &rows, &scored, self.reference, divergence);
        let ids = || rows.iter().map(|row| row.id.clone()).collect();
        let applied = session.apply(figures.loss, ids)?;
        Ok(DpoMetrics {
            step,
            figures,
            grad_norm: applied.grad_norm,
            learning_rate: applied.learning_rate,
            n_tokens: rows.iter().map(|row| row.n_tokens).sum(),
            validation_loss: None,
            validation_accuracy: None,
            validation_margin: None,
            suite: SuiteFigures::new(),
        })
    }

    /// What KTO compares the answers of these rows with; 0 for others.
    fn divergence(&self, rows: &[&Row]) -> Result<f64, DpoError> {
        let Some(reference) = self
            .reference
            .filter(|_| self.recipe.objective.loss.needs_divergence())
        else {
            return Ok(0.0);
        };
        let n_rows = self.recipe.rows_of_a_pass();
        let policy = self.policy.mismatched(rows, n_rows, |_, _| ())?;
        Ok(divergence(
            policy.as_flattened(),
            &reference.mismatched(rows),
        ))
    }

    /// The figures of rows without an update, with what each was scored.
    fn measure(&self, rows: &[Row]) -> Result<(Figures, Vec<Scored>), DpoError> {
        let rows: Vec<&Row> = rows.iter().collect();
        let divergence = self.divergence(&rows)?;
        let n_rows = self.recipe.rows_of_a_pass();
        let scored = self.policy.scores(&rows, n_rows, |_, _| ())?;
        let objective = &self.recipe.objective;
        let figures = Figures::of(objective, &rows, &scored, self.reference, divergence);
        Ok((figures, scored))
    }

    /// Measures the policy as it is and writes it with what was found.
    fn write(&self, session: &Session, rows: &Rows) -> Result<DpoResult, DpoError> {
        let held_out = rows.rows(rows.parts.held_out())?;
        let (figures, scored) = self.measure(&held_out)?;
        for (row, scored) in held_out.iter().zip(&scored) {
            let both = [scored.chosen, scored.rejected];
            if let Some(&value) = both.iter().find(|value| !value.is_finite()) {
                let (row, model) = (row.id.clone(), "the policy");
                return Err(DpoError::NotFinite { row, model, value });
            }
        }
        let held_out: Vec<&Row> = held_out.iter().collect();
        let rewards = rewards(&self.recipe.objective, &held_out, &scored, self.reference);
        let lines = held_out.iter().zip(&scored).zip(rewards);
        let lines: Vec<Line<'_>> = lines
            .map(|((row, scored), rewards)| Line::new(row, scored, rewards))
            .collect();
        let result = DpoResult::new(rows, figures, &lines, self.recipe.session.seed);
        if session.writes() {
            let folder = session.path();
            Tune::save(folder, self.policy.bundle, self.policy.adapter)?;
            write_lines(&folder.join("held_out.jsonl"), &lines)?;
        }
        Ok(result)
    }
}

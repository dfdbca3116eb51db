//! The loop of the reward model: comparisons or rated answers → scores → pair loss → update → validation; the best is kept.

use std::path::Path;

use candor_data::comparisons::Parts;
use candor_model::shared::{SharedBatch, SharedPrefix};
use candor_model::{Adapter, Bundle, ImageFeatures, ModelFolder, ScalarHead};
use candor_run::{Inputs, LaunchOptions, Outcome, Ranks};
use candor_train::{
    Best, BestBy, Found, Session, TrainState, check_room, encode_images, fingerprint,
    say_seen_anew, say_skipped,
};
use serde::Serialize;
use tch::{Device, Tensor};

use crate::held_out::{RewardResult, write_lines};
use crate::loss::{CenteringOver, Share, against_zero, centering};
use crate::pairs::Pair;
use crate::recipe::RewardRecipe;
use crate::scorer::{ADAPTER, Base, HEAD, RewardModel};
use crate::scores::{Figures, PairScores, Scorer, columns, features_of};
use crate::wording::shows_prompts;
use crate::{RewardError, pairs};

/// One line of the run's `metrics.jsonl`; `docs/metrics.md` defines each field.
#[derive(Debug, Serialize)]
pub struct RewardMetrics {
    /// Updates done.
    pub step: u64,
    /// Pair loss and centering term of this update's pairs.
    pub loss: f64,
    /// The pair loss alone.
    pub pair_loss: f64,
    /// The centering term alone.
    pub centering: f64,
    /// Share of this update's pairs judged as people did, before the update.
    pub accuracy: f64,
    /// Mean of chosen − rejected.
    pub margin_mean: f64,
    /// Mean of all scores.
    pub score_mean: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Tokens of this update, a pair's common beginning counted once, image patches included, pads not.
    pub n_tokens: usize,
    /// Accuracy on the validation pairs after this update, where it was evaluated.
    pub validation_accuracy: Option<f64>,
    /// Pair loss of the validation pairs after this update, where it was evaluated.
    pub validation_loss: Option<f64>,
}

/// What is trained, and what it takes to train it.
struct Learner<'a> {
    recipe: &'a RewardRecipe,
    bundle: &'a Bundle,
    adapter: &'a Adapter,
    head: &'a ScalarHead,
    features: &'a ImageFeatures,
}

/// Trains, keeps the best step, measures it on the held-out pairs and writes the reward model into the run folder.
///
/// # Errors
/// Damaged data, a run folder that cannot be used, or a number that is not finite.
pub fn run(
    recipe: &RewardRecipe,
    launch: &LaunchOptions,
    device: Device,
) -> Result<Outcome, RewardError> {
    let resolved = recipe.resolved.to_text();
    let mut opening = Session::prepare(
        "reward",
        &recipe.session,
        &resolved,
        launch,
        recipe.may_change(),
    )?;
    opening.doing("opening the model");
    let folder = ModelFolder::find(&recipe.base)?.with_pixels(recipe.pixels);
    let bundle = Bundle::load(folder, device, recipe.base_precision)?;
    check_fit(recipe, &bundle)?;
    let (adapter, head) = trainable(recipe, &bundle)?;
    let trained = parameters(&adapter, &head);
    let mut best = Best::new(BestBy::Accuracy, &trained);
    opening.doing(&format!("reading the {}", recipe.judgements.rows()));
    let images = recipe.judgements.images();
    let rules = bundle.rules(recipe.max_tokens, images);
    let pairs = pairs::read(recipe, rules, Some(recipe.session.out.as_path()))?;
    say_skipped("reward", pairs.skipped.as_ref());
    say_seen_anew("reward", &bundle.model);
    let mut batches = pairs::batches(recipe, &pairs)?;
    let n_steps = batches.n_steps(recipe.length);
    let inputs = Inputs::new([
        ("comparisons, facts or prompt", pairs::fingerprint(&pairs)?),
        (
            "base model",
            opening.fingerprint("base model", bundle.model.parameters()),
        ),
        (
            "adapter",
            fingerprint::of_tensors(adapter.parameters().iter()),
        ),
    ]);
    let parts = TrainState {
        trained,
        kept: best.state(),
    };
    opening.read_earlier(|run| result(run, &bundle))?;
    let mut session = opening.open(parts, n_steps, inputs)?;
    if let Some(skipped) = pairs.skipped.as_ref().filter(|_| session.writes()) {
        skipped.write(session.path())?;
    }
    let progress = session.counter("encoding images");
    let shown = pairs.images();
    let place = &recipe.session.features;
    let features = encode_images(&bundle, images, shown, place, &launch.ranks, progress)
        .map_err(|error| recipe.judgements.in_rows(error, &pairs))?;
    session.doing("training");
    let learner = Learner {
        recipe,
        bundle: &bundle,
        adapter: &adapter,
        head: &head,
        features: &features,
    };

    for done in session.steps_left() {
        if best.given_up(recipe.patience) {
            break;
        }
        let passes = pairs.passes(batches.of_step(done))?;
        let passes: Vec<Vec<&Pair>> = passes.iter().map(|pass| pass.iter().collect()).collect();
        let mut metrics = learner.update(&mut session, &passes, done + 1)?;
        if (done + 1).is_multiple_of(recipe.evaluate_every) || done + 1 == n_steps {
            session.phase("evaluate");
            let validation = pairs.rows(pairs.validation())?;
            let scores = learner.scores(session.ranks(), &validation)?;
            let figures = Figures::of(&scores, recipe.learns_from_rated());
            best.offer(Found {
                step: done + 1,
                accuracy: figures.accuracy,
                loss: figures.pair_loss,
            })?;
            metrics.validation_accuracy = Some(figures.accuracy);
            metrics.validation_loss = Some(figures.pair_loss);
        }
        let shown = [("loss", metrics.loss), ("accuracy", metrics.accuracy)];
        if !session.end_step(&metrics, &shown, metrics.n_tokens)? {
            return Ok(Outcome::Stopped);
        }
    }
    session.doing("measuring the best step on the held-out pairs");
    best.recall();
    let result = write(&learner, &session, &pairs, &best)?;
    session.finish(&format!("done, {}", held_out_accuracy(&result)));
    Ok(Outcome::Finished)
}

/// Whether the model can be put before the pairs at all.
fn check_fit(recipe: &RewardRecipe, bundle: &Bundle) -> Result<(), RewardError> {
    let unfit = |problem: String, remedy| {
        Err(RewardError::Unfit {
            path: recipe.base.clone(),
            problem,
            remedy,
        })
    };
    check_room(&recipe.base, recipe.max_tokens, bundle.model.n_positions())?;
    if !shows_prompts(&bundle.template) {
        let problem = "its template drops what the human says, the reward prompt too".to_owned();
        return unfit(
            problem,
            "start from a model that was fine-tuned on conversations",
        );
    }
    Ok(())
}

/// Adapter and head, both trainable, on a frozen base.
fn trainable(recipe: &RewardRecipe, bundle: &Bundle) -> Result<(Adapter, ScalarHead), RewardError> {
    bundle.model.set_trainable(|_| false);
    let adapter = (recipe.start).open(bundle, &recipe.base, recipe.session.seed)?;
    adapter.set_trainable(true);
    let head = ScalarHead::zeros(&bundle.model)?;
    head.set_trainable(true);
    Ok((adapter, head))
}

/// The trained tensors by name.
fn parameters(adapter: &Adapter, head: &ScalarHead) -> Vec<(String, Tensor)> {
    let of_adapter = adapter.parameters().iter();
    let of_head = head
        .parameters()
        .iter()
        .map(|(name, tensor)| (name, tensor));
    of_adapter
        .chain(of_head)
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect()
}

impl Learner<'_> {
    /// One update; its figures are those before the update.
    fn update(
        &self,
        session: &mut Session,
        passes: &[Vec<&Pair>],
        step: u64,
    ) -> Result<RewardMetrics, RewardError> {
        session.begin_step();
        let pairs = passes.iter().flatten();
        self.features
            .read_ahead(pairs.filter_map(|pair| pair.shared.image.as_deref()));
        let share = Share {
            n_batch: passes.iter().map(Vec::len).sum(),
            centering_coef: self.recipe.centering_coef,
            sign: self.centering_sign(session, passes)?,
        };
        session.phase("pass");
        let of_passes = session.passes(passes, &mut |pairs| self.pass(pairs, share))?;
        let (mut scores, mut loss) = (Vec::new(), 0.0);
        for of_pass in of_passes {
            let of_pass: Vec<PairScores> = of_pass.as_chunks().0.to_vec();
            let [chosen, rejected] = columns(&of_pass);
            loss += share.of(&chosen, &rejected).double_value(&[]);
            scores.extend(of_pass);
        }
        session.phase("update");
        let ids = || {
            passes
                .iter()
                .flatten()
                .map(|pair| pair.id.clone())
                .collect()
        };
        let applied = session.apply(loss, ids)?;
        let figures = Figures::of(&scores, self.recipe.learns_from_rated());
        Ok(RewardMetrics {
            step,
            loss,
            pair_loss: figures.pair_loss,
            centering: loss - figures.pair_loss,
            accuracy: figures.accuracy,
            margin_mean: figures.margin_mean,
            score_mean: figures.score_mean,
            grad_norm: applied.grad_norm,
            learning_rate: applied.learning_rate,
            n_tokens: passes.iter().flatten().map(|pair| pair.n_tokens()).sum(),
            validation_accuracy: None,
            validation_loss: None,
        })
    }

    /// The sign of the whole update's mean score, where the passes must know it beforehand: an extra forward pass,
    /// made only where several passes share one centering term.
    fn centering_sign(
        &self,
        session: &mut Session,
        passes: &[Vec<&Pair>],
    ) -> Result<Option<f64>, RewardError> {
        let over_batch = self.recipe.centering_over == CenteringOver::Batch;
        if !over_batch || passes.len() < 2 || self.recipe.centering_coef == 0.0 {
            return Ok(None);
        }
        session.phase("center");
        // Each pass whole on one rank, as its backward pass is.
        let alone = Ranks::alone();
        let of_passes = session.ranks().share_numbers(passes.len(), |n| {
            let scores = self.scores_of(&alone, &passes[n])?;
            Ok::<_, RewardError>(scores.concat())
        })?;
        let scores: Vec<PairScores> = (of_passes.iter())
            .flat_map(|scores| scores.as_chunks::<2>().0)
            .copied()
            .collect();
        let [chosen, rejected] = columns(&scores);
        Ok(Some(centering(&chosen, &rejected).sign().double_value(&[])))
    }

    /// Forward and backward of one micro-batch; returns its scores, `[pairs, 2]`.
    fn pass(&self, pairs: &[&Pair], share: Share) -> Result<Tensor, RewardError> {
        let items: Vec<&SharedPrefix> = pairs.iter().map(|pair| &pair.shared).collect();
        let images = features_of(self.features, &items)?;
        let (model, pad) = (&self.bundle.model, self.bundle.tokenizer.pad);
        let desirable = pairs::desirable(pairs);
        let batch = SharedBatch::new(&items, pad, model.device());
        Ok(model.backward_shared(
            &batch,
            images.as_ref(),
            Some(self.adapter),
            self.recipe.activations,
            |hidden| {
                let of_branches = self.head.forward(hidden);
                let of_pairs = match &desirable {
                    None => of_branches.reshape([-1, 2]),
                    Some(desirable) => against_zero(&of_branches.reshape([-1]), desirable),
                };
                let loss = share.of(&of_pairs.select(1, 0), &of_pairs.select(1, 1));
                (loss, of_pairs.detach())
            },
        ))
    }

    /// Scores without gradients, in passes of the recipe's micro-batch.
    fn scores(&self, ranks: &Ranks, pairs: &[Pair]) -> Result<Vec<PairScores>, RewardError> {
        self.scores_of(ranks, &pairs.iter().collect::<Vec<_>>())
    }

    fn scores_of(&self, ranks: &Ranks, pairs: &[&Pair]) -> Result<Vec<PairScores>, RewardError> {
        let items: Vec<&SharedPrefix> = pairs.iter().map(|pair| &pair.shared).collect();
        let judge = Scorer {
            bundle: self.bundle,
            adapter: self.adapter,
            head: self.head,
            features: self.features,
        };
        // The beginning of a pair's conversations and its responses are filled apart, each to what another may have.
        let responses = if self.recipe.learns_from_rated() {
            1
        } else {
            2
        };
        let row = (1 + responses) * self.recipe.max_tokens;
        let rows = self.recipe.pass.rows_of(row);
        let scores = judge.scores(&items, rows, ranks)?;
        let with_scores = pairs.iter().zip(&scores);
        Ok(with_scores
            .map(|(pair, of_pair)| pair.pair_scores(of_pair))
            .collect())
    }
}

/// Measures the model as it is and writes it with what was found.
fn write(
    learner: &Learner<'_>,
    session: &Session,
    pairs: &Parts<Pair>,
    best: &Best,
) -> Result<RewardResult, RewardError> {
    let recipe = learner.recipe;
    let held_out = pairs.rows(pairs.held_out())?;
    let scores = learner.scores(session.ranks(), &held_out)?;
    let bad = held_out.iter().zip(&scores);
    let bad = bad.flat_map(|(pair, scores)| scores.iter().map(move |score| (pair, score)));
    if let Some((pair, &score)) = bad.into_iter().find(|(_, score)| !score.is_finite()) {
        return Err(RewardError::NotFinite {
            row: pair.id.clone(),
            score,
        });
    }
    let Some(found) = best.found() else {
        unreachable!("the last step is always evaluated, and there is at least one")
    };
    let of_learning = pairs::learned(pairs);
    let result = RewardResult::new(&held_out, of_learning, &scores, found, recipe.session.seed);
    let folder = session.path();
    let model = RewardModel::new(
        learner.adapter.copy(),
        learner.head.copy(),
        recipe.wording.clone(),
        Base::of(&recipe.base, learner.bundle),
        recipe.max_tokens,
        [result.score_mean, result.score_std],
        recipe.learns_from_rated(),
    );
    if session.writes() {
        model.save(folder)?;
        write_lines(&folder.join("held_out.jsonl"), &held_out, &scores)?;
        session.write_result(&result)?;
    }
    Ok(result)
}

/// The held-out accuracy with its interval, as a person is told it.
fn held_out_accuracy(result: &RewardResult) -> String {
    let RewardResult {
        accuracy, n_pairs, ..
    } = result;
    let interval = match result.ci95 {
        Some([low, high]) => format!("95% interval [{low:.3}, {high:.3}]"),
        None => "too few for an interval".to_owned(),
    };
    let rows = if result.n_desirable.is_some() {
        "rated answers"
    } else {
        "pairs"
    };
    format!("held-out accuracy {accuracy:.3} ({interval}, {n_pairs} {rows})")
}

/// What a finished run trained, read from its folder, for a run that starts from its weights: those of its best step. None
/// if the run did not get there.
fn result(run: &Path, bundle: &Bundle) -> Result<Option<Vec<(String, Tensor)>>, RewardError> {
    // Written last.
    if !run.join("result.json").exists() {
        return Ok(None);
    }
    let adapter = Adapter::open(&run.join(ADAPTER), &bundle.model)?;
    let head = ScalarHead::open(&run.join(HEAD), &bundle.model)?;
    Ok(Some(parameters(&adapter, &head)))
}

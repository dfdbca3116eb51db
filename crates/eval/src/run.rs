//! An evaluation by recipe: read all questions → encode each image once → answer → score → write.
//!
//! The files of the folder `out`: `answers/`, a file for each file of questions, written as soon as a benchmark is
//! answered; `verdicts/<benchmark>.jsonl`, and `results.json` last; `resolved.toml`. But for the paths that they name they
//! hold nothing that differs between two runs of the same recipe on the same machine. From the answers on everything is
//! done by [`score`], as with answers of any tool.

use std::collections::BTreeMap;
use std::path::Path;

use candor_data::atomic;
use candor_data::image::PixelBounds;
use candor_judge::Results;
use candor_judge::score::score;
use candor_model::{Adapter, Bundle, ModelFolder, peft};
use candor_run::{Inputs, Progress, Ranks, StopSignal};
use candor_train::fingerprint;
use tch::Device;

use crate::answer::Generator;
use crate::images;
use crate::questions::{Questions, questions_sha256};
use crate::{EvalError, EvalRecipe};

/// Opens the recipe's model and evaluates it. Of several ranks the first has the results.
///
/// # Errors
/// As [`evaluate`], or the model or its adapter cannot be opened, or ranks have others.
pub fn run(
    recipe: &EvalRecipe,
    stop: &StopSignal,
    device: Device,
    ranks: &Ranks,
) -> Result<Option<Results>, EvalError> {
    ranks.check_same_start(&recipe.resolved.to_text(), Vec::new())?;
    let (model, adapter) = peft::with_base(&recipe.model, recipe.adapter.as_deref())?;
    let model = ModelFolder::find(&model)?.with_pixels(recipe.pixels);
    let folder = model.path().to_owned();
    let bundle = Bundle::load(model, device, recipe.base_precision)?;
    let opened = adapter
        .as_deref()
        .map(|folder| Adapter::open(folder, &bundle.model))
        .transpose()?;
    if ranks.world() > 1 {
        let adapter = opened.as_ref().zip(adapter.as_deref());
        let inputs = models(&bundle, &folder, adapter, ranks)?;
        ranks.check_same_inputs(&inputs)?;
    }
    evaluate(recipe, &bundle, opened.as_ref(), stop, ranks)
}

/// The fingerprints of the model and its adapter, each with the folder it was read from.
fn models(
    bundle: &Bundle,
    folder: &Path,
    adapter: Option<(&Adapter, &Path)>,
    ranks: &Ranks,
) -> Result<Inputs, EvalError> {
    let mut progress = Progress::of_rank(ranks, "eval");
    let model = fingerprint::of_model(bundle, folder, &mut progress)?;
    let mut inputs = vec![("model", model)];
    if let Some((adapter, folder)) = adapter {
        inputs.push(("adapter", fingerprint::of_adapter(adapter, folder)?));
    }
    Ok(Inputs::new(inputs))
}

/// Evaluates a model that is already open; the recipe's own model folder is not looked at. Returns nothing if `stop` asked
/// to end before the last answer, or on ranks other than the first.
///
/// # Errors
/// A benchmark's file, an image or the ground truth is missing or damaged, a question is too long for the
/// model, ranks have other questions, or the results cannot be written.
pub fn evaluate(
    recipe: &EvalRecipe,
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    stop: &StopSignal,
    ranks: &Ranks,
) -> Result<Option<Results>, EvalError> {
    check_room(recipe, bundle)?;
    let all = recipe.questions()?;
    if ranks.world() > 1 {
        let asks = all.iter().flat_map(|questions| &questions.asks);
        ranks.check_same_inputs(&Inputs::new([("questions", questions_sha256(asks))]))?;
    }
    let n_asks: usize = all.iter().map(|questions| questions.asks.len()).sum();
    let mut progress = Progress::of_rank(ranks, "eval");
    progress.set_steps(n_asks as u64, 0);
    let features = images::encode(bundle, &recipe.images, &all, ranks, &mut progress)?;
    let generator = Generator {
        bundle,
        adapter,
        features: &features,
        batch_rows: recipe.batch_rows,
        max_new_tokens: recipe.max_new_tokens,
        ranks,
    };
    if ranks.is_first() {
        // The numbers of an earlier run would contradict new answers if this run were interrupted.
        Results::discard(&recipe.out)?;
        let resolved = recipe.resolved.to_text();
        atomic::write(&recipe.out.join("resolved.toml"), resolved.as_bytes())?;
    }
    let mut results = Results {
        images: Some(recipe.images.clone()),
        ..Results::default()
    };
    let (mut verdicts, mut n_done) = (BTreeMap::new(), 0);
    for questions in &all {
        let Questions {
            benchmark,
            files,
            asks,
            ..
        } = questions;
        progress.doing(&format!("answering {}", benchmark.key()));
        let answered = generator.answer(asks, stop, |n| progress.step((n_done + n) as u64, &[]))?;
        let Some(answers) = answered else {
            progress.finish("stopped");
            return Ok(None);
        };
        n_done += answers.len();
        if !ranks.is_first() {
            continue;
        }
        let paths = questions.write(&recipe.out, &answers)?;
        progress.doing(&format!("scoring {}", benchmark.key()));
        let (found, scored) = score(*benchmark, files, &paths, None, recipe.seed)?;
        verdicts.insert(*benchmark, found);
        results.benchmarks.insert(*benchmark, scored);
    }
    if !ranks.is_first() {
        return Ok(None);
    }
    results.write(&recipe.out, &verdicts)?;
    progress.finish(&format!("results are in {}", recipe.out.display()));
    Ok(Some(results))
}

/// Whether an answer of the full length leaves room for a question.
fn check_room(recipe: &EvalRecipe, bundle: &Bundle) -> Result<(), EvalError> {
    let config = bundle.model.config();
    let positions = config.n_positions();
    let image = config.usual_image(PixelBounds::of(&bundle.processor));
    let taken = recipe.max_new_tokens + config.n_image_tokens(image);
    if taken < positions {
        return Ok(());
    }
    Err(EvalError::Unfit {
        path: recipe.model.clone(),
        problem: format!(
            "the model has {positions} positions, but an image and answers.max_new_tokens = {} take {taken}",
            recipe.max_new_tokens
        ),
        remedy: "lower answers.max_new_tokens",
    })
}

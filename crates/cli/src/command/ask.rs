//! `candor eval run`: a model on the files of a benchmark.

use candor_eval::files::{self, EvalRun};
use candor_judge::score::JudgeSession;
use candor_model::{ModelFolder, peft};
use candor_run::{Ranks, StopSignal};

use super::precision::precision;
use super::{device, ranks, sampling, score};
use crate::arguments::RunArguments;

/// Asks, then scores and prints, where a rule or the judge that is named can score.
pub fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    sampling::check(
        arguments.temperature,
        arguments.top_p,
        arguments.max_new_tokens,
    )?;
    anyhow::ensure!(
        arguments.batch_rows > 0,
        "--batch-rows is 0; give at least 1"
    );
    let Some(ranks) = ranks::start(&arguments.ranks)? else {
        return Ok(());
    };
    // The first rank alone asks the judge, and needs its key.
    let judge = if ranks.is_first() {
        score::open_judge(arguments.task.judge.as_deref(), arguments.task.seed)?
    } else {
        None
    };
    score::with_bench(judge.as_ref(), |bench| ask(arguments, bench, &ranks))
}

fn ask(
    arguments: &RunArguments,
    bench: Option<&JudgeSession<'_>>,
    ranks: &Ranks,
) -> anyhow::Result<()> {
    let task = &arguments.task;
    let (model, adapter) = peft::with_base(&arguments.model, arguments.adapter.as_deref())?;
    if ranks.is_first() {
        sampling::say_what_is_not_applied(ModelFolder::find(&model)?.path())?;
    }
    let eval_run = EvalRun {
        benchmark: task.benchmark,
        files: score::files(task, Some(&arguments.images)),
        images: arguments.images.clone(),
        precision: precision(arguments.precision, &model)?,
        pixels: arguments.pixels.bounds(),
        model,
        adapter,
        description: arguments.description.clone(),
        instruction: arguments.instruction.clone(),
        temperature: arguments.temperature,
        top_p: arguments.top_p,
        max_new_tokens: arguments.max_new_tokens,
        seed: task.seed,
        batch_rows: arguments.batch_rows,
        out: task.out.clone(),
    };
    let stop = StopSignal::install()?;
    let device = device::of_rank(arguments.device, ranks)?;
    let Some(answered) = files::answer(&eval_run, bench, &stop, device, ranks)? else {
        return Ok(stop.check()?);
    };
    // Answers and replies are kept, so a signal may end what is left.
    stop.end_at_once()?;
    if answered.lacks_judge {
        for path in answered.files {
            println!("{}", path.display());
        }
        eprintln!(
            "these answers are not scored: give --judge, or score them with `candor eval score`"
        );
        return Ok(());
    }
    score::score_and_show(task, &eval_run.files, &answered.files, bench)
}

//! `candor eval suite`: all benchmarks of a suite for one or several models, on one page.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};
use candor_eval::suite::{SuiteModel, SuiteRun};
use candor_judge::compare::compare as compared;
use candor_judge::score::JudgeSession;
use candor_judge::suite::best::BestBy;
use candor_judge::suite::{NotMeasured, SuiteFound};
use candor_model::{ModelFolder, peft};
use candor_run::StopSignal;

use super::device::device;
use super::precision::precision;
use super::{compare, sampling, score, suite_best};
use crate::arguments::SuiteArguments;

/// Measures what can be measured, writes the page and prints the numbers; an error if something could not be.
pub fn run(arguments: &SuiteArguments) -> anyhow::Result<()> {
    sampling::check(0.0, 1.0, arguments.max_new_tokens)?;
    ensure!(
        arguments.batch_rows > 0,
        "--batch-rows is 0; give at least 1"
    );
    ensure!(
        arguments.data.is_dir(),
        "{}: no folder; give the folder that holds the benchmarks' files",
        arguments.data.display()
    );
    let suite = arguments.suite.suite();
    let by = arguments.best.as_deref();
    let best = by.map(|by| BestBy::parse(by, suite)).transpose();
    let best = best.map_err(|problem| anyhow!("--best {problem}"))?;
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    // Two suites would write one page.
    let _lock = candor_run::lock(out)?;
    suite_best::restore(out)?;
    let judge = score::open_judge(arguments.judge.as_deref(), arguments.seed)?;
    score::with_bench(judge.as_ref(), |session| measure(arguments, best, session))
}

fn measure(
    arguments: &SuiteArguments,
    best: Option<BestBy>,
    session: Option<&JudgeSession<'_>>,
) -> anyhow::Result<()> {
    let suite_run = SuiteRun {
        suite: arguments.suite.suite(),
        models: models(arguments)?,
        data: arguments.data.clone(),
        limit: arguments.limit,
        pixels: arguments.pixels.bounds(),
        max_new_tokens: arguments.max_new_tokens,
        batch_rows: arguments.batch_rows,
        seed: arguments.seed,
        out: arguments.out.clone(),
    };
    let stop = StopSignal::install()?;
    let device = device(arguments.device)?;
    let said = |what: &str| eprintln!("suite: {what}");
    let Some(found) = candor_eval::suite::run(&suite_run, session, &stop, device, &said) else {
        return Ok(stop.check()?);
    };
    let n_missing = found.not_measured.len();
    let is_empty = found.runs.iter().all(|run| run.verdicts.is_empty());
    if is_empty {
        bail!("nothing was measured:\n{}", listed(&found.not_measured));
    }
    let mut comparison = compared(&found.runs, arguments.seed);
    let tables = SuiteFound::of(
        suite_run.suite,
        &found.runs,
        found.not_measured,
        arguments.seed,
    )?;
    let missing = listed(&tables.not_measured);
    comparison.suite = Some(tables);
    compare::write(&arguments.out, &comparison, &found.runs, found.images)?;
    compare::print(&comparison, arguments.json)?;
    let kept = best.map_or(Ok(()), |by| {
        suite_best::keep(&arguments.out, by, &found.runs, &suite_run.models)
    });
    ending(n_missing, &missing, kept)
}

/// What was not measured is an error, and does not hide another one.
fn ending(n_missing: usize, missing: &str, kept: anyhow::Result<()>) -> anyhow::Result<()> {
    if n_missing == 0 {
        return kept;
    }
    let more = kept.map_or_else(
        |error| format!("\n--best: {}", crate::chain(&error)),
        |()| String::new(),
    );
    bail!(
        "{n_missing} benchmarks were not measured, each counted for every model that lacks it; the page has the others, and \
         the same command adds what can be measured by then:\n{missing}{more}"
    )
}

/// A line for each benchmark that was not measured.
fn listed(missing: &[NotMeasured]) -> String {
    let lines: Vec<String> = missing.iter().map(NotMeasured::told).collect();
    lines.join("\n")
}

/// The models with what they are called, whose files are there and whole as far as their headers tell.
fn models(arguments: &SuiteArguments) -> anyhow::Result<Vec<SuiteModel>> {
    let mut models: Vec<SuiteModel> = Vec::new();
    for given in &arguments.models {
        let Named {
            name,
            model,
            adapter,
        } = named(given, Path::exists)?;
        ensure!(
            models.iter().all(|other| other.name != name),
            "two models are called {name:?}; tell them apart by NAME=MODEL"
        );
        let (model, adapter) = peft::with_base(&model, adapter.as_deref())?;
        // What is missing of the last is said before the first is asked for hours.
        ModelFolder::find(&model)?.stored()?;
        adapter.as_deref().map_or(Ok(()), peft::check)?;
        models.push(SuiteModel {
            precision: precision(arguments.precision, &model)?,
            name,
            model,
            adapter,
        });
    }
    Ok(models)
}

/// A model as it is named on the command line.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    name: String,
    model: PathBuf,
    adapter: Option<PathBuf>,
}

/// Reads `[NAME=]MODEL[+ADAPTER]`; a plus or equals sign of a folder that `exists` is part of its name.
fn named(given: &str, exists: impl Fn(&Path) -> bool) -> anyhow::Result<Named> {
    let is_name = |name: &str| !name.is_empty() && !name.contains('/');
    let whole = given.rsplit_once('+').map_or(given, |(model, _)| model);
    let is_place = [given, whole].iter().any(|place| exists(Path::new(place)));
    let (name, place) = match given.split_once('=') {
        Some((name, place)) if is_name(name) && !is_place => (Some(name), place),
        _ => (None, given),
    };
    let (model, adapter) = match place.rsplit_once('+') {
        Some((model, adapter)) if !exists(Path::new(place)) => (model, Some(adapter)),
        _ => (place, None),
    };
    ensure!(
        !model.is_empty() && adapter.is_none_or(|adapter| !adapter.is_empty()),
        "{given:?}: write MODEL, MODEL+ADAPTER or NAME=MODEL+ADAPTER"
    );
    let name = name.map_or_else(
        || called(Path::new(adapter.unwrap_or(model))),
        str::to_owned,
    );
    let mut parts = Path::new(&name).components();
    let is_folder = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    );
    ensure!(
        is_folder,
        "{given:?}: {name:?} cannot be the name of a folder; write NAME=MODEL"
    );
    Ok(Named {
        name,
        model: model.into(),
        adapter: adapter.map(PathBuf::from),
    })
}

/// What a folder is called by itself: its own name, or that of the folder above where every run has one of its name.
fn called(folder: &Path) -> String {
    let mut names = folder.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    let own = names.next().unwrap_or_default();
    if ["model", "adapter"].contains(&own.as_str()) {
        names.next().unwrap_or(own)
    } else {
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &str) -> (String, String, Option<String>) {
        let there = ["runs/a+b", "lr=1e-4/model"];
        let found = named(given, |path| there.iter().any(|of| path == Path::new(of))).unwrap();
        let text = |path: PathBuf| path.display().to_string();
        (found.name, text(found.model), found.adapter.map(text))
    }

    #[test]
    fn a_model_is_named_by_its_folder_or_as_is_said() {
        let of = |name: &str, model: &str, adapter: Option<&str>| {
            let adapter = adapter.map(str::to_owned);
            (name.to_owned(), model.to_owned(), adapter)
        };
        assert_eq!(read("runs/sft/model"), of("sft", "runs/sft/model", None));
        assert_eq!(
            read("llava-hf/llava-1.5-7b-hf"),
            of("llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf", None)
        );
        let base = "runs/sft/model";
        assert_eq!(
            read("runs/sft/model+runs/ppo/adapter"),
            of("ppo", base, Some("runs/ppo/adapter"))
        );
        assert_eq!(
            read("rlhf=runs/sft/model+runs/ppo/adapter"),
            of("rlhf", base, Some("runs/ppo/adapter"))
        );
        // A folder that is there with a plus sign, and an equals sign within a path.
        assert_eq!(read("runs/a+b"), of("a+b", "runs/a+b", None));
        assert_eq!(read("runs/lr=1"), of("lr=1", "runs/lr=1", None));
        // One at the beginning of the path of a folder that is there.
        let tuned = "lr=1e-4/model";
        assert_eq!(read(tuned), of("lr=1e-4", tuned, None));
        assert_eq!(
            read("lr=1e-4/model+runs/ppo/adapter"),
            of("ppo", tuned, Some("runs/ppo/adapter"))
        );
        assert_eq!(read("lr=2e-4/model"), of("lr", "2e-4/model", None));
    }

    #[test]
    fn what_is_no_name_or_no_model_is_refused() {
        for given in ["", "a=", "a+", "+b", "..=x", ".", "a=+b"] {
            let message = named(given, |_| false).unwrap_err().to_string();
            assert!(message.contains("write"), "{given}: {message}");
        }
    }

    #[test]
    fn what_was_not_measured_is_said_beside_why_there_is_no_best_one() {
        let no_best = || Err(anyhow!("no run has the number"));
        let message = ending(2, "POPE: no file", no_best()).unwrap_err();
        let message = message.to_string();
        for words in ["2 benchmarks", "POPE: no file", "--best: no run has"] {
            assert!(message.contains(words), "{message}");
        }
        let message = ending(0, "", no_best()).unwrap_err().to_string();
        assert_eq!(message, "no run has the number");
        assert!(ending(1, "POPE: no file", Ok(())).is_err());
        assert!(ending(0, "", Ok(())).is_ok());
    }
}

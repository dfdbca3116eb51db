//! `candor eval compare`

use std::path::{Path, PathBuf};

use candor_data::atomic;
use candor_judge::Run;
use candor_judge::compare::{Comparison, compare};
use candor_judge::leakage::{Leakage, Training};
use candor_judge::people::ratings::Ratings;
use candor_judge::people::{People, project};
use candor_report::{ComparedRuns, write_comparison};

use super::results::warn;
use super::stage::{program, quoted};
use crate::arguments::{CompareArguments, TrainingArguments};

/// Compares runs, prints the table or JSON, and writes all forms of it.
pub fn run(arguments: &CompareArguments) -> anyhow::Result<()> {
    let runs = Run::open_all(&arguments.runs)?;
    if let Some(folder) = &arguments.annotate {
        return ask_people(folder, &runs, arguments);
    }
    if let Some(folder) = &arguments.rate {
        return ask_for_ratings(folder, &runs, arguments);
    }
    let mut comparison = compare(&runs, arguments.seed);
    if let Some(log) = &arguments.preferences {
        comparison.people = Some(People::read(log, two(&runs)?, arguments.seed)?);
    }
    if let Some(ratings) = &arguments.ratings {
        comparison.ratings = Some(Ratings::read(ratings, &runs, arguments.seed)?);
    }
    let images = folder_of_images(arguments.images.as_deref(), &runs);
    comparison.leakage = trained_on(
        &arguments.training,
        &runs,
        images.as_deref(),
        arguments.seed,
    )?;
    if let Some(out) = &arguments.out {
        write(
            out,
            &comparison,
            &runs,
            arguments.images.iter().cloned().collect(),
        )?;
    }
    print(&comparison, arguments.json)
}

/// Writes all forms of a comparison into a folder.
pub fn write(
    out: &Path,
    comparison: &Comparison,
    runs: &[Run],
    images: Vec<PathBuf>,
) -> anyhow::Result<()> {
    for (name, text) in [
        ("results.json", &json(comparison)?),
        ("table.csv", &comparison.csv()),
        ("table.md", &comparison.markdown()),
        ("table.tex", &comparison.latex()),
    ] {
        atomic::write(&out.join(name), text.as_bytes())?;
    }
    let page = out.join("report.html");
    let compared = ComparedRuns {
        comparison,
        runs,
        images,
        version: env!("CARGO_PKG_VERSION"),
    };
    write_comparison(&page, &compared)?;
    eprintln!("compare: open {}", page.display());
    Ok(())
}

/// Prints a comparison as a table or as JSON.
pub fn print(comparison: &Comparison, as_json: bool) -> anyhow::Result<()> {
    warn(&comparison.warnings);
    print!(
        "{}",
        if as_json {
            json(comparison)?
        } else {
            comparison.table()
        }
    );
    Ok(())
}

fn json(comparison: &Comparison) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(comparison)? + "\n")
}

/// The two runs that people compare.
fn two(runs: &[Run]) -> anyhow::Result<[&Run; 2]> {
    match runs {
        [first, second] => Ok([first, second]),
        _ => anyhow::bail!(
            "people compare two runs, and {} are named; name two with --annotate and --preferences",
            runs.len()
        ),
    }
}

fn ask_people(folder: &Path, runs: &[Run], arguments: &CompareArguments) -> anyhow::Result<()> {
    let pair = two(runs)?;
    let images = seen(runs, arguments)?;
    let n_pairs = project::write(folder, pair, &images, arguments.seed)?;
    told(folder, n_pairs, "pairs of answers", "compare");
    Ok(())
}

fn ask_for_ratings(
    folder: &Path,
    runs: &[Run],
    arguments: &CompareArguments,
) -> anyhow::Result<()> {
    let images = seen(runs, arguments)?;
    let n_answers = project::write_to_rate(folder, runs, &images, arguments.seed)?;
    told(folder, n_answers, "answers", "rate");
    Ok(())
}

/// The folder of the images that people have to see.
fn seen(runs: &[Run], arguments: &CompareArguments) -> anyhow::Result<PathBuf> {
    folder_of_images(arguments.images.as_deref(), runs).ok_or_else(|| {
        anyhow::anyhow!("people have to see the images, and the runs name no folder; give --images")
    })
}

/// Says what a project holds, and how people get to it.
fn told(folder: &Path, n: usize, what: &str, verb: &str) {
    let project = folder.join("project.toml");
    println!("{}: {n} {what}", project.display());
    eprintln!(
        "compare: let people {verb} them: {} annotate serve {}",
        program(),
        quoted(&project.display().to_string())
    );
}

/// Where the images are: as named, or where the first run that says so has them.
fn folder_of_images(named: Option<&Path>, runs: &[Run]) -> Option<PathBuf> {
    let of_runs = || runs.iter().find_map(|run| run.images().map(Path::to_owned));
    named.map(Path::to_owned).or_else(of_runs)
}

/// What of the runs' benchmarks is training data, if any is named.
pub fn trained_on(
    arguments: &TrainingArguments,
    runs: &[Run],
    images: Option<&Path>,
    seed: u64,
) -> anyhow::Result<Option<Leakage>> {
    if arguments.training.is_empty() {
        return Ok(None);
    }
    let folders = images.zip(arguments.training_images.as_deref());
    anyhow::ensure!(
        folders.is_some() || arguments.training_images.is_none(),
        "--training-images is compared with the benchmark's images; give their folder with --images"
    );
    let training = Training::read(&arguments.training)?;
    Ok(Some(training.find(runs, folders, seed)?))
}

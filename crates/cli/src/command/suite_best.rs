//! What `candor eval suite --best` keeps: which run is the best by a number, and its adapter.

use std::path::Path;

use anyhow::Context as _;
use candor_data::{DataError, atomic};
use candor_eval::suite::SuiteModel;
use candor_judge::Run;
use candor_judge::suite::best::BestBy;
use serde::Serialize;

/// `best.json`.
#[derive(Debug, Serialize)]
struct Best<'a> {
    /// What it was chosen by.
    by: String,
    /// What it is called.
    run: &'a str,
    value: Option<f64>,
    ci95: Option<[f64; 2]>,
    /// Runs that it was chosen from.
    n_runs: usize,
    model: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<&'a Path>,
}

/// Writes `best.json` into the suite's folder, and the adapter of the best run into `best`; says which it is.
pub fn keep(out: &Path, by: BestBy, runs: &[Run], models: &[SuiteModel]) -> anyhow::Result<()> {
    let name = format!("{}.{}", by.benchmark.key(), by.measure.key);
    let Some((at, figure)) = by.of(runs) else {
        anyhow::bail!("no run has the number {name}, so there is no best one");
    };
    let model = &models[at];
    let best = Best {
        by: name,
        run: &runs[at].name,
        value: figure.value,
        ci95: figure.ci95,
        n_runs: runs.len(),
        model: &model.model,
        adapter: model.adapter.as_deref(),
    };
    let folder = out.join("best");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    if let Some(adapter) = &model.adapter {
        copy(adapter, &folder)?;
    }
    let json = serde_json::to_string_pretty(&best)? + "\n";
    atomic::write(&out.join("best.json"), json.as_bytes())?;
    eprintln!(
        "suite: the best of {} by {} is {}, with {:.*}",
        best.n_runs,
        best.by,
        best.run,
        by.measure.decimals,
        best.value.unwrap_or_default()
    );
    Ok(())
}

/// Copies the files of an adapter's folder; all of them are there, or none.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read {}", from.display());
    let mut files = Vec::new();
    for entry in from.read_dir().with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path).with_context(unreadable)?;
            files.extend(path.file_name().map(|name| (name.to_owned(), bytes)));
        }
    }
    Ok(atomic::folder(to, |folder| {
        for (name, bytes) in &files {
            atomic::write(&folder.join(name), bytes)?;
        }
        Ok::<_, DataError>(())
    })?)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use candor_judge::figures::Figure;
    use candor_judge::results::Scored;
    use candor_judge::suite::Suite;
    use candor_judge::{Benchmark, Results};
    use candor_train::BasePrecision;

    use super::*;

    #[test]
    fn the_adapter_of_the_best_takes_the_place_of_an_earlier_best_one() {
        let dir = tempfile::tempdir().unwrap();
        let (out, first, second) = (
            dir.path().join("out"),
            dir.path().join("step-1"),
            dir.path().join("step-2"),
        );
        for (folder, text) in [(&first, "one"), (&second, "two")] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("adapter_model.safetensors"), text).unwrap();
            std::fs::write(folder.join("adapter_config.json"), "{}").unwrap();
        }
        let run = |name: &str, value: f64| {
            let figure = Figure {
                value: Some(value),
                ..Figure::default()
            };
            let scored = Scored {
                figures: [("f1".to_owned(), figure)].into(),
                ..Scored::default()
            };
            Run {
                name: name.to_owned(),
                results: Some(Results {
                    benchmarks: [(Benchmark::Pope, scored)].into(),
                    images: None,
                }),
                ..Run::default()
            }
        };
        let model = |name: &str, adapter: &Path| SuiteModel {
            name: name.to_owned(),
            model: PathBuf::from("base"),
            adapter: Some(adapter.to_owned()),
            precision: BasePrecision::F32,
        };
        let models = [model("step-1", &first), model("step-2", &second)];
        let by = BestBy::parse("pope.f1", Suite::Paper).unwrap();
        let kept = |values: [f64; 2]| {
            let runs = [run("step-1", values[0]), run("step-2", values[1])];
            keep(&out, by, &runs, &models).unwrap();
            let json = std::fs::read_to_string(out.join("best.json")).unwrap();
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            let weights = std::fs::read_to_string(out.join("best/adapter_model.safetensors"));
            assert!(out.join("best/adapter_config.json").exists());
            (json["run"].as_str().unwrap().to_owned(), weights.unwrap())
        };
        assert_eq!(kept([0.5, 0.25]), ("step-1".to_owned(), "one".to_owned()));
        assert_eq!(kept([0.5, 0.75]), ("step-2".to_owned(), "two".to_owned()));
        let message = keep(&out, by, &[], &models).unwrap_err().to_string();
        assert!(
            message.contains("no run has the number pope.f1"),
            "{message}"
        );
    }
}

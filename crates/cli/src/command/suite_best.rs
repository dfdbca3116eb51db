//! What `candor eval suite --best` keeps: which run is the best by a number, and its adapter.
//!
//! An earlier best adapter stands in `best.before` until the new one and `best.json` are whole; after a kill it may be there
//! still. The next command puts it back before it looks at its models, of which it may be one; the same command then ends what was
//! begun.

use std::path::{Path, PathBuf};

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
    /// Runs that it was chosen from: those that have the number.
    n_runs: usize,
    model: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<&'a Path>,
}

/// Puts the adapter back that a command set aside before it was killed, where it wrote no other.
pub fn restore(out: &Path) -> anyhow::Result<()> {
    let (folder, before) = (out.join("best"), out.join("best.before"));
    // A best model without an adapter has taken the place of one with it where `best.json` says so.
    if folder.exists() || !before.exists() || has_no_adapter(&out.join("best.json")) {
        return Ok(());
    }
    std::fs::rename(&before, &folder)
        .with_context(|| format!("cannot put {} back", before.display()))
}

/// Whether there is a `best.json`, and it names no adapter.
fn has_no_adapter(path: &Path) -> bool {
    let best = std::fs::read(path).ok();
    let best = best.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    best.is_some_and(|best| best.get("adapter").is_none())
}

/// Writes `best.json` into the suite's folder, and the adapter of the best run into `best`; says which it is.
pub fn keep(out: &Path, by: BestBy, runs: &[Run], models: &[SuiteModel]) -> anyhow::Result<()> {
    let name = by.name();
    let path = out.join("best.json");
    let Some((at, figure)) = by.of(runs) else {
        let earlier = if path.exists() {
            format!("; {} is of an earlier command", path.display())
        } else {
            String::new()
        };
        anyhow::bail!("no run has the number {name}, so there is no best one{earlier}");
    };
    let model = &models[at];
    let best = Best {
        by: name,
        run: &runs[at].name,
        value: figure.value,
        ci95: figure.ci95,
        n_runs: by.n_of(runs),
        model: &model.model,
        adapter: model.adapter.as_deref(),
    };
    let json = serde_json::to_string_pretty(&best)? + "\n";
    let (folder, before) = (out.join("best"), out.join("best.before"));
    let adapter = model.adapter.as_deref();
    // The best one of an earlier command may be a model of this one.
    let stays = adapter.is_some_and(|adapter| is_same(adapter, &folder));
    if !stays {
        let files = adapter.map(files).transpose()?;
        if folder.exists() {
            remove(&before)?;
            std::fs::rename(&folder, &before)
                .with_context(|| format!("cannot replace {}", folder.display()))?;
        }
        if let Some(files) = files {
            write(&folder, &files)?;
        }
    }
    atomic::write(&path, json.as_bytes())?;
    remove(&before)?;
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

/// Whether both are one folder that is there.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.canonicalize().ok();
    place(one).is_some_and(|one| place(other) == Some(one))
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// The files of an adapter's folder by their names.
fn files(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in folder.read_dir().with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path).with_context(unreadable)?;
            files.extend(path.file_name().map(|name| (name.into(), bytes)));
        }
    }
    Ok(files)
}

/// Writes files into a folder; all of them are there, or none.
fn write(folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> anyhow::Result<()> {
    Ok(atomic::folder(folder, |beside| {
        for (name, bytes) in files {
            atomic::write(&beside.join(name), bytes)?;
        }
        Ok::<_, DataError>(())
    })?)
}

#[cfg(test)]
mod tests {
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
        let models = [
            model("step-1", &first),
            model("step-2", &second),
            model("best", &out.join("best")),
        ];
        let by = BestBy::parse("pope.f1", Suite::Paper).unwrap();
        let kept = |values: &[f64]| {
            let named = ["step-1", "step-2", "best"].into_iter().zip(values);
            let mut runs: Vec<Run> = named.map(|(name, value)| run(name, *value)).collect();
            // One of which nothing is known is none to choose from.
            runs.push(Run::default());
            keep(&out, by, &runs, &models).unwrap();
            let json = std::fs::read_to_string(out.join("best.json")).unwrap();
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            let weights = std::fs::read_to_string(out.join("best/adapter_model.safetensors"));
            assert!(out.join("best/adapter_config.json").exists());
            assert!(!out.join("best.before").exists());
            assert_eq!(json["n_runs"], values.len());
            (json["run"].as_str().unwrap().to_owned(), weights.unwrap())
        };
        assert_eq!(kept(&[0.5, 0.25]), ("step-1".to_owned(), "one".to_owned()));
        assert_eq!(kept(&[0.5, 0.75]), ("step-2".to_owned(), "two".to_owned()));
        // The best of before is the best of three; and what a kill left aside makes way.
        std::fs::create_dir(out.join("best.before")).unwrap();
        let still = kept(&[0.5, 0.75, 0.875]);
        assert_eq!(still, ("best".to_owned(), "two".to_owned()));
        // A kill after the earlier one was set aside, and before the new one was written: it is a model of the next command.
        std::fs::rename(out.join("best"), out.join("best.before")).unwrap();
        restore(&out).unwrap();
        let still = kept(&[0.5, 0.75, 0.875]);
        assert_eq!(still, ("best".to_owned(), "two".to_owned()));
        // One that was set aside for a model without an adapter stays aside.
        std::fs::rename(out.join("best"), out.join("best.before")).unwrap();
        let json = std::fs::read_to_string(out.join("best.json")).unwrap();
        std::fs::write(out.join("best.json"), "{\"run\": \"base\"}").unwrap();
        restore(&out).unwrap();
        assert!(!out.join("best").exists());
        std::fs::write(out.join("best.json"), json).unwrap();
        let message = keep(&out, by, &[], &models).unwrap_err().to_string();
        assert!(
            message.contains("no run has the number pope.f1")
                && message.contains("best.json is of an earlier command"),
            "{message}"
        );
    }
}

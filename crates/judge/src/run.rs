//! A run: the folder of an evaluated model, whichever command wrote it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use candor_data::formats::answers::{self, Answer};
use candor_data::formats::text::{self, Format};

use crate::JudgeError;
use crate::benchmark::Benchmark;
use crate::results::{Results, verdicts_file};
use crate::verdict::Verdict;

const FORMAT: Format = Format {
    name: "Verdicts",
    expected: "JSON lines of verdicts",
};

/// One evaluated model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Run {
    /// Its folder's name, with those above it where that alone tells no runs apart.
    pub name: String,
    /// The verdicts of each benchmark that it has.
    pub verdicts: BTreeMap<Benchmark, Vec<Verdict>>,
    /// Its numbers and what they rest on; `None` where nobody has scored its answers.
    pub results: Option<Results>,
}

impl Run {
    /// Reads the folder of a run.
    ///
    /// # Errors
    /// It holds neither verdicts nor answers, or they are damaged.
    pub fn open(folder: &Path) -> Result<Self, JudgeError> {
        let mut verdicts = BTreeMap::new();
        for &benchmark in Benchmark::ALL {
            let path = folder.join(verdicts_file(benchmark));
            let answers = folder.join(format!("answers/{}.jsonl", benchmark.key()));
            if path.exists() {
                verdicts.insert(benchmark, read(&path)?);
            } else if benchmark.about().is_free && answers.exists() {
                verdicts.insert(benchmark, unjudged(&answers)?);
            }
        }
        if verdicts.is_empty() {
            let remedy =
                "name folders that `candor eval`, `candor eval run` or `candor eval score` wrote";
            return Err(JudgeError::unfit(
                folder,
                "no verdicts and no answers",
                remedy,
            ));
        }
        Ok(Self {
            name: last_parts(&whole(folder), 1),
            verdicts,
            results: Results::read(folder)?,
        })
    }

    /// Reads the folders of several runs. Where names repeat, those of the folders above stand before them.
    ///
    /// # Errors
    /// As of [`Run::open`].
    pub fn open_all(folders: &[PathBuf]) -> Result<Vec<Self>, JudgeError> {
        let paths: Vec<PathBuf> = folders.iter().map(|folder| whole(folder)).collect();
        let named = |(folder, name): (&PathBuf, String)| {
            let run = Self::open(folder)?;
            Ok(Self { name, ..run })
        };
        folders.iter().zip(names(&paths)).map(named).collect()
    }

    /// How many questions of each file of a benchmark were asked at most, where that is less than the benchmark's `custom`.
    pub(crate) fn limit(&self, benchmark: Benchmark, custom: Option<usize>) -> Option<usize> {
        let limit = self.results.as_ref()?.benchmarks.get(&benchmark)?.limit?;
        custom.is_none_or(|custom| limit < custom).then_some(limit)
    }

    /// The folder of the images, where the run names one.
    #[must_use]
    pub fn images(&self) -> Option<&Path> {
        self.results.as_ref()?.images.as_deref()
    }
}

/// A folder with all that is above it.
fn whole(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// The last `n` names of a path.
fn last_parts(path: &Path, n: usize) -> String {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return path.display().to_string();
    }
    names[names.len().saturating_sub(n)..].join("/")
}

/// What folders are called: each by as many of its last names as tell it from the others.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let mut n_parts = vec![1; paths.len()];
    loop {
        let parts = paths.iter().zip(&n_parts);
        let names: Vec<String> = parts.map(|(path, &n)| last_parts(path, n)).collect();
        let mut is_done = true;
        for (at, path) in paths.iter().enumerate() {
            let mut others = paths.iter().zip(&names);
            // A folder that is named twice is the same run.
            let is_doubtful = others.any(|(other, name)| other != path && *name == names[at]);
            if is_doubtful && n_parts[at] < path.components().count() {
                n_parts[at] += 1;
                is_done = false;
            }
        }
        if is_done {
            return names;
        }
    }
}

fn read(path: &Path) -> Result<Vec<Verdict>, JudgeError> {
    let text = text::read(path, &FORMAT)?;
    let mut seen = HashSet::new();
    let mut verdicts = Vec::new();
    for (i, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let bad = |problem: String| {
            let remedy = "evaluate again, or remove the line";
            JudgeError::unfit(path, format!("line {}: {problem}", i + 1), remedy)
        };
        let verdict: Verdict =
            serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        let sound = |[part, whole]: &[f64; 2]| part.is_finite() && whole.is_finite();
        if !verdict.measures.values().all(sound) {
            return Err(bad("a measure that is no number".to_owned()));
        }
        if !seen.insert(verdict.id.clone()) {
            return Err(bad(format!("a second verdict on {:?}", verdict.id)));
        }
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// Answers that nobody judged, which people can still compare: the items with their lengths.
fn unjudged(path: &Path) -> Result<Vec<Verdict>, JudgeError> {
    let mut seen = HashSet::new();
    let row = |(i, answer): (usize, Answer)| {
        let bad = |problem: String| {
            let remedy = "answers without a judge are compared by `id`, `image` and `question`: `candor eval run` writes them";
            JudgeError::unfit(path, format!("answer {}: {problem}", i + 1), remedy)
        };
        let (Some(id), Some(image), Some(question)) = (&answer.id, &answer.image, &answer.question)
        else {
            return Err(bad("`id`, `image` or `question` is missing".to_owned()));
        };
        if !seen.insert(id.clone()) {
            return Err(bad(format!("a second answer to {id:?}")));
        }
        let mut verdict = Verdict {
            id: id.clone(),
            image: image.clone(),
            question: question.clone(),
            answer: answer.text.clone(),
            ..Verdict::default()
        };
        verdict.add_length(&answer);
        Ok(verdict)
    };
    let rows = answers::read(path)?.into_iter().enumerate();
    rows.map(row).collect()
}

#[cfg(test)]
mod tests;

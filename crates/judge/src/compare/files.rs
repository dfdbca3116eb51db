//! The verdicts of a run, whichever command wrote them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use candor_data::formats::answers::{self, Answer};
use candor_data::formats::text::{self, Format};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Run;
use crate::exam::{add_chair, add_llava_bench, add_mmhal, add_pope, add_words};
use crate::measure::{Benchmark, Verdict};
use crate::people::OPEN;
use crate::score::Scored;
use crate::{JudgeError, pope};

const FORMAT: Format = Format {
    name: "Verdicts",
    expected: "JSON lines of verdicts",
};
const RESULTS: Format = Format {
    name: "Verdicts",
    expected: "the results of a run",
};

#[derive(Deserialize)]
struct Mmhal {
    id: String,
    image: String,
    question_type: String,
    question: String,
    reference: String,
    answer: String,
    score: u8,
}

#[derive(Deserialize)]
struct Pope {
    id: String,
    image: String,
    split: String,
    question: String,
    label: String,
    answer: String,
}

#[derive(Deserialize)]
struct Chair {
    image: String,
    question: String,
    answer: String,
    mentioned: BTreeSet<String>,
    present: BTreeSet<String>,
}

#[derive(Deserialize)]
struct LlavaBench {
    id: String,
    image: String,
    category: String,
    question: String,
    reference: String,
    answer: String,
    reference_mark: f64,
    mark: f64,
}

pub(super) fn open(folder: &Path) -> Result<Run, JudgeError> {
    let mut verdicts = BTreeMap::new();
    for benchmark in Benchmark::ALL {
        let path = folder.join(format!("verdicts/{}.jsonl", benchmark.key()));
        let answers = folder.join(format!("answers/{}.jsonl", benchmark.key()));
        if path.exists() {
            verdicts.insert(benchmark, read(benchmark, &path)?);
        } else if OPEN.contains(&benchmark) && answers.exists() {
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
    let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = name
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let scored = scored(&folder.join("results.json"))?;
    let named = scored.as_ref().and_then(|scored| scored.images.clone());
    Ok(Run {
        name: name.unwrap_or_else(|| folder.display().to_string()),
        verdicts,
        images: named.or_else(|| images(folder)),
        scored,
    })
}

/// The results of `candor eval score`; those of `candor eval` are of another shape and say nothing of a judge.
fn scored(path: &Path) -> Result<Option<Box<Scored>>, JudgeError> {
    if !path.exists() {
        return Ok(None);
    }
    let bad =
        |error: serde_json::Error| JudgeError::unfit(path, error.to_string(), "evaluate again");
    let value: serde_json::Value =
        serde_json::from_str(&text::read(path, &RESULTS)?).map_err(bad)?;
    if value.get("benchmark").is_none() {
        return Ok(None);
    }
    serde_json::from_value(value).map(Some).map_err(bad)
}

/// Where the pictures of a run of `candor eval` are, by its recipe.
fn images(folder: &Path) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Recipe {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        root: PathBuf,
        images: PathBuf,
    }
    let text = std::fs::read_to_string(folder.join("resolved.toml")).ok()?;
    let Recipe { data } = toml::from_str(&text).ok()?;
    Some(data.root.join(data.images))
}

fn read(benchmark: Benchmark, path: &Path) -> Result<Vec<Verdict>, JudgeError> {
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
        let verdict = one(benchmark, line).map_err(|error| bad(error.to_string()))?;
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
        let (Some(id), Some(image), Some(question)) = (answer.id, answer.image, answer.question)
        else {
            return Err(bad("`id`, `image` or `question` is missing".to_owned()));
        };
        if !seen.insert(id.clone()) {
            return Err(bad(format!("a second answer to {id:?}")));
        }
        let mut verdict = Verdict {
            id,
            image,
            question,
            answer: answer.text,
            ..Verdict::default()
        };
        add_words(&mut verdict);
        Ok(verdict)
    };
    let rows = answers::read(path)?.into_iter().enumerate();
    rows.map(row).collect()
}

/// A line of `candor eval score` or `run`, or of `candor eval` on the micro-world.
fn one(benchmark: Benchmark, line: &str) -> Result<Verdict, serde_json::Error> {
    fn of<T: DeserializeOwned>(line: &str) -> Result<T, serde_json::Error> {
        serde_json::from_str(line)
    }
    if serde_json::from_str::<serde_json::Value>(line)?
        .get("measures")
        .is_some()
    {
        return of(line);
    }
    match benchmark {
        Benchmark::Mmhal => of::<Mmhal>(line).map(mmhal),
        Benchmark::Pope => of::<Pope>(line).map(pope_verdict),
        Benchmark::Chair => of::<Chair>(line).map(chair),
        Benchmark::LlavaBench => of::<LlavaBench>(line).map(llava_bench),
        // The micro-world has none of these, so the line is told what it lacks.
        Benchmark::Mmbench | Benchmark::Own => of(line),
    }
}

fn mmhal(row: Mmhal) -> Verdict {
    let mut verdict = Verdict {
        id: row.id,
        image: row.image,
        group: row.question_type,
        question: row.question,
        reference: Some(row.reference),
        answer: row.answer,
        read_as: vec![row.score.to_string()],
        ..Verdict::default()
    };
    add_mmhal(&mut verdict, &[Some(row.score)], &[Some(row.score)]);
    verdict
}

fn pope_verdict(row: Pope) -> Verdict {
    let read = pope::read(&row.answer);
    let truth = row.label == "yes";
    let mut verdict = Verdict {
        id: row.id,
        image: row.image,
        group: row.split,
        question: row.question,
        reference: Some(row.label),
        answer: row.answer,
        read_as: vec![if read.yes { "yes" } else { "no" }.to_owned()],
        ..Verdict::default()
    };
    add_pope(&mut verdict, truth, read);
    verdict
}

fn chair(row: Chair) -> Verdict {
    let made_up: Vec<String> = row.mentioned.difference(&row.present).cloned().collect();
    let present: Vec<&str> = row.present.iter().map(String::as_str).collect();
    let mut verdict = Verdict {
        id: row.image.clone(),
        image: row.image,
        question: row.question,
        reference: Some(present.join(", ")),
        answer: row.answer,
        ..Verdict::default()
    };
    add_chair(
        &mut verdict,
        row.mentioned.len(),
        made_up.len(),
        row.present.len(),
    );
    verdict.read_as = made_up;
    verdict
}

fn llava_bench(row: LlavaBench) -> Verdict {
    let marks = [Some([row.reference_mark, row.mark])];
    let mut verdict = Verdict {
        id: row.id,
        image: row.image,
        group: row.category,
        question: row.question,
        reference: Some(row.reference),
        answer: row.answer,
        read_as: vec![format!("{} {}", row.reference_mark, row.mark)],
        ..Verdict::default()
    };
    add_llava_bench(&mut verdict, &marks, &marks);
    verdict
}

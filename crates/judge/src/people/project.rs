//! Projects of the annotation app: pairs of answers that people compare, and single ones that they rate.

use std::path::Path;

use candor_data::atomic;
use serde_json::{Value, json};

use super::{asked, ratings};
use crate::JudgeError;
use crate::images;
use crate::run::Run;
use crate::verdict::Verdict;

/// What a project is made of.
struct Parts<'a> {
    project: &'a str,
    guidelines: &'a str,
    /// The file that the project imports.
    name: &'a str,
    rows: Vec<Value>,
}

const PAIRS: Parts<'_> = Parts {
    project: include_str!("../../templates/people.toml"),
    guidelines: include_str!("../../templates/people-guidelines.md"),
    name: "pairs.json",
    rows: Vec::new(),
};

const ANSWERS: Parts<'_> = Parts {
    project: include_str!("../../templates/ratings.toml"),
    guidelines: include_str!("../../templates/ratings-guidelines.md"),
    name: "answers.json",
    rows: Vec::new(),
};

/// Writes `project.toml`, `guidelines.md` and `pairs.json` into a new folder; returns the number of pairs. `images` is the
/// folder of the images. `seed` decides what the app draws.
///
/// # Errors
/// There is a project already, the runs have nothing to compare, an image is missing, or the disk refuses.
pub fn write(out: &Path, runs: [&Run; 2], images: &Path, seed: u64) -> Result<usize, JudgeError> {
    let [first, second] = runs.map(|run| run.name.as_str());
    let mut rows = Vec::new();
    let differing = |item: &super::Asked<'_>| item.answers[0] != item.answers[1];
    for item in asked(runs).into_iter().filter(differing) {
        rows.push(json!({
            "id": item.name,
            "image": image(images, item.verdict, &item.name)?,
            "conversations": [{"from": "human", "value": format!("<image>\n{}", item.verdict.question)}],
            "output_1": item.answers[0],
            "output_2": item.answers[1],
            "model_1": first,
            "model_2": second,
        }));
    }
    if rows.is_empty() {
        let remedy = "people compare free answers: MMHal-Bench, LLaVA-Bench, CHAIR";
        let problem =
            format!("{first} and {second} answer nothing differently that both were asked");
        return Err(JudgeError::unfit(out, problem, remedy));
    }
    written(out, Parts { rows, ..PAIRS }, images, seed)
}

/// Writes `project.toml`, `guidelines.md` and `answers.json` into a new folder, in which people rate every free answer of the runs;
/// returns the number of answers.
///
/// # Errors
/// As [`write()`]; two runs have one name.
pub fn write_to_rate(
    out: &Path,
    runs: &[Run],
    images: &Path,
    seed: u64,
) -> Result<usize, JudgeError> {
    let mut rows = Vec::new();
    for item in ratings::asked(runs, out)? {
        rows.push(json!({
            "id": item.name,
            "image": image(images, item.verdict, &item.name)?,
            "question": item.verdict.question,
            "answer": item.verdict.answer,
        }));
    }
    if rows.is_empty() {
        let remedy = "people rate free answers: MMHal-Bench, LLaVA-Bench, CHAIR, Object-HalBench";
        return Err(JudgeError::unfit(
            out,
            "the runs have no free answers",
            remedy,
        ));
    }
    written(out, Parts { rows, ..ANSWERS }, images, seed)
}

/// The name of an item's image in the folder of the images.
fn image(images: &Path, verdict: &Verdict, name: &str) -> Result<String, JudgeError> {
    images::name_in(images, verdict).ok_or_else(|| {
        let wanted = verdict.file_name();
        let problem = format!("no image {wanted:?}, which {name:?} is about");
        JudgeError::unfit(images, problem, "give the folder that has it with --images")
    })
}

/// Writes a project into a new folder; returns the number of its rows.
fn written(out: &Path, parts: Parts<'_>, images: &Path, seed: u64) -> Result<usize, JudgeError> {
    let project = out.join("project.toml");
    if project.exists() {
        let remedy = "choose another folder; somebody may have worked in this one";
        return Err(JudgeError::unfit(&project, "it is there already", remedy));
    }
    let images = images.canonicalize().map_err(|source| JudgeError::Io {
        action: "find",
        path: images.to_owned(),
        remedy: "check --images",
        source,
    })?;
    // A string of JSON is one of TOML.
    let text = parts
        .project
        .replace("SEED", &seed.to_string())
        .replace("IMAGES", &json!(images.display().to_string()).to_string());
    let n = parts.rows.len();
    let rows = Value::Array(parts.rows).to_string() + "\n";
    atomic::write(&out.join(parts.name), rows.as_bytes())?;
    atomic::write(&out.join("guidelines.md"), parts.guidelines.as_bytes())?;
    // Last, because the project is complete once this file is there.
    atomic::write(&project, text.as_bytes())?;
    Ok(n)
}

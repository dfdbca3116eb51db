//! A new project, of a file of comparisons and a folder of images: with comments, guidelines to edit and both questions. Or one of
//! rankings, of all answers that several files have to one prompt.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use candor_data::formats::answer_sets::{self, AnswerSet, MAX_OUTPUTS, MIN_OUTPUTS};
use candor_data::formats::candidates;
use candor_data::{ComparisonFormat, DataError, Place, Spot, Turn, atomic};
use serde_json::json;

use crate::error::AnnotateError;
use crate::import::differing;
use crate::project::Project;

const PROJECT: &str = include_str!("new/project.toml");
const GUIDELINES: &str = include_str!("new/guidelines.md");
const RANKING_PROJECT: &str = include_str!("new/ranking.toml");
const RANKING_GUIDELINES: &str = include_str!("new/ranking.md");
/// The file of a project of rankings that has its answers.
const SETS: &str = "answer-sets.jsonl";

/// The name of a project's file.
pub const FILE: &str = "project.toml";

/// Writes `project.toml` and `guidelines.md` into a folder, and returns the project. `seed` decides what the app draws.
///
/// # Errors
/// [`AnnotateError::Data`] if the format of `comparisons` cannot be told or the disk refuses, [`AnnotateError::Io`] if a
/// path does not exist or cannot be written in a project file.
pub fn write(
    folder: &Path,
    comparisons: &Path,
    images: &Path,
    seed: u64,
) -> Result<Project, AnnotateError> {
    let format = ComparisonFormat::of(comparisons)?;
    let file = quoted(
        comparisons,
        "check the path of the comparisons, which the project names",
    )?;
    let images = quoted(
        images,
        "make the folder of images or name another; where they are at a URL, write it in the project afterwards",
    )?;
    let text = format!(
        "{}file = {file}\nformat = \"{}\"\nimages = {images}\n",
        PROJECT.replace("SEED", &seed.to_string()),
        format.name()
    );
    let path = folder.join(FILE);
    atomic::write(&folder.join("guidelines.md"), GUIDELINES.as_bytes())?;
    atomic::write(&path, text.as_bytes())?;
    Project::read(&path)
}

/// Writes `project.toml`, `guidelines.md` and `answer-sets.jsonl` into a folder, for people who rank the different answers that all
/// `files` (of candidates, or of answer sets) have to one prompt. Returns the project, and how many prompts have too few of them.
/// `ties` says whether answers may share a rank.
///
/// # Errors
/// As [`write`]; a prompt has more answers than people rank, none has enough, or two prompts have one id.
pub fn write_ranking(
    folder: &Path,
    files: &[PathBuf],
    images: &Path,
    seed: u64,
    ties: bool,
) -> Result<(Project, usize), AnnotateError> {
    let (sets, n_few) = sets(files)?;
    let images = quoted(
        images,
        "make the folder of images or name another; where they are at a URL, write it in the project afterwards",
    )?;
    let text = RANKING_PROJECT
        .replace("SEED", &seed.to_string())
        .replace("TIES", &ties.to_string());
    let text = format!("{text}file = \"{SETS}\"\nformat = \"answer_sets\"\nimages = {images}\n");
    let path = folder.join(FILE);
    answer_sets::write(&folder.join(SETS), &sets)?;
    atomic::write(&folder.join("guidelines.md"), RANKING_GUIDELINES.as_bytes())?;
    atomic::write(&path, text.as_bytes())?;
    Ok((Project::read(&path)?, n_few))
}

/// The sets of all files, and of how many prompts fewer than three answers differ.
fn sets(files: &[PathBuf]) -> Result<(Vec<AnswerSet>, usize), DataError> {
    let mut sets: Vec<AnswerSet> = Vec::new();
    let mut n_few = 0;
    let mut known: HashMap<String, &Path> = HashMap::new();
    for (file, rows) in by_prompt(files)? {
        let Some(set) = set(files, &rows)? else {
            n_few += 1;
            continue;
        };
        if let Some(other) = known.insert(set.id.clone(), file) {
            return Err(DataError::Field {
                spot: Spot::new(file, Place::File, "id"),
                found: format!(
                    "{:?} is the id of another prompt in {}",
                    set.id,
                    other.display()
                ),
                remedy:
                    "the ids of all files together must differ: give the rows of one file others"
                        .into(),
            });
        }
        sets.push(set);
    }
    if sets.is_empty() {
        let found = format!("none of {n_few} prompts has {MIN_OUTPUTS} different answers");
        let remedy = "name several files that one recipe sampled with different seeds; two answers are compared, without --rank";
        return Err(of_answers(files, found, remedy));
    }
    Ok((sets, n_few))
}

/// The rows of each prompt (the same image and turns) together, with the file of the first of them, in the order of their first rows.
fn by_prompt(files: &[PathBuf]) -> Result<Vec<(&Path, Vec<AnswerSet>)>, DataError> {
    let mut prompts: Vec<(&Path, Vec<AnswerSet>)> = Vec::new();
    let mut places: HashMap<(Option<String>, Vec<Turn>), usize> = HashMap::new();
    for file in files {
        for row in rows(file)? {
            let prompt = (row.image.clone(), row.turns.clone());
            let place = *places.entry(prompt).or_insert_with(|| {
                prompts.push((file.as_path(), Vec::new()));
                prompts.len() - 1
            });
            prompts[place].1.push(row);
        }
    }
    Ok(prompts)
}

/// The rows of a file of answer sets, or those of a file of candidates, which have two answers each.
fn rows(file: &Path) -> Result<Vec<AnswerSet>, DataError> {
    if !ComparisonFormat::of(file).is_ok_and(|format| format == ComparisonFormat::Candidates) {
        return answer_sets::read(file);
    }
    let sampled = candidates::read(file)?.into_iter();
    let rows = sampled.map(|row| AnswerSet {
        id: row.id,
        image: row.image,
        turns: row.turns,
        original_answer: row.original_answer,
        outputs: row.outputs.into(),
    });
    Ok(rows.collect())
}

/// The different answers to one prompt; none where they are too few.
fn set(files: &[PathBuf], rows: &[AnswerSet]) -> Result<Option<AnswerSet>, DataError> {
    let outputs: Vec<String> = rows.iter().flat_map(|row| row.outputs.clone()).collect();
    let outputs = differing(&outputs);
    let Some(first) = rows.first().filter(|_| outputs.len() >= MIN_OUTPUTS) else {
        return Ok(None);
    };
    if outputs.len() > MAX_OUTPUTS {
        let found = format!(
            "{} different answers to the prompt of {:?}",
            outputs.len(),
            first.id
        );
        let remedy = match files {
            [_] => "leave rows of the prompt out: people rank eight answers at most",
            _ => "name fewer files, or leave rows out: people rank eight answers at most",
        };
        return Err(of_answers(files, found, remedy));
    }
    Ok(Some(AnswerSet {
        id: first.id.clone(),
        image: first.image.clone(),
        turns: first.turns.clone(),
        original_answer: first.original_answer.clone(),
        outputs,
    }))
}

/// What is wrong with the answers of all files together.
fn of_answers(files: &[PathBuf], found: String, remedy: &'static str) -> DataError {
    let first = files.first().map_or(Path::new(""), PathBuf::as_path);
    DataError::Field {
        spot: Spot::new(first, Place::File, "outputs"),
        found,
        remedy: remedy.into(),
    }
}

/// The whole path of what is there, as a string of TOML, which one of JSON is too.
fn quoted(path: &Path, remedy: &'static str) -> Result<String, AnnotateError> {
    let whole = path.canonicalize().and_then(|whole| {
        let text = whole.to_str().map(|text| json!(text).to_string());
        text.ok_or_else(|| io::Error::other("the path is not in UTF-8"))
    });
    whole.map_err(|source| AnnotateError::Io {
        action: "name",
        place: path.display().to_string(),
        remedy,
        source,
    })
}

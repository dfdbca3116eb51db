//! A new project, of a file of comparisons and a folder of images: with comments, guidelines to edit and both questions. Or one of
//! rankings, of all answers that several files have to one prompt.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use candor_data::formats::answer_sets::{self, AnswerSet, MAX_OUTPUTS, MIN_OUTPUTS};
use candor_data::formats::candidates::{self, Candidate};
use candor_data::formats::images::decode_all;
use candor_data::{ComparisonFormat, DataError, Place, Spot, atomic};
use serde_json::json;

use crate::error::AnnotateError;
use crate::import::{Imported, check_set, differing};
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
/// `files` (of candidates, or of answer sets) have to one prompt. Returns what the project will import, and how many prompts have too few
/// of them. `ties` says whether answers may share a rank; `progress` is told now and then how many images of a file are decoded, of how many.
///
/// # Errors
/// As [`write()`]; a row could not be trained on, an image is missing or damaged, a prompt has more answers than people rank, none has
/// enough, or two prompts have one id.
pub fn write_ranking(
    folder: &Path,
    files: &[PathBuf],
    images: &Path,
    seed: u64,
    ties: bool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Imported, AnnotateError> {
    let (sets, n_equal) = sets(files)?;
    let named = quoted(
        images,
        "make the folder of images or name another; where they are at a URL, write it in the project afterwards",
    )?;
    let text = RANKING_PROJECT
        .replace("SEED", &seed.to_string())
        .replace("TIES", &ties.to_string());
    let text = format!("{text}file = \"{SETS}\"\nformat = \"answer_sets\"\nimages = {named}\n");
    let path = folder.join(FILE);
    atomic::write(&folder.join("guidelines.md"), RANKING_GUIDELINES.as_bytes())?;
    atomic::write(&path, text.as_bytes())?;
    let limits = Project::read(&path)?.image_limits();
    for file in files {
        // By the rows of this file, which people have, and not by those of the project's own, which is not there yet.
        let mut shown: Vec<Option<&str>> = Vec::new();
        for found in sets.iter().filter(|found| found.file == file) {
            shown.resize(found.row, None);
            shown.push(found.set.image.as_deref());
        }
        decode_all(file, shown, images, &limits, progress)?;
    }
    let sets: Vec<AnswerSet> = sets.into_iter().map(|found| found.set).collect();
    answer_sets::write(&folder.join(SETS), &sets)?;
    Ok(Imported {
        n_new: sets.len(),
        n_equal,
        left_behind: None,
    })
}

/// Answers to a prompt, and the row of a file that they, or the first of them, stand in.
struct Found<'a> {
    file: &'a Path,
    row: usize,
    set: AnswerSet,
}

/// The sets of all files, and of how many prompts fewer than three answers differ.
fn sets(files: &[PathBuf]) -> Result<(Vec<Found<'_>>, usize), DataError> {
    let mut sets: Vec<Found<'_>> = Vec::new();
    let mut n_few = 0;
    let mut known: HashMap<String, &Path> = HashMap::new();
    for rows in prompts(files)? {
        let Some(found) = set(files, &rows)? else {
            n_few += 1;
            continue;
        };
        if let Some(other) = known.insert(found.set.id.clone(), found.file) {
            return Err(DataError::Field {
                spot: Spot::new(found.file, Place::File, "id"),
                found: format!(
                    "{:?} is the id of another prompt in {}",
                    found.set.id,
                    other.display()
                ),
                remedy:
                    "the ids of all files together must differ: give the rows of one file others"
                        .into(),
            });
        }
        sets.push(found);
    }
    if sets.is_empty() {
        let found = format!("none of {n_few} prompts has {MIN_OUTPUTS} different answers");
        let remedy = "name several files that one recipe sampled with different seeds; two answers are compared, without --rank";
        return Err(of_answers(files, found, remedy));
    }
    Ok((sets, n_few))
}

/// The rows of each prompt together, in the order of their first rows.
fn prompts(files: &[PathBuf]) -> Result<Vec<Vec<Found<'_>>>, DataError> {
    let mut all: Vec<Found<'_>> = Vec::new();
    for file in files {
        for (row, set) in rows(file)?.into_iter().enumerate() {
            check_set(file, row, &set)?;
            all.push(Found { file, row, set });
        }
    }
    let prompt = |found: &Found<'_>| (found.set.image.clone(), found.set.turns.clone());
    Ok(candidates::by_prompt(all, prompt))
}

/// The rows of a file of answer sets, or those of a file of candidates, which have two answers each. Of candidates those that were cut
/// at the limit are left out: whoever learns from one learns to end there.
fn rows(file: &Path) -> Result<Vec<AnswerSet>, DataError> {
    if !ComparisonFormat::of(file).is_ok_and(|format| format == ComparisonFormat::Candidates) {
        return answer_sets::read(file);
    }
    let sampled = candidates::read(file)?;
    let n_cut: usize = sampled.iter().map(Candidate::n_cut).sum();
    if n_cut > 0 {
        tracing::warn!(
            "{}: {n_cut} answers are left out, because they were cut at the limit (sampling.max_new_tokens)",
            file.display()
        );
    }
    let rows = sampled.into_iter().map(|row| {
        let outputs = row.outputs.into_iter().zip(row.sampling.finished);
        let outputs = outputs.filter_map(|(output, finished)| finished.then_some(output));
        AnswerSet {
            id: row.id,
            image: row.image,
            turns: row.turns,
            original_answer: row.original_answer,
            outputs: outputs.collect(),
        }
    });
    Ok(rows.collect())
}

/// The different answers to one prompt; none where they are too few.
fn set<'a>(files: &[PathBuf], rows: &[Found<'a>]) -> Result<Option<Found<'a>>, DataError> {
    let outputs = rows.iter().flat_map(|row| row.set.outputs.clone());
    let outputs = differing(&outputs.collect::<Vec<_>>());
    let Some(first) = rows.first().filter(|_| outputs.len() >= MIN_OUTPUTS) else {
        return Ok(None);
    };
    if outputs.len() > MAX_OUTPUTS {
        let found = format!(
            "{} different answers to the prompt of {:?}",
            outputs.len(),
            first.set.id
        );
        let remedy = match files {
            [_] => "leave rows of the prompt out: people rank eight answers at most",
            _ => "name fewer files, or leave rows out: people rank eight answers at most",
        };
        return Err(of_answers(files, found, remedy));
    }
    let set = AnswerSet {
        outputs,
        ..first.set.clone()
    };
    Ok(Some(Found { set, ..*first }))
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

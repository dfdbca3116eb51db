//! Candor's own file of answer pairs that wait to be compared: JSON lines.
//!
//! A row holds what both answers respond to, the two answers, and everything it takes to sample them again.
//! The public format of preferences has no place for pairs that nobody has judged yet; annotators, human or
//! simulated, read this one and write `preference` and `preference_log`.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::preference_log::context_fault;
use super::table::{self, Fault, Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::comparison::Comparison;
use crate::conversation::Turn;
use crate::error::DataError;

pub(crate) const FORMAT: Format = Format {
    name: "Candidates",
    expected: "JSON lines of answer pairs",
};

/// Two answers to one context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Name of the pair: a key.
    pub id: String,
    /// File name relative to an image folder, or several ([`crate::shown`]).
    #[serde(
        default,
        with = "crate::shown",
        skip_serializing_if = "Option::is_none"
    )]
    pub image: Option<String>,
    /// What both outputs respond to: alternating turns that end in a human one.
    #[serde(rename = "conversations")]
    pub turns: Vec<Turn>,
    /// The data set's own answer, which the outputs stand in for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_answer: Option<String>,
    /// The two answers.
    pub outputs: [String; 2],
    /// How they came about.
    pub sampling: Sampling,
}

/// What it takes to sample a pair again.
///
/// Two runs with equal values here draw the same random numbers. They give the same answers to the last byte
/// on one machine; on another, or with other batches, the last bits of the logits may differ, and with them now
/// and then a token. `batch_rows` and `chunk` are recorded because they decide the batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// The model's folder, as the recipe named it.
    pub model: String,
    /// SHA-256 over weights, tokenizer and template.
    pub model_fingerprint: String,
    /// The folder of the adapter on it, as the recipe named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// SHA-256 over the adapter's weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_fingerprint: Option<String>,
    /// Decides every draw, together with `index`, the answer (0 or 1) and the token's position.
    pub seed: u64,
    /// Logits are divided by it; 0 is greedy.
    pub temperature: f64,
    /// Only the smallest set of tokens with at least this probability is sampled from; 1 is all.
    pub top_p: f64,
    /// Longest answer, its end token included.
    pub max_new_tokens: usize,
    /// Sequences that were decoded together, at most.
    pub batch_rows: usize,
    /// Prompts that batches were made of at a time.
    pub chunk: usize,
    /// Index of the prompt in its file, from 0.
    pub index: u64,
    /// Whether each answer ended by itself rather than at the limit.
    pub finished: [bool; 2],
    /// Tokens of each answer, the end token not counted.
    pub n_tokens: [usize; 2],
}

impl Candidate {
    /// Whether both answers are the same text, so that there is nothing to compare.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.outputs[0] == self.outputs[1]
    }

    /// How many of its answers were cut at the limit. Whoever learns from such an answer learns to end there, since an answer of a
    /// conversation is followed by its end.
    #[must_use]
    pub fn n_cut(&self) -> usize {
        let finished = self.sampling.finished.iter();
        finished.filter(|finished| !**finished).count()
    }

    /// Whether an answer (0 or 1) can be learned from: it ended by itself, and says something.
    #[must_use]
    pub fn is_whole(&self, answer: usize) -> bool {
        self.sampling.finished[answer] && !self.outputs[answer].trim().is_empty()
    }

    /// How many of its answers cannot be learned from.
    #[must_use]
    pub fn n_not_whole(&self) -> usize {
        (0..self.outputs.len())
            .filter(|answer| !self.is_whole(*answer))
            .count()
    }
}

impl From<Candidate> for Comparison {
    fn from(pair: Candidate) -> Self {
        let model = match pair.sampling.adapter {
            Some(adapter) => format!("{} + {adapter}", pair.sampling.model),
            None => pair.sampling.model,
        };
        Self {
            id: pair.id,
            image: pair.image,
            turns: pair.turns,
            original_answer: pair.original_answer,
            outputs: pair.outputs,
            models: Some([model.clone(), model]),
            group: None,
            judgement: None,
            severity: None,
        }
    }
}

/// The rows of each prompt (the same image and turns, which `prompt` gives) together, the prompts in the order of their first row.
/// Rows of several files, which a recipe with other seeds sampled, hold more than two answers to a prompt.
#[must_use]
pub fn by_prompt<T>(
    rows: Vec<T>,
    prompt: impl Fn(&T) -> (Option<String>, Vec<Turn>),
) -> Vec<Vec<T>> {
    let mut prompts: Vec<Vec<T>> = Vec::new();
    let mut places: HashMap<(Option<String>, Vec<Turn>), usize> = HashMap::new();
    for row in rows {
        let place = *places.entry(prompt(&row)).or_insert_with(|| {
            prompts.push(Vec::new());
            prompts.len() - 1
        });
        prompts[place].push(row);
    }
    prompts
}

/// What is wrong with a row, if anything is.
pub(super) fn row_fault(row: &Candidate) -> Option<Fault> {
    context_fault(&row.turns, row.image.as_deref()).or_else(|| sampling_fault(&row.sampling))
}

fn sampling_fault(sampling: &Sampling) -> Option<Fault> {
    let Sampling {
        temperature,
        top_p,
        max_new_tokens,
        n_tokens,
        ..
    } = sampling;
    if !(temperature.is_finite() && *temperature >= 0.0) {
        let found = format!("found {temperature}, expected a finite number of at least 0");
        return fault("sampling.temperature", found);
    }
    if !(0.0..=1.0).contains(top_p) {
        let found = format!("found {top_p}, expected a number from 0 to 1");
        return fault("sampling.top_p", found);
    }
    let longer = (0..2).find(|&k| n_tokens[k] > *max_new_tokens)?;
    fault(
        format!("sampling.n_tokens[{longer}]"),
        format!(
            "found {} tokens, more than max_new_tokens = {max_new_tokens}",
            n_tokens[longer]
        ),
    )
}

fn check(table: &Table<'_, Candidate>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique("id", |row| row.id.as_str())?
        .each(row_fault)
        .map(drop)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Candidate>, DataError> {
    table::parse_lines(path, text, &FORMAT, check)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Candidate>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// What is to be said of the answers of a file that were cut at the limit, before somebody compares them; nothing where none was.
///
/// # Errors
/// As [`read`].
pub fn cut_in_words(path: &Path) -> Result<Option<String>, DataError> {
    let rows = read(path)?;
    let n_cut: usize = rows.iter().map(Candidate::n_cut).sum();
    let n = 2 * rows.len();
    Ok((n_cut > 0).then(|| {
        format!(
            "{n_cut} of {n} answers were cut at the limit (sampling.max_new_tokens), and who learns from them learns to end there"
        )
    }))
}

/// The text of a file with these rows.
///
/// # Errors
/// [`DataError`] for rows that [`parse`] would refuse.
pub fn render(path: &Path, rows: &[Candidate]) -> Result<String, DataError> {
    table::render_lines(path, rows, &FORMAT, check)
}

/// Writes a file with these rows.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, rows: &[Candidate]) -> Result<(), DataError> {
    atomic::write(path, render(path, rows)?.as_bytes())
}

//! The finished chunks of a run, `parts/N.jsonl`, from which a resumed run goes on.
//!
//! A part is in the format of the result, so each of its rows says how it was sampled, and a part can be told
//! from one of another model or of other prompts.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use candor_data::formats::candidates::{self, Candidate, Sampling};
use candor_data::{DataError, atomic};
use candor_run::RunError;

use crate::SampleError;

/// What is known of a chunk.
#[derive(Debug)]
pub(crate) enum Part {
    /// It was sampled before.
    Kept(Vec<Candidate>),
    /// It was not.
    Missing,
    /// Its file cannot be used; why.
    Damaged(String),
}

/// The file of chunk `number`, from 0.
pub(crate) fn path(out: &Path, number: usize) -> PathBuf {
    out.join("parts").join(format!("{number:06}.jsonl"))
}

/// Reads a part. `expected` are its rows without answers.
///
/// # Errors
/// It was sampled from another model or from other prompts than `expected`.
pub(crate) fn read(out: &Path, number: usize, expected: &[Candidate]) -> Result<Part, SampleError> {
    let path = path(out, number);
    if !path.exists() {
        return Ok(Part::Missing);
    }
    let rows = match candidates::read(&path) {
        Ok(rows) if rows.len() == expected.len() => rows,
        Ok(rows) => {
            let (n, expected) = (rows.len(), expected.len());
            return Ok(Part::Damaged(format!(
                "{}: {n} rows, expected {expected}",
                path.display()
            )));
        }
        Err(error) => return Ok(Part::Damaged(error.to_string())),
    };
    match changed(&rows, expected) {
        None => Ok(Part::Kept(rows)),
        Some(what) => Err(SampleError::Run(RunError::InputsChanged {
            dir: out.to_path_buf(),
            names: vec![what.to_owned()],
        })),
    }
}

/// Writes the rows of all parts to the run's `candidates.jsonl`, no more than one part in memory.
///
/// # Errors
/// A part cannot be read any more, or the file cannot be written.
pub(crate) fn put_together(out: &Path, n_parts: usize) -> Result<(), DataError> {
    let mut unread = None;
    let written = atomic::write_with(&out.join("candidates.jsonl"), |file| {
        for number in 0..n_parts {
            let part = path(out, number);
            let text = candidates::read(&part).and_then(|rows| candidates::render(&part, &rows));
            match text {
                Ok(text) => file.write_all(text.as_bytes())?,
                Err(error) => {
                    unread = Some(error);
                    return Err(io::Error::other("a part cannot be read"));
                }
            }
        }
        Ok(())
    });
    unread.map_or(written, Err)
}

/// Which input the rows were not sampled from, if they differ from the expected ones in more than answers.
fn changed(rows: &[Candidate], expected: &[Candidate]) -> Option<&'static str> {
    let differ =
        |(row, expected): &(&Candidate, &Candidate)| unanswered(row) != unanswered(expected);
    let (row, expected) = rows.iter().zip(expected).find(differ)?;
    let (then, now) = (&row.sampling, &expected.sampling);
    Some(if then.model_fingerprint != now.model_fingerprint {
        "model"
    } else if then.adapter_fingerprint != now.adapter_fingerprint {
        "adapter"
    } else {
        "prompts"
    })
}

/// The row without its answers, and without what a resume may change.
fn unanswered(row: &Candidate) -> Candidate {
    Candidate {
        outputs: <[String; 2]>::default(),
        sampling: Sampling {
            finished: [false; 2],
            n_tokens: [0; 2],
            batch_rows: 0,
            ..row.sampling.clone()
        },
        ..row.clone()
    }
}

//! How much may be said: bounds on marks, corrections and notes.

use super::{Corrections, Mark};
use crate::error::Refusal;

/// Longest correction, in characters.
pub const MAX_CORRECTION_CHARS: usize = 20_000;
/// Longest note, in characters.
pub const MAX_NOTE_CHARS: usize = 2_000;
/// Most marks in one answer.
pub const MAX_MARKS: usize = 200;

/// Refuses too many marks, and marks outside of their text.
pub(super) fn check_marks(marks: &[Mark], texts: [&str; 2]) -> Result<(), Refusal> {
    if marks.len() > MAX_MARKS {
        let found = format!("{} marks, at most {MAX_MARKS} are allowed", marks.len());
        return Err(Refusal::invalid("marks", found, "mark fewer, longer spans"));
    }
    let n_chars = texts.map(|text| text.chars().count());
    for (i, mark) in marks.iter().enumerate() {
        let n = n_chars[mark.answer.index()];
        if mark.start >= mark.end || mark.end > n {
            let found = format!(
                "{}..{} in an answer of {n} characters",
                mark.start, mark.end
            );
            let remedy = "give offsets in characters, the end after the start";
            return Err(Refusal::invalid(format!("marks[{i}]"), found, remedy));
        }
    }
    Ok(())
}

/// Refuses corrections that are too long.
pub(super) fn check_corrections(corrections: &Corrections) -> Result<(), Refusal> {
    for (field, text) in [
        ("corrections.a", &corrections.a),
        ("corrections.b", &corrections.b),
    ] {
        check_length(field, text.as_deref(), MAX_CORRECTION_CHARS)?;
    }
    Ok(())
}

/// Refuses a correction of a second answer where there is one.
pub(super) fn check_single(outputs: &[String], corrections: &Corrections) -> Result<(), Refusal> {
    if outputs.len() == 1 && corrections.b.is_some() {
        let remedy = "correct the answer that is shown, `a`";
        let found = "found where one answer is rated";
        return Err(Refusal::invalid("corrections.b", found, remedy));
    }
    Ok(())
}

/// Refuses a note that is too long.
pub(super) fn check_note(note: Option<&str>) -> Result<(), Refusal> {
    check_length("note", note, MAX_NOTE_CHARS)
}

/// Refuses a text of more than `max` characters.
///
/// # Errors
/// [`Refusal::Invalid`] naming the field.
pub(crate) fn check_length(field: &str, text: Option<&str>, max: usize) -> Result<(), Refusal> {
    let n = text.map_or(0, |text| text.chars().count());
    if n > max {
        let found = format!("{n} characters, at most {max} are allowed");
        return Err(Refusal::invalid(field, found, "shorten it"));
    }
    Ok(())
}

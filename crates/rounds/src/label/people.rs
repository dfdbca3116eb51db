//! What people said of a round's answers, which must be of these answers and no others.

use std::collections::HashSet;

use candor_data::formats::candidates;
use candor_data::formats::images::content_name;
use candor_data::{ComparisonFormat, Turn};

use super::{Answers, Labels};
use crate::RoundsError;

/// An answer with what it responds to.
type Answer = (Option<String>, Vec<Turn>, String);

/// Reads the comparisons that were exported.
///
/// # Errors
/// The file cannot be read, or compares an answer that was not sampled in this round.
pub(super) fn said(answers: Answers<'_>) -> Result<Labels, RoundsError> {
    let mut sampled: HashSet<Answer> = HashSet::new();
    for file in answers.candidates {
        for row in candidates::read(file)? {
            for output in &row.outputs {
                let text = output.trim().to_owned();
                sampled.insert((row.image.clone(), row.turns.clone(), text));
            }
        }
    }
    let path = answers.preferences;
    let mut named = |bytes: &[u8]| Ok(content_name(bytes));
    let rows = ComparisonFormat::of(path)?.read(path, &mut named)?;
    for row in &rows {
        for output in &row.outputs {
            let text = output.trim().to_owned();
            if sampled.contains(&(row.image.clone(), row.turns.clone(), text)) {
                continue;
            }
            return Err(RoundsError::Unfit {
                path: path.to_owned(),
                problem: format!(
                    "{} compares an answer that is not one of this round's to the prompt",
                    row.id
                ),
                remedy: format!(
                    "export what was said of {} and remove this file",
                    answers.for_people().display()
                ),
            });
        }
    }
    let judged = rows.iter().filter(|row| row.preferred().is_some());
    Ok(Labels {
        n_preferences: judged.count(),
        score_mean: None,
        best_score_mean: None,
    })
}

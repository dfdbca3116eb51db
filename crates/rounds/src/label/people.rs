//! What people said of a round's answers, which must be of these answers and no others.

use std::collections::HashMap;

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
/// The file cannot be read, or compares an answer that was not sampled in this round or was cut at the limit, or a blank one.
pub(super) fn said(answers: Answers<'_>) -> Result<Labels, RoundsError> {
    // Whether each is whole, where it was sampled several times at least once.
    let mut sampled: HashMap<Answer, bool> = HashMap::new();
    let mut n_cut = 0;
    for file in answers.candidates {
        for row in candidates::read(file)? {
            n_cut += row.n_not_whole();
            for (place, output) in row.outputs.iter().enumerate() {
                let text = output.trim().to_owned();
                let answer = (row.image.clone(), row.turns.clone(), text);
                *sampled.entry(answer).or_default() |= row.is_whole(place);
            }
        }
    }
    let path = answers.preferences;
    let mut named = |bytes: &[u8]| Ok(content_name(bytes));
    let rows = ComparisonFormat::of(path)?.read(path, &mut named)?;
    let mut cut = Vec::new();
    for row in &rows {
        let mut is_whole = true;
        for output in &row.outputs {
            let text = output.trim().to_owned();
            let answer = (row.image.clone(), row.turns.clone(), text);
            if let Some(whole) = sampled.get(&answer) {
                is_whole &= whole;
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
        if !is_whole {
            cut.push(row.id.as_str());
        }
    }
    if let Some(first) = cut.first() {
        return Err(RoundsError::Unfit {
            path: path.to_owned(),
            problem: format!(
                "{} of {} rows compare answers that were cut at the limit or are blank, the first of them {first}",
                cut.len(),
                rows.len()
            ),
            remedy: "remove these rows: who learns from such an answer learns to end there, or to be silent"
                .to_owned(),
        });
    }
    let judged = rows.iter().filter(|row| row.preferred().is_some());
    Ok(Labels {
        n_cut,
        n_preferences: judged.count(),
        score_mean: None,
        best_score_mean: None,
    })
}

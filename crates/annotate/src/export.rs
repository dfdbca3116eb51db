//! Judgements go out. Only items of work do: gold and training never leave.

use std::path::Path;

use candor_data::formats::preference_log;
use candor_data::{Preference, Record, Verdict};

use crate::answer::Pick;
use crate::error::AnnotateError;
use crate::store::{Judged, Store};

/// What an export came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file's text.
    pub text: String,
    /// Rows in it.
    pub n_rows: usize,
    /// Items with answers but without a decision, which are left out.
    pub n_undecided: usize,
}

/// The preference log of what most annotators say.
///
/// # Errors
/// [`AnnotateError::NothingToExport`] while nothing is decided, or as the database says.
pub async fn preference_log(store: &Store, seed: u64) -> Result<Exported, AnnotateError> {
    let judged = store.judged().await?;
    let rows: Vec<Preference> = judged
        .iter()
        .filter_map(|item| majority(item, seed))
        .collect();
    if rows.is_empty() {
        return Err(AnnotateError::NothingToExport {
            format: "preference_log",
            found: format!("{} items have answers, and none a majority", judged.len()),
            remedy: "wait for more answers, or decide in the adjudication queue",
        });
    }
    Ok(Exported {
        text: preference_log::render(Path::new("export"), &rows)?,
        n_rows: rows.len(),
        n_undecided: judged.len() - rows.len(),
    })
}

/// The preference with more than half of an item's answers, told as the first answer that has it.
fn majority(item: &Judged, seed: u64) -> Option<Preference> {
    let n_of = |pick: Pick| {
        item.answers
            .iter()
            .filter(|given| given.answer.preference() == pick)
            .count()
    };
    let winner = [Pick::A, Pick::B]
        .into_iter()
        .find(|&pick| 2 * n_of(pick) > item.answers.len())?;
    let told = item
        .answers
        .iter()
        .find(|given| given.answer.preference() == winner)?;
    Some(Preference {
        id: item.name.clone(),
        image: item.image.clone(),
        turns: item.turns.clone(),
        original_answer: item.original_answer.clone(),
        outputs: item.outputs.clone(),
        fewer_hallucinations: Verdict::from(told.answer.first),
        more_helpful: told.answer.second.and_then(Pick::side),
        record: Some(Record {
            annotator: told.name.clone(),
            unix_secs: (told.answered_at / 1000) as u64,
            seed,
            shown_left: told.shown_left,
        }),
    })
}

//! Comparisons whose right answers are known, as gold, as training items, or (without their answers) as work.

use std::collections::HashMap;
use std::path::Path;

use candor_data::{Preference, Verdict};
use serde::Deserialize;

use super::{Comparison, from_comparison};
use crate::answer::Pick;
use crate::error::AnnotateError;
use crate::project::{Import, Kind};
use crate::store::{Known, NewItem};
use crate::task::Expected;

/// What a line of a preference log may say besides: why the answer is right.
#[derive(Deserialize)]
struct Explained {
    id: String,
    #[serde(default)]
    explanation: Option<String>,
}

/// The items of a preference log, with the explanations that its lines may carry.
pub(super) fn with_explanations(
    import: &Import,
    file: &Path,
    rows: Vec<Preference>,
) -> Result<Vec<NewItem>, AnnotateError> {
    let text = std::fs::read_to_string(file).map_err(|source| AnnotateError::Io {
        action: "read",
        place: file.display().to_string(),
        remedy: "check that the file stays while it is imported",
        source,
    })?;
    let explanations: HashMap<String, String> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Explained>(line).ok())
        .filter_map(|row| Some((row.id, row.explanation?)))
        .collect();
    let explained = |row| {
        let mut item = from_preference(import, row);
        if let Some(known) = &mut item.known {
            known.explanation = explanations.get(&item.name).cloned();
        }
        item
    };
    Ok(rows.into_iter().map(explained).collect())
}

/// The item of a comparison. A second answer counts only where the first question left it open.
pub(super) fn from_preference(import: &Import, row: Preference) -> NewItem {
    let second = match row.fewer_hallucinations {
        Verdict::Tie => row.more_helpful.map(Pick::of),
        Verdict::First | Verdict::Second => None,
    };
    let first = row.fewer_hallucinations.side().map_or(Pick::Tie, Pick::of);
    let comparison = Comparison {
        id: row.id,
        image: row.image,
        turns: row.turns,
        outputs: row.outputs,
        original_answer: row.original_answer,
        models: None,
    };
    NewItem {
        known: (import.kind != Kind::Work).then_some(Known {
            expected: Expected { first, second },
            explanation: None,
        }),
        ..from_comparison(import, comparison)
    }
}

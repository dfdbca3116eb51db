//! Answers that were rated one by one, with what everybody said of them. Those that wait for an adjudicator are left out: what they come to
//! is not settled.

use candor_data::conversation::IMAGE_PLACEHOLDER;
use candor_data::formats::ratings::{FalseWords, RatedItem, Rating};

use crate::answer::Mark;
use crate::store::{Given, Rated};

/// The rows of all closed items that are not disputed.
pub(super) fn rows(items: &[Rated]) -> Vec<RatedItem> {
    let closed = items.iter().filter(|item| item.is_closed);
    let settled = closed.filter(|item| !item.is_disputed);
    settled.filter_map(row).collect()
}

/// An item's row; none where nobody rated it.
fn row(item: &Rated) -> Option<RatedItem> {
    let question = item.turns.last()?.value.replace(IMAGE_PLACEHOLDER, "");
    let row = RatedItem {
        id: item.name.clone(),
        image: item.image.clone(),
        question: question.trim().to_owned(),
        answer: item.output.clone(),
        ratings: item.answers.iter().filter_map(rating).collect(),
        decided: item.decision.as_ref().and_then(|given| given.answer.rating),
    };
    (!row.counted().is_empty()).then_some(row)
}

fn rating(given: &Given) -> Option<Rating> {
    Some(Rating {
        annotator: given.name.clone(),
        rating: given.answer.rating?,
        unix_secs: (given.answered_at / 1000) as u64,
        marks: given.answer.marks.iter().map(false_words).collect(),
        correction: given.answer.corrections.a.clone(),
        note: given.answer.note.clone(),
    })
}

fn false_words(mark: &Mark) -> FalseWords {
    let kind = serde_json::json!(mark.kind);
    FalseWords {
        start: mark.start,
        end: mark.end,
        kind: kind.as_str().unwrap_or_default().to_owned(),
    }
}

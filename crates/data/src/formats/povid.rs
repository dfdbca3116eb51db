//! POVID's preferences (arXiv 2402.11411) and their like: a conversation, and the same with another last answer in
//! `rejected_conversations`. The answer of `conversations` is the better one.

use serde::Deserialize;

use super::table::Fault;
use super::text::Format;
use super::trl;
use crate::comparison::{Comparison, Judgement};
use crate::conversation::{Speaker, Turn, text_or_integer};
use crate::preference::Side;

pub(super) const FORMAT: Format = Format {
    name: "POVID",
    expected: "rows with conversations and rejected_conversations",
};

/// A row as the files have it.
#[derive(Deserialize)]
pub(super) struct Row {
    #[serde(deserialize_with = "text_or_integer")]
    id: String,
    #[serde(default, alias = "images", with = "crate::shown")]
    image: Option<String>,
    conversations: Vec<Turn>,
    rejected_conversations: Vec<Turn>,
}

/// The last turn, which is an answer.
fn answer(field: &str, turns: &mut Vec<Turn>) -> Result<String, Fault> {
    let last = turns.pop_if(|turn| turn.from == Speaker::Gpt);
    last.map(|turn| turn.value)
        .ok_or_else(|| (field.to_owned(), "found no answer of gpt at its end".into()))
}

/// The comparison that a row says, the preferred answer first.
pub(super) fn comparison(mut row: Row) -> Result<Comparison, Fault> {
    const REJECTED: &str = "rejected_conversations";
    let chosen = answer("conversations", &mut row.conversations)?;
    let rejected = answer(REJECTED, &mut row.rejected_conversations)?;
    if row.conversations != row.rejected_conversations {
        return Err((
            REJECTED.into(),
            "found other turns before the last answer than in `conversations`".into(),
        ));
    }
    let comparison = Comparison {
        id: row.id,
        image: row.image,
        turns: row.conversations,
        original_answer: None,
        outputs: [chosen, rejected],
        models: None,
        group: None,
        judgement: Some(Judgement::for_side(Side::First)),
        severity: None,
    };
    trl::fault_of(&comparison).map_or(Ok(comparison), Err)
}

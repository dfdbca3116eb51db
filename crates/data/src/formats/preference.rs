//! LLaVA-Human-Preference: the public comparisons, a JSON list.
//!
//! A row says which output was preferred and, in `hallucination`, whether the first protocol question
//! decided. That reading of the field is the likely one and not documented by its authors. The last gpt
//! turn is the data set's own answer, which the outputs replace; where there is none, an empty one is
//! written, because other loaders drop the last turn unseen.
//!
//! Lost in this format: the second question after a decided first, and everything in
//! [`crate::Record`]. `preference_log` keeps them.

use std::fmt;
use std::path::Path;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::table::Table;
use super::text::{self, Format};
use super::{preference_log, rows};
use crate::atomic;
use crate::conversation::{Speaker, Turn, text_or_integer};
use crate::error::DataError;
use crate::preference::{Preference, Side, Verdict};

const FORMAT: Format = Format {
    name: "LLaVA-Human-Preference",
    expected: "a JSON list of comparisons",
};

#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(deserialize_with = "text_or_integer")]
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(deserialize_with = "flat_or_nested")]
    conversations: Vec<Turn>,
    output_1: Output,
    output_2: Output,
    #[serde(with = "number")]
    preference: Side,
    hallucination: bool,
}

#[derive(Serialize, Deserialize)]
struct Output {
    #[serde(default = "gpt")]
    from: Speaker,
    value: String,
}

fn gpt() -> Speaker {
    Speaker::Gpt
}

/// The side as the number 1 or 2.
mod number {
    use super::{Deserialize, Deserializer, Side, Unexpected};
    use serde::{Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(super) fn serialize<S: Serializer>(side: &Side, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(side.index() as u8 + 1)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Side, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Side::First),
            2 => Ok(Side::Second),
            other => Err(D::Error::invalid_value(
                Unexpected::Unsigned(other),
                &"1 or 2",
            )),
        }
    }
}

/// One level of a conversation: a turn, or a conversation nested once more.
enum Level {
    Turn(Turn),
    Nested(Vec<Turn>),
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LevelVisitor;
        impl<'de> Visitor<'de> for LevelVisitor {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a turn or a list of turns")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Level, A::Error> {
                Turn::deserialize(MapAccessDeserializer::new(map)).map(Level::Turn)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Level, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Level::Nested)
            }
        }
        deserializer.deserialize_any(LevelVisitor)
    }
}

fn flat_or_nested<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Turn>, D::Error> {
    let levels = Vec::<Level>::deserialize(deserializer)?;
    let n_levels = levels.len();
    let mut turns = Vec::new();
    for level in levels {
        match level {
            Level::Turn(turn) => turns.push(turn),
            Level::Nested(nested) if n_levels == 1 => return Ok(nested),
            Level::Nested(_) => {
                return Err(D::Error::custom(
                    "found several nested conversations, expected one",
                ));
            }
        }
    }
    Ok(turns)
}

impl From<Row> for Preference {
    fn from(row: Row) -> Self {
        let mut turns = row.conversations;
        let original_answer = turns
            .pop_if(|turn| turn.from == Speaker::Gpt)
            .map(|turn| turn.value)
            .filter(|answer| !answer.is_empty());
        let (fewer_hallucinations, more_helpful) = if row.hallucination {
            (row.preference.into(), None)
        } else {
            (Verdict::Tie, Some(row.preference))
        };
        Self {
            id: row.id,
            image: row.image,
            turns,
            original_answer,
            outputs: [row.output_1.value, row.output_2.value],
            fewer_hallucinations,
            more_helpful,
            record: None,
        }
    }
}

impl Row {
    /// The row of a comparison that was checked to have a preferred side.
    fn new(preference: &Preference, preferred: Side) -> Self {
        let mut conversations = preference.turns.clone();
        conversations.push(Turn::gpt(
            preference.original_answer.clone().unwrap_or_default(),
        ));
        let output = |side: Side| Output {
            from: Speaker::Gpt,
            value: preference.outputs[side.index()].clone(),
        };
        Self {
            id: preference.id.clone(),
            image: preference.image.clone(),
            conversations,
            output_1: output(Side::First),
            output_2: output(Side::Second),
            preference: preferred,
            hallucination: preference.fewer_hallucinations != Verdict::Tie,
        }
    }
}

fn check(table: &Table<'_, Preference>) -> Result<(), DataError> {
    table.not_empty()?.each(preference_log::row_fault).map(drop)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Preference>, DataError> {
    let rows: Vec<Row> = rows::list(path, text, &FORMAT)?;
    let preferences: Vec<Preference> = rows.into_iter().map(Preference::from).collect();
    check(&Table::list(path, &FORMAT, &preferences))?;
    Ok(preferences)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Preference>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The text of a file with these comparisons, without what the format cannot hold.
///
/// # Errors
/// [`DataError`] for comparisons that [`parse`] would refuse.
pub fn render(path: &Path, preferences: &[Preference]) -> Result<String, DataError> {
    check(&Table::list(path, &FORMAT, preferences))?;
    let rows: Vec<Row> = preferences
        .iter()
        .filter_map(|row| row.preferred().map(|side| Row::new(row, side)))
        .collect();
    Ok(rows::list_json(&rows) + "\n")
}

/// Writes a file with these comparisons.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, preferences: &[Preference]) -> Result<(), DataError> {
    atomic::write(path, render(path, preferences)?.as_bytes())
}

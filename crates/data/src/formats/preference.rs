//! LLaVA-Human-Preference: the public comparisons, a JSON list; and pairs in its manner that nobody has judged yet.
//!
//! A row says which output was preferred and, in `hallucination`, whether the first protocol question
//! decided. That reading of the field is the likely one and not documented by its authors. The last gpt
//! turn is the data set's own answer, which the outputs replace; where there is none, an empty one is
//! written, because other loaders drop the last turn unseen. A row that is not judged has neither `preference` nor
//! `hallucination`; a row may name the models that wrote the outputs (`model_1`, `model_2`).
//!
//! Lost in this format: the second question after a decided first, explanations, and everything in
//! [`crate::Record`]. `preference_log` keeps them.

use std::fmt;
use std::path::Path;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::preference_log::{self, context_fault};
use super::rows;
use super::table::{Fault, Table};
use super::text::{self, Format};
use crate::atomic;
use crate::comparison::{Comparison, Judgement};
use crate::conversation::{Speaker, Turn, text_or_integer};
use crate::error::DataError;
use crate::preference::{Preference, Side, Verdict};

pub(crate) const FORMAT: Format = Format {
    name: "LLaVA-Human-Preference",
    expected: "a JSON list of comparisons",
};

#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    #[serde(deserialize_with = "text_or_integer")]
    id: String,
    #[serde(
        default,
        alias = "images",
        with = "crate::shown",
        skip_serializing_if = "Option::is_none"
    )]
    image: Option<String>,
    #[serde(deserialize_with = "flat_or_nested")]
    conversations: Vec<Turn>,
    output_1: Output,
    output_2: Output,
    #[serde(default, with = "number", skip_serializing_if = "Option::is_none")]
    preference: Option<Side>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hallucination: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model_1: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model_2: Option<String>,
}

/// An answer: a turn, or its text alone. Public files name a model as who says it (`llava`), and loaders read `value` alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text or a turn with `value`")]
enum Output {
    Turn {
        #[serde(default = "gpt")]
        from: String,
        value: String,
    },
    Text(String),
}

impl Output {
    fn text(self) -> String {
        match self {
            Self::Turn { value, .. } => value,
            Self::Text(text) => text,
        }
    }
}

fn gpt() -> String {
    "gpt".to_owned()
}

/// The side as the number 1 or 2, where there is one.
mod number {
    use super::{Deserialize, Deserializer, Side, Unexpected};
    use serde::{Serialize as _, Serializer, de::Error as _};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for it"
    )]
    pub(super) fn serialize<S: Serializer>(
        side: &Option<Side>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        side.map(|side| side.index() + 1).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Side>, D::Error> {
        match Option::deserialize(deserializer)? {
            None => Ok(None),
            Some(1) => Ok(Some(Side::First)),
            Some(2) => Ok(Some(Side::Second)),
            Some(other) => Err(D::Error::invalid_value(
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

/// A judgement needs both fields, and there is none without either.
fn judgement(
    preference: Option<Side>,
    hallucination: Option<bool>,
) -> Result<Option<Judgement>, Fault> {
    let (fewer_hallucinations, more_helpful) = match (preference, hallucination) {
        (Some(side), Some(true)) => (side.into(), None),
        (Some(side), Some(false)) => (Verdict::Tie, Some(side)),
        (Some(_), None) => return Err(missing("hallucination")),
        (None, Some(_)) => return Err(missing("preference")),
        (None, None) => return Ok(None),
    };
    Ok(Some(Judgement {
        fewer_hallucinations,
        more_helpful,
        explanation: None,
    }))
}

fn missing(field: &str) -> Fault {
    (field.into(), "missing".into())
}

impl Row {
    /// What the row says.
    pub(super) fn comparison(self) -> Result<Comparison, Fault> {
        let mut turns = self.conversations;
        let original_answer = turns
            .pop_if(|turn| turn.from == Speaker::Gpt)
            .map(|turn| turn.value)
            .filter(|answer| !answer.is_empty());
        if let Some(fault) = context_fault(&turns, self.image.as_deref()) {
            return Err(fault);
        }
        Ok(Comparison {
            id: self.id,
            image: self.image,
            turns,
            original_answer,
            outputs: [self.output_1.text(), self.output_2.text()],
            models: self.model_1.zip(self.model_2).map(<[String; 2]>::from),
            group: None,
            judgement: judgement(self.preference, self.hallucination)?,
            severity: None,
        })
    }

    /// The row of a comparison, judged or not, without what the format cannot hold.
    pub(super) fn new(comparison: Comparison) -> Self {
        let preferred = comparison.preferred();
        let judgement = comparison.judgement.filter(|_| preferred.is_some());
        let mut conversations = comparison.turns;
        conversations.push(Turn::gpt(comparison.original_answer.unwrap_or_default()));
        let turn = |value| Output::Turn { from: gpt(), value };
        let [output_1, output_2] = comparison.outputs.map(turn);
        let [model_1, model_2] = comparison
            .models
            .map_or([None, None], |models| models.map(Some));
        Self {
            id: comparison.id,
            image: comparison.image,
            conversations,
            output_1,
            output_2,
            preference: preferred,
            hallucination: judgement.map(|said| said.fewer_hallucinations != Verdict::Tie),
            model_1,
            model_2,
        }
    }
}

/// Parses the text of a file whose rows may be judged or not.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn comparisons(path: &Path, text: &str) -> Result<Vec<Comparison>, DataError> {
    let rows: Vec<Row> = rows::list(path, text, &FORMAT)?;
    Table::list(path, &FORMAT, &[]).convert(rows, |_, row: Row| row.comparison())
}

/// Parses the text of a file of judged comparisons.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Preference>, DataError> {
    let rows = comparisons(path, text)?;
    let judged = |_, row: Comparison| row.into_preference().ok_or_else(|| missing("preference"));
    Table::list(path, &FORMAT, &[]).convert(rows, judged)
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
    Table::list(path, &FORMAT, preferences)
        .not_empty()?
        .each(preference_log::row_fault)?;
    let compared = preferences.iter().cloned().map(Comparison::from);
    let rows: Vec<Row> = compared.map(Row::new).collect();
    Ok(rows::list_json(&rows) + "\n")
}

/// Writes a file with these comparisons.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, preferences: &[Preference]) -> Result<(), DataError> {
    atomic::write(path, render(path, preferences)?.as_bytes())
}

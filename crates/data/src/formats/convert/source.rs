//! The formats that rows are converted from.

use std::collections::BTreeSet;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Converted;
use super::unread::Known;
use crate::comparison::Comparison;
use crate::conversation::{Conversation, IMAGE_PLACEHOLDER, Speaker, Turn};
use crate::error::{DataError, Place};
use crate::formats::candidates::{self, Candidate};
use crate::formats::table::{self, Fault};
use crate::formats::text::{self, Format};
use crate::formats::trl::{self, messages};
use crate::formats::{llava, povid, preference, preference_log, sharegpt, vlfeedback};
use crate::preference::{Preference, placeholder_fault};

/// What the rows of a format are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// What models are fine-tuned on.
    Conversations,
    /// Two answers each.
    Comparisons,
}

impl Holds {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Comparisons => "comparisons",
        }
    }
}

/// A format that rows are read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// LLaVA's conversations.
    Llava,
    /// ShareGPT's.
    Sharegpt,
    /// Messages.
    Messages,
    /// LLaVA-Human-Preference, judged or not.
    Preference,
    /// candor's own log.
    PreferenceLog,
    /// TRL's preferences and their like.
    Trl,
    /// Answer pairs that wait to be compared.
    Candidates,
    /// POVID.
    Povid,
    /// VLFeedback.
    Vlfeedback,
}

/// A conversation or a comparison.
pub(super) enum Item {
    Conversation(Conversation),
    Comparison(Box<Comparison>),
}

/// Where a row stands.
pub(super) struct At<'a> {
    pub(super) path: &'a Path,
    pub(super) place: Place,
    pub(super) index: usize,
}

/// The images of a row as most formats name them.
const IMAGES: [&str; 6] = [
    "image",
    "image.path",
    "image.url",
    "images",
    "images[].path",
    "images[].url",
];

impl SourceFormat {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Llava,
        Self::Sharegpt,
        Self::Messages,
        Self::Preference,
        Self::PreferenceLog,
        Self::Trl,
        Self::Candidates,
        Self::Povid,
        Self::Vlfeedback,
    ];

    /// Its name on the command line and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Llava => "llava",
            Self::Sharegpt => "sharegpt",
            Self::Messages => "messages",
            Self::Preference => "preference",
            Self::PreferenceLog => "preference-log",
            Self::Trl => "trl",
            Self::Candidates => "candidates",
            Self::Povid => "povid",
            Self::Vlfeedback => "vlfeedback",
        }
    }

    /// What its rows are.
    #[must_use]
    pub fn holds(self) -> Holds {
        match self {
            Self::Llava | Self::Sharegpt | Self::Messages => Holds::Conversations,
            _ => Holds::Comparisons,
        }
    }

    /// Whether a row has several answers, any two of which may be a pair.
    pub(super) fn has_pairs(self) -> bool {
        self == Self::Vlfeedback
    }

    pub(super) fn format(self) -> &'static Format {
        match self {
            Self::Llava => &llava::FORMAT,
            Self::Sharegpt => &sharegpt::FORMAT,
            Self::Messages => &messages::FORMAT,
            Self::Preference => &preference::FORMAT,
            Self::PreferenceLog => &preference_log::FORMAT,
            Self::Trl => &trl::FORMAT,
            Self::Candidates => &candidates::FORMAT,
            Self::Povid => &povid::FORMAT,
            Self::Vlfeedback => &vlfeedback::FORMAT,
        }
    }

    /// The fields that are read.
    pub(super) fn known(self) -> Known {
        const TURNS: [&str; 3] = [
            "conversations",
            "conversations[].from",
            "conversations[].value",
        ];
        let (fields, texts): (&[&str], &[&str]) = match self {
            Self::Llava => (&[], &[]),
            Self::Sharegpt => (&["system"], &[]),
            Self::Messages => (&["image_path"], &["messages", "prompt", "completion"]),
            Self::Preference => (
                &[
                    "conversations[][].from",
                    "conversations[][].value",
                    "output_1",
                    "output_1.from",
                    "output_1.value",
                    "output_2",
                    "output_2.from",
                    "output_2.value",
                    "preference",
                    "hallucination",
                    "model_1",
                    "model_2",
                ],
                &[],
            ),
            Self::PreferenceLog => (
                &[
                    "original_answer",
                    "outputs",
                    "fewer_hallucinations",
                    "more_helpful",
                    "record.*",
                    "explanation",
                ],
                &[],
            ),
            Self::Trl => (
                &["image_path", "context", "rejected_score.*", "text"],
                &[
                    "prompt", "question", "chosen", "rejected", "y_win", "y_lose",
                ],
            ),
            Self::Candidates => (&["original_answer", "outputs", "sampling.*"], &[]),
            Self::Povid => (
                &[
                    "rejected_conversations",
                    "rejected_conversations[].from",
                    "rejected_conversations[].value",
                ],
                &[],
            ),
            Self::Vlfeedback => (
                &[
                    "img_path",
                    "prompt",
                    "completions",
                    "completions.model",
                    "completions.response",
                    "completions.annotations.*",
                    "completions[].model",
                    "completions[].response",
                    // Ratings become which answer is better; `items` says that they are lost.
                    "completions[].annotations.*",
                ],
                &[],
            ),
        };
        let turns: &[&str] = match self {
            Self::Messages | Self::Trl | Self::Vlfeedback => &[],
            _ => &TURNS,
        };
        Known::new(&[&["id"][..], &IMAGES[..], turns, fields].concat(), texts)
    }

    /// What a row says. What is read and cannot be carried over in any format is noted among `lost`, and pairs that are none are
    /// counted.
    pub(super) fn items(
        self,
        at: &At<'_>,
        row: Value,
        lost: &mut BTreeSet<String>,
        converted: &mut Converted,
    ) -> Result<Vec<Item>, DataError> {
        let format = self.format();
        let made = match self {
            Self::Llava => {
                let row: Conversation = parsed(at, format, row)?;
                let fault = llava::row_fault(&row);
                fault.map_or(Ok(Item::Conversation(row)), Err)
            }
            Self::Sharegpt => {
                let row = parsed(at, format, row)?;
                sharegpt::conversation(at.index, row).map(Item::Conversation)
            }
            Self::Messages => {
                let row = parsed(at, format, row)?;
                messages::conversation(at.index, row).map(Item::Conversation)
            }
            Self::Preference => {
                let row: preference::Row = parsed(at, format, row)?;
                row.comparison().map(compared)
            }
            Self::PreferenceLog => {
                let row: Preference = parsed(at, format, row)?;
                if row.record.is_some() {
                    lost.insert("record".to_owned());
                }
                let fault = preference_log::row_fault(&row);
                fault.map_or(Ok(compared(row.into())), Err)
            }
            Self::Trl => {
                let row = parsed(at, format, row)?;
                trl::comparison(at.index, row).map(compared)
            }
            Self::Candidates => {
                let row: Candidate = parsed(at, format, row)?;
                lost.insert("sampling".to_owned());
                let fault = candidates::row_fault(&row);
                fault.map_or(Ok(compared(row.into())), Err)
            }
            Self::Povid => povid::comparison(parsed(at, format, row)?).map(compared),
            Self::Vlfeedback => {
                let row = parsed(at, format, row)?;
                let made = vlfeedback::comparisons(row);
                let (rows, left_out) = made.map_err(|fault| refusal(at, format, fault))?;
                // Any two answers are a pair or are left out.
                if rows.is_empty() && left_out.is_empty() {
                    converted.leave_out("fewer than two answers");
                }
                for (reason, n) in left_out {
                    converted.leave_out_pairs(reason, n);
                }
                lost.insert("completions[].annotations".to_owned());
                return Ok(rows.into_iter().map(compared).collect());
            }
        };
        let made = made.and_then(|item| self.place_fault(&item).map_or(Ok(item), Err));
        made.map(|item| vec![item])
            .map_err(|fault| refusal(at, format, fault))
    }

    /// What is wrong with the places of an item's images: other formats name each place, and have none in an answer.
    fn place_fault(self, item: &Item) -> Option<Fault> {
        let (turns, fault) = match item {
            Item::Conversation(row) => {
                let fault = placeholder_fault(&row.turns, row.image.as_deref(), []);
                (&row.turns, fault)
            }
            Item::Comparison(row) => {
                let outputs = row.outputs.each_ref().map(String::as_str);
                let fault = placeholder_fault(&row.turns, row.image.as_deref(), outputs);
                (&row.turns, fault)
            }
        };
        let in_answer =
            |turn: &Turn| turn.from == Speaker::Gpt && turn.value.contains(IMAGE_PLACEHOLDER);
        let Some(at) = turns.iter().position(in_answer) else {
            return fault;
        };
        let field = match self {
            Self::Trl => "prompt".to_owned(),
            _ => format!("conversations[{at}].value"),
        };
        let found =
            format!("found {IMAGE_PLACEHOLDER} in an answer, expected it in questions alone");
        Some((field, found))
    }
}

fn compared(comparison: Comparison) -> Item {
    Item::Comparison(Box::new(comparison))
}

fn parsed<R: DeserializeOwned>(at: &At<'_>, format: &Format, row: Value) -> Result<R, DataError> {
    serde_path_to_error::deserialize(row).map_err(|error| {
        let field = error.path().to_string();
        text::fault(
            at.path,
            at.place.clone(),
            &field,
            &error.into_inner(),
            format,
        )
    })
}

fn refusal(at: &At<'_>, format: &Format, fault: Fault) -> DataError {
    table::refusal(at.path, at.place.clone(), format, fault)
}

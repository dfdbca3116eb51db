//! The formats that rows are converted into.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::source::{Holds, Item};
use crate::comparison::Comparison;
use crate::conversation::IMAGE_PLACEHOLDER;
use crate::formats::parquet::write::Node;
use crate::formats::rows::row_value;
use crate::formats::trl::{self, messages};
use crate::formats::{preference, sharegpt};
use crate::preference::Verdict;
use crate::shown;

/// A format that rows are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetFormat {
    /// LLaVA's conversations.
    Llava,
    /// ShareGPT's.
    Sharegpt,
    /// Messages with contents in parts.
    Messages,
    /// LLaVA-Human-Preference.
    Preference,
    /// candor's own log.
    PreferenceLog,
    /// TRL's preferences as messages with contents in parts.
    Trl,
    /// TRL's preferences as texts.
    TrlStandard,
    /// As RLHF-V.
    RlhfV,
    /// As RLAIF-V.
    RlaifV,
}

impl TargetFormat {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Llava,
        Self::Sharegpt,
        Self::Messages,
        Self::Preference,
        Self::PreferenceLog,
        Self::Trl,
        Self::TrlStandard,
        Self::RlhfV,
        Self::RlaifV,
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
            Self::TrlStandard => "trl-standard",
            Self::RlhfV => "rlhf-v",
            Self::RlaifV => "rlaif-v",
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

    /// Its columns in a parquet file; none where it is not written as one.
    pub(super) fn columns(self) -> Option<Vec<(&'static str, Node)>> {
        let text = |name| (name, Node::Text);
        let images = || ("images", Node::List(Box::new(Node::Image)));
        match self {
            Self::Messages => Some(vec![text("id"), ("messages", messages()), images()]),
            Self::Trl => Some(vec![
                text("id"),
                ("prompt", messages()),
                ("chosen", messages()),
                ("rejected", messages()),
                images(),
                ("rejected_score", Node::Number),
            ]),
            Self::TrlStandard => Some(vec![
                text("id"),
                text("prompt"),
                text("chosen"),
                text("rejected"),
                images(),
            ]),
            Self::RlhfV => Some(vec![
                text("ds_name"),
                text("id"),
                ("image", Node::Image),
                text("text"),
            ]),
            Self::RlaifV => Some(vec![
                text("ds_name"),
                text("id"),
                ("image", Node::Image),
                text("question"),
                text("chosen"),
                text("rejected"),
            ]),
            Self::Llava | Self::Sharegpt | Self::Preference | Self::PreferenceLog => None,
        }
    }

    /// Why it cannot hold an item; none where it can.
    pub(super) fn refusal(self, item: &Item) -> Option<&'static str> {
        let Item::Comparison(row) = item else {
            return None;
        };
        if self != Self::Preference && row.preferred().is_none() {
            return Some("nobody said which answer is better");
        }
        let is_single = matches!(self, Self::TrlStandard | Self::RlhfV | Self::RlaifV);
        if is_single && row.turns.len() > 1 {
            return Some("several turns");
        }
        let image = row.image.as_deref();
        let shows_one = matches!(self, Self::RlhfV | Self::RlaifV);
        (shows_one && shown::count(image) > 1).then_some("several images")
    }

    /// The row of an item; none where it refuses the item.
    pub(super) fn row(self, item: Item) -> Option<Value> {
        match item {
            Item::Conversation(row) => Some(match self {
                Self::Sharegpt => sharegpt::row(&row),
                Self::Messages => messages::row(&row),
                _ => row_value(&row),
            }),
            Item::Comparison(row) => self.compared(*row),
        }
    }

    fn compared(self, row: Comparison) -> Option<Value> {
        match self {
            Self::Preference => Some(row_value(&preference::Row::new(row))),
            Self::PreferenceLog => row.into_preference().map(|row| row_value(&row)),
            Self::Trl => {
                let severity = row.severity.clone().filter(Value::is_number);
                trl::row(&Comparison { severity, ..row })
            }
            _ => self.plain(&row),
        }
    }

    /// Notes among `lost` the fields that it cannot hold, of an item that it refuses as well.
    pub(super) fn note(self, item: &Item, lost: &mut BTreeSet<String>) {
        let Item::Comparison(row) = item else {
            return;
        };
        let is_log = self == Self::PreferenceLog;
        let is_public = self == Self::Preference;
        let mut mark = |is_lost: bool, field: &str| {
            if is_lost {
                lost.insert(field.to_owned());
            }
        };
        mark(row.group.is_some(), "group");
        mark(row.models.is_some() && !is_public, "models");
        mark(
            row.original_answer.is_some() && !is_log && !is_public,
            "original_answer",
        );
        let is_number = row.severity.as_ref().is_some_and(Value::is_number);
        mark(
            row.severity.is_some() && !(is_number && self == Self::Trl),
            "rejected_score",
        );
        let Some(judgement) = &row.judgement else {
            return;
        };
        if is_log {
            return;
        }
        mark(judgement.explanation.is_some(), "explanation");
        let is_decided = judgement.fewer_hallucinations != Verdict::Tie;
        mark(is_decided && !is_public, "fewer_hallucinations");
        mark(
            is_decided && judgement.more_helpful.is_some(),
            "more_helpful",
        );
    }

    /// The row of a comparison of one turn, as texts.
    fn plain(self, row: &Comparison) -> Option<Value> {
        let preferred = row.preferred()?;
        let question = question(row)?;
        let chosen = row.outputs[preferred.index()].as_str();
        let rejected = row.outputs[preferred.other().index()].as_str();
        let mut value = match self {
            Self::TrlStandard => json!({
                "id": row.id, "prompt": question, "chosen": chosen, "rejected": rejected,
            }),
            Self::RlhfV => {
                let text = json!({"question": question, "chosen": chosen, "rejected": rejected});
                json!({"ds_name": "candor", "id": row.id, "text": text.to_string()})
            }
            _ => json!({
                "ds_name": "candor", "id": row.id, "question": question, "chosen": chosen, "rejected": rejected,
            }),
        };
        if let Some(image) = &row.image {
            if self == Self::TrlStandard {
                value["images"] = shown::names(image).collect();
            } else {
                value["image"] = json!(image);
            }
        }
        Some(value)
    }
}

/// The only turn, without places of images that a reader puts there itself.
fn question(row: &Comparison) -> Option<&str> {
    let [turn] = row.turns.as_slice() else {
        return None;
    };
    let places = format!("{IMAGE_PLACEHOLDER}\n").repeat(shown::count(row.image.as_deref()));
    let rest = turn.value.strip_prefix(&places);
    let rest = rest.filter(|rest| !rest.contains(IMAGE_PLACEHOLDER));
    Some(rest.unwrap_or(&turn.value))
}

/// Lists of messages whose contents are lists of parts.
fn messages() -> Node {
    let part = Node::Object(vec![("type", Node::Text), ("text", Node::Text)]);
    let message = Node::Object(vec![
        ("role", Node::Text),
        ("content", Node::List(Box::new(part))),
    ]);
    Node::List(Box::new(message))
}

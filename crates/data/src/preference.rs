//! Which of two answers a person preferred, under the two-question protocol.
//!
//! The first question asks which answer hallucinates less, with a tie allowed; the second, asked when the
//! first is a tie, which one is more helpful. The answers to the two are stored apart, because a reward
//! model of truthfulness and one of helpfulness need different ones, and agreement is counted per question.
//!
//! # Reference
//! arXiv 2309.14525, section 2 and its annotation instruction. The public file has only the outcome and
//! whether the first question decided; [`Record`] is what it lacks.

use serde::{Deserialize, Serialize};

use crate::conversation::{IMAGE_PLACEHOLDER, Turn};
use crate::shown;

/// One of the two outputs of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// `outputs[0]`.
    First,
    /// `outputs[1]`.
    Second,
}

impl Side {
    /// Index into `outputs`.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// The one that is not `self`.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// The answer to the first question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// `outputs[0]` hallucinates less.
    First,
    /// `outputs[1]` hallucinates less.
    Second,
    /// Neither hallucinates less than the other.
    Tie,
}

impl Verdict {
    /// The side that won, unless it is a tie.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        match self {
            Self::First => Some(Side::First),
            Self::Second => Some(Side::Second),
            Self::Tie => None,
        }
    }
}

impl From<Side> for Verdict {
    fn from(side: Side) -> Self {
        match side {
            Side::First => Self::First,
            Side::Second => Self::Second,
        }
    }
}

/// Who judged, when, and what they saw where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Name of the annotator.
    pub annotator: String,
    /// When the judgement was given, in seconds since 1970-01-01 UTC.
    pub unix_secs: u64,
    /// Seed that decided the order and the sides.
    pub seed: u64,
    /// The output that was shown on the left.
    pub shown_left: Side,
}

/// A comparison of two answers to one context.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Preference {
    /// Name of the comparison: a key in candor's own files, not in the public ones.
    pub id: String,
    /// File name relative to an image folder, or several ([`crate::shown`]).
    #[serde(
        default,
        with = "crate::shown",
        skip_serializing_if = "Option::is_none"
    )]
    pub image: Option<String>,
    /// What both outputs respond to: alternating turns that end in a human one.
    #[serde(rename = "conversations")]
    pub turns: Vec<Turn>,
    /// The data set's own answer, which the outputs stand in for. Nothing is trained on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_answer: Option<String>,
    /// The two answers compared.
    pub outputs: [String; 2],
    /// First question: which output hallucinates less.
    pub fewer_hallucinations: Verdict,
    /// Second question: which output is more helpful. Always there after a tie; may be there otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_helpful: Option<Side>,
    /// How the judgement came about; public files do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// Why the judgement is right, for people who learn to judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

impl Preference {
    /// The preferred output: the first question decides, and only its tie leaves it to the second.
    ///
    /// None only for a tie whose second question was never answered, which no reader lets through.
    #[must_use]
    pub fn preferred(&self) -> Option<Side> {
        self.fewer_hallucinations.side().or(self.more_helpful)
    }

    /// The preferred answer.
    #[must_use]
    pub fn chosen(&self) -> Option<&str> {
        self.preferred()
            .map(|side| self.outputs[side.index()].as_str())
    }

    /// The other answer.
    #[must_use]
    pub fn rejected(&self) -> Option<&str> {
        self.preferred()
            .map(|side| self.outputs[side.other().index()].as_str())
    }
}

/// Why answers to `turns` could not be trained on, whatever the model: [`IMAGE_PLACEHOLDER`] does not stand in the
/// turns exactly as often as there are images, or it stands in an answer. Names the field and what was found.
///
/// The tokeniser of the reward stage goes by the same rule, so that nobody is asked to compare what it would refuse.
#[must_use]
pub fn placeholder_fault<const N: usize>(
    turns: &[Turn],
    image: Option<&str>,
    outputs: [&str; N],
) -> Option<(String, String)> {
    let count = |text: &str| text.matches(IMAGE_PLACEHOLDER).count();
    for (i, output) in outputs.into_iter().enumerate() {
        if count(output) > 0 {
            return Some((
                format!("outputs[{i}]"),
                format!(
                    "found {IMAGE_PLACEHOLDER} in an answer, expected it in the question alone"
                ),
            ));
        }
    }
    let found: usize = turns.iter().map(|turn| count(&turn.value)).sum();
    let expected = shown::count(image);
    let images = match expected {
        0 => "no image".to_owned(),
        1 => "an image".to_owned(),
        n => format!("{n} images"),
    };
    (found != expected).then(|| {
        (
            "conversations".into(),
            format!("found {found} {IMAGE_PLACEHOLDER} and {images}, expected {expected} {IMAGE_PLACEHOLDER}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_outranks_the_second() {
        let mut row = Preference {
            id: "p".into(),
            image: None,
            turns: vec![Turn::human("q")],
            original_answer: None,
            outputs: ["one".into(), "two".into()],
            fewer_hallucinations: Verdict::Second,
            more_helpful: Some(Side::First),
            record: None,
            explanation: None,
        };
        assert_eq!((row.chosen(), row.rejected()), (Some("two"), Some("one")));
        row.fewer_hallucinations = Verdict::Tie;
        assert_eq!((row.chosen(), row.rejected()), (Some("one"), Some("two")));
        row.more_helpful = None;
        assert_eq!((row.chosen(), row.rejected()), (None, None));
    }
}

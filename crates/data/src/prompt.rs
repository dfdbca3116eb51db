//! A question for reinforcement learning, with what is known of its true answer.

use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;

/// An option of a multiple-choice question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Choice {
    /// The first option.
    A,
    /// The second option.
    B,
    /// The third option.
    C,
    /// The fourth option.
    D,
}

impl Choice {
    /// The options in order.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// The option at `index`, from 0.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// Position among the options, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// `'A'` to `'D'`.
    #[must_use]
    pub fn letter(self) -> char {
        ['A', 'B', 'C', 'D'][self.index()]
    }
}

/// What a correct answer is, as far as a rule can check it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AnswerType {
    /// No rule decides.
    #[default]
    General,
    /// A multiple-choice question with this correct option.
    Option(Choice),
    /// A yes/no question whose truth is no.
    No,
    /// A yes/no question whose truth is yes.
    Yes,
}

impl AnswerType {
    /// The number in the public files: 1 general, 2–5 A–D, 6 no, 7 yes.
    #[must_use]
    pub fn caption_type(self) -> u8 {
        match self {
            Self::General => 1,
            Self::Option(choice) => 2 + choice.index() as u8,
            Self::No => 6,
            Self::Yes => 7,
        }
    }

    /// The inverse of [`AnswerType::caption_type`].
    #[must_use]
    pub fn from_caption_type(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::General),
            2..=5 => Choice::from_index(usize::from(number) - 2).map(Self::Option),
            6 => Some(Self::No),
            7 => Some(Self::Yes),
            _ => None,
        }
    }
}

impl Serialize for AnswerType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.caption_type())
    }
}

impl<'de> Deserialize<'de> for AnswerType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Self::from_caption_type(number).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "found {number}, expected 1 (general), 2 to 5 (option A to D), 6 (no) or 7 (yes)"
            ))
        })
    }
}

/// A prompt of reinforcement learning; only its first human turn is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The row it comes from.
    pub conversation: Conversation,
    /// What a correct answer is.
    pub answer_type: AnswerType,
    /// Factor on the length term of this sample's score; 1 unless the file says otherwise.
    pub length_bonus: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caption_types_are_the_public_numbers() {
        let all = [
            (1, AnswerType::General),
            (2, AnswerType::Option(Choice::A)),
            (3, AnswerType::Option(Choice::B)),
            (4, AnswerType::Option(Choice::C)),
            (5, AnswerType::Option(Choice::D)),
            (6, AnswerType::No),
            (7, AnswerType::Yes),
        ];
        for (number, kind) in all {
            assert_eq!(kind.caption_type(), number);
            assert_eq!(AnswerType::from_caption_type(number), Some(kind));
        }
        assert_eq!(AnswerType::from_caption_type(0), None);
        assert_eq!(AnswerType::from_caption_type(8), None);
        assert_eq!(Choice::D.letter(), 'D');
    }
}

//! What a person says about two answers: the protocol's two questions, marked words, corrections, a note. One answer by itself
//! is rated in their place, from 0 to 6, and three or more are put in order.
//!
//! Everything is said of `a` and `b`. In the browser `a` is the left answer; in the database `a` is the item's first.
//! [`Answer::turned`] leads from one to the other. Ranks are of places on the page and of outputs in the same way
//! ([`Answer::stored`], [`Answer::shown`]).

mod draft;
mod limits;
mod order;
mod ranking;
mod rating;

use candor_data::{Side, Verdict};
use serde::{Deserialize, Serialize};

pub use self::draft::Draft;
pub(crate) use self::limits::check_length;
pub use self::limits::{MAX_CORRECTION_CHARS, MAX_MARKS, MAX_NOTE_CHARS};
use self::limits::{check_corrections, check_marks, check_note, check_single};
pub use self::order::Order;
use self::ranking::{check_bare, check_ranking, check_strict};
use self::rating::check_rating;
use crate::error::Refusal;

/// One of the two answers that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The left or the first one.
    A,
    /// The right or the second one.
    B,
}

impl Which {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Index into a pair.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// The answer to one of the two questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// `a`.
    A,
    /// `b`.
    B,
    /// Neither: equal, or cannot tell.
    Tie,
}

impl Pick {
    /// As [`Answer::turned`].
    #[must_use]
    pub fn turned(self, left: Side) -> Self {
        match (left, self) {
            (Side::Second, Self::A) => Self::B,
            (Side::Second, Self::B) => Self::A,
            (_, same) => same,
        }
    }

    /// The side that was picked, where `a` is the first.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        match self {
            Self::A => Some(Side::First),
            Self::B => Some(Side::Second),
            Self::Tie => None,
        }
    }

    /// The pick that stands for a side, where `a` is the first.
    #[must_use]
    pub fn of(side: Side) -> Self {
        match side {
            Side::First => Self::A,
            Side::Second => Self::B,
        }
    }
}

impl From<Pick> for Verdict {
    fn from(pick: Pick) -> Self {
        pick.side().map_or(Self::Tie, Self::from)
    }
}

/// What is false about marked words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkType {
    /// A thing that is not there.
    Object,
    /// A wrong number of things.
    Count,
    /// A wrong colour, size, material …
    Attribute,
    /// A wrong place or relation.
    Place,
    /// A wrong doing.
    Action,
    /// Wrongly read writing.
    Text,
    /// Anything else.
    Other,
}

impl MarkType {
    /// All types, in the order they are offered.
    pub const ALL: [Self; 7] = [
        Self::Object,
        Self::Count,
        Self::Attribute,
        Self::Place,
        Self::Action,
        Self::Text,
        Self::Other,
    ];
}

/// A span of false words: the characters (Unicode code points) from `start` up to, not including, `end`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// In which answer.
    pub answer: Which,
    /// First character.
    pub start: usize,
    /// The character after the last.
    pub end: usize,
    /// What is false about it.
    #[serde(rename = "type")]
    pub kind: MarkType,
}

/// The sentences a person would have written instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrections {
    /// Instead of `a`.
    #[serde(default)]
    pub a: Option<String>,
    /// Instead of `b`.
    #[serde(default)]
    pub b: Option<String>,
}

/// A judgement of two answers, of one, or of several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Which has fewer hallucinations; a tie where nothing is compared.
    pub first: Pick,
    /// Which is more helpful: asked only after a tie in `first`.
    #[serde(default)]
    pub second: Option<Pick>,
    /// The rating of an answer that is shown by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<u8>,
    /// The rank of each answer, of three or more; 1 is the best, and answers of one rank are alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranking: Option<Vec<u8>>,
    /// Words that are false.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// What should have been said.
    #[serde(default)]
    pub corrections: Corrections,
    /// A remark for whoever reads this.
    #[serde(default)]
    pub note: Option<String>,
}

/// The answers of an item as two texts, of which the second is empty where there is one answer.
fn texts(outputs: &[String]) -> [&str; 2] {
    [0, 1].map(|i| outputs.get(i).map_or("", String::as_str))
}

impl Answer {
    /// The judgement as it reads when `a` stands for the side that `left` names: what a person said of left and right
    /// becomes what is true of first and second, and back again.
    #[must_use]
    pub fn turned(self, left: Side) -> Self {
        if left == Side::First {
            return self;
        }
        Self {
            first: self.first.turned(left),
            second: self.second.map(|pick| pick.turned(left)),
            rating: self.rating,
            ranking: self.ranking,
            marks: turned_marks(self.marks),
            corrections: turned_corrections(self.corrections),
            note: self.note,
        }
    }

    /// What a person said of the places of a page as it is true of an item's outputs.
    #[must_use]
    pub fn stored(self, order: &Order) -> Self {
        let ranking = self.ranking.as_deref().map(|said| order.of_outputs(said));
        Self {
            ranking,
            ..self.turned(order.left())
        }
    }

    /// What is true of an item's outputs as it is said of the places of a page.
    #[must_use]
    pub fn shown(self, order: &Order) -> Self {
        let ranking = self.ranking.as_deref().map(|said| order.of_places(said));
        Self {
            ranking,
            ..self.turned(order.left())
        }
    }

    /// The preferred answer: the first question decides, and only its tie leaves it to the second.
    #[must_use]
    pub fn preference(&self) -> Pick {
        match self.first {
            Pick::Tie => self.second.unwrap_or(Pick::Tie),
            decided => decided,
        }
    }

    /// Checks that an item with these answers is judged as it must be: two are compared, one is rated, more are ranked; and the
    /// rest as [`Answer::check`].
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn check_for(&self, outputs: &[String]) -> Result<(), Refusal> {
        check_rating(self.rating)?;
        match (outputs, self.rating, &self.ranking) {
            ([_, _, _, ..], None, Some(ranking)) => {
                check_ranking(ranking, outputs.len())?;
                check_bare(&self.marks, &self.corrections)?;
                check_note(self.note.as_deref())
            }
            ([_, _, _, ..], _, None) => {
                let remedy = "rank the answers, 1 for the best";
                Err(Refusal::invalid("ranking", "missing", remedy))
            }
            (_, _, Some(_)) => {
                let remedy = "leave it out: three answers or more are ranked";
                let found = format!("found beside {} answers", outputs.len());
                Err(Refusal::invalid("ranking", found, remedy))
            }
            ([_], None, None) => {
                let remedy = "rate the answer from 0 to 6";
                Err(Refusal::invalid("rating", "missing", remedy))
            }
            ([_, _, ..], Some(_), None) => {
                let remedy = "answer the questions instead";
                Err(Refusal::invalid(
                    "rating",
                    "found where two answers are compared",
                    remedy,
                ))
            }
            _ => {
                check_single(outputs, &self.corrections)?;
                self.check(texts(outputs))
            }
        }
    }

    /// Checks that no two answers have one rank, unless the project allows that.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn check_ties(&self, are_allowed: bool) -> Result<(), Refusal> {
        match &self.ranking {
            Some(ranking) if !are_allowed => check_strict(ranking),
            _ => Ok(()),
        }
    }

    /// Checks the rules of the protocol, and that marks and corrections fit the two `texts` of `a` and `b`.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn check(&self, texts: [&str; 2]) -> Result<(), Refusal> {
        match (self.first, self.second) {
            (Pick::Tie, None) => {
                return Err(Refusal::invalid(
                    "second",
                    "missing after a tie",
                    "answer the second question too",
                ));
            }
            (Pick::A | Pick::B, Some(_)) => {
                return Err(Refusal::invalid(
                    "second",
                    "answered although the first question decided",
                    "leave the second question out",
                ));
            }
            _ => {}
        }
        check_marks(&self.marks, texts)?;
        check_corrections(&self.corrections)?;
        check_note(self.note.as_deref())
    }
}

fn turned_marks(marks: Vec<Mark>) -> Vec<Mark> {
    let turn = |mark: Mark| Mark {
        answer: mark.answer.other(),
        ..mark
    };
    marks.into_iter().map(turn).collect()
}

fn turned_corrections(Corrections { a, b }: Corrections) -> Corrections {
    Corrections { a: b, b: a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: Pick, second: Option<Pick>) -> Answer {
        Answer {
            first,
            second,
            rating: None,
            ranking: None,
            marks: Vec::new(),
            corrections: Corrections::default(),
            note: None,
        }
    }

    #[test]
    fn turning_exchanges_everything_and_twice_is_nothing() {
        let said = Answer {
            marks: vec![Mark {
                answer: Which::A,
                start: 1,
                end: 2,
                kind: MarkType::Count,
            }],
            corrections: Corrections {
                a: Some("left".into()),
                b: None,
            },
            ..answer(Pick::B, None)
        };
        let turned = said.clone().turned(Side::Second);
        assert_eq!(turned.first, Pick::A);
        assert_eq!(turned.marks[0].answer, Which::B);
        assert_eq!(turned.corrections.b.as_deref(), Some("left"));
        assert_eq!(turned.turned(Side::Second), said);
        assert_eq!(said.clone().turned(Side::First), said);
    }

    #[test]
    fn the_second_question_follows_a_tie_and_nothing_else() {
        let check = |first, second| answer(first, second).check(["x", "y"]).is_ok();
        assert!(check(Pick::Tie, Some(Pick::Tie)));
        assert!(check(Pick::A, None));
        assert!(!check(Pick::Tie, None));
        assert!(!check(Pick::B, Some(Pick::A)));
    }

    #[test]
    fn marks_count_characters_and_not_bytes() {
        let mark = |start, end| Answer {
            marks: vec![Mark {
                answer: Which::B,
                start,
                end,
                kind: MarkType::Object,
            }],
            ..answer(Pick::A, None)
        };
        assert!(mark(0, 2).check(["", "é😀"]).is_ok());
        assert!(mark(0, 3).check(["", "é😀"]).is_err());
        assert!(mark(1, 1).check(["", "é😀"]).is_err());
    }
}

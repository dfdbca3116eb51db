//! What was said of the answers of a row, as the stages keep it beside what they made of the row.

use crate::rows::packing::{add, add_text, number, text};

/// What was said of a row's answers, with their texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// One is better than the other.
    Compared {
        /// The preferred answer.
        chosen: String,
        /// The other one.
        rejected: String,
    },
    /// There is one, and it is good or not.
    Rated {
        /// The answer.
        answer: String,
        /// Whether it is a good one.
        is_desirable: bool,
    },
}

/// What is first of it, among the bytes of a row.
const COMPARED: u32 = 0;
const BAD: u32 = 1;
const GOOD: u32 = 2;

impl Judged {
    /// Whether a rated answer is a good one; none of a comparison.
    #[must_use]
    pub fn rating(&self) -> Option<bool> {
        match self {
            Self::Compared { .. } => None,
            Self::Rated { is_desirable, .. } => Some(*is_desirable),
        }
    }

    /// Adds it to a row's bytes.
    pub fn pack(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Compared { chosen, rejected } => {
                add(bytes, COMPARED);
                add_text(bytes, chosen);
                add_text(bytes, rejected);
            }
            Self::Rated {
                answer,
                is_desirable,
            } => {
                add(bytes, if *is_desirable { GOOD } else { BAD });
                add_text(bytes, answer);
            }
        }
    }

    /// The next one as [`Judged::pack`] adds it, which `rest` begins after; none where the bytes are no such one.
    pub fn unpack(rest: &mut &[u8]) -> Option<Self> {
        Some(match number(rest)? {
            COMPARED => Self::Compared {
                chosen: text(rest)?,
                rejected: text(rest)?,
            },
            kind @ (BAD | GOOD) => Self::Rated {
                answer: text(rest)?,
                is_desirable: kind == GOOD,
            },
            _ => return None,
        })
    }
}

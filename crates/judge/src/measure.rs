//! A number of a benchmark, as a ratio of sums over items, so that each can be traced to the items behind it, has an
//! interval, and can be compared between two models.
//!
//! A mean is the sum of values over the number of items; the F1 is twice the hits over twice the hits, the
//! false alarms and the misses; the relative score is the candidate's marks over the reference's.

/// Which way a number is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither: it says how to take the other numbers.
    Neither,
}

impl Better {
    /// Whether more is better, less is (`false`), or neither.
    #[must_use]
    pub(crate) fn is_higher(self) -> Option<bool> {
        match self {
            Self::Higher => Some(true),
            Self::Lower => Some(false),
            Self::Neither => None,
        }
    }
}

/// A number of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Its name in files.
    pub key: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// Which way it is good.
    pub better: Better,
    /// Digits after the point.
    pub decimals: usize,
}

pub(crate) const fn measure(
    key: &'static str,
    label: &'static str,
    better: Better,
    decimals: usize,
) -> Measure {
    Measure {
        key,
        label,
        better,
        decimals,
    }
}

/// What every benchmark says of the length of answers, which tells how to take the other numbers.
pub(crate) const LENGTH: [Measure; 3] = [
    measure("words", "words per answer", Better::Neither, 1),
    measure("tokens", "tokens per answer", Better::Neither, 1),
    measure("cut", "cut at the limit", Better::Lower, 3),
];

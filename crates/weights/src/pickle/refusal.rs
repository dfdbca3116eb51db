//! Why a pickle is not read, and what to do about it.

use crate::error::REPLACE;

const CONVERT: &str = "only if you trust where the file comes from, load it in Python and write its tensors with \
                       safetensors.torch.save_file";

/// Why a pickle is not read, and where.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The instruction's first byte.
    pub(crate) position: usize,
    pub(crate) problem: String,
    pub(crate) remedy: &'static str,
}

/// A [`Refusal`] that does not know its position yet.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) text: String,
    pub(super) remedy: &'static str,
}

/// The pickle contradicts itself.
pub(super) fn damaged(text: impl Into<String>) -> Problem {
    Problem {
        text: text.into(),
        remedy: REPLACE,
    }
}

/// The pickle may be in order, but wants more than tensors need.
pub(super) fn foreign(text: impl Into<String>) -> Problem {
    Problem {
        text: text.into(),
        remedy: CONVERT,
    }
}

/// The bytes end too early.
pub(super) fn cut() -> Problem {
    damaged("the pickle ends inside an instruction")
}

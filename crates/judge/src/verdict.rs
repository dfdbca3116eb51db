//! What was made of an answer: a line of `verdicts/<benchmark>.jsonl`.

use std::collections::BTreeMap;

use candor_data::formats::answers::Answer;
use serde::{Deserialize, Serialize};

/// An item with all that was made of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Name of the item within the benchmark.
    pub id: String,
    /// The image, or what else of several images stands or falls together: intervals and tests take it as one.
    pub image: String,
    /// The file name of its image, where `image` is not that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_file: Option<String>,
    /// Question type, split or category; empty where the benchmark has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// What was asked.
    pub question: String,
    /// What should be answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What was answered.
    pub answer: String,
    /// The judge's replies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<String>,
    /// How many of them, the last ones, were asked for with the two answers exchanged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_exchanged: usize,
    /// What the answer or the replies were read as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_as: Vec<String>,
    /// What somebody found who knows what is in the image, where such a one judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// What the item adds to each number: part and whole of the ratio.
    pub measures: BTreeMap<String, [f64; 2]>,
}

/// What somebody finds in an answer who knows what is in the image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Finding {
    /// 0 to 6, as MMHal-Bench rates; below 3 something is hallucinated.
    pub score: u8,
    /// How the answer stands to the question: `silent`, `beside`, `wrong`, `related`, `partly`, `right`.
    pub standing: String,
    /// What the answer claims.
    pub claims: Vec<Claim>,
    /// Objects that a description leaves out (CHAIR).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// One thing that an answer claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What it is about: `object`, `count`, `colour`, `size`, `place`, `group`, `left_of`, `larger`,
    /// `theme`, `yes_no` or `option`.
    pub kind: String,
    /// The words that make it.
    pub words: String,
    /// Where they begin, in bytes of the answer.
    pub start: usize,
    /// Where they end, in bytes of the answer.
    pub end: usize,
    /// Whether something is denied rather than affirmed.
    pub negated: bool,
    /// Whether the claim is true.
    pub truth: bool,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Verdict {
    /// The file name of its image.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.image_file.as_deref().unwrap_or(&self.image)
    }

    /// Adds to a number.
    pub(crate) fn add(&mut self, key: &str, part: f64, whole: f64) {
        self.measures.insert(key.to_owned(), [part, whole]);
    }

    /// Adds the length of the answer: in words, and as far as whoever wrote it says so, in tokens and whether it was cut.
    pub(crate) fn add_length(&mut self, answer: &Answer) {
        let n = answer.text.split_whitespace().count();
        self.add("words", n as f64, 1.0);
        if let Some(n) = answer.n_tokens {
            self.add("tokens", n as f64, 1.0);
        }
        if let Some(finished) = answer.finished {
            self.add("cut", f64::from(u8::from(!finished)), 1.0);
        }
    }

    /// What it adds to a number; nothing where it says nothing of it.
    #[must_use]
    pub fn part(&self, key: &str) -> [f64; 2] {
        self.measures.get(key).copied().unwrap_or_default()
    }

    /// Whether it adds to a number.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.part(key)[0] > 0.0
    }

    /// Whether at least half of what it adds to a share says so; `None` where it adds nothing.
    pub(crate) fn mostly(&self, key: &str) -> Option<bool> {
        let [part, whole] = self.part(key);
        (whole > 0.0).then(|| part / whole >= 0.5)
    }
}

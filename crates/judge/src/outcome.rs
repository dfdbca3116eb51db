//! What became of an answer, in a word, so that people can look for the answers they want to see. Each benchmark says in
//! its file how its verdicts are read.

use crate::verdict::Verdict;

/// What a verdict says of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemOutcome {
    /// Whether it is right: POPE and MMBench by their rule, MMHal-Bench and CHAIR where nothing is made up,
    /// LLaVA-Bench where it is marked no lower than the reference, questions of a user by their rule or with a rating of
    /// at least 3. `None` where no reply could be read.
    pub right: Option<bool>,
    /// Whether it says that something is there which is not, as far as the benchmark tells: a rating below 3, an
    /// object made up, a yes to what is not there.
    pub hallucinated: bool,
    /// Whether the answer, or a reply about it, could not be read.
    pub unparsed: bool,
}

impl ItemOutcome {
    /// Of an answer that a judge's replies say makes something up: at least half of those that could be read, by the part `key` of
    /// the verdict.
    pub(crate) fn of_mostly(verdict: &Verdict, key: &str) -> Self {
        let hallucinated = verdict.mostly(key);
        Self {
            right: hallucinated.map(|hallucinated| !hallucinated),
            hallucinated: hallucinated == Some(true),
            unparsed: verdict.holds("unparsed"),
        }
    }
}

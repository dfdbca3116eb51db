//! The lines of `answers/*.jsonl` and `verdicts/*.jsonl`.

use candor_world::judge::{Claim, Fact, Standing};
use serde::{Deserialize, Serialize};

/// A line of `answers/<benchmark>.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// The question's id within the benchmark.
    pub id: String,
    /// The image.
    pub image: String,
    /// What the model was asked, instruction included.
    pub question: String,
    /// What it answered.
    pub answer: String,
    /// Tokens of the answer, the end token not counted.
    pub n_tokens: usize,
    /// Whether it ended by itself rather than at the limit.
    pub finished: bool,
}

/// One thing an answer claims, as the exact judge found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimLine {
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

impl ClaimLine {
    /// The line of each claim of an answer.
    #[must_use]
    pub fn all(answer: &str, claims: &[Claim]) -> Vec<Self> {
        let line = |claim: &Claim| Self {
            kind: kind(&claim.fact).to_owned(),
            words: answer
                .get(claim.span.clone())
                .unwrap_or_default()
                .to_owned(),
            start: claim.span.start,
            end: claim.span.end,
            negated: claim.negated,
            truth: claim.truth,
        };
        claims.iter().map(line).collect()
    }
}

fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::There(..) => "object",
        Fact::Count(..) | Fact::BareCount(_) => "count",
        Fact::Colour(..) | Fact::BareColour(_) => "colour",
        Fact::Size(..) => "size",
        Fact::Place(..) | Fact::BarePlace(_) => "place",
        Fact::Member(..) => "group",
        Fact::LeftOf(..) => "left_of",
        Fact::Larger(_) => "larger",
        Fact::Theme(_) => "theme",
        Fact::Yes => "yes_no",
        Fact::Option(_) => "option",
    }
}

/// The name of a standing, as written in the lines.
#[must_use]
pub fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Silent => "silent",
        Standing::Beside => "beside",
        Standing::Wrong => "wrong",
        Standing::Related => "related",
        Standing::Partly => "partly",
        Standing::Right => "right",
    }
}

/// A line of `verdicts/mmhal.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MmhalLine {
    /// Index of the question in the template.
    pub id: String,
    /// The image.
    pub image: String,
    /// The question's type.
    pub question_type: String,
    /// What was asked.
    pub question: String,
    /// An ideal answer.
    pub reference: String,
    /// What the model answered.
    pub answer: String,
    /// The judge's score, 0 to 6.
    pub score: u8,
    /// Whether the score is below 3.
    pub hallucinated: bool,
    /// How the answer stands to the question: `silent`, `beside`, `wrong`, `related`, `partly`, `right`.
    pub standing: String,
    /// What the answer claims.
    pub claims: Vec<ClaimLine>,
}

/// A line of `verdicts/pope.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PopeLine {
    /// Split and question id.
    pub id: String,
    /// The image.
    pub image: String,
    /// `random`, `popular` or `adversarial`.
    pub split: String,
    /// What was asked, without the instruction.
    pub question: String,
    /// `yes` or `no`: the truth.
    pub label: String,
    /// What the model answered.
    pub answer: String,
    /// `yes` or `no`: what the benchmark's rule takes the answer for.
    pub read_as: String,
    /// Whether the answer says neither.
    pub neither: bool,
    /// Whether `read_as` is the truth.
    pub right: bool,
}

/// A line of `verdicts/chair.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChairLine {
    /// The image.
    pub image: String,
    /// What was asked.
    pub question: String,
    /// The description.
    pub answer: String,
    /// Objects it says are there.
    pub mentioned: Vec<String>,
    /// Objects that are there.
    pub present: Vec<String>,
    /// Those mentioned but not there.
    pub hallucinated: Vec<String>,
    /// The exact judge's score of the description, 0 to 6; CHAIR itself does not use it.
    pub score: u8,
    /// What the description claims.
    pub claims: Vec<ClaimLine>,
}

/// A line of `verdicts/llava_bench.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlavaBenchLine {
    /// The question's id.
    pub id: String,
    /// The image.
    pub image: String,
    /// `conv`, `detail` or `complex`.
    pub category: String,
    /// What was asked.
    pub question: String,
    /// The reference answer.
    pub reference: String,
    /// What the model answered.
    pub answer: String,
    /// The judge's score of the reference, 0 to 6.
    pub reference_score: u8,
    /// The judge's score of the answer, 0 to 6.
    pub score: u8,
    /// Mark of the reference, 1 to 10.
    pub reference_mark: f64,
    /// Mark of the answer, 1 to 10.
    pub mark: f64,
    /// What the answer claims.
    pub claims: Vec<ClaimLine>,
}

//! Two answers to one context as a file has them, whether somebody has compared them already or not.
//!
//! Every format of comparisons is read into this ([`crate::comparisons::ComparisonFormat`]); [`Preference`] is a judged
//! one with the record of how it came about.

use serde_json::Value;

use crate::conversation::Turn;
use crate::preference::{Preference, Side, Verdict};

/// Two answers to one context.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Name of the row; the public files repeat names.
    pub id: String,
    /// File name relative to an image folder, or several ([`crate::shown`]).
    pub image: Option<String>,
    /// What both outputs respond to: alternating turns that end in a human one.
    pub turns: Vec<Turn>,
    /// The data set's own answer, which the outputs stand in for. Nothing is trained on it.
    pub original_answer: Option<String>,
    /// The two answers.
    pub outputs: [String; 2],
    /// The models that wrote them, where the file says so.
    pub models: Option<[String; 2]>,
    /// What a benchmark counts the row under, where the file says so.
    pub group: Option<String>,
    /// Which one is better; none where nobody has said so yet.
    pub judgement: Option<Judgement>,
    /// How bad the worse one is, by the file's own measure and as it writes it, which need not be a number; none where it does not
    /// say.
    pub severity: Option<Value>,
}

/// What was said of two answers, under the two-question protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// First question: which output hallucinates less.
    pub fewer_hallucinations: Verdict,
    /// Second question: which output is more helpful. Always there after a tie.
    pub more_helpful: Option<Side>,
    /// Why that is right, where the file says so.
    pub explanation: Option<String>,
}

impl Judgement {
    /// That this output was preferred, from a file that does not say which of the two questions decided. The
    /// comparison is taken to be about what the answers are worth, so that nothing is claimed of hallucinations that
    /// nobody looked for.
    #[must_use]
    pub fn for_side(side: Side) -> Self {
        Self {
            fewer_hallucinations: Verdict::Tie,
            more_helpful: Some(side),
            explanation: None,
        }
    }
}

impl Comparison {
    /// The preferred output: the first question decides, and only its tie leaves it to the second. None where nobody has
    /// compared the two.
    #[must_use]
    pub fn preferred(&self) -> Option<Side> {
        let judgement = self.judgement.as_ref()?;
        judgement
            .fewer_hallucinations
            .side()
            .or(judgement.more_helpful)
    }

    /// Whether both answers are the same but for the blanks around them, so that no judge can tell them apart.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.outputs[0].trim() == self.outputs[1].trim()
    }

    /// The judged comparison, without the models' names; none where nobody has compared the two.
    #[must_use]
    pub fn into_preference(self) -> Option<Preference> {
        let judgement = self.judgement?;
        Some(Preference {
            id: self.id,
            image: self.image,
            turns: self.turns,
            original_answer: self.original_answer,
            outputs: self.outputs,
            fewer_hallucinations: judgement.fewer_hallucinations,
            more_helpful: judgement.more_helpful,
            record: None,
            explanation: judgement.explanation,
        })
    }
}

impl From<Preference> for Comparison {
    fn from(row: Preference) -> Self {
        Self {
            id: row.id,
            image: row.image,
            turns: row.turns,
            original_answer: row.original_answer,
            outputs: row.outputs,
            models: None,
            group: None,
            judgement: Some(Judgement {
                fewer_hallucinations: row.fewer_hallucinations,
                more_helpful: row.more_helpful,
                explanation: row.explanation,
            }),
            severity: None,
        }
    }
}

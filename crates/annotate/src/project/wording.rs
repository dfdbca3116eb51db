//! What is asked, in the annotators' language.

use serde::Serialize;

/// A question and its three answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The question.
    pub text: String,
    /// Picks the left answer.
    pub a: String,
    /// Picks the right answer.
    pub b: String,
    /// Picks neither.
    pub tie: String,
}

/// Both questions of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Questions {
    /// Asked always.
    pub first: Question,
    /// Asked only after a tie.
    pub second: Question,
}

impl Default for Questions {
    fn default() -> Self {
        Self {
            first: Question {
                text: "Which answer says fewer false things about the image?".into(),
                a: "A has fewer".into(),
                b: "B has fewer".into(),
                tie: "No difference".into(),
            },
            second: Question {
                text: "Which answer helps the person who asked more?".into(),
                a: "A helps more".into(),
                b: "B helps more".into(),
                tie: "Cannot tell".into(),
            },
        }
    }
}

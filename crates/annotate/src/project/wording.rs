//! What is asked, in the annotators' language.

use candor_data::formats::ratings::MAX_RATING;
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

/// What is asked about an answer that is shown by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scale {
    /// The question.
    pub text: String,
    /// What each rating says, from 0 to 6; the first three are those of answers that hallucinate.
    pub ratings: Vec<String>,
}

impl Scale {
    /// How many ratings there are.
    pub(super) const N: usize = MAX_RATING as usize + 1;
}

impl Default for Scale {
    fn default() -> Self {
        let ratings = [
            "Something false, and next to nothing said",
            "Something false, the question answered in part",
            "Something false, but most of the question answered",
            "Nothing false, but next to nothing said",
            "Nothing false, the question answered in part",
            "Nothing false, the question answered fully",
            "Nothing false, the question answered fully and with insight",
        ];
        Self {
            text: "Does the answer say anything false about the image, and how far does it answer the question?"
                .into(),
            ratings: ratings.map(str::to_owned).to_vec(),
        }
    }
}

/// What is asked about three answers or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ranking {
    /// The question.
    pub text: String,
}

impl Default for Ranking {
    fn default() -> Self {
        Self {
            text: "Put the answers in order, the best first: what says fewer false things about the image comes before what helps more."
                .into(),
        }
    }
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

//! What a browser is given to work on. No model, score, fact, file name or stored side is in it.

use candor_data::conversation::{IMAGE_PLACEHOLDER, Speaker, Turn};
use serde::Serialize;

use crate::answer::{Answer, Draft, Order, Pick};

/// An item in the hands of one person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// Names the task in requests; says nothing about the item.
    pub assignment: String,
    /// Whether feedback follows.
    pub kind: TaskKind,
    /// How long the task stays with this person if nothing is heard.
    pub lease_ms: i64,
    /// Whether this person had the task before.
    pub held: bool,
    /// Where the images are, in their order; none where there is none.
    pub image: Vec<String>,
    /// The conversation so far.
    pub turns: Vec<ShownTurn>,
    /// The answers, as they stand on the page.
    pub answers: Answers,
    /// What was given so far.
    pub draft: Option<Draft>,
    /// Why the task came back, when an adjudicator sent it.
    pub returned: Option<Returned>,
    /// How far the training round is.
    pub training: Option<TrainingProgress>,
}

/// What a task is, as far as the annotator may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Work or hidden gold.
    Work,
    /// Training.
    Training,
}

/// The answers: two, left and right, one that is rated, or several that are ranked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// The left one, or the only one.
    pub a: String,
    /// The right one.
    pub b: Option<String>,
    /// Those that follow, where there are more than two.
    pub more: Vec<String>,
}

impl Answers {
    /// An item's answers in this order.
    #[must_use]
    pub fn of(outputs: &[String], order: &Order) -> Self {
        let standing = order.outputs().iter();
        let mut standing = standing.filter_map(|&output| outputs.get(output).cloned());
        Self {
            a: standing.next().unwrap_or_default(),
            b: standing.next(),
            more: standing.collect(),
        }
    }
}

/// One utterance, with the places of several images named and without the placeholder of a single one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownTurn {
    /// Who says it.
    pub from: Speaker,
    /// What is said.
    pub text: String,
}

impl ShownTurn {
    /// What people read of a conversation about `n_images`.
    #[must_use]
    pub fn all(turns: &[Turn], n_images: usize) -> Vec<Self> {
        let mut number = 0_usize;
        let mut text = |value: &str| {
            let mut pieces = value.split(IMAGE_PLACEHOLDER);
            let mut text = pieces.next().unwrap_or_default().to_owned();
            for piece in pieces {
                number += 1;
                if n_images > 1 {
                    text += "[Image ";
                    text += &number.to_string();
                    text.push(']');
                }
                text.push_str(piece);
            }
            text.trim().to_owned()
        };
        let shown = |turn: &Turn| Self {
            from: turn.from,
            text: text(&turn.value),
        };
        turns.iter().map(shown).collect()
    }
}

/// Why a task came back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Returned {
    /// What the adjudicator says.
    pub note: String,
    /// What was answered before.
    pub answer: Answer,
}

/// How far the training round is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingProgress {
    /// Items answered in this attempt.
    pub n_done: i64,
    /// Items of the round.
    pub n_total: i64,
    /// Share of right answers that passes.
    pub pass_mark: f64,
}

/// Why there is no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoTask {
    /// This person has done all that there is.
    NoneLeft,
    /// The page holds as many tasks as it may.
    EnoughHeld,
    /// The guidelines are not accepted.
    Guidelines,
    /// The training round was failed as often as it may.
    FailedTraining,
    /// The answers to the training items in hand decide how it goes on.
    TrainingPending,
    /// An administrator has paused the project.
    Paused,
}

/// What is learned from a training item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Feedback {
    /// Whether the answer was right.
    pub correct: bool,
    /// The right answer, as the sides stand on the page.
    pub expected: Expected,
    /// Why.
    pub explanation: Option<String>,
    /// Items answered in this attempt.
    pub n_done: i64,
    /// Items of the round.
    pub n_total: i64,
    /// The outcome, after the last item.
    pub result: Option<TrainingResult>,
}

/// The right answer of a gold or training item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Expected {
    /// To the first question.
    pub first: Pick,
    /// To the second, where it matters.
    pub second: Option<Pick>,
}

impl Expected {
    /// Whether an answer is right: both questions count, as far as they were asked.
    #[must_use]
    pub fn is_met_by(&self, answer: &Answer) -> bool {
        answer.first == self.first && (self.second.is_none() || answer.second == self.second)
    }
}

/// The outcome of a training round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingResult {
    /// Whether the work begins now.
    pub passed: bool,
    /// Share of right answers.
    pub share: f64,
    /// Attempts that are left.
    pub attempts_left: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_where_there_are_several_images() {
        let turns = [
            Turn::human("<image>\nIs it the one in <image>?"),
            Turn::gpt("No."),
            Turn::human("And in <image>?"),
        ];
        let texts = |turns: &[Turn], n_images| -> Vec<String> {
            let shown = ShownTurn::all(turns, n_images);
            shown.into_iter().map(|turn| turn.text).collect()
        };
        let expected = [
            "[Image 1]\nIs it the one in [Image 2]?",
            "No.",
            "And in [Image 3]?",
        ];
        assert_eq!(texts(&turns, 3), expected);
        let alone = [Turn::human("<image>\nWhat is it?")];
        assert_eq!(texts(&alone, 1), ["What is it?"]);
    }
}

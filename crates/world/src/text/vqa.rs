//! Questions with short answers, as in VQA-v2: existence (balanced, half of the absent kinds plausible),
//! colour, count, place, theme, comparison, relation, and now and then a question about something absent.

use candor_data::random::Stream;
use rand::RngExt as _;

use super::{answer, draw_negative, draw_plausible};
use crate::config::WorldConfig;
use crate::kind::{Colour, Group, Kind};
use crate::question::Question;
use crate::scene::Scene;

/// A question with its true answer in a word or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortAnswer {
    /// What is asked.
    pub question: Question,
    /// The true answer.
    pub answer: String,
}

impl ShortAnswer {
    /// VQA-v2's `question_type`: the question's first words.
    #[must_use]
    pub fn question_type(&self) -> String {
        let text = self.question.text().to_lowercase();
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// VQA-v2's `answer_type`.
    #[must_use]
    pub fn answer_type(&self) -> &'static str {
        match self.question {
            Question::Count(_) => "number",
            _ if self.question.is_yes_no() => "yes/no",
            _ => "other",
        }
    }
}

/// `n` different questions about a scene.
#[must_use]
pub fn draw(scene: &Scene, config: &WorldConfig, n: usize, rng: &mut Stream) -> Vec<ShortAnswer> {
    let mut all: Vec<ShortAnswer> = Vec::with_capacity(n);
    // Small scenes may not have `n` different questions of the drawn forms; the bound ends the search.
    for _ in 0..n * 8 {
        if all.len() == n {
            break;
        }
        if let Some(item) = draw_one(scene, config, rng)
            && all.iter().all(|other| other.question != item.question)
        {
            all.push(item);
        }
    }
    all
}

fn draw_one(scene: &Scene, config: &WorldConfig, rng: &mut Stream) -> Option<ShortAnswer> {
    if rng.random_bool(config.false_premise) {
        let kind = draw_plausible(scene, &[], rng)?;
        let question = match rng.random_range(0..2_u8) {
            0 => Question::Colour(kind),
            _ => Question::Place(kind),
        };
        let answer = format!("there is no {kind}");
        return Some(ShortAnswer { question, answer });
    }
    let question = draw_question(scene, rng)?;
    let answer = answer::short(scene, &question)?;
    Some(ShortAnswer { question, answer })
}

/// A question whose answer may be found in the image, by the forms' chances.
#[must_use]
pub fn draw_question(scene: &Scene, rng: &mut Stream) -> Option<Question> {
    Some(match rng.random_range(0..100_u8) {
        0..=37 => exists(scene, rng)?,
        38..=41 => Question::IsColour(present(scene, rng)?, colour_near(scene, rng)?),
        42..=59 => Question::Colour(present(scene, rng)?),
        60..=69 => Question::Count(present(scene, rng)?),
        70..=79 => Question::Place(present(scene, rng)?),
        80..=83 => Question::Theme,
        84..=91 => compare(scene, rng)?,
        92..=95 => Question::Coloured(scene.first(present(scene, rng)?)?.colour),
        _ => Question::Members(Group::ALL[rng.random_range(0..2)]),
    })
}

/// A question about one kind, colour, number or place by their chances in [`draw_question`]: asked of what is not there, no form
/// says by itself that it is not.
#[must_use]
pub fn asked_of(kind: Kind, rng: &mut Stream) -> Question {
    match rng.random_range(0..38_u8) {
        0..=17 => Question::Colour(kind),
        18..=27 => Question::Count(kind),
        _ => Question::Place(kind),
    }
}

/// "Is there …": as often true as not.
#[must_use]
pub fn exists(scene: &Scene, rng: &mut Stream) -> Option<Question> {
    let kind = if rng.random_bool(0.5) {
        present(scene, rng)?
    } else {
        draw_negative(scene, &[], rng)?
    };
    Some(Question::Exists(kind, None))
}

/// A comparison or relation of two kinds that are there.
#[must_use]
pub fn compare(scene: &Scene, rng: &mut Stream) -> Option<Question> {
    let a = present(scene, rng)?;
    let b = present(scene, rng).filter(|&b| b != a)?;
    Some(match rng.random_range(0..3_u8) {
        0 => Question::Larger(a, b),
        1 => Question::More(a, b),
        _ => Question::LeftOf(a, b),
    })
}

/// A kind that is there.
#[must_use]
pub fn present(scene: &Scene, rng: &mut Stream) -> Option<Kind> {
    let kinds: Vec<Kind> = scene.kinds().into_iter().collect();
    (!kinds.is_empty()).then(|| kinds[rng.random_range(0..kinds.len())])
}

/// A colour of the image half the time, any colour otherwise.
fn colour_near(scene: &Scene, rng: &mut Stream) -> Option<Colour> {
    if rng.random_bool(0.5) {
        Some(scene.first(present(scene, rng)?)?.colour)
    } else {
        Some(Colour::ALL[rng.random_range(0..Colour::ALL.len())])
    }
}

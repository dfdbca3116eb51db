//! Multiple choice with a rationale, as in A-OKVQA.

use candor_data::prompt::Choice;
use candor_data::random::Stream;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::{Mention, absent_but, answer, draw_negative, sentence, vqa};
use crate::kind::{Colour, Kind};
use crate::question::Question;
use crate::scene::Scene;
use crate::theme::Theme;

/// A question with four options, the correct one and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipleChoice {
    /// What is asked, without the options.
    pub ask: Question,
    /// The options in order.
    pub options: [String; 4],
    /// The correct one.
    pub correct: Choice,
    /// Three true reasons.
    pub rationales: [String; 3],
}

impl MultipleChoice {
    /// The question together with its options.
    #[must_use]
    pub fn question(&self) -> Question {
        Question::Choice(Box::new(self.ask.clone()), self.options.clone())
    }

    /// "The correct option is B."
    #[must_use]
    pub fn verdict(&self) -> String {
        format!("The correct option is {}.", self.correct.letter())
    }
}

/// One multiple-choice question about a scene.
#[must_use]
pub fn draw(scene: &Scene, rng: &mut Stream) -> Option<MultipleChoice> {
    let subject = vqa::present(scene, rng)?;
    let (ask, right, wrong) = match rng.random_range(0..10_u8) {
        0..=4 => {
            let right = scene.first(subject)?.colour;
            let others = Colour::ALL.into_iter().filter(|&colour| colour != right);
            let wrong = others.map(|colour| colour.name().to_owned()).collect();
            (Question::Colour(subject), right.name().to_owned(), wrong)
        }
        5..=8 => {
            let wrong = absent_options(scene, rng)?;
            (Question::InImage, subject.name().to_owned(), wrong)
        }
        _ => {
            let others = Theme::ALL.into_iter().filter(|&theme| theme != scene.theme);
            let wrong = others.map(|theme| theme.name().to_owned()).collect();
            (Question::Theme, scene.theme.name().to_owned(), wrong)
        }
    };
    let (options, correct) = mix(right, wrong, rng)?;
    let rationales = rationales(scene, &ask, subject, rng)?;
    Some(MultipleChoice {
        ask,
        options,
        correct,
        rationales,
    })
}

/// Three kinds that are not there, one of them likely plausible.
fn absent_options(scene: &Scene, rng: &mut Stream) -> Option<Vec<String>> {
    let mut taken: Vec<Kind> = Vec::new();
    while taken.len() < 3 && !absent_but(scene, &taken).is_empty() {
        taken.push(draw_negative(scene, &taken, rng)?);
    }
    Some(taken.iter().map(|kind| kind.name().to_owned()).collect())
}

fn mix(right: String, mut wrong: Vec<String>, rng: &mut Stream) -> Option<([String; 4], Choice)> {
    wrong.shuffle(rng);
    wrong.truncate(3);
    let at = rng.random_range(0..4);
    wrong.insert(at.min(wrong.len()), right);
    Some((wrong.try_into().ok()?, Choice::from_index(at)?))
}

/// Three reasons that are true and lead to the answer.
fn rationales(
    scene: &Scene,
    ask: &Question,
    subject: Kind,
    rng: &mut Stream,
) -> Option<[String; 3]> {
    let there = Mention::of(scene, subject, rng)?.there();
    let place = sentence(&format!("this is {}", scene.theme.phrase()));
    Some(match ask {
        Question::Theme => [
            place.clone(),
            format!("{place} {there}"),
            format!("{there} {place}"),
        ],
        Question::Colour(_) => [
            answer::full(scene, ask)?,
            there.clone(),
            format!("{place} {there}"),
        ],
        _ => {
            let exists = answer::full(scene, &Question::Exists(subject, None))?;
            [
                there.clone(),
                exists.replacen("Yes, t", "T", 1),
                format!("{place} {there}"),
            ]
        }
    })
}

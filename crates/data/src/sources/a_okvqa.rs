//! A-OKVQA: a multiple-choice question, answered with the letter and a reason.

use rand::RngExt as _;

use super::with_image;
use crate::conversation::{Conversation, Turn};
use crate::error::DataError;
use crate::formats::ImageNames;
use crate::formats::a_okvqa::Question;
use crate::prompt::Choice;
use crate::random;

/// Where the reason stands in an answer. Both forms are recognised by the correctness rule: an answer that
/// starts with `X.`, or contains `correct option is X.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// `B. umbrella. It is raining.`: supervised fine-tuning.
    After,
    /// `It is raining. The correct option is B. umbrella`: chain of thought, for the policy's start.
    Before,
}

/// One conversation a question. Where there are several rationales, `seed` and the question decide which.
///
/// # Errors
/// [`DataError::Sample`] for a question whose correct option is not known.
pub fn a_okvqa(
    questions: &[Question],
    images: &ImageNames,
    reasoning: Reasoning,
    seed: u64,
) -> Result<Vec<Conversation>, DataError> {
    let rows = questions.iter().enumerate().map(|(row, question)| {
        let choice = question.correct_choice().ok_or_else(|| DataError::Sample {
            name: "A-OKVQA",
            row,
            field: "correct_choice_idx",
            found: "no correct option".into(),
            remedy: "train on the train or val split; the test split has no answers".into(),
        })?;
        let rationale = pick_rationale(question, row, seed);
        Ok(Conversation {
            id: format!("aok-{}", question.question_id),
            image: Some(images.file(&question.image_id)),
            turns: vec![
                Turn::human(with_image(&asked(question, reasoning))),
                Turn::gpt(answered(question, choice, rationale, reasoning)),
            ],
        })
    });
    rows.collect()
}

fn pick_rationale(question: &Question, row: usize, seed: u64) -> Option<&str> {
    if question.rationales.is_empty() {
        return None;
    }
    let mut stream = random::stream(seed, "sources.a_okvqa.rationale", &[row as u64]);
    let index = stream.random_range(0..question.rationales.len() as u64);
    let rationale = question.rationales[index as usize].trim();
    (!rationale.is_empty()).then_some(rationale)
}

fn asked(question: &Question, reasoning: Reasoning) -> String {
    let options = Choice::ALL
        .iter()
        .zip(&question.choices)
        .map(|(choice, text)| format!("{}. {text}", choice.letter()))
        .collect::<Vec<String>>()
        .join("\n");
    let instruction = match reasoning {
        Reasoning::After => "Choose the letter of the correct option, then say why.",
        Reasoning::Before => "Think it through first, then name the correct option by its letter.",
    };
    format!("{}\n{options}\n{instruction}", question.question)
}

fn answered(
    question: &Question,
    choice: Choice,
    rationale: Option<&str>,
    reasoning: Reasoning,
) -> String {
    let option = format!(
        "{}. {}",
        choice.letter(),
        question.choices[choice.index()].trim()
    );
    match (rationale.map(as_sentence), reasoning) {
        (None, Reasoning::After) => option,
        (Some(reason), Reasoning::After) => format!("{} {reason}", as_sentence(&option)),
        (None, Reasoning::Before) => format!("The correct option is {option}"),
        (Some(reason), Reasoning::Before) => format!("{reason} The correct option is {option}"),
    }
}

/// The text with a full stop at its end, unless it has an end.
fn as_sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::ImageId;

    fn question(rationales: &[&str], correct: Option<usize>) -> Question {
        Question {
            split: "train".into(),
            image_id: ImageId::Number(299_207),
            question_id: "q1".into(),
            question: "Why is she wet?".into(),
            choices: ["sea".into(), "rain".into(), "tea".into(), "sweat".into()],
            correct_choice_idx: correct,
            direct_answers: vec![],
            difficult_direct_answer: None,
            rationales: rationales.iter().map(|text| (*text).into()).collect(),
        }
    }

    fn made(rationales: &[&str], reasoning: Reasoning) -> Conversation {
        let questions = [question(rationales, Some(1))];
        a_okvqa(&questions, &ImageNames::coco_2017(), reasoning, 0)
            .unwrap()
            .remove(0)
    }

    #[test]
    fn the_answer_starts_with_the_letter_and_gives_the_reason() {
        let row = made(&["It rains"], Reasoning::After);
        assert_eq!(
            row.turns,
            [
                Turn::human(
                    "<image>\nWhy is she wet?\nA. sea\nB. rain\nC. tea\nD. sweat\n\
                     Choose the letter of the correct option, then say why."
                ),
                Turn::gpt("B. rain. It rains."),
            ]
        );
        assert_eq!(row.image.as_deref(), Some("000000299207.jpg"));
        assert_eq!(made(&[], Reasoning::After).turns[1].value, "B. rain");
    }

    #[test]
    fn chain_of_thought_ends_in_the_correct_option() {
        let row = made(&["It rains."], Reasoning::Before);
        assert_eq!(
            row.turns[1].value,
            "It rains. The correct option is B. rain"
        );
    }

    #[test]
    fn the_seed_picks_among_rationales() {
        let questions = vec![question(&["one", "two", "three"], Some(0)); 60];
        let names = ImageNames::coco_2017();
        let first = a_okvqa(&questions, &names, Reasoning::After, 5).unwrap();
        assert_eq!(
            first,
            a_okvqa(&questions, &names, Reasoning::After, 5).unwrap()
        );
        for text in ["one.", "two.", "three."] {
            assert!(
                first.iter().any(|row| row.turns[1].value.ends_with(text)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_question_without_a_key_is_named() {
        let questions = [question(&[], None)];
        let refused = a_okvqa(&questions, &ImageNames::coco_2017(), Reasoning::After, 0);
        let message = refused.unwrap_err().to_string();
        assert!(
            message.contains("A-OKVQA, row 0, field `correct_choice_idx`"),
            "{message}"
        );
        assert!(message.contains("test split"), "{message}");
    }
}

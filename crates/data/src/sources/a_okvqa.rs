//! A-OKVQA: a multiple-choice question, answered with the letter and a reason.

use std::sync::Arc;

use rand::RngExt as _;

use super::with_image;
use crate::conversation::{Conversation, Turn};
use crate::formats::ImageNames;
use crate::formats::a_okvqa::Question;
use crate::prompt::Choice;
use crate::random;
use crate::rows::{Reason, Row, RowFault, RowName, SourceFile};

/// Where the reason stands in an answer. Both forms are recognised by the correctness rule: an answer that
/// starts with `X.`, or contains `correct option is X.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// `B. umbrella. It is raining.`: supervised fine-tuning.
    After,
    /// `It is raining. The correct option is B. umbrella`: chain of thought, for the policy's start.
    Before,
}

/// One conversation a question. Where there are several rationales, `seed` and the question decide which. A question
/// whose correct option is not known is a bad row.
#[must_use]
pub fn a_okvqa(
    file: &Arc<SourceFile>,
    questions: &[Question],
    images: &ImageNames,
    reasoning: Reasoning,
    seed: u64,
) -> Vec<Row<Conversation>> {
    let rows = questions.iter().enumerate().map(|(row, question)| {
        let rationale = pick_rationale(question, row, seed);
        Row {
            name: RowName::numbered(file, row, question.question_id.as_str()),
            made: conversation(question, images, rationale, reasoning),
        }
    });
    rows.collect()
}

fn conversation(
    question: &Question,
    images: &ImageNames,
    rationale: Option<&str>,
    reasoning: Reasoning,
) -> Result<Conversation, RowFault> {
    let choice = question.correct_choice().ok_or_else(|| {
        RowFault::new(
            Reason::EmptyAnswer,
            "correct_choice_idx",
            "no correct option",
            "train on the train or val split; the test split has no answers",
        )
    })?;
    Ok(Conversation {
        id: format!("aok-{}", question.question_id),
        image: Some(images.file(&question.image_id)),
        turns: vec![
            Turn::human(with_image(&asked(question, reasoning))),
            Turn::gpt(answered(question, choice, rationale, reasoning)),
        ],
    })
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
    use std::path::Path;

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
        rows(&[question(rationales, Some(1))], reasoning, 0).remove(0)
    }

    /// The conversations of questions whose answers are known.
    fn rows(questions: &[Question], reasoning: Reasoning, seed: u64) -> Vec<Conversation> {
        let file = SourceFile::new(Path::new("q.json"));
        let rows = a_okvqa(&file, questions, &ImageNames::coco_2017(), reasoning, seed);
        rows.into_iter().map(|row| row.made.unwrap()).collect()
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
        let first = rows(&questions, Reasoning::After, 5);
        assert_eq!(first, rows(&questions, Reasoning::After, 5));
        for text in ["one.", "two.", "three."] {
            assert!(
                first.iter().any(|row| row.turns[1].value.ends_with(text)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_question_without_a_key_is_named() {
        let file = SourceFile::of("choices", Path::new("q.json"));
        let names = ImageNames::coco_2017();
        let questions = [question(&[], Some(0)), question(&[], None)];
        let mut made = a_okvqa(&file, &questions, &names, Reasoning::After, 0);
        let Row { name, made } = made.pop().unwrap();
        assert_eq!(
            name.to_string(),
            "q.json: row 1 (source \"choices\", id \"q1\")"
        );
        let fault = made.unwrap_err();
        assert_eq!(
            (fault.reason, &*fault.field),
            (Reason::EmptyAnswer, "correct_choice_idx")
        );
        assert!(fault.remedy.contains("test split"), "{}", fault.remedy);
    }
}

//! Which answer belongs to which question.
//!
//! By the question's id where every answer has one; else by place, if there are as many answers as questions
//! and those that repeat the question's words repeat the right ones; else by words or image. An answer too
//! many or a question without one is an error: a score over part of a benchmark is not its score.

use std::collections::HashMap;
use std::path::Path;

use candor_data::formats::answers::Answer;

use crate::JudgeError;

/// By what a question is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    /// Its id.
    pub id: &'a str,
    /// Other names of its image.
    pub images: [&'a str; 2],
    /// Its words.
    pub question: &'a str,
}

/// The answer to each question, in the order of the questions.
///
/// # Errors
/// A question has no answer or two, or an answer no question.
pub fn matched<'a>(
    path: &Path,
    questions: &[Known<'_>],
    answers: &'a [Answer],
) -> Result<Vec<&'a Answer>, JudgeError> {
    if answers.iter().all(|answer| answer.id.is_some()) {
        return by(path, questions, answers, id, answered_id);
    }
    let in_place = |(question, answer): (&Known<'_>, &Answer)| {
        answer
            .question
            .as_ref()
            .is_none_or(|words| words.trim() == question.question.trim())
            && answer
                .image
                .as_ref()
                .is_none_or(|image| question.images.contains(&image.as_str()))
    };
    if questions.len() == answers.len() && questions.iter().zip(answers).all(in_place) {
        return Ok(answers.iter().collect());
    }
    if answers.iter().all(|answer| answer.image.is_some()) {
        return by(path, questions, answers, images, image);
    }
    Err(unfit(
        path,
        format!(
            "{} answers without ids to {} questions, and they do not stand in the questions' order",
            answers.len(),
            questions.len()
        ),
    ))
}

fn id<'q>(question: &Known<'q>) -> Vec<&'q str> {
    vec![question.id]
}

fn answered_id(answer: &Answer) -> Option<&str> {
    answer.id.as_deref()
}

fn images<'q>(question: &Known<'q>) -> Vec<&'q str> {
    question.images.to_vec()
}

fn image(answer: &Answer) -> Option<&str> {
    answer.image.as_deref()
}

fn by<'a, 'q>(
    path: &Path,
    questions: &[Known<'q>],
    answers: &'a [Answer],
    names: impl Fn(&Known<'q>) -> Vec<&'q str>,
    name: impl Fn(&Answer) -> Option<&str>,
) -> Result<Vec<&'a Answer>, JudgeError> {
    let mut known: HashMap<&str, &Answer> = HashMap::new();
    for answer in answers {
        let name = name(answer).unwrap_or_default();
        if known.insert(name, answer).is_some() {
            return Err(unfit(path, format!("two answers to {name:?}")));
        }
    }
    let mut n_used = 0;
    let found = questions.iter().map(|question| {
        let found = names(question)
            .into_iter()
            .find_map(|name| known.get(name).copied());
        n_used += usize::from(found.is_some());
        found.ok_or_else(|| unfit(path, format!("no answer to question {:?}", question.id)))
    });
    let found: Vec<&Answer> = found.collect::<Result<_, JudgeError>>()?;
    if n_used < answers.len() && found.len() < answers.len() {
        let n = answers.len() - found.len();
        return Err(unfit(path, format!("{n} answers belong to no question")));
    }
    Ok(found)
}

fn unfit(path: &Path, problem: String) -> JudgeError {
    JudgeError::unfit(path, problem, "give questions and answers of the same set")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTIONS: [Known<'static>; 2] = [
        Known {
            id: "1",
            images: ["a.jpg", "11"],
            question: "Q?",
        },
        Known {
            id: "2",
            images: ["b.jpg", "12"],
            question: "R?",
        },
    ];

    fn answer(id: &str, image: &str, question: &str, text: &str) -> Answer {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Answer {
            id: some(id),
            image: some(image),
            question: some(question),
            text: text.to_owned(),
        }
    }

    fn texts(answers: &[Answer]) -> Result<Vec<String>, String> {
        let found = matched(Path::new("answers"), &QUESTIONS, answers);
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.iter().map(|answer| answer.text.clone()).collect())
    }

    #[test]
    fn ids_come_before_places_and_images_after_them() {
        for answers in [
            [answer("2", "", "", "y"), answer("1", "", "", "x")],
            [answer("", "", "Q?", "x"), answer("", "", "R? ", "y")],
            [answer("", "", "", "x"), answer("", "", "", "y")],
            [answer("", "12", "", "y"), answer("", "a.jpg", "", "x")],
        ] {
            assert_eq!(texts(&answers).unwrap(), ["x", "y"]);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (answers, expected) in [
            (
                vec![answer("1", "", "", "x")],
                "no answer to question \"2\"",
            ),
            (
                vec![answer("1", "", "", "x"), answer("1", "", "", "y")],
                "two answers to \"1\"",
            ),
            (
                vec![
                    answer("1", "", "", "x"),
                    answer("2", "", "", "y"),
                    answer("3", "", "", "z"),
                ],
                "1 answers belong to no question",
            ),
            (
                vec![answer("", "", "R?", "y"), answer("", "", "Q?", "x")],
                "order",
            ),
            (vec![answer("", "", "", "x")], "1 answers without ids to 2"),
        ] {
            let message = texts(&answers).unwrap_err();
            assert!(
                message.contains(expected) && message.contains("same set"),
                "{message}"
            );
        }
    }
}

//! Which answer belongs to which question.
//!
//! By the question's id where every answer has one; else by place, if there are as many answers as questions
//! and those that repeat the question's words repeat the right ones; else by image, and where several questions are about
//! one also by words. An answer too many or a question without one is an error: a score over part of a benchmark is not its
//! score.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use candor_data::formats::answers::Answer;

use crate::JudgeError;
use crate::item::Item;

/// The answer to each question, in the order of the questions.
///
/// # Errors
/// A question has no answer or two, or an answer no question.
pub fn matched<'a>(
    path: &Path,
    questions: &[Item],
    answers: &'a [Answer],
) -> Result<Vec<&'a Answer>, JudgeError> {
    if answers.iter().all(|answer| answer.id.is_some()) {
        return by_id(path, questions, answers);
    }
    let in_place = |(question, answer): (&Item, &Answer)| {
        answer
            .question
            .as_ref()
            .is_none_or(|words| words.trim() == question.question.trim())
            && answer
                .image
                .as_ref()
                .is_none_or(|image| question.names.contains(image))
    };
    if questions.len() == answers.len() && questions.iter().zip(answers).all(in_place) {
        return Ok(answers.iter().collect());
    }
    if answers.iter().all(|answer| answer.image.is_some()) {
        return by_image(path, questions, answers);
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

/// The answers to some of the questions, in the order of the answers, each with the place of its question. They are known
/// by image alone.
///
/// # Errors
/// An answer is about an image that no question is about, or a second one about the same.
pub fn matched_some<'a>(
    path: &Path,
    questions: &[Item],
    answers: &'a [Answer],
) -> Result<Vec<(usize, &'a Answer)>, JudgeError> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (at, question) in questions.iter().enumerate() {
        known.extend(question.names.iter().map(|name| (name.as_str(), at)));
    }
    let mut seen = HashSet::new();
    let place = |answer: &'a Answer| {
        let name = answer.image.as_deref().or(answer.id.as_deref());
        let name = name.unwrap_or_default();
        let Some(&at) = known.get(name) else {
            let problem = format!("a description of {name:?}, which is no image of the instances");
            let remedy = "name images by file name or number, as the instances do";
            return Err(JudgeError::unfit(path, problem, remedy));
        };
        if !seen.insert(at) {
            let problem = format!("two descriptions of {name:?}");
            return Err(JudgeError::unfit(path, problem, "keep one of them"));
        }
        Ok((at, answer))
    };
    answers.iter().map(place).collect()
}

fn by_id<'a>(
    path: &Path,
    questions: &[Item],
    answers: &'a [Answer],
) -> Result<Vec<&'a Answer>, JudgeError> {
    let mut known: HashMap<&str, &Answer> = HashMap::new();
    for answer in answers {
        let id = answer.id.as_deref().unwrap_or_default();
        if known.insert(id, answer).is_some() {
            return Err(unfit(path, format!("two answers to {id:?}")));
        }
    }
    let answer = |question: &Item| {
        let found = known.get(question.id.as_str()).copied();
        found.ok_or_else(|| unanswered(path, question))
    };
    let found: Vec<&Answer> = questions.iter().map(answer).collect::<Result<_, _>>()?;
    if found.len() < answers.len() {
        let n = answers.len() - found.len();
        return Err(unfit(path, format!("{n} answers belong to no question")));
    }
    Ok(found)
}

fn by_image<'a>(
    path: &Path,
    questions: &[Item],
    answers: &'a [Answer],
) -> Result<Vec<&'a Answer>, JudgeError> {
    let mut about: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, question) in questions.iter().enumerate() {
        for name in &question.names {
            let places = about.entry(name).or_default();
            if places.last() != Some(&at) {
                places.push(at);
            }
        }
    }
    let mut found: Vec<Option<&Answer>> = vec![None; questions.len()];
    for answer in answers {
        let image = answer.image.as_deref().unwrap_or_default();
        let places = about.get(image).map_or(&[][..], Vec::as_slice);
        let place = match places {
            [] => {
                let problem = format!("an answer about {image:?}, which no question is about");
                return Err(unfit(path, problem));
            }
            [only] => *only,
            several => worded(path, questions, several, answer)?,
        };
        if found[place].replace(answer).is_some() {
            let problem = format!("two answers to question {:?}", questions[place].id);
            return Err(unfit(path, problem));
        }
    }
    let both = questions.iter().zip(found);
    both.map(|(question, found)| found.ok_or_else(|| unanswered(path, question)))
        .collect()
}

/// Which of several questions about an image an answer repeats.
fn worded(
    path: &Path,
    questions: &[Item],
    places: &[usize],
    answer: &Answer,
) -> Result<usize, JudgeError> {
    let image = answer.image.as_deref().unwrap_or_default();
    let refused = |problem: &str| {
        let (n, remedy) = (places.len(), "give the answers the ids of their questions");
        JudgeError::unfit(
            path,
            format!("{n} questions are about {image:?}, and an answer {problem}"),
            remedy,
        )
    };
    let Some(words) = answer.question.as_deref().map(str::trim) else {
        return Err(refused("does not say which of them it is to"));
    };
    let mut same = places
        .iter()
        .filter(|&&at| questions[at].question.trim() == words);
    match (same.next(), same.next()) {
        (Some(&at), None) => Ok(at),
        (None, _) => Err(refused(&format!("repeats the words of none: {words:?}"))),
        _ => Err(refused(&format!("repeats the words of several: {words:?}"))),
    }
}

fn unanswered(path: &Path, question: &Item) -> JudgeError {
    unfit(path, format!("no answer to question {:?}", question.id))
}

fn unfit(path: &Path, problem: String) -> JudgeError {
    JudgeError::unfit(path, problem, "give questions and answers of the same set")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions() -> [Item; 2] {
        let item = |id: &str, names: [&str; 2], question: &str| Item {
            id: id.to_owned(),
            names: names.map(str::to_owned),
            question: question.to_owned(),
            ..Item::default()
        };
        [
            item("1", ["a.jpg", "11"], "Q?"),
            item("2", ["b.jpg", "12"], "R?"),
        ]
    }

    fn answer(id: &str, image: &str, question: &str, text: &str) -> Answer {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Answer {
            id: some(id),
            image: some(image),
            question: some(question),
            text: text.to_owned(),
            ..Answer::default()
        }
    }

    fn texts(answers: &[Answer]) -> Result<Vec<String>, String> {
        let questions = questions();
        let found = matched(Path::new("answers"), &questions, answers);
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

    #[test]
    fn several_questions_about_an_image_are_told_apart_by_their_words() {
        let item = |id: &str, image: &str, question: &str| Item {
            id: id.to_owned(),
            names: [image; 2].map(str::to_owned),
            question: question.to_owned(),
            ..Item::default()
        };
        let questions = [
            item("1", "a.jpg", "Q?"),
            item("2", "a.jpg", "R?"),
            item("3", "b.jpg", "Q?"),
        ];
        let texts = |questions: &[Item], answers: &[Answer]| -> Result<Vec<String>, String> {
            let found = matched(Path::new("answers"), questions, answers);
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.iter().map(|answer| answer.text.clone()).collect())
        };
        // The only question about an image needs no words.
        let shuffled = [
            answer("", "a.jpg", " R?", "y"),
            answer("", "b.jpg", "", "z"),
            answer("", "a.jpg", "Q?", "x"),
        ];
        assert_eq!(texts(&questions, &shuffled).unwrap(), ["x", "y", "z"]);
        let two = &questions[..2];
        for (answers, expected) in [
            // One answer is none to both.
            (
                vec![answer("", "a.jpg", "", "x")],
                "2 questions are about \"a.jpg\"",
            ),
            (
                vec![answer("", "a.jpg", "Q?", "x")],
                "no answer to question \"2\"",
            ),
            // Nor is an answer lost because there are as many as questions.
            (
                vec![answer("", "a.jpg", "Q?", "x"), answer("", "b.jpg", "", "y")],
                "about \"b.jpg\", which no question is about",
            ),
            (
                vec![answer("", "a.jpg", "", "x"), answer("", "b.jpg", "", "y")],
                "2 questions are about \"a.jpg\"",
            ),
            (
                vec![
                    answer("", "a.jpg", "S?", "x"),
                    answer("", "a.jpg", "Q?", "y"),
                ],
                "the words of none: \"S?\"",
            ),
            (
                vec![
                    answer("", "a.jpg", "R?", "x"),
                    answer("", "a.jpg", "R?", "y"),
                ],
                "two answers to question \"2\"",
            ),
        ] {
            let message = texts(two, &answers).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn some_answers_are_known_by_image_alone() {
        let some = |answers: &[Answer]| -> Result<Vec<usize>, String> {
            let questions = questions();
            let found = matched_some(Path::new("answers"), &questions, answers);
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.iter().map(|(at, _)| *at).collect())
        };
        let (first, second) = (answer("", "11", "", "x"), answer("b.jpg", "", "", "y"));
        assert_eq!(some(&[second.clone(), first.clone()]).unwrap(), [1, 0]);
        assert_eq!(some(&[second]).unwrap(), [1]);
        let twice = some(&[first.clone(), answer("", "a.jpg", "", "z")]).unwrap_err();
        assert!(twice.contains("two descriptions of \"a.jpg\""), "{twice}");
        let other = some(&[answer("", "c.jpg", "", "z")]).unwrap_err();
        assert!(other.contains("\"c.jpg\""), "{other}");
    }
}

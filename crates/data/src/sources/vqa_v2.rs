//! VQA-v2: the questions about one image become the turns of one conversation.

use std::collections::HashMap;

use super::{SHORT_ANSWER_PROMPT, with_image};
use crate::conversation::{Conversation, Turn};
use crate::error::DataError;
use crate::formats::vqa_v2::{Annotation, Question};
use crate::formats::{ImageId, ImageNames};

/// Which questions of a conversation carry [`SHORT_ANSWER_PROMPT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptOn {
    /// The first one only, as LLaVA 1.5's data has it.
    FirstTurn,
    /// Every one, so that each turn reads like the benchmark's question.
    EveryTurn,
}

/// How conversations are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VqaOptions {
    /// How image numbers become file names.
    pub images: ImageNames,
    /// Which questions carry the prompt.
    pub prompt_on: PromptOn,
    /// Longest conversation, in questions; more questions about an image make further conversations.
    pub max_questions: usize,
}

/// Conversations of short answers, in the order in which images first appear.
///
/// The answer is `multiple_choice_answer` where the file has it, otherwise the one given most often, the
/// earlier of two equals; its first letter is made a capital.
///
/// # Errors
/// [`DataError::Sample`] for a question without annotation or with the annotation of another image, and for
/// `max_questions` of 0.
pub fn vqa_v2(
    questions: &[Question],
    annotations: &[Annotation],
    options: &VqaOptions,
) -> Result<Vec<Conversation>, DataError> {
    let refuse = |row, field, found: String, remedy: &'static str| DataError::Sample {
        name: "VQA-v2",
        row,
        field,
        found,
        remedy: remedy.into(),
    };
    if options.max_questions == 0 {
        return Err(refuse(
            0,
            "max_questions",
            "found 0".into(),
            "allow at least one question a conversation",
        ));
    }
    let by_id: HashMap<u64, &Annotation> = annotations
        .iter()
        .map(|annotation| (annotation.question_id, annotation))
        .collect();
    let mut order = Vec::new();
    let mut pairs: HashMap<&ImageId, Vec<(&Question, String)>> = HashMap::new();
    for (row, question) in questions.iter().enumerate() {
        let Some(annotation) = by_id.get(&question.question_id) else {
            return Err(refuse(
                row,
                "question_id",
                format!("no annotation for question {}", question.question_id),
                "give questions and annotations of the same split",
            ));
        };
        if annotation.image_id != question.image_id {
            return Err(refuse(
                row,
                "image_id",
                format!(
                    "image {} where the annotation has {}",
                    question.image_id, annotation.image_id
                ),
                "give questions and annotations of the same split",
            ));
        }
        let Some(answer) = agreed_answer(annotation) else {
            return Err(refuse(
                row,
                "answers",
                "found no answer".into(),
                "remove the question",
            ));
        };
        pairs
            .entry(&question.image_id)
            .or_insert_with(|| {
                order.push(&question.image_id);
                Vec::new()
            })
            .push((question, capitalised(answer)));
    }
    let conversations = order.into_iter().flat_map(|image| {
        let chunks = pairs[image].chunks(options.max_questions);
        chunks.map(move |chunk| conversation(image, chunk, options))
    });
    Ok(conversations.collect())
}

fn conversation(
    image: &ImageId,
    pairs: &[(&Question, String)],
    options: &VqaOptions,
) -> Conversation {
    let turns = pairs
        .iter()
        .enumerate()
        .flat_map(|(i, (question, answer))| {
            let mut text = question.question.clone();
            if i == 0 || options.prompt_on == PromptOn::EveryTurn {
                text = format!("{text}\n{SHORT_ANSWER_PROMPT}");
            }
            if i == 0 {
                text = with_image(&text);
            }
            [Turn::human(text), Turn::gpt(answer.as_str())]
        });
    Conversation {
        id: format!("vqa-{}", pairs[0].0.question_id),
        image: Some(options.images.file(image)),
        turns: turns.collect(),
    }
}

fn agreed_answer(annotation: &Annotation) -> Option<&str> {
    if let Some(answer) = &annotation.multiple_choice_answer {
        return Some(answer);
    }
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for answer in &annotation.answers {
        match counts.iter_mut().find(|(text, _)| *text == answer.answer) {
            Some((_, count)) => *count += 1,
            None => counts.push((&answer.answer, 1)),
        }
    }
    // `max_by_key` keeps the last of equals; reversed, that is the earliest.
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    most.map(|(text, _)| *text)
}

fn capitalised(answer: &str) -> String {
    let mut letters = answer.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::vqa_v2::Answer;

    fn question(id: u64, image: u64, text: &str) -> Question {
        Question {
            image_id: ImageId::Number(image),
            question: text.into(),
            question_id: id,
        }
    }

    fn annotation(id: u64, image: u64, answers: &[&str], agreed: Option<&str>) -> Annotation {
        Annotation {
            question_id: id,
            image_id: ImageId::Number(image),
            question_type: "is there".into(),
            answer_type: "yes/no".into(),
            answers: answers
                .iter()
                .map(|answer| Answer {
                    answer: (*answer).into(),
                    answer_confidence: None,
                    answer_id: 1,
                })
                .collect(),
            multiple_choice_answer: agreed.map(Into::into),
        }
    }

    fn options(prompt_on: PromptOn, max_questions: usize) -> VqaOptions {
        VqaOptions {
            images: ImageNames::coco_2017(),
            prompt_on,
            max_questions,
        }
    }

    #[test]
    fn questions_are_grouped_by_image_and_answered_by_the_majority() {
        let questions = [
            question(1, 7, "Is there a dog?"),
            question(2, 9, "How many cups?"),
            question(3, 7, "What colour is it?"),
        ];
        let annotations = [
            annotation(3, 7, &["red", "blue", "blue", "red"], None),
            annotation(2, 9, &["two"], Some("2")),
            annotation(1, 7, &["no", "yes", "yes"], None),
        ];
        let rows = vqa_v2(&questions, &annotations, &options(PromptOn::FirstTurn, 8)).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].image.as_deref(), Some("000000000007.jpg"));
        assert_eq!(
            rows[0].turns,
            [
                Turn::human(
                    "<image>\nIs there a dog?\nAnswer the question using a single word or phrase."
                ),
                Turn::gpt("Yes"),
                Turn::human("What colour is it?"),
                Turn::gpt("Red"),
            ]
        );
        assert_eq!(rows[1].turns[1], Turn::gpt("2"));
    }

    #[test]
    fn long_conversations_are_split_and_may_repeat_the_prompt() {
        let questions: Vec<Question> = (0..3).map(|id| question(id, 7, "Q?")).collect();
        let annotations: Vec<Annotation> =
            (0..3).map(|id| annotation(id, 7, &["yes"], None)).collect();
        let rows = vqa_v2(&questions, &annotations, &options(PromptOn::EveryTurn, 2)).unwrap();
        let lengths: Vec<usize> = rows.iter().map(|row| row.turns.len()).collect();
        assert_eq!(lengths, [4, 2]);
        assert!(rows[0].turns[2].value.ends_with(SHORT_ANSWER_PROMPT));
        assert!(rows.iter().all(|row| row.n_placeholders() == 1));
        assert_ne!(rows[0].id, rows[1].id);
    }

    #[test]
    fn questions_and_annotations_of_different_splits_are_refused() {
        let questions = [question(1, 7, "Q?")];
        let lacking = vqa_v2(&questions, &[], &options(PromptOn::FirstTurn, 8));
        let message = lacking.unwrap_err().to_string();
        assert!(
            message.contains("row 0, field `question_id`") && message.contains("same split"),
            "{message}"
        );
        let other = [annotation(1, 8, &["yes"], None)];
        let message = vqa_v2(&questions, &other, &options(PromptOn::FirstTurn, 8))
            .unwrap_err()
            .to_string();
        assert!(message.contains("field `image_id`"), "{message}");
    }
}

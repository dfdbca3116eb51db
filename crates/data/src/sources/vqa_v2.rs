//! VQA-v2: the questions about one image become the turns of one conversation.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{SHORT_ANSWER_PROMPT, with_image};
use crate::conversation::{Conversation, Turn};
use crate::error::Place;
use crate::formats::vqa_v2::{Annotation, Question};
use crate::formats::{ImageId, ImageNames};
use crate::rows::{Reason, Row, RowFault, RowName, SourceFile};

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
    pub max_questions: NonZeroUsize,
}

/// Conversations of short answers, in the order in which images first appear, each known by its first question; before
/// them the questions that cannot be answered: those without an annotation, or with one of another image or without
/// answers.
///
/// The answer is `multiple_choice_answer` where the file has it, otherwise the one given most often, the
/// earlier of two equals; its first letter is made a capital.
#[must_use]
pub fn vqa_v2(
    file: &Arc<SourceFile>,
    questions: &[Question],
    annotations: &[Annotation],
    options: &VqaOptions,
) -> Vec<Row<Conversation>> {
    let by_id: HashMap<u64, &Annotation> = annotations
        .iter()
        .map(|annotation| (annotation.question_id, annotation))
        .collect();
    let name = |row: usize| RowName {
        file: Arc::clone(file),
        place: Place::Row {
            list: Some("questions"),
            row,
            line: None,
        },
        id: questions[row].question_id.to_string(),
    };
    let mut rows = Vec::new();
    let mut order = Vec::new();
    let mut pairs: HashMap<&ImageId, Vec<Asked<'_>>> = HashMap::new();
    for (row, question) in questions.iter().enumerate() {
        let annotation = by_id.get(&question.question_id).copied();
        match answer(question, annotation) {
            Err(fault) => rows.push(Row {
                name: name(row),
                made: Err(fault),
            }),
            Ok(answer) => pairs
                .entry(&question.image_id)
                .or_insert_with(|| {
                    order.push(&question.image_id);
                    Vec::new()
                })
                .push(Asked {
                    row,
                    question,
                    answer,
                }),
        }
    }
    let chunks = order.into_iter().flat_map(|image| {
        let chunks = pairs[image].chunks(options.max_questions.get());
        chunks.map(move |chunk| (image, chunk))
    });
    rows.extend(chunks.map(|(image, chunk)| Row {
        name: name(chunk[0].row),
        made: Ok(conversation(image, chunk, options)),
    }));
    rows
}

/// A question of the file and its answer.
struct Asked<'a> {
    row: usize,
    question: &'a Question,
    answer: String,
}

/// Why a question cannot be answered, if it cannot.
pub(crate) fn vqa_fault(question: &Question, annotation: Option<&Annotation>) -> Option<RowFault> {
    answer(question, annotation).err()
}

fn answer(question: &Question, annotation: Option<&Annotation>) -> Result<String, RowFault> {
    let same_split = "give questions and annotations of the same split";
    let Some(annotation) = annotation else {
        let found = format!("no annotation for question {}", question.question_id);
        return Err(RowFault::new(
            Reason::Annotation,
            "question_id",
            found,
            same_split,
        ));
    };
    if annotation.image_id != question.image_id {
        let found = format!(
            "image {} where the annotation has {}",
            question.image_id, annotation.image_id
        );
        return Err(RowFault::new(
            Reason::Annotation,
            "image_id",
            found,
            same_split,
        ));
    }
    let agreed = annotation
        .agreed_answer()
        .filter(|answer| !answer.trim().is_empty());
    let blank = || {
        RowFault::new(
            Reason::EmptyAnswer,
            "answers",
            "found no answer",
            "remove the question",
        )
    };
    agreed.map(capitalised).ok_or_else(blank)
}

fn conversation(image: &ImageId, pairs: &[Asked<'_>], options: &VqaOptions) -> Conversation {
    let turns = pairs.iter().enumerate().flat_map(|(i, asked)| {
        let mut text = asked.question.question.clone();
        if i == 0 || options.prompt_on == PromptOn::EveryTurn {
            text = format!("{text}\n{SHORT_ANSWER_PROMPT}");
        }
        if i == 0 {
            text = with_image(&text);
        }
        [Turn::human(text), Turn::gpt(asked.answer.as_str())]
    });
    Conversation {
        id: format!("vqa-{}", pairs[0].question.question_id),
        image: Some(options.images.file(image)),
        turns: turns.collect(),
    }
}

fn capitalised(answer: &str) -> String {
    let mut letters = answer.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
            max_questions: NonZeroUsize::new(max_questions).unwrap(),
        }
    }

    fn rows(
        questions: &[Question],
        annotations: &[Annotation],
        options: &VqaOptions,
    ) -> Vec<Row<Conversation>> {
        let file = SourceFile::of("vqa", Path::new("questions.json"));
        vqa_v2(&file, questions, annotations, options)
    }

    fn conversations(rows: Vec<Row<Conversation>>) -> Vec<Conversation> {
        rows.into_iter().map(|row| row.made.unwrap()).collect()
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
        let rows = conversations(rows(
            &questions,
            &annotations,
            &options(PromptOn::FirstTurn, 8),
        ));
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
        let rows = conversations(rows(
            &questions,
            &annotations,
            &options(PromptOn::EveryTurn, 2),
        ));
        let lengths: Vec<usize> = rows.iter().map(|row| row.turns.len()).collect();
        assert_eq!(lengths, [4, 2]);
        assert!(rows[0].turns[2].value.ends_with(SHORT_ANSWER_PROMPT));
        assert!(rows.iter().all(|row| row.n_placeholders() == 1));
        assert_ne!(rows[0].id, rows[1].id);
    }

    #[test]
    fn questions_without_a_fitting_annotation_are_bad_rows_of_their_own() {
        let questions = [
            question(1, 7, "Q?"),
            question(2, 7, "R?"),
            question(3, 7, "S?"),
            question(4, 7, "T?"),
        ];
        let annotations = [
            annotation(1, 8, &["yes"], None),
            annotation(3, 7, &[" "], None),
            annotation(4, 7, &["two"], None),
        ];
        let rows = rows(&questions, &annotations, &options(PromptOn::FirstTurn, 8));
        let bad: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let fault = row.made.as_ref().err()?;
                Some((row.name.id.as_str(), fault.reason, &*fault.field))
            })
            .collect();
        assert_eq!(
            bad,
            [
                ("1", Reason::Annotation, "image_id"),
                ("2", Reason::Annotation, "question_id"),
                ("3", Reason::EmptyAnswer, "answers"),
            ]
        );
        assert_eq!(
            rows[1].name.to_string(),
            "questions.json: questions row 1 (source \"vqa\", id \"2\")"
        );
        let made = rows[3].made.as_ref().unwrap();
        assert_eq!((rows.len(), made.turns.len()), (4, 2));
        assert!(made.turns[0].value.contains("T?"));
    }
}

//! A-OKVQA and VQA-v2: questions with answers that are known to be right.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use super::Build;
use crate::build::gate::Fate;
use crate::build::{Slice, Stage, VqaFiles};
use crate::conversation::Conversation;
use crate::error::DataError;
use crate::formats::vqa_v2::{Annotation, Question};
use crate::formats::{a_okvqa, vqa_v2};
use crate::prompt::AnswerType;
use crate::rows::{Row, SourceFile as RowsOf};
use crate::sources::{self, PromptOn, Reasoning, VqaOptions};

/// Questions about an image that become one conversation of stage 1, as LLaVA 1.5's data has them.
const MAX_QUESTIONS: NonZeroUsize = NonZeroUsize::new(5).unwrap();

impl Build<'_> {
    pub(super) fn aokvqa(&mut self) -> Result<(), DataError> {
        const SOURCE: &str = "aokvqa";
        let Some(path) = self.settings.aokvqa.clone() else {
            return Ok(());
        };
        self.open(SOURCE, &path)?;
        self.gate.begin(SOURCE);
        let questions = a_okvqa::read(&path)?;
        let made = |reasoning| {
            let (names, seed) = (&self.settings.image_names, self.settings.seed);
            sources::a_okvqa(&RowsOf::new(&path), &questions, names, reasoning, seed)
        };
        let (after, before) = (made(Reasoning::After), made(Reasoning::Before));
        let fates: Vec<Fate> = questions
            .iter()
            .zip(&after)
            .map(|(question, row)| {
                let image = self.settings.image_names.file(&question.image_id);
                let fault = row.made.as_ref().err().map(|fault| fault.reason.name());
                self.gate.fate(SOURCE, Some(&image), fault)
            })
            .collect();
        let of_fate = |rows: Vec<Row<Conversation>>, wanted: Fate| -> Vec<Conversation> {
            let rows = rows.into_iter().zip(&fates);
            rows.filter(|(_, fate)| **fate == wanted)
                .filter_map(|(row, _)| row.made.ok())
                .collect()
        };
        self.held_out(
            "held_out/aokvqa.json",
            &of_fate(after.clone(), Fate::HeldOut),
        )?;
        let (after, before) = (of_fate(after, Fate::Free), of_fate(before, Fate::Free));
        self.slice(Slice::SftAokvqa, "sft/aokvqa.json", &after)?;
        self.slice(Slice::PolicyInitAokvqa, "policy_init/aokvqa.json", &before)?;
        let free = questions.iter().zip(&fates);
        let free = free.filter(|(_, fate)| **fate == Fate::Free);
        let questions: Vec<&a_okvqa::Question> = free.map(|(question, _)| question).collect();
        self.drawn(Slice::RlAokvqa, before.len());
        for position in self.lowest(Slice::RlAokvqa, &before) {
            let (question, row) = (questions[position], before[position].clone());
            // A question without a correct option is left out above.
            let answer = question
                .correct_choice()
                .map_or(AnswerType::General, AnswerType::Option);
            let image = row.image.clone().unwrap_or_default();
            self.wanted.reason(&image, &question.rationales);
            self.prompt(Slice::RlAokvqa, row, answer)?;
        }
        Ok(())
    }

    pub(super) fn vqa(&mut self) -> Result<(), DataError> {
        const SOURCE: &str = "vqa";
        let Some(VqaFiles {
            questions: path,
            annotations: annotated,
        }) = self.settings.vqa.clone()
        else {
            return Ok(());
        };
        self.open("vqa questions", &path)?;
        let mut asked = vqa_v2::read_questions(&path)?;
        self.open("vqa annotations", &annotated)?;
        let annotations = vqa_v2::read_agreed(&annotated)?;
        self.gate.begin(SOURCE);
        // By question, whatever becomes one conversation.
        let [mut free, mut held_out] = [Vec::new(), Vec::new()];
        let by_id: HashMap<u64, &Annotation> = annotations
            .iter()
            .map(|annotation| (annotation.question_id, annotation))
            .collect();
        for question in asked.drain(..) {
            let image = self.settings.image_names.file(&question.image_id);
            let annotation = by_id.get(&question.question_id).copied();
            let fault = sources::vqa_fault(&question, annotation).map(|fault| fault.reason.name());
            match self.gate.fate(SOURCE, Some(&image), fault) {
                Fate::Free => free.push(question),
                Fate::HeldOut => held_out.push(question),
                Fate::LeftOut => {}
            }
        }
        let made = |questions: &[Question], max_questions| {
            let options = VqaOptions {
                images: self.settings.image_names.clone(),
                prompt_on: PromptOn::FirstTurn,
                max_questions,
            };
            let rows = sources::vqa_v2(&RowsOf::new(&path), questions, &annotations, &options);
            let rows = rows.into_iter().filter_map(|row| row.made.ok());
            rows.collect::<Vec<Conversation>>()
        };
        let kept = made(&held_out, MAX_QUESTIONS);
        let conversations = if self.settings.has(Stage::Sft) {
            made(&free, MAX_QUESTIONS)
        } else {
            Vec::new()
        };
        free.retain(|question| {
            let annotation = by_id.get(&question.question_id);
            annotation.is_some_and(|annotation| truth(annotation).is_some())
        });
        let yes_or_no = made(&free, NonZeroUsize::MIN);
        self.held_out("held_out/vqa.json", &kept)?;
        self.slice(Slice::SftVqa, "sft/vqa.json", &conversations)?;
        self.drawn(Slice::RlVqa, yes_or_no.len());
        for position in self.lowest(Slice::RlVqa, &yes_or_no) {
            let row = yes_or_no[position].clone();
            // The answer is the second turn of a conversation of one question.
            let answer = match row.turns.get(1).map(|turn| turn.value.to_lowercase()) {
                Some(said) if said.trim() == "yes" => AnswerType::Yes,
                _ => AnswerType::No,
            };
            self.prompt(Slice::RlVqa, row, answer)?;
        }
        Ok(())
    }
}

/// Whether the answer that was agreed on is yes; none where it is neither yes nor no.
fn truth(annotation: &Annotation) -> Option<bool> {
    if annotation.answer_type != "yes/no" {
        return None;
    }
    match annotation.agreed_answer()?.trim().to_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

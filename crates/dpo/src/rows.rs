//! Comparisons and rated answers on their way to the policy: rendered by its template, tokenised, with the weight of each token of
//! the answers.

use std::path::Path;

use candor_data::comparisons::Judged;
use candor_data::rows::{Reason, RowFault};
use candor_data::{Comparison, Conversation, RatedAnswer, Side, Turn, shown};
use candor_model::sample::{IGNORE, Sample, SampleRules};
use candor_train::Judgements;
use serde_json::Value;

use crate::DpoError;
use crate::all_rows::{Rows, check_kinds};
use crate::answers::Answers;
use crate::objective::Objective;
use crate::recipe::DpoRecipe;

/// A tokenised comparison or rated answer.
#[derive(Debug, Clone)]
pub struct Row {
    /// Name of the row; the public files repeat names.
    pub id: String,
    /// What was said of its answers.
    pub judged: Judged,
    /// The answers, read at the tokens that count.
    pub answers: Answers,
    /// The answers of another row to this one's prompt, where the loss asks for them.
    pub mismatched: Option<Answers>,
    /// The row's place among those of all parts.
    pub number: usize,
    /// Tokens that an update computes for it.
    pub n_tokens: usize,
}

/// A tokenised answer with its prompt.
#[derive(Debug, Clone)]
struct Answered {
    ids: Vec<i64>,
    /// Where the answer begins.
    start: usize,
}

impl Row {
    /// A comparison by itself; `texts` are its answers, the preferred one first.
    #[must_use]
    pub fn new(id: String, texts: [String; 2], answers: Answers) -> Self {
        let [chosen, rejected] = texts;
        Self::of(id, Judged::Compared { chosen, rejected }, answers)
    }

    pub(crate) fn of(id: String, judged: Judged, answers: Answers) -> Self {
        Self {
            id,
            judged,
            n_tokens: answers.n_tokens(),
            answers,
            mismatched: None,
            number: 0,
        }
    }

    /// Whether a rated answer is a good one; none of a comparison.
    #[must_use]
    pub fn rating(&self) -> Option<bool> {
        self.judged.rating()
    }

    /// Tokens of the preferred answer that count; of a rated one, where it is good.
    #[must_use]
    pub fn n_targets(&self) -> usize {
        match self.rating() {
            Some(false) => 0,
            _ => self.answers.weights[0].len(),
        }
    }
}

impl Answered {
    fn prompt(&self) -> &[i64] {
        &self.ids[..self.start]
    }

    fn answer(&self) -> &[i64] {
        &self.ids[self.start..]
    }
}

/// Reads, tokenises and splits what the recipe names; the rows are kept on the disk of the folder `keep`, and without it only counted.
///
/// # Errors
/// A file is missing or damaged, there are too few rows, the disk is full, rated answers are all good or all bad, or rows do not fit
/// the model and the recipe does not skip them. Rows that the run has no use for cannot stop it.
pub fn read(
    recipe: &DpoRecipe,
    rules: SampleRules<'_>,
    keep: Option<&Path>,
) -> Result<Rows, DpoError> {
    let objective = &recipe.objective;
    let spoils = objective.image_negative.is_some();
    let parts = match &recipe.judgements {
        Judgements::Comparisons(set) => set.read(keep, |(row, preferred)| {
            check_images(row.image.as_deref(), spoils)?;
            compared(row, preferred, objective, rules)
        })?,
        Judgements::Rated(set) => {
            let parts = set.read(keep, |row| {
                check_images(row.image.as_deref(), spoils)?;
                rated(row, rules)
            })?;
            check_kinds(&parts, &set.files[0].path)?;
            parts
        }
    };
    Rows::new(parts, recipe, recipe.judgements.paths()[0])
}

/// Refuses several images where one is compared with a spoilt one.
fn check_images(shown: Option<&str>, spoils: bool) -> Result<(), RowFault> {
    match shown::count(shown) {
        n @ 2.. if spoils => Err(RowFault::new(
            Reason::Template,
            "image",
            format!("{n} images, and dpo.image_negative compares one with another"),
            "take dpo.image_negative out, or use rows of one image",
        )),
        _ => Ok(()),
    }
}

/// Both answers of a comparison, tokenised.
fn compared(
    row: Comparison,
    preferred: Side,
    objective: &Objective,
    rules: SampleRules<'_>,
) -> Result<Row, RowFault> {
    let of_side = |side: Side| {
        let conversation = Conversation {
            id: row.id.clone(),
            image: row.image.clone(),
            turns: row.turns.clone(),
        };
        let field = format!("output_{}", side.index() + 1);
        let answer = &row.outputs[side.index()];
        answered(conversation, answer, side == preferred, field, rules)
    };
    let (chosen, rejected) = (of_side(preferred)?, of_side(preferred.other())?);
    if chosen.prompt() != rejected.prompt() {
        let found =
            "the blanks that an answer begins with make other tokens of what is asked".to_owned();
        let remedy = "remove the blanks at the beginning of the answers";
        return Err(RowFault::new(Reason::Template, "outputs", found, remedy));
    }
    let both = [chosen.answer(), rejected.answer()];
    let (image, counting) = (row.image.clone(), objective.counting);
    let mut answers = Answers::new(&row.id, chosen.prompt(), both, image, counting)?;
    if objective.severity {
        answers = answers.with_other_times(severity(&row)?);
    }
    let [first, second] = row.outputs;
    let texts = match preferred {
        Side::First => [first, second],
        Side::Second => [second, first],
    };
    Ok(Row::new(row.id, texts, answers))
}

/// How bad the row says that the other answer is.
fn severity(row: &Comparison) -> Result<f64, RowFault> {
    let number = row.severity.as_ref().and_then(Value::as_f64);
    let found = match (&row.severity, number) {
        (_, Some(severity)) if severity >= 0.0 && severity.is_finite() => return Ok(severity),
        (Some(found), _) => format!("found {found}, expected a number of at least 0"),
        (None, _) => "missing".to_owned(),
    };
    let remedy = "say how bad the rejected answer is, or set dpo.severity = false";
    Err(RowFault::new(
        Reason::Annotation,
        "rejected_score",
        found,
        remedy,
    ))
}

/// A rated answer, tokenised.
fn rated(row: RatedAnswer, rules: SampleRules<'_>) -> Result<Row, RowFault> {
    let conversation = Conversation {
        id: row.id.clone(),
        image: row.image.clone(),
        turns: row.turns,
    };
    let (field, is_good) = ("completion".to_owned(), row.is_desirable);
    let read = answered(conversation, &row.answer, is_good, field, rules)?;
    let answers = Answers::rated(&row.id, read.prompt(), read.answer(), row.image)?;
    let judged = Judged::Rated {
        answer: row.answer,
        is_desirable: row.is_desirable,
    };
    Ok(Row::of(row.id, judged, answers))
}

/// An answer to the last turn of a conversation, tokenised; `field` is where it stands in its file.
fn answered(
    mut conversation: Conversation,
    answer: &str,
    is_good: bool,
    field: String,
    rules: SampleRules<'_>,
) -> Result<Answered, RowFault> {
    // The token that ends it is left of a blank one: from a good one silence would be learned, from a bad one it is unlearned.
    if is_good && answer.trim().is_empty() {
        let (found, remedy) = (
            "the better answer is blank",
            "write the answer, or remove the row",
        );
        return Err(RowFault::new(Reason::EmptyAnswer, field, found, remedy));
    }
    conversation.turns.push(Turn::gpt(answer));
    let sample = Sample::new(&conversation, rules).map_err(|error| {
        let mut fault = RowFault::from(error);
        if fault.reason == Reason::TooLong {
            fault.field = field.clone().into();
            fault.found = format!("with its context {}", fault.found);
        }
        fault
    })?;
    last_answer(sample).ok_or_else(|| {
        let found = "no token of the answer is left by the template".to_owned();
        let remedy = "correct or remove the row";
        RowFault::new(Reason::EmptyAnswer, field, found, remedy)
    })
}

/// The last stretch of tokens that the assistant says; what a template writes after it is cut off.
fn last_answer(mut sample: Sample) -> Option<Answered> {
    let said = |label: &i64| *label != IGNORE;
    let end = sample.labels.iter().rposition(said)? + 1;
    let before = sample.labels[..end].iter().rposition(|label| !said(label));
    sample.ids.truncate(end);
    let start = before.map_or(0, |at| at + 1);
    Some(Answered {
        ids: sample.ids,
        start,
    })
}

/// What plan and run say of so many good answers and so many that are not.
pub(crate) fn kinds_told([n_good, n_bad]: [usize; 2]) -> String {
    format!("{n_good} desirable and {n_bad} undesirable answers are trained on")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two turns of the assistant's the second is the answer, and what a template writes after it is none.
    #[test]
    fn the_answer_is_the_last_thing_that_is_said() {
        let said = [
            None,
            None,
            Some(11),
            Some(12),
            None,
            Some(14),
            Some(2),
            None,
        ];
        let sample = Sample {
            id: "two turns".to_owned(),
            image: None,
            ids: vec![1, 10, 11, 12, 13, 14, 2, 15],
            labels: said.map(|id| id.unwrap_or(IGNORE)).to_vec(),
        };
        let answered = last_answer(sample).unwrap();
        assert_eq!(answered.prompt(), [1, 10, 11, 12, 13]);
        assert_eq!(answered.answer(), [14, 2]);
    }
}

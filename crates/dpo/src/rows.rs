//! Comparisons and rated answers on their way to the policy: rendered by its template, tokenised, with the weight of each token of
//! the answers.

use std::path::Path;

use candor_data::comparisons::{Parts, Purpose};
use candor_data::rows::{Reason, RowFault};
use candor_data::{Comparison, Conversation, RatedAnswer, Side, Turn, sha256, shown};
use candor_model::sample::{IGNORE, Sample, SampleRules};
use candor_model::shared::SharedPrefix;
use candor_train::{Batches, Judgements, RowShape};
use serde_json::Value;

use crate::DpoError;
use crate::answers::Answers;
use crate::objective::Objective;
use crate::recipe::DpoRecipe;

/// What was said of a row's answers, with their texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// One is better than the other.
    Compared {
        /// The preferred answer.
        chosen: String,
        /// The other one.
        rejected: String,
    },
    /// There is one, and it is good or not.
    Rated {
        /// The answer.
        answer: String,
        /// Whether it is one to learn, and not one to avoid.
        is_desirable: bool,
    },
}

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

    fn of(id: String, judged: Judged, answers: Answers) -> Self {
        Self {
            id,
            judged,
            n_tokens: answers.n_tokens(),
            answers,
            mismatched: None,
            number: 0,
        }
    }

    /// What it takes of a training pass: mismatched answers are read in passes of their own.
    #[must_use]
    pub fn shape(&self) -> RowShape {
        let mismatched = self.mismatched.as_ref().map_or(0, Answers::n_tokens);
        // Once, and again where its image is spoilt.
        let times = self.n_tokens.saturating_sub(mismatched) / self.answers.n_tokens();
        RowShape::shared(&self.answers.shared, times.max(1))
    }

    /// Whether a rated answer is a good one; none of a comparison.
    #[must_use]
    pub fn rating(&self) -> Option<bool> {
        match self.judged {
            Judged::Compared { .. } => None,
            Judged::Rated { is_desirable, .. } => Some(is_desirable),
        }
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

/// Reads, tokenises and splits what the recipe names.
///
/// # Errors
/// A file is missing or damaged, there are too few rows, rated answers are all good or all bad, or rows do not fit the model and
/// the recipe does not skip them. Rows that the run has no use for cannot stop it.
pub fn read(
    recipe: &DpoRecipe,
    rules: SampleRules<'_>,
    purpose: Purpose,
) -> Result<Parts<Row>, DpoError> {
    let objective = &recipe.objective;
    let spoils = objective.image_negative.is_some();
    let mut parts = match &recipe.judgements {
        Judgements::Comparisons(set) => set.read(purpose, |(row, preferred)| {
            check_images(row.image.as_deref(), spoils)?;
            compared(row, preferred, objective, rules)
        })?,
        Judgements::Rated(set) => {
            let parts = set.read(purpose, |row| {
                check_images(row.image.as_deref(), spoils)?;
                rated(row, rules)
            })?;
            check_kinds(&parts, &set.files[0].path)?;
            parts
        }
    };
    if recipe.objective.loss.needs_divergence() {
        let files = recipe.judgements.paths();
        mismatch(&mut parts, recipe.max_tokens, files[0])?;
    }
    for (number, row) in all_mut(&mut parts).enumerate() {
        row.number = number;
        if spoils && row.answers.shared.image.is_some() {
            row.n_tokens *= 2;
        }
        row.n_tokens += row.mismatched.as_ref().map_or(0, Answers::n_tokens);
    }
    Ok(parts)
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

/// The order of the training rows under a recipe.
///
/// # Errors
/// There are no rows.
pub fn batches<'a>(recipe: &DpoRecipe, rows: &'a Parts<Row>) -> Result<Batches<'a, Row>, DpoError> {
    let (seed, batch) = (recipe.session.seed, recipe.batch);
    let (rows, n_tokens) = (&rows.train, |row: &Row| row.n_tokens);
    let of = Batches::new(seed, rows, n_tokens, Row::shape, batch, recipe.pass)?;
    Ok(of)
}

/// A fingerprint of the tokenised rows, of the weights of their tokens and of which part each is in.
#[must_use]
pub fn fingerprint(rows: &Parts<Row>) -> String {
    let parts = [&rows.train, &rows.validation, &rows.held_out];
    let part = |rows: &Vec<Row>| {
        let mut bytes = vec![rows.len().to_le_bytes().to_vec()];
        for row in rows {
            let answers = &row.answers;
            bytes.extend(
                row.rating()
                    .map(|is_desirable| vec![u8::from(is_desirable)]),
            );
            let SharedPrefix {
                prefix,
                branches,
                read,
                image,
            } = &answers.shared;
            bytes.push(image.clone().unwrap_or_default().into_bytes());
            let prefix = prefix.to_vec();
            let sequences = std::iter::once(&prefix).chain(branches);
            bytes.extend(sequences.map(|ids| ids.iter().flat_map(|id| id.to_le_bytes()).collect()));
            bytes.extend(read.iter().map(|read| read.start.to_le_bytes().to_vec()));
            let weights = answers.weights.iter();
            bytes.extend(weights.map(|w| w.iter().flat_map(|w| w.to_le_bytes()).collect()));
            let times = answers.other_times;
            bytes.extend(times.map(|times| times.to_le_bytes().to_vec()));
        }
        bytes
    };
    sha256::of_bytes(parts.into_iter().flat_map(part))
}

/// Images of all parts; names may repeat.
pub fn images(rows: &Parts<Row>) -> impl Iterator<Item = String> + '_ {
    rows.all()
        .filter_map(|row| row.answers.shared.image.clone())
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
        answered(conversation, &row.outputs[side.index()], field, rules)
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
    let read = answered(conversation, &row.answer, "completion".to_owned(), rules)?;
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
    field: String,
    rules: SampleRules<'_>,
) -> Result<Answered, RowFault> {
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

/// How many of some rows are good answers, and how many are not; 0 of comparisons.
#[must_use]
pub fn kinds(rows: &[Row]) -> [usize; 2] {
    [true, false].map(|kind| rows.iter().filter(|row| row.rating() == Some(kind)).count())
}

/// What plan and run say of so many good answers and so many that are not.
pub(crate) fn kinds_told([n_good, n_bad]: [usize; 2]) -> String {
    format!("{n_good} desirable and {n_bad} undesirable answers are trained on")
}

/// Refuses rated answers of one kind alone, which say nothing of what to prefer.
fn check_kinds(parts: &Parts<Row>, path: &Path) -> Result<(), DpoError> {
    let [n_good, n_bad] = kinds(&parts.train);
    if n_good > 0 && n_bad > 0 {
        return Ok(());
    }
    let label = n_good > 0;
    let [n_all, n_trained] = [parts.all().count(), parts.train.len()];
    Err(DpoError::Unfit {
        path: path.to_owned(),
        problem: format!(
            "all {n_trained} answers that are trained on, of {n_all} that are read, have the label {label}"
        ),
        remedy: "KTO learns from good answers beside bad ones: add answers with the other label; for good ones alone there is \
                 candor sft",
    })
}

/// Puts to each row's prompt the answers of the next row, in the order of the parts, that has another prompt and fits. `path` is
/// a file of the rows.
fn mismatch(parts: &mut Parts<Row>, max_tokens: usize, path: &Path) -> Result<(), DpoError> {
    let rows: Vec<&Answers> = parts.all().map(|row| &row.answers).collect();
    let mismatched = (0..rows.len()).map(|i| {
        let own = rows[i];
        let mut others = (1..rows.len()).map(|step| rows[(i + step) % rows.len()]);
        let other = others.find(|other| {
            let is_same = own.prompt() == other.prompt() && own.shared.image == other.shared.image;
            !is_same && own.n_prompt + other.longest_answer() <= max_tokens
        });
        let other = other.ok_or_else(|| DpoError::Unfit {
            path: path.to_owned(),
            problem: "KTO compares with answers to other prompts, and there is a row that no other's answers fit"
                .to_owned(),
            remedy: "use rows of several prompts, raise data.max_tokens, or use another loss",
        })?;
        own.answered_by(other)
    });
    let mismatched: Vec<Answers> = mismatched.collect::<Result<_, DpoError>>()?;
    for (row, answers) in all_mut(parts).zip(mismatched) {
        row.mismatched = Some(answers);
    }
    Ok(())
}

/// Those of all parts: trained on, validation, held out.
fn all_mut(parts: &mut Parts<Row>) -> impl Iterator<Item = &mut Row> {
    let parts = [&mut parts.train, &mut parts.validation, &mut parts.held_out];
    parts.into_iter().flatten()
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

    /// Answers to two prompts: 3 and 2 tokens, 1 and 4. The second's after the first's prompt are 7 tokens of other passes.
    #[test]
    fn what_a_row_takes_of_a_pass_is_not_what_it_is_compared_with() {
        let rated = |prompt: &[i64], answer: &[i64]| Answers::rated("a", prompt, answer, None);
        let own = rated(&[1, 2, 3], &[7, 2]).unwrap();
        let other = rated(&[1], &[5, 6, 6, 2]).unwrap();
        let mismatched = own.answered_by(&other).unwrap();
        let judged = Judged::Rated {
            answer: String::new(),
            is_desirable: true,
        };
        let mut row = Row::of("a".to_owned(), judged, own);
        row.n_tokens += mismatched.n_tokens();
        row.mismatched = Some(mismatched);
        let expected = RowShape {
            times: 1,
            beginning: 3,
            n_branches: 1,
            branch: 2,
        };
        assert_eq!((row.n_tokens, row.shape()), (12, expected));
        // With a spoilt image.
        row.n_tokens += 5;
        assert_eq!(row.shape().times, 2);
    }
}

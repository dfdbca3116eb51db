//! Comparisons on their way to the policy: rendered by its template, tokenised, with the weight of each token of the answers.

use candor_data::comparisons::{Parts, Purpose};
use candor_data::rows::{Reason, RowFault};
use candor_data::{Comparison, Conversation, Side, Turn, sha256, shown};
use candor_model::sample::{IGNORE, Sample, SampleRules};
use candor_model::shared::SharedPrefix;
use candor_train::Batches;

use crate::DpoError;
use crate::answers::Answers;
use crate::counting::Counting;
use crate::recipe::DpoRecipe;

/// A tokenised comparison.
#[derive(Debug, Clone)]
pub struct Row {
    /// Name of the row; the public files repeat names.
    pub id: String,
    /// The preferred answer.
    pub chosen: String,
    /// The other one.
    pub rejected: String,
    /// Both answers, read at the tokens that count.
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
        Self {
            id,
            chosen,
            rejected,
            n_tokens: answers.n_tokens(),
            answers,
            mismatched: None,
            number: 0,
        }
    }

    /// Tokens that a training pass computes for it: mismatched answers are read in passes of their own.
    #[must_use]
    pub fn n_pass_tokens(&self) -> usize {
        self.n_tokens - self.mismatched.as_ref().map_or(0, Answers::n_tokens)
    }

    /// Tokens of the preferred answer that count.
    #[must_use]
    pub fn n_targets(&self) -> usize {
        self.answers.weights[0].len()
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
/// A file is missing or damaged, there are too few comparisons, or rows do not fit the model and the recipe does not skip
/// them. Rows that the run has no use for cannot stop it.
pub fn read(
    recipe: &DpoRecipe,
    rules: SampleRules<'_>,
    purpose: Purpose,
) -> Result<Parts<Row>, DpoError> {
    let counting = recipe.objective.counting;
    let spoils = recipe.objective.image_negative.is_some();
    let of_row = |row: Comparison, preferred| match shown::count(row.image.as_deref()) {
        n @ 2.. if spoils => Err(RowFault::new(
            Reason::Template,
            "image",
            format!("{n} images, and dpo.image_negative compares one with another"),
            "take dpo.image_negative out, or use rows of one image",
        )),
        _ => tokenised(row, preferred, counting, rules),
    };
    let mut parts = recipe.comparisons.read(purpose, of_row)?;
    if recipe.objective.loss.needs_divergence() {
        mismatch(&mut parts, recipe.max_tokens)?;
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

/// The order of the training rows under a recipe.
///
/// # Errors
/// There are no rows.
pub fn batches<'a>(recipe: &DpoRecipe, rows: &'a Parts<Row>) -> Result<Batches<'a, Row>, DpoError> {
    let sizes = [recipe.batch, recipe.micro_batch];
    let seed = recipe.session.seed;
    Ok(Batches::new(seed, &rows.train, |row| row.n_tokens, sizes)?)
}

/// A fingerprint of the tokenised rows, of the weights of their tokens and of which part each is in.
#[must_use]
pub fn fingerprint(rows: &Parts<Row>) -> String {
    let parts = [&rows.train, &rows.validation, &rows.held_out];
    let part = |rows: &Vec<Row>| {
        let mut bytes = vec![rows.len().to_le_bytes().to_vec()];
        for Row { answers, .. } in rows {
            let SharedPrefix {
                prefix,
                branches,
                read,
                image,
            } = &answers.shared;
            bytes.push(image.clone().unwrap_or_default().into_bytes());
            let sequences = std::iter::once(prefix).chain(branches);
            bytes.extend(sequences.map(|ids| ids.iter().flat_map(|id| id.to_le_bytes()).collect()));
            bytes.extend(read.iter().map(|read| read.start.to_le_bytes().to_vec()));
            let weights = answers.weights.iter();
            bytes.extend(weights.map(|w| w.iter().flat_map(|w| w.to_le_bytes()).collect()));
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

/// Both answers of a row, tokenised.
fn tokenised(
    row: Comparison,
    preferred: Side,
    counting: Counting,
    rules: SampleRules<'_>,
) -> Result<Row, RowFault> {
    let answered = |side: Side| {
        let mut turns = row.turns.clone();
        turns.push(Turn::gpt(row.outputs[side.index()].clone()));
        let conversation = Conversation {
            id: row.id.clone(),
            image: row.image.clone(),
            turns,
        };
        let field = || format!("output_{}", side.index() + 1);
        let sample = Sample::new(&conversation, rules).map_err(|error| {
            let mut fault = RowFault::from(error);
            if fault.reason == Reason::TooLong {
                fault.field = field().into();
                fault.found = format!("with its context {}", fault.found);
            }
            fault
        })?;
        last_answer(sample).ok_or_else(|| {
            let found = "no token of the answer is left by the template".to_owned();
            RowFault::new(
                Reason::EmptyAnswer,
                field(),
                found,
                "correct or remove the row",
            )
        })
    };
    let (chosen, rejected) = (answered(preferred)?, answered(preferred.other())?);
    if chosen.prompt() != rejected.prompt() {
        let found =
            "the blanks that an answer begins with make other tokens of what is asked".to_owned();
        let remedy = "remove the blanks at the beginning of the answers";
        return Err(RowFault::new(Reason::Template, "outputs", found, remedy));
    }
    let both = [chosen.answer(), rejected.answer()];
    let answers = Answers::new(&row.id, chosen.prompt(), both, row.image.clone(), counting)?;
    let [first, second] = row.outputs;
    let texts = match preferred {
        Side::First => [first, second],
        Side::Second => [second, first],
    };
    Ok(Row::new(row.id, texts, answers))
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

/// Puts to each row's prompt the answers of the next row, in the order of the parts, that has another prompt and fits.
fn mismatch(parts: &mut Parts<Row>, max_tokens: usize) -> Result<(), DpoError> {
    let rows: Vec<&Answers> = parts.all().map(|row| &row.answers).collect();
    let mismatched = (0..rows.len()).map(|i| {
        let own = rows[i];
        let mut others = (1..rows.len()).map(|step| rows[(i + step) % rows.len()]);
        let other = others.find(|other| {
            let is_same = own.prompt() == other.prompt() && own.shared.image == other.shared.image;
            !is_same && own.n_prompt + other.longest_answer() <= max_tokens
        });
        let other = other.ok_or_else(|| DpoError::Unfit {
            path: "data.preferences".into(),
            problem: "KTO compares with answers to other prompts, and there is a comparison that no other's answers fit"
                .to_owned(),
            remedy: "use comparisons of several prompts, raise data.max_tokens, or use another loss",
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
}

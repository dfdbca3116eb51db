//! What is asked of the model: a conversation up to where its last answer would stand.

use std::collections::BTreeSet;

use candor_data::comparisons::Purpose;
use candor_data::formats::llava;
use candor_data::rows::{ImageRows, LEAVE_OUT, Reason, RowFault, Sieve, Skipped};
use candor_data::{Conversation, Speaker, Turn};
use candor_model::TokenRuns;
use candor_model::sample::{Sample, SampleRules};

use crate::{SampleError, SampleRecipe};

/// A prompt, tokenised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Index in the prompts file.
    pub index: u64,
    /// The row's own id, which need not be unique.
    pub id: String,
    /// Image file, when there is one.
    pub image: Option<String>,
    /// What is answered: turns that end in a human one.
    pub context: Vec<Turn>,
    /// The answer that the data set gives.
    pub original_answer: Option<String>,
    /// The context's token ids, up to where the assistant speaks.
    pub ids: TokenRuns,
}

/// The prompts of a run.
#[derive(Debug)]
pub(crate) struct Prompts {
    /// Those that are answered.
    pub rows: Vec<Prompt>,
    /// Which rows show which images.
    pub images: ImageRows,
    /// Those that are not, where the recipe skips bad rows.
    pub skipped: Option<Skipped>,
}

/// Reads the recipe's prompts for a model of so many positions.
///
/// # Errors
/// The file is damaged or shorter than asked for, no prompt is left, or prompts leave the model no room for an answer or
/// show an image that is not there, and the recipe does not skip them.
pub(crate) fn read(
    recipe: &SampleRecipe,
    rules: SampleRules<'_>,
    positions: usize,
    purpose: Purpose,
) -> Result<Prompts, SampleError> {
    let unfit = |problem, remedy| SampleError::Unfit {
        path: recipe.prompts.clone(),
        problem,
        remedy,
    };
    let mut inside = BTreeSet::new();
    let mut embedded = |bytes: &[u8]| purpose.embedded(&recipe.images, &mut inside, bytes);
    let rows = llava::read_set(&recipe.prompts, &mut embedded)?;
    let n_left = rows.len().saturating_sub(recipe.skip);
    let count = recipe.count.unwrap_or(n_left);
    if n_left == 0 || count > n_left {
        let problem = format!(
            "{} prompts are too few: prompts.skip = {} are passed over, and prompts.count = {} asked",
            rows.len(),
            recipe.skip,
            recipe.count.map_or("all".to_owned(), |n| n.to_string())
        );
        return Err(unfit(problem, "lower prompts.skip or prompts.count"));
    }
    let rules = SampleRules {
        max_tokens: positions.saturating_sub(recipe.max_new_tokens),
        ..rules
    };
    let rows = rows.into_iter().enumerate();
    let rows = rows.skip(recipe.skip).take(count);
    let rows = rows.map(|(index, row)| {
        row.and_then(|row| {
            tokenised(index, row, rules).map_err(|fault| {
                let remedy = format!(
                    "the model has {positions} positions, of which sampling.max_new_tokens = {} are kept free: lower \
                     sampling.max_new_tokens, or shorten or remove the row",
                    recipe.max_new_tokens
                );
                fault.advise(Reason::TooLong, remedy)
            })
        })
    });
    let sieve = Sieve {
        on_bad_row: recipe.on_bad_row,
        look: purpose.look(recipe.on_bad_row, &recipe.images),
        images: &recipe.images,
        remedy: Some(LEAVE_OUT),
    };
    let sifted = sieve.sift(
        rows.collect(),
        |prompt: &Prompt| prompt.image.as_deref(),
        inside,
    )?;
    if let (true, Some(skipped)) = (sifted.rows.is_empty(), &sifted.skipped) {
        let problem = format!("no prompt is left, {skipped}");
        return Err(unfit(
            problem,
            "mend the prompts; data.on_bad_row = \"stop\" names them",
        ));
    }
    Ok(Prompts {
        rows: sifted.rows.into_iter().map(|(_, prompt)| prompt).collect(),
        images: sifted.images,
        skipped: sifted.skipped,
    })
}

fn tokenised(index: usize, row: Conversation, rules: SampleRules<'_>) -> Result<Prompt, RowFault> {
    let (query, original_answer) = split(row);
    let ids = TokenRuns::of(&Sample::new(&query, rules)?.ids);
    Ok(Prompt {
        index: index as u64,
        id: query.id,
        image: query.image,
        context: query.turns,
        original_answer,
        ids,
    })
}

/// The conversation up to its last answer, and that answer. A conversation that ends in a human turn is asked
/// as a whole and has none.
fn split(mut row: Conversation) -> (Conversation, Option<String>) {
    let answer = row.turns.pop_if(|turn| turn.from == Speaker::Gpt);
    (row, answer.map(|turn| turn.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(turns: &[Turn]) -> Conversation {
        Conversation {
            id: "a".into(),
            image: None,
            turns: turns.to_vec(),
        }
    }

    #[test]
    fn the_last_answer_is_what_is_sampled() {
        let (q1, a1, q2, a2) = (
            Turn::human("Q1"),
            Turn::gpt("A1"),
            Turn::human("Q2"),
            Turn::gpt("A2"),
        );
        let all = [q1, a1, q2, a2];
        assert_eq!(split(row(&all[..2])), (row(&all[..1]), Some("A1".into())));
        assert_eq!(split(row(&all)), (row(&all[..3]), Some("A2".into())));
        assert_eq!(split(row(&all[..3])), (row(&all[..3]), None));
    }
}

//! Comparisons on their way to the reward model: put into its words, tokenised.

use candor_data::comparisons::{Parts, Purpose};
use candor_data::rows::{Reason, RowFault};
use candor_data::{AnswerType, Comparison, Conversation, FactBook, Side, Turn};
use candor_data::{formats::captions, sha256};
use candor_model::sample::SampleRules;
use candor_model::shared::SharedPrefix;
use candor_train::Batches;

use crate::RewardError;
use crate::recipe::RewardRecipe;
use crate::wording::{Judged, Wording};

/// A tokenised comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name of the row; the public files repeat names.
    pub id: String,
    /// The preferred response.
    pub chosen: String,
    /// The other one.
    pub rejected: String,
    /// Branch 0 is the preferred response, branch 1 the other.
    pub shared: SharedPrefix,
}

impl Pair {
    /// Tokens that a pass computes for it.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.shared.prefix.len() + self.shared.branches.iter().map(Vec::len).sum::<usize>()
    }
}

/// Reads, tokenises and splits what the recipe names.
///
/// # Errors
/// A file is missing or damaged, there are too few comparisons, or rows cannot be judged and the recipe does not
/// skip them: they have no facts where the prompt shows them, do not fit the model, or their image is not there.
/// Rows that the run has no use for cannot stop it.
pub(crate) fn read(
    recipe: &RewardRecipe,
    rules: SampleRules<'_>,
    purpose: Purpose,
) -> Result<Parts<Pair>, RewardError> {
    let book = match &recipe.facts {
        Some(path) if recipe.wording.prompt.with_facts() => captions::read(path)?,
        _ => FactBook::new(),
    };
    let of_row = |(row, preferred)| pair(row, preferred, &recipe.wording, &book, rules);
    Ok(recipe.comparisons.read(purpose, of_row)?)
}

/// The order of the training pairs under a recipe.
///
/// # Errors
/// There are no pairs.
pub(crate) fn batches<'a>(
    recipe: &RewardRecipe,
    pairs: &'a Parts<Pair>,
) -> Result<Batches<'a, Pair>, RewardError> {
    let (seed, batch) = (recipe.session.seed, recipe.batch);
    let of = Batches::new(seed, &pairs.train, Pair::n_tokens, batch, recipe.pass)?;
    Ok(of)
}

/// A fingerprint of the tokenised pairs and of which part each is in.
#[must_use]
pub(crate) fn fingerprint(pairs: &Parts<Pair>) -> String {
    let parts = [&pairs.train, &pairs.validation, &pairs.held_out];
    let part = |pairs: &Vec<Pair>| {
        let mut bytes = vec![pairs.len().to_le_bytes().to_vec()];
        for pair in pairs {
            bytes.push(pair.shared.image.clone().unwrap_or_default().into_bytes());
            let sequences = std::iter::once(&pair.shared.prefix).chain(&pair.shared.branches);
            bytes.extend(sequences.map(|ids| ids.iter().flat_map(|id| id.to_le_bytes()).collect()));
        }
        bytes
    };
    sha256::of_bytes(parts.into_iter().flat_map(part))
}

/// Images of all parts; names may repeat.
pub(crate) fn images(pairs: &Parts<Pair>) -> impl Iterator<Item = String> + '_ {
    pairs.all().filter_map(|pair| pair.shared.image.clone())
}

/// Both responses of a row, worded and tokenised.
fn pair(
    row: Comparison,
    preferred: Side,
    wording: &Wording,
    book: &FactBook,
    rules: SampleRules<'_>,
) -> Result<Pair, RowFault> {
    let image = row.image.as_deref().unwrap_or_default();
    let facts = book.for_prompt(image, AnswerType::General);
    let sequence = |side: Side| {
        let mut turns = row.turns.clone();
        turns.push(Turn::gpt(row.outputs[side.index()].clone()));
        let conversation = Conversation {
            id: row.id.clone(),
            image: row.image.clone(),
            turns,
        };
        let item = Judged {
            id: &row.id,
            conversation: &conversation,
            facts: &facts,
        };
        wording.put(item, &row.id, rules).map_err(|error| {
            let mut fault = RowFault::from(error);
            if fault.reason == Reason::TooLong {
                fault.field = format!("output_{}", side.index() + 1).into();
                fault.found = format!("with context, facts and question {}", fault.found);
            }
            fault
        })
    };
    let (chosen, rejected) = (sequence(preferred)?, sequence(preferred.other())?);
    let shared = SharedPrefix::of(
        &row.id,
        &[chosen.read_at(), rejected.read_at()],
        row.image.clone(),
    )?;
    let [first, second] = row.outputs;
    let (chosen, rejected) = match preferred {
        Side::First => (first, second),
        Side::Second => (second, first),
    };
    Ok(Pair {
        id: row.id,
        chosen,
        rejected,
        shared,
    })
}

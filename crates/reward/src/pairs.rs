//! Comparisons and rated answers on their way to the reward model: put into its words, tokenised.
//!
//! A rated answer is compared with a score of 0: −log σ(s) is what a good one costs and −log σ(−s) what a bad one does, so what
//! is computed of a pair's scores, the loss, accuracy and margin, is computed of a rated answer's as well, with 0 as the other.

use std::path::Path;

use candor_data::comparisons::{Parts, Purpose};
use candor_data::rows::{Reason, RowFault};
use candor_data::{AnswerType, Comparison, Conversation, FactBook, Facts, RatedAnswer, Side, Turn};
use candor_data::{formats::captions, sha256};
use candor_model::sample::SampleRules;
use candor_model::shared::SharedPrefix;
use candor_train::{Batches, Judgements, RowShape};
use tch::Tensor;

use crate::RewardError;
use crate::recipe::RewardRecipe;
use crate::scores::PairScores;
use crate::wording::{Judged, RewardInput, Wording};

/// What was said of a row's responses, with their texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// One is better than the other.
    Compared {
        /// The preferred response.
        chosen: String,
        /// The other one.
        rejected: String,
    },
    /// There is one, and it is good or not.
    Rated {
        /// The response.
        answer: String,
        /// Whether it is a good one.
        is_desirable: bool,
    },
}

/// A tokenised comparison or rated answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name of the row; the public files repeat names.
    pub id: String,
    /// What was said of it.
    pub said: Said,
    /// Branch 0 is the preferred response and branch 1 the other; a rated one is alone.
    pub shared: SharedPrefix,
}

impl Pair {
    /// Tokens of it, without those that fill a pass.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.shared.prefix.len() + self.shared.branches.iter().map(Vec::len).sum::<usize>()
    }

    /// What it takes of a pass.
    pub(crate) fn shape(&self) -> RowShape {
        RowShape::shared(&self.shared, 1)
    }

    /// Whether a rated one is good; none of a comparison.
    pub(crate) fn rating(&self) -> Option<bool> {
        match self.said {
            Said::Compared { .. } => None,
            Said::Rated { is_desirable, .. } => Some(is_desirable),
        }
    }

    /// The scores of its branches as those of a pair.
    pub(crate) fn pair_scores(&self, of_branches: &[f64]) -> PairScores {
        match self.rating() {
            None => [of_branches[0], of_branches[1]],
            Some(true) => [of_branches[0], 0.0],
            Some(false) => [0.0, of_branches[0]],
        }
    }
}

/// 1 for each good one of rated answers and 0 for each bad one, `[n]` f64 on the CPU; none of comparisons.
pub(crate) fn desirable(pairs: &[&Pair]) -> Option<Tensor> {
    let number = |pair: &&Pair| pair.rating().map(|is_good| f64::from(u8::from(is_good)));
    let numbers: Option<Vec<f64>> = pairs.iter().map(number).collect();
    numbers.map(|numbers| Tensor::from_slice(&numbers))
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
    let wording = &recipe.wording;
    Ok(match &recipe.judgements {
        Judgements::Comparisons(set) => set.read(purpose, |(row, preferred)| {
            pair(row, preferred, wording, &book, rules)
        })?,
        Judgements::Rated(set) => {
            let parts = set.read(purpose, |row| rated(row, wording, &book, rules))?;
            check_kinds(&parts.train, &set.files[0].path)?;
            parts
        }
    })
}

/// Refuses rated answers of one kind alone, from which a score that is always the same would be learned.
fn check_kinds(train: &[Pair], path: &Path) -> Result<(), RewardError> {
    let n_good = train
        .iter()
        .filter(|pair| pair.rating() == Some(true))
        .count();
    let n_bad = train.len() - n_good;
    if n_good > 0 && n_bad > 0 {
        return Ok(());
    }
    Err(RewardError::Unfit {
        path: path.to_owned(),
        problem: format!("of the answers that are trained on {n_good} are good and {n_bad} bad"),
        remedy: "add answers with the other label",
    })
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
    let (pairs, n_tokens, shape) = (&pairs.train, Pair::n_tokens, Pair::shape);
    let of = Batches::new(seed, pairs, n_tokens, shape, batch, recipe.pass)?;
    Ok(of)
}

/// A fingerprint of the tokenised pairs and of which part each is in.
#[must_use]
pub(crate) fn fingerprint(pairs: &Parts<Pair>) -> String {
    let parts = [&pairs.train, &pairs.validation, &pairs.held_out];
    let part = |pairs: &Vec<Pair>| {
        let mut bytes = vec![pairs.len().to_le_bytes().to_vec()];
        for pair in pairs {
            bytes.extend(pair.rating().map(|is_good| vec![u8::from(is_good)]));
            bytes.push(pair.shared.image.clone().unwrap_or_default().into_bytes());
            let prefix = pair.shared.prefix.to_vec();
            let sequences = std::iter::once(&prefix).chain(&pair.shared.branches);
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

/// A response to a context, worded and tokenised; `field` is where it stands in its file.
fn worded(
    conversation: Conversation,
    response: &str,
    field: String,
    wording: &Wording,
    facts: &Facts,
    rules: SampleRules<'_>,
) -> Result<RewardInput, RowFault> {
    let mut conversation = conversation;
    conversation.turns.push(Turn::gpt(response));
    let item = Judged {
        id: &conversation.id,
        conversation: &conversation,
        facts,
    };
    wording.put(item, &conversation.id, rules).map_err(|error| {
        let mut fault = RowFault::from(error);
        if fault.reason == Reason::TooLong {
            fault.field = field.into();
            fault.found = format!("with context, facts and question {}", fault.found);
        }
        fault
    })
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
        let conversation = Conversation {
            id: row.id.clone(),
            image: row.image.clone(),
            turns: row.turns.clone(),
        };
        let field = format!("output_{}", side.index() + 1);
        let response = &row.outputs[side.index()];
        worded(conversation, response, field, wording, &facts, rules)
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
        said: Said::Compared { chosen, rejected },
        shared,
    })
}

/// A rated answer, worded and tokenised.
fn rated(
    row: RatedAnswer,
    wording: &Wording,
    book: &FactBook,
    rules: SampleRules<'_>,
) -> Result<Pair, RowFault> {
    let image = row.image.as_deref().unwrap_or_default();
    let facts = book.for_prompt(image, AnswerType::General);
    let conversation = Conversation {
        id: row.id.clone(),
        image: row.image.clone(),
        turns: row.turns,
    };
    let field = "completion".to_owned();
    let answer = worded(conversation, &row.answer, field, wording, &facts, rules)?;
    Ok(Pair {
        shared: SharedPrefix::of(&row.id, &[answer.read_at()], row.image)?,
        id: row.id,
        said: Said::Rated {
            answer: row.answer,
            is_desirable: row.is_desirable,
        },
    })
}

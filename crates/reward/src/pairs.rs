//! Comparisons and rated answers on their way to the reward model: put into its words, tokenised.
//!
//! A rated answer is compared with a score of 0: −log σ(s) is what a good one costs and −log σ(−s) what a bad one does, so what
//! is computed of a pair's scores, the loss, accuracy and margin, is computed of a rated answer's as well, with 0 as the other.

use std::path::Path;

use candor_data::comparisons::{Judged, KeptRow, Parts};
use candor_data::rows::packing::{add_text, text};
use candor_data::rows::{Reason, RowFault, Skipped};
use candor_data::{
    AnswerType, Comparison, Conversation, DataError, FactBook, Facts, RatedAnswer, Side, Turn,
};
use candor_data::{formats::captions, sha256};
use candor_model::sample::SampleRules;
use candor_model::shared::SharedPrefix;
use candor_train::{Batches, Judgements, RowShape, RowSize};
use tch::Tensor;

use crate::RewardError;
use crate::held_out::Learned;
use crate::recipe::RewardRecipe;
use crate::scores::PairScores;
use crate::wording::{self, RewardInput, Wording};

/// A tokenised comparison or rated answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name of the row; the public files repeat names.
    pub id: String,
    /// What was said of it.
    pub said: Judged,
    /// Branch 0 is the preferred response and branch 1 the other; a rated one is alone.
    pub shared: SharedPrefix,
}

impl Pair {
    /// Tokens of it, without those that fill a pass.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.shared.prefix.len() + self.shared.branches.iter().map(Vec::len).sum::<usize>()
    }

    /// Whether a rated one is good; none of a comparison.
    pub(crate) fn rating(&self) -> Option<bool> {
        self.said.rating()
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

/// What is held of a row in memory: its lengths, and whether a rated one is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairSize {
    /// Tokens of the common beginning.
    beginning: u32,
    /// Tokens of each branch; a rated one has one.
    branches: [u32; 2],
    rating: Option<bool>,
}

impl PairSize {
    /// What it takes of the updates.
    pub(crate) fn size(self) -> RowSize {
        let [beginning, first, second] =
            [self.beginning, self.branches[0], self.branches[1]].map(|n| n as usize);
        RowSize {
            n_tokens: beginning + first + second,
            shape: RowShape {
                times: 1,
                beginning,
                n_branches: if self.rating.is_none() { 2 } else { 1 },
                branch: first.max(second),
            },
        }
    }
}

impl KeptRow for Pair {
    type Held = PairSize;

    fn held(&self) -> PairSize {
        let branch = |n: usize| self.shared.branches.get(n).map_or(0, Vec::len) as u32;
        PairSize {
            beginning: self.shared.prefix.len() as u32,
            branches: [branch(0), branch(1)],
            rating: self.rating(),
        }
    }

    fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        add_text(&mut bytes, &self.id);
        self.said.pack(&mut bytes);
        self.shared.pack(&mut bytes);
        bytes
    }

    fn unpacked(mut rest: &[u8], shown: Option<&str>, _: PairSize) -> Option<Self> {
        let id = text(&mut rest)?;
        let said = Judged::unpack(&mut rest)?;
        let shared = SharedPrefix::unpack(&mut rest, shown)?;
        rest.is_empty().then_some(Self { id, said, shared })
    }
}

/// 1 for each good one of rated answers and 0 for each bad one, `[n]` f64 on the CPU; none of comparisons.
pub(crate) fn desirable(pairs: &[&Pair]) -> Option<Tensor> {
    let number = |pair: &&Pair| pair.rating().map(|is_good| f64::from(u8::from(is_good)));
    let numbers: Option<Vec<f64>> = pairs.iter().map(number).collect();
    numbers.map(|numbers| Tensor::from_slice(&numbers))
}

/// Reads, tokenises and splits what the recipe names; the rows are kept on the disk of the folder `keep`, and without it only counted.
///
/// # Errors
/// A file is missing or damaged, there are too few comparisons, the disk is full, or rows cannot be judged and the recipe does not
/// skip them: they have no facts where the prompt shows them, do not fit the model, or their image is not there.
/// Rows that the run has no use for cannot stop it.
pub(crate) fn read(
    recipe: &RewardRecipe,
    rules: SampleRules<'_>,
    keep: Option<&Path>,
) -> Result<Parts<Pair>, RewardError> {
    let book = match &recipe.facts {
        Some(path) if recipe.wording.prompt.with_facts() => captions::read(path)?,
        _ => FactBook::new(),
    };
    let wording = &recipe.wording;
    Ok(match &recipe.judgements {
        Judgements::Comparisons(set) => set.read(keep, |(row, preferred)| {
            pair(row, preferred, wording, &book, rules)
        })?,
        Judgements::Rated(set) => {
            let parts = set.read(keep, |row| rated(row, wording, &book, rules))?;
            check_kinds(&parts, &set.files[0].path)?;
            parts
        }
    })
}

/// How many of the rated answers that are trained on are good.
fn n_good(pairs: &Parts<Pair>) -> usize {
    let good = pairs
        .train()
        .filter(|&row| pairs.held(row).rating == Some(true));
    good.count()
}

/// Refuses rated answers of one kind alone, from which a score that is always the same would be learned.
fn check_kinds(pairs: &Parts<Pair>, path: &Path) -> Result<(), RewardError> {
    let n_good = n_good(pairs);
    let n_bad = pairs.train().len() - n_good;
    if n_good > 0 && n_bad > 0 {
        return Ok(());
    }
    Err(RewardError::Unfit {
        path: path.to_owned(),
        problem: format!("of the answers that are trained on {n_good} are good and {n_bad} bad"),
        remedy: "add answers with the other label",
    })
}

/// What a run learned from.
pub(crate) fn learned(pairs: &Parts<Pair>) -> Learned {
    let are_rated = pairs.train().all(|row| pairs.held(row).rating.is_some());
    Learned {
        n_train: pairs.train().len(),
        n_desirable: are_rated.then(|| n_good(pairs)),
        n_validation: pairs.validation().len(),
        n_identical: pairs.n_equal,
        skipped: pairs.skipped.as_ref().map(Skipped::counts),
    }
}

/// The order of the training pairs under a recipe.
///
/// # Errors
/// There are no pairs.
pub(crate) fn batches(
    recipe: &RewardRecipe,
    pairs: &Parts<Pair>,
) -> Result<Batches<impl Fn(usize) -> RowSize>, RewardError> {
    let (seed, batch) = (recipe.session.seed, recipe.batch);
    let size = move |row| pairs.held(row).size();
    let of = Batches::new(seed, pairs.train().len(), size, batch, recipe.pass)?;
    Ok(of)
}

/// A fingerprint of the tokenised pairs and of which part each is in.
///
/// # Errors
/// The disk fails.
pub(crate) fn fingerprint(pairs: &Parts<Pair>) -> Result<String, DataError> {
    let mut hash = sha256::Parts::default();
    for part in [pairs.train(), pairs.validation(), pairs.held_out()] {
        hash.add(part.len().to_le_bytes());
        for row in part {
            let pair = pairs.row(row)?;
            if let Some(is_good) = pair.rating() {
                hash.add([u8::from(is_good)]);
            }
            hash.add(pair.shared.image.unwrap_or_default());
            let prefix = pair.shared.prefix.to_vec();
            for ids in std::iter::once(&prefix).chain(&pair.shared.branches) {
                let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
                hash.add(bytes);
            }
        }
    }
    Ok(hash.finish())
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
    let item = wording::Judged {
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
        said: Judged::Compared { chosen, rejected },
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
        said: Judged::Rated {
            answer: row.answer,
            is_desirable: row.is_desirable,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(said: Judged, branches: Vec<Vec<i64>>) -> Pair {
        let read = branches.iter().map(|branch| 0..branch.len()).collect();
        Pair {
            id: "a".to_owned(),
            said,
            shared: SharedPrefix {
                prefix: vec![1, 7, 7, 7, 5].into(),
                branches,
                read,
                image: Some("a.png".to_owned()),
            },
        }
    }

    #[test]
    fn pairs_come_back_from_their_bytes_and_what_is_cut_off_is_none() {
        let compared = Judged::Compared {
            chosen: "yes".to_owned(),
            rejected: "no".to_owned(),
        };
        let rated = |is_desirable| Judged::Rated {
            answer: "yes".to_owned(),
            is_desirable,
        };
        // Of two branches the longer one fills the pass.
        let cases = [
            (pair(compared, vec![vec![2], vec![3, 4]]), [8, 9]),
            (pair(rated(true), vec![vec![2, 4]]), [7, 7]),
            (pair(rated(false), vec![vec![2, 4]]), [7, 7]),
        ];
        for (pair, [n_tokens, of_a_pass]) in cases {
            // As docs/data.md counts it.
            assert_eq!(size_of_val(&pair.held()), 16);
            let size = pair.held().size();
            assert_eq!((size.n_tokens, pair.n_tokens()), (n_tokens, n_tokens));
            assert_eq!(size.shape, RowShape::shared(&pair.shared, 1));
            assert_eq!(size.shape.n_tokens(), of_a_pass);
            let (bytes, held) = (pair.packed(), pair.held());
            let unpacked = |bytes: &[u8]| Pair::unpacked(bytes, Some("a.png"), held);
            assert_eq!(unpacked(&bytes), Some(pair));
            for n in 0..bytes.len() {
                assert_eq!(unpacked(&bytes[..n]), None, "{n}");
            }
        }
    }
}

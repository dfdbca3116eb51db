//! The rows of the files, and which of them can be scored.

use std::collections::{BTreeMap, BTreeSet};

use candor_data::formats::images;
use candor_data::image_key::coco_number;
use candor_data::rows::{Look, Reason, Row, RowFault, RowName, Sieve, Sifted, SourceFile};
use candor_data::{
    AnswerType, Comparison, ComparisonFormat, Conversation, FactBook, Facts, Side, Turn,
};
use candor_model::Bundle;
use candor_model::sample::SampleRules;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::PairBenchmark;
use crate::RewardError;
use crate::scorer::RewardModel;
use crate::wording::{Judged, Wording};

/// A pair that somebody has judged, or whose first answer stands for the preferred one, and its scores once it has them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JudgedPair {
    /// What it counts under.
    pub group: String,
    pub id: String,
    pub image: Option<String>,
    pub turns: Vec<Turn>,
    pub chosen: String,
    pub rejected: String,
    /// Of the preferred answer, and of the other one.
    pub scores: [f64; 2],
}

impl JudgedPair {
    /// The conversation that ends in one of its answers.
    pub(super) fn answered(&self, answer: &str) -> Conversation {
        let turns = self.turns.iter().cloned();
        Conversation {
            id: self.id.clone(),
            image: self.image.clone(),
            turns: turns.chain([Turn::gpt(answer)]).collect(),
        }
    }
}

/// What was read.
pub(super) struct Read {
    /// Pairs of different answers.
    pub rows: Vec<Row<JudgedPair>>,
    /// Pairs that were left out because both answers are the same.
    pub n_identical: usize,
}

/// Which answer of a row is the chosen one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The one that somebody prefers.
    Preferred,
    /// The first, whatever anybody said.
    First,
}

/// The pairs of all files.
pub(super) fn read(plan: &PairBenchmark, chosen: Chosen) -> Result<Read, RewardError> {
    let (mut rows, mut n_identical) = (Vec::new(), 0);
    let mut stems = BTreeSet::new();
    for path in &plan.files {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if !stems.insert(stem.clone().into_owned()) {
            return Err(RewardError::Unfit {
                path: path.clone(),
                problem: format!("a second file of the name {stem:?}"),
                remedy: "give each file a name of its own: it is the group's",
            });
        }
        let source = SourceFile::new(path);
        let mut keep = |bytes: &[u8]| images::keep(&plan.images, bytes);
        let compared = ComparisonFormat::of(path)?.read(path, &mut keep)?;
        for (number, mut row) in compared.into_iter().enumerate() {
            if row.is_equal() {
                n_identical += 1;
                continue;
            }
            let group = match row.group.take() {
                Some(group) if plan.files.len() == 1 => group,
                Some(group) => format!("{stem}: {group}"),
                None => stem.clone().into_owned(),
            };
            let name = RowName::numbered(&source, number, row.id.as_str());
            let made = pair(group, row, chosen);
            rows.push(Row { name, made });
        }
    }
    Ok(Read { rows, n_identical })
}

fn pair(group: String, row: Comparison, chosen: Chosen) -> Result<JudgedPair, RowFault> {
    let preferred = match chosen {
        Chosen::Preferred => row.preferred(),
        Chosen::First => Some(Side::First),
    };
    let Some(preferred) = preferred else {
        return Err(RowFault::new(
            Reason::Unjudged,
            "preference",
            "nobody has said which of the two answers is better",
            "have the answers compared (docs/annotate.md), or remove the row",
        ));
    };
    let [first, second] = row.outputs;
    let (chosen, rejected) = match preferred {
        Side::First => (first, second),
        Side::Second => (second, first),
    };
    Ok(JudgedPair {
        group,
        id: row.id,
        image: row.image,
        turns: row.turns,
        chosen,
        rejected,
        scores: [0.0; 2],
    })
}

/// Facts by image, found by COCO's number as well where a set has its images in folders or under the name of a split.
pub(super) struct KnownFacts {
    book: FactBook,
    by_number: BTreeMap<String, String>,
}

impl KnownFacts {
    pub(super) fn new(book: FactBook) -> Self {
        let number =
            |(name, _): (&str, &Facts)| Some((coco_number(name)?.to_owned(), name.to_owned()));
        let by_number = book.iter().filter_map(number).collect();
        Self { book, by_number }
    }

    /// What is known of the image of a pair.
    pub(super) fn of(&self, pair: &JudgedPair) -> Facts {
        let image = pair.image.as_deref().unwrap_or_default();
        let named = match self.book.get(image) {
            Some(_) => None,
            None => coco_number(image).and_then(|number| self.by_number.get(number)),
        };
        let name = named.map_or(image, String::as_str);
        self.book.for_prompt(name, AnswerType::General)
    }
}

/// Keeps the rows that the model can score: both answers fit it, facts are known where it is shown them, and the image is
/// there.
pub(super) fn sift(
    plan: &PairBenchmark,
    rows: Vec<Row<JudgedPair>>,
    model: &RewardModel,
    bundle: &Bundle,
    facts: &KnownFacts,
) -> Result<Sifted<JudgedPair>, RewardError> {
    let rules = bundle.rules(model.max_tokens, plan.images.as_path());
    let wording = &model.wording;
    let fits = |pair: JudgedPair| fits(&pair, wording, facts, rules).map(|()| pair);
    let rows: Vec<Row<JudgedPair>> = rows.into_par_iter().map(|row| row.and_then(fits)).collect();
    let sieve = Sieve {
        on_bad_row: plan.on_bad_row,
        look: Look::of_run(plan.on_bad_row),
        images: &plan.images,
        remedy: Some("--on-bad-row skip leaves such rows out"),
    };
    Ok(sieve.sift(rows, |pair| pair.image.as_deref(), [])?)
}

fn fits(
    pair: &JudgedPair,
    wording: &Wording,
    facts: &KnownFacts,
    rules: SampleRules<'_>,
) -> Result<(), RowFault> {
    let facts = facts.of(pair);
    for answer in [&pair.chosen, &pair.rejected] {
        let conversation = pair.answered(answer);
        let item = Judged {
            id: &pair.id,
            conversation: &conversation,
            facts: &facts,
        };
        let put = wording.put(item, &pair.id, rules);
        put.map_err(|error| {
            let remedy = "remove the row: the reward model was trained on no longer ones";
            RowFault::from(error).advise(Reason::TooLong, remedy)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_cocos_images_are_found_by_their_number_and_others_by_their_name() {
        let mut book = FactBook::new();
        for (image, caption) in [
            ("000000221441.jpg", "two horses"),
            ("images/own/13062.jpg", "a teapot"),
            ("7.jpg", "a cup"),
        ] {
            book.entry(image).captions = vec![caption.to_owned()];
        }
        let facts = KnownFacts::new(book);
        let known = |image: &str| {
            let pair = JudgedPair {
                group: String::new(),
                id: String::new(),
                image: Some(image.to_owned()),
                turns: Vec::new(),
                chosen: String::new(),
                rejected: String::new(),
                scores: [0.0; 2],
            };
            facts.of(&pair).captions.concat()
        };
        assert_eq!(
            known("images/povid/COCO_train2014_000000221441.jpg"),
            "two horses"
        );
        assert_eq!(known("images/own/13062.jpg"), "a teapot");
        // Another set's image may have the same name.
        assert_eq!(known("images/other/7.jpg"), "");
        assert_eq!(known("000000221442.jpg"), "");
    }
}

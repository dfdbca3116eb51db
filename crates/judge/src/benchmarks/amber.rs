//! AMBER (arXiv 2311.07397): descriptions whose objects are known, and yes/no questions, of one file of queries.
//!
//! Of a description, its nouns that stand in AMBER's list of words count, each as often as it is said: CHAIR is the share of
//! those that are not there, Hal the share of descriptions with one, Cover the share of what is there that is said, Cog the
//! share of what people tend to make up that is said. Questions count by the answer no: precision, recall, F1.
//!
//! # Reference
//! The official script tags nouns with NLTK, lemmatises them with WordNet, and takes a word for another where spaCy's vectors
//! are nearer than 0.8. Here a word of the text is a noun if it or its singular is in the list, and is like another where the
//! table of similar words says so (`--synonyms`, made of the same vectors; without it no word is like another, and more is
//! flagged). Two of the script's habits are kept in numbers of their own ([`crate::amber`]), and its reading of exactly
//! `Yes` and `No` in `accuracy_official` and `f1_official`. It adds 0.0001 to the F1's divisor and rounds before it divides,
//! which is not done here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candor_data::formats::amber::{self as format, Kind, Truth};
use candor_data::formats::answers::Answer;
use candor_data::formats::pope::Label;

use super::part::share;
use super::pope::word;
use super::{About, Files, ItemScore, SHORT, Task, limited};
use crate::amber::{Found, Words};
use crate::item::Item;
use crate::measure::Better::{Higher, Lower, Neither};
use crate::measure::measure;
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::verdict::Verdict;
use crate::{JudgeError, yes_no};

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "amber",
    argument: "amber",
    label: "AMBER",
    help: "AMBER, its descriptions and its questions",
    measures: &[
        measure("chair", "CHAIR", Lower, 3),
        measure("cover", "Cover", Higher, 3),
        measure("hal", "Hal", Lower, 3),
        measure("cog", "Cog", Lower, 3),
        measure("cover_official", "Cover (official)", Higher, 3),
        measure("cog_official", "Cog (official)", Lower, 3),
        measure("accuracy", "accuracy", Higher, 3),
        measure("precision", "precision of no", Higher, 3),
        measure("recall", "recall of no", Higher, 3),
        measure("f1", "F1 of no", Higher, 3),
        measure("accuracy_official", "accuracy (official)", Higher, 3),
        measure("f1_official", "F1 of no (official)", Higher, 3),
        measure("unparsed", "not read", Neither, 3),
    ],
    highest: None,
    beside: Some("cover"),
    unparsed: "could not be read",
    taken_for: ", and count as wrong",
    is_free: false,
    has_splits: false,
    outcome,
    open: |files, _| Ok(Box::new(Amber::read(files)?)),
};

fn outcome(verdict: &Verdict) -> ItemOutcome {
    if verdict.part("hal")[1] > 0.0 {
        return ItemOutcome {
            right: Some(!verdict.holds("hal")),
            hallucinated: verdict.holds("hal"),
            unparsed: false,
        };
    }
    let said_yes = verdict.read_as.first().is_some_and(|read| read == "yes");
    ItemOutcome {
        right: Some(verdict.holds("accuracy")),
        hallucinated: said_yes && !verdict.holds("accuracy"),
        unparsed: verdict.holds("unparsed"),
    }
}

/// Its queries.
struct Amber {
    items: Vec<Item>,
    annotations: Vec<format::Annotation>,
    words: Option<Words>,
}

impl Amber {
    fn read(files: &Files) -> Result<Self, JudgeError> {
        let path = files.first();
        let queries = limited(format::read_queries(path)?, files);
        let needed = |file: &Option<PathBuf>, problem: &str, remedy| {
            let refused = || JudgeError::unfit(path, problem, remedy);
            file.clone().ok_or_else(refused)
        };
        let told = needed(
            &files.context,
            "nothing says what is true of the images",
            "give --context annotations.json",
        )?;
        let told_of: BTreeMap<u64, format::Annotation> = format::read_annotations(&told)?
            .into_iter()
            .map(|row| (row.id, row))
            .collect();
        let annotation = |query: &format::Query| {
            let refused = || {
                let problem = format!("query {} has no annotation", query.id);
                JudgeError::unfit(&told, problem, "give the annotations of the same release")
            };
            told_of.get(&query.id).cloned().ok_or_else(refused)
        };
        let annotations = queries.iter().map(annotation);
        let annotations: Vec<format::Annotation> = annotations.collect::<Result<_, _>>()?;
        let described = annotations.iter().any(|row| row.kind == Kind::Generative);
        let words = if described {
            let relations = needed(
                &files.references,
                "descriptions are read by the words that AMBER knows",
                "give --references relation.json",
            )?;
            let words = Words::read(&relations, files.synonyms.as_deref())?;
            words.check(&told, &annotations)?;
            Some(words)
        } else {
            None
        };
        let item = |(query, row): (&format::Query, &format::Annotation)| Item {
            id: query.id.to_string(),
            file: 0,
            image: query.image.clone(),
            names: [query.image.clone(), query.image.clone()],
            question: query.query.clone(),
            prompt: query.query.clone(),
            instruction: if row.kind == Kind::Generative {
                ""
            } else {
                SHORT
            },
        };
        Ok(Self {
            items: queries.iter().zip(&annotations).map(item).collect(),
            annotations,
            words,
        })
    }
}

/// What a description adds to the numbers.
fn add_description(verdict: &mut Verdict, found: &Found) {
    let shares = |[covered, all]: [usize; 2]| [covered as f64, all as f64];
    verdict.add("chair", found.flagged.len() as f64, found.mentions as f64);
    verdict.add("hal", share(!found.flagged.is_empty()), 1.0);
    for (key, part) in [
        ("cover", found.cover),
        ("cog", found.cog),
        ("cover_official", found.cover_official),
        ("cog_official", found.cog_official),
    ] {
        let [covered, all] = shares(part);
        verdict.add(key, covered, all);
    }
}

/// What an answer adds to accuracy and F1, where no is what is looked for.
fn add_answer(verdict: &mut Verdict, ending: &str, truth: bool, said: Option<bool>) {
    let hit = share(!truth && said == Some(false));
    let (false_alarm, miss) = (share(truth && said == Some(false)), share(!truth) - hit);
    let mut add = |key: &str, part, whole| verdict.add(&format!("{key}{ending}"), part, whole);
    add("accuracy", share(said == Some(truth)), 1.0);
    add("f1", 2.0 * hit, 2.0 * hit + false_alarm + miss);
    if ending.is_empty() {
        add("precision", hit, hit + false_alarm);
        add("recall", hit, hit + miss);
        add("unparsed", share(said.is_none()), 1.0);
    }
}

impl Task for Amber {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        _replies: InOrders<String>,
    ) -> Result<ItemScore, JudgeError> {
        let (row, item) = (&self.annotations[item], &self.items[item]);
        let mut verdict = Verdict {
            id: item.id.clone(),
            image: item.image.clone(),
            group: row.kind.name().to_owned(),
            question: item.question.clone(),
            answer: answer.text.clone(),
            ..Verdict::default()
        };
        match (&row.truth, &self.words) {
            (Truth::Words { truth, hallu }, Some(words)) => {
                let found = words.found(&answer.text, truth, hallu);
                add_description(&mut verdict, &found);
                verdict.reference = Some(truth.join(", "));
                verdict.read_as = found.flagged;
            }
            (Truth::Said(label), _) => {
                let truth = *label == Label::Yes;
                let said = yes_no::read(&answer.text);
                let exactly = match answer.text.as_str() {
                    "Yes" => Some(true),
                    "No" => Some(false),
                    _ => None,
                };
                add_answer(&mut verdict, "", truth, said);
                add_answer(&mut verdict, "_official", truth, exactly);
                verdict.reference = Some(word(truth));
                verdict.read_as = vec![said.map_or_else(|| "none".to_owned(), word)];
            }
            // Words are read wherever there is a description.
            (Truth::Words { .. }, None) => {}
        }
        Ok(ItemScore {
            verdict,
            ..ItemScore::default()
        })
    }
}

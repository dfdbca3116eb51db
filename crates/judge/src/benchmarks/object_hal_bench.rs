//! Object-HalBench (arXiv 2312.00849): which objects of a description are not in the image, where a judge extracts the objects.
//!
//! The objects that the judge lists are read as terms of the table of synonyms ([`crate::object_terms`]); what is there is what COCO's
//! boxes and captions say. A description of at most three words has no objects, and no judge is asked about it.
//!
//! # Reference
//! Numbers as of the official script: `chair_s` is its `CHAIRs_refine` (published as the response rate), `chair_s_all` its `CHAIRs`,
//! `chair_i` its `CHAIRi` (the mention rate), `recall` its `obj_rec`. Departures: candor asks with a prompt of its own unless
//! `templates.object_hal_bench` names a file, reads lists anywhere in a reply, and counts a reply without a list as not read, where the
//! script asks up to a hundred times. How words become terms is in [`crate::object_terms`].

pub(crate) mod closed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candor_data::formats::answers::Answer;
use candor_data::formats::coco;
use candor_data::formats::object_hal_bench::{self as format, Question};

use super::part::share;
use super::{About, Files, Image, ItemScore, Task, limited, request, template};
use crate::JudgeError;
use crate::item::Item;
use crate::measure::Better::{Higher, Lower, Neither};
use crate::measure::{Measure, measure};
use crate::object_terms::{Terms, read_objects};
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::request::Request;
use crate::template::Templates;
use crate::verdict::Verdict;

const MEASURES: &[Measure] = &[
    measure("chair_s", "CHAIR_s", Lower, 3),
    measure("chair_i", "CHAIR_i", Lower, 3),
    measure("chair_s_all", "CHAIR_s of all", Lower, 3),
    measure("recall", "recall", Higher, 3),
    measure("objects", "objects mentioned", Neither, 2),
    measure("unparsed", "not read", Neither, 3),
];

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "object_hal_bench",
    argument: "object-hal-bench",
    label: "Object-HalBench",
    help: "Object-HalBench, where a judge extracts the objects",
    measures: MEASURES,
    highest: None,
    beside: Some("recall"),
    unparsed: "could not be read",
    taken_for: "",
    is_free: true,
    has_splits: false,
    outcome: |verdict| ItemOutcome::of_mostly(verdict, "chair_s_all"),
    open: |files, templates| {
        Ok(Box::new(Extracted {
            asked: Asked::read(files)?,
            templates: Templates::object_hal_bench(templates.object_hal_bench.as_deref())?,
        }))
    },
};

/// The prompts, and what is in their images.
struct Asked {
    path: PathBuf,
    rows: Vec<Question>,
    items: Vec<Item>,
    /// Kinds that are in the image of each item.
    present: Vec<BTreeSet<String>>,
    terms: Terms,
}

impl Asked {
    fn read(files: &Files) -> Result<Self, JudgeError> {
        let path = files.first();
        let needed = |file: &Option<PathBuf>, problem: &str, remedy| {
            let refused = || JudgeError::unfit(path, problem, remedy);
            file.clone().ok_or_else(refused)
        };
        let rows = limited(format::read(path)?, files);
        let table = needed(
            &files.synonyms,
            "objects are found by their synonyms",
            "give --synonyms synonyms_refine.txt, the table that the benchmark publishes",
        )?;
        let boxes = needed(
            &files.references,
            "nothing says which objects are in the images",
            "give --references, COCO's instances",
        )?;
        let told = needed(
            &files.context,
            "nothing says what people see in the images",
            "give --context, COCO's captions",
        )?;
        let terms = Terms::read(&table)?;
        let (instances, captions) = (coco::read_instances(&boxes)?, coco::read_captions(&told)?);
        let names: BTreeMap<u64, &str> = instances
            .images
            .iter()
            .map(|image| (image.id, image.file_name.as_str()))
            .collect();
        let (objects, captions) = (instances.objects_by_file(), captions.by_file());
        let (mut items, mut present) = (Vec::new(), Vec::new());
        for row in &rows {
            let unknown = |file: &Path| {
                let problem = format!(
                    "it has no image {}, which {} asks about",
                    row.image_id,
                    path.display()
                );
                let remedy = "give the annotations of COCO 2014 that have the benchmark's images (of its two sets put together, if need be)";
                JudgeError::unfit(file, problem, remedy)
            };
            let name = names.get(&row.image_id).ok_or_else(|| unknown(&boxes))?;
            let said = captions.get(name).ok_or_else(|| unknown(&told))?;
            let seen = objects.get(name).map_or(&[][..], Vec::as_slice);
            present.push(kinds(&terms, seen, said)?);
            let number = row.image_id.to_string();
            items.push(Item {
                id: number.clone(),
                file: 0,
                image: (*name).to_owned(),
                names: [number, (*name).to_owned()],
                question: row.question.clone(),
                prompt: row.question.clone(),
                instruction: "",
            });
        }
        Ok(Self {
            path: path.to_owned(),
            rows,
            items,
            present,
            terms,
        })
    }

    fn image(&self, item: usize) -> Result<Image<'_>, JudgeError> {
        let held = format::image(&self.path, &self.rows[item])?;
        Ok(held.map_or(Image::Named(&self.items[item].image), Image::Held))
    }

    /// What terms of an answer say of the image.
    fn counted(&self, item: usize, terms: &[String]) -> Counted {
        let present = &self.present[item];
        let kind = |term: &String| self.terms.kind(term).unwrap_or_default().to_owned();
        let (right, wrong): (Vec<&String>, Vec<&String>) =
            terms.iter().partition(|term| present.contains(&kind(term)));
        let kinds: BTreeSet<String> = right.iter().map(|term| kind(term)).collect();
        Counted {
            mentioned: terms.len(),
            hallucinated: wrong.into_iter().cloned().collect(),
            covered: kinds.len(),
            present: present.len(),
        }
    }

    /// The verdict on an answer, before anything is counted.
    fn verdict(&self, item: usize, answer: &Answer) -> Verdict {
        let (present, item) = (&self.present[item], &self.items[item]);
        Verdict {
            id: item.id.clone(),
            image: item.image.clone(),
            question: item.question.clone(),
            reference: Some(present.iter().cloned().collect::<Vec<_>>().join(", ")),
            answer: answer.text.clone(),
            ..Verdict::default()
        }
    }
}

/// The kinds that are in an image: those of its boxes, and those that people say.
fn kinds(terms: &Terms, boxed: &[&str], said: &[&str]) -> Result<BTreeSet<String>, JudgeError> {
    let mut kinds = BTreeSet::new();
    for category in boxed {
        kinds.insert(terms.kind_of_category(category)?.to_owned());
    }
    for caption in said {
        let found = terms.in_text(caption);
        kinds.extend(
            found
                .iter()
                .filter_map(|term| terms.kind(term))
                .map(str::to_owned),
        );
    }
    Ok(kinds)
}

/// What the terms of an answer amount to.
struct Counted {
    /// Terms.
    mentioned: usize,
    /// Those whose kind is not there.
    hallucinated: Vec<String>,
    /// Kinds that are there and mentioned.
    covered: usize,
    /// Kinds that are there.
    present: usize,
}

/// Adds what was found in each reading of an answer, as their mean.
fn add(verdict: &mut Verdict, readings: &[Counted]) {
    if readings.is_empty() {
        return;
    }
    let mean =
        |of: &dyn Fn(&Counted) -> f64| readings.iter().map(of).sum::<f64>() / readings.len() as f64;
    let made_up = |reading: &Counted| share(!reading.hallucinated.is_empty());
    let n_wrong = mean(&|reading| reading.hallucinated.len() as f64);
    let n_terms = mean(&|reading| reading.mentioned as f64);
    verdict.add(
        "chair_s",
        mean(&made_up),
        mean(&|reading| share(reading.mentioned > 0)),
    );
    verdict.add("chair_i", n_wrong, n_terms);
    verdict.add("chair_s_all", mean(&made_up), 1.0);
    let n_present = mean(&|reading| reading.present as f64);
    verdict.add("recall", mean(&|reading| reading.covered as f64), n_present);
    verdict.add("objects", n_terms, 1.0);
}

/// Whether an answer is so short that it is taken to name nothing.
fn is_short(answer: &str) -> bool {
    answer.split_whitespace().count() <= 3
}

/// With a judge that extracts objects.
struct Extracted {
    asked: Asked,
    templates: Templates,
}

impl Task for Extracted {
    fn items(&self) -> &[Item] {
        &self.asked.items
    }

    fn image(&self, item: usize) -> Result<Image<'_>, JudgeError> {
        self.asked.image(item)
    }

    fn asks_judge(&self) -> bool {
        true
    }

    fn request(&self, item: usize, answer: &str) -> Result<Option<Request>, JudgeError> {
        if is_short(answer) {
            return Ok(None);
        }
        let item = &self.asked.items[item];
        let values = [("question", item.question.as_str()), ("answer", answer)];
        let template = template(&self.asked.path, &self.templates, "")?;
        Ok(Some(request(item, template, &values)))
    }

    fn templates(&self) -> Option<&Templates> {
        Some(&self.templates)
    }

    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        replies: InOrders<String>,
    ) -> Result<ItemScore, JudgeError> {
        let mut verdict = self.asked.verdict(item, answer);
        if is_short(&answer.text) {
            add(&mut verdict, &[self.asked.counted(item, &[])]);
            return Ok(ItemScore {
                verdict,
                ..ItemScore::default()
            });
        }
        let read = replies.usual.iter().map(|reply| {
            let terms = self.asked.terms.in_objects(&read_objects(reply)?);
            Some(self.asked.counted(item, &terms))
        });
        let read: Vec<Option<Counted>> = read.collect();
        let n_wrong = |of: &Option<Counted>| of.as_ref().map(|of| of.hallucinated.len() as f64);
        let scores = read.iter().map(n_wrong).collect();
        let n_unparsed = read.iter().filter(|of| of.is_none()).count();
        verdict.add("unparsed", n_unparsed as f64, read.len() as f64);
        let readings: Vec<Counted> = read.into_iter().flatten().collect();
        add(&mut verdict, &readings);
        let wrong = readings.into_iter().next().map(|first| first.hallucinated);
        verdict.read_as = wrong.unwrap_or_default();
        verdict.replies = replies.usual;
        Ok(ItemScore {
            verdict,
            scores: vec![scores],
            marks: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_without_a_list_says_nothing_of_the_answer() {
        let described = |readings: &[(usize, usize)]| {
            let mut verdict = Verdict::default();
            let counted = |&(mentioned, wrong): &(usize, usize)| Counted {
                mentioned,
                hallucinated: vec![String::new(); wrong],
                covered: 1,
                present: 2,
            };
            add(
                &mut verdict,
                &readings.iter().map(counted).collect::<Vec<_>>(),
            );
            verdict.add("unparsed", share(readings.is_empty()), 1.0);
            let found = (ABOUT.outcome)(&verdict);
            (found.right, found.hallucinated, found.unparsed)
        };
        assert_eq!(described(&[(3, 1)]), (Some(false), true, false));
        assert_eq!(described(&[(3, 0)]), (Some(true), false, false));
        assert_eq!(described(&[(0, 0)]), (Some(true), false, false));
        // Of three readings one errs, and two do.
        let one = [(3, 1), (3, 0), (3, 0)];
        assert_eq!(described(&one), (Some(true), false, false));
        let two = [(3, 1), (3, 0), (3, 2)];
        assert_eq!(described(&two), (Some(false), true, false));
        assert_eq!(described(&[]), (None, false, true));
    }
}

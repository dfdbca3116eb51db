//! CHAIR: which objects a description mentions, and which of them are there (arXiv 1809.02156).
//!
//! Objects are counted once for each description however often they are named, as the paper's formula says (its script
//! counts every mention). CHAIR alone rewards brevity, so recall and the object F1 stand beside it: the F1 of precision
//! = 1 − `chair_i` and recall, over all objects of all descriptions together. A mention is a word of the table of
//! synonyms; where the truth about the images is known, what it finds mentioned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candor_data::formats::answers::Answer;
use candor_data::formats::coco;

use super::part::share;
use super::{About, Files, ItemScore, Task, limited};
use crate::JudgeError;
use crate::item::Item;
use crate::measure::Better::{Higher, Lower, Neither};
use crate::measure::measure;
use crate::objects::{self, Synonyms};
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::truth::Truth;
use crate::verdict::Verdict;

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "chair",
    argument: "chair",
    label: "CHAIR",
    help: "CHAIR, on COCO",
    measures: &[
        measure("chair_i", "CHAIR_i", Lower, 3),
        measure("chair_s", "CHAIR_s", Lower, 3),
        measure("recall", "recall", Higher, 3),
        measure("object_f1", "object F1", Higher, 3),
        measure("objects", "objects mentioned", Neither, 2),
    ],
    highest: None,
    beside: Some("recall"),
    unparsed: "could not be read",
    taken_for: "",
    is_free: true,
    has_splits: false,
    outcome,
    open: |files, _| Ok(Box::new(Chair::read(files)?)),
};

fn outcome(verdict: &Verdict) -> ItemOutcome {
    ItemOutcome {
        right: Some(!verdict.holds("chair_s")),
        hallucinated: verdict.holds("chair_s"),
        unparsed: false,
    }
}

/// The images, and what is in them.
struct Chair {
    items: Vec<Item>,
    /// What is in the image of each item.
    present: Vec<BTreeSet<String>>,
    finder: Finder,
}

/// Who finds the objects that a text mentions.
enum Finder {
    Table(Synonyms),
    Truth(Arc<dyn Truth>),
}

impl Finder {
    fn mentioned(&self, text: &str) -> BTreeSet<String> {
        match self {
            Self::Table(synonyms) => synonyms.mentioned(text),
            Self::Truth(truth) => truth.mentioned(text),
        }
    }

    /// The kind that one of COCO's categories stands for.
    fn kind(&self, category: &str) -> Result<String, JudgeError> {
        match self {
            Self::Table(synonyms) => synonyms.kind_of_category(category).map(str::to_owned),
            Self::Truth(_) => Ok(category.to_owned()),
        }
    }
}

impl Chair {
    fn read(files: &Files) -> Result<Self, JudgeError> {
        let path = files.first();
        let finder = match (&files.truth, &files.synonyms) {
            (Some(truth), _) => Finder::Truth(Arc::clone(truth)),
            (None, Some(synonyms)) => Finder::Table(Synonyms::read(synonyms)?),
            (None, None) => {
                let remedy = "give --synonyms synonyms.txt, the table that CHAIR publishes";
                let problem = "objects are found by their synonyms";
                return Err(JudgeError::unfit(path, problem, remedy));
            }
        };
        let instances = coco::read_instances(path)?;
        let captions = files.context.as_ref().map(|path| coco::read_captions(path));
        let captions = captions.transpose()?;
        let numbers: BTreeMap<&str, String> = instances
            .images
            .iter()
            .map(|image| (image.file_name.as_str(), image.id.to_string()))
            .collect();
        let (mut items, mut present) = (Vec::new(), Vec::new());
        let kind = |category: &str| finder.kind(category);
        let mentioned = |text: &str| finder.mentioned(text);
        let all = objects::present(&instances, captions.as_ref(), kind, mentioned)?;
        for (image, objects) in limited(Vec::from_iter(all), files) {
            items.push(Item {
                id: image.clone(),
                names: [image.clone(), numbers[image.as_str()].clone()],
                image,
                ..Item::default()
            });
            present.push(objects);
        }
        Ok(Self {
            items,
            present,
            finder,
        })
    }
}

/// What a description adds to the numbers.
fn add(verdict: &mut Verdict, mentioned: usize, hallucinated: usize, present: usize) {
    let right = mentioned - hallucinated;
    verdict.add("chair_i", hallucinated as f64, mentioned as f64);
    verdict.add("chair_s", share(hallucinated > 0), 1.0);
    verdict.add("recall", right as f64, present as f64);
    verdict.add(
        "object_f1",
        2.0 * right as f64,
        (mentioned + present) as f64,
    );
    verdict.add("objects", mentioned as f64, 1.0);
}

impl Task for Chair {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn takes_some(&self) -> bool {
        true
    }

    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        _replies: InOrders<String>,
    ) -> Result<ItemScore, JudgeError> {
        let (image, present) = (&self.items[item].image, &self.present[item]);
        let mentioned = self.finder.mentioned(&answer.text);
        let hallucinated: Vec<String> = mentioned.difference(present).cloned().collect();
        let mut verdict = Verdict {
            id: image.clone(),
            image: image.clone(),
            question: answer.question.clone().unwrap_or_default(),
            reference: Some(present.iter().cloned().collect::<Vec<_>>().join(", ")),
            answer: answer.text.clone(),
            ..Verdict::default()
        };
        add(
            &mut verdict,
            mentioned.len(),
            hallucinated.len(),
            present.len(),
        );
        verdict.read_as = hallucinated;
        if let Finder::Truth(truth) = &self.finder {
            let mut finding = truth.judge(image, &verdict.question, &answer.text)?;
            finding.left_out = present.difference(&mentioned).cloned().collect();
            verdict.finding = Some(finding);
        }
        Ok(ItemScore {
            verdict,
            ..ItemScore::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_made_up_makes_a_description_wrong_and_silence_makes_up_nothing() {
        let described = |mentioned, hallucinated| {
            let mut verdict = Verdict::default();
            add(&mut verdict, mentioned, hallucinated, 4);
            let found = outcome(&verdict);
            (found.right, found.hallucinated, found.unparsed)
        };
        assert_eq!(described(3, 1), (Some(false), true, false));
        assert_eq!(described(0, 0), (Some(true), false, false));
    }
}

//! CHAIR: which objects of COCO a description mentions, and which of them are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candor_data::formats::answers::Answer;
use candor_data::formats::coco;

use super::part::{add_words, share};
use super::{Exam, Files, Item, Mark, limited};
use crate::JudgeError;
use crate::measure::Verdict;
use crate::objects::Synonyms;
use crate::order::InOrders;

/// The pictures, and what is in them.
pub(super) struct Chair {
    items: Vec<Item>,
    /// What is in the picture of each item.
    present: Vec<BTreeSet<String>>,
    synonyms: Synonyms,
}

impl Chair {
    pub fn read(path: &Path, files: &Files) -> Result<Self, JudgeError> {
        let Some(synonyms) = &files.synonyms else {
            let remedy = "give --synonyms synonyms.txt, the table that CHAIR publishes";
            let problem = "objects are found by their synonyms";
            return Err(JudgeError::unfit(path, problem, remedy));
        };
        let synonyms = Synonyms::read(synonyms)?;
        let instances = coco::read_instances(path)?;
        let captions = files.context.as_ref().map(|path| coco::read_captions(path));
        let captions = captions.transpose()?;
        let captions = captions
            .as_ref()
            .map(coco::Captions::by_file)
            .unwrap_or_default();
        let numbers: BTreeMap<&str, String> = instances
            .images
            .iter()
            .map(|image| (image.file_name.as_str(), image.id.to_string()))
            .collect();
        let (mut items, mut present) = (Vec::new(), Vec::new());
        for (image, objects) in limited(Vec::from_iter(instances.objects_by_file()), files) {
            let boxes = objects.into_iter().map(str::to_owned);
            let people = captions.get(image).into_iter().flatten();
            let told = people.flat_map(|caption| synonyms.mentioned(caption));
            present.push(boxes.chain(told).collect());
            items.push(Item {
                id: image.to_owned(),
                image: image.to_owned(),
                names: [image.to_owned(), numbers[image].clone()],
                ..Item::default()
            });
        }
        Ok(Self {
            items,
            present,
            synonyms,
        })
    }
}

/// CHAIR's part of the numbers.
pub(crate) fn add_chair(
    verdict: &mut Verdict,
    mentioned: usize,
    hallucinated: usize,
    present: usize,
) {
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
    add_words(verdict);
}

impl Exam for Chair {
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
    ) -> Result<Mark, JudgeError> {
        let (image, present) = (&self.items[item].image, &self.present[item]);
        let mentioned = self.synonyms.mentioned(&answer.text);
        let hallucinated: Vec<String> = mentioned.difference(present).cloned().collect();
        let mut verdict = Verdict {
            id: image.clone(),
            image: image.clone(),
            question: answer.question.clone().unwrap_or_default(),
            reference: Some(present.iter().cloned().collect::<Vec<_>>().join(", ")),
            answer: answer.text.clone(),
            ..Verdict::default()
        };
        add_chair(
            &mut verdict,
            mentioned.len(),
            hallucinated.len(),
            present.len(),
        );
        verdict.read_as = hallucinated;
        Ok(Mark {
            verdict,
            ..Mark::default()
        })
    }
}

//! HallusionBench (arXiv 2310.14566): yes/no questions, each about an original and a changed figure.
//!
//! Its three numbers are the share of right answers (aAcc), of questions that are answered rightly about all their figures
//! (qAcc), and of figures all of whose questions are answered rightly (fAcc). The official script asks GPT-4 whether an
//! answer is correct; here a rule reads yes or no, and what it cannot read is wrong. Questions without a figure are left out,
//! for a model with images is asked about images: the official aAcc and qAcc have them.

use std::collections::BTreeMap;

use candor_data::formats::answers::Answer;
use candor_data::formats::hallusion_bench::{self as format, Question};

use super::part::share;
use super::pope::word;
use super::{About, Files, ItemScore, SHORT, Task, limited};
use crate::item::Item;
use crate::measure::Better::{Higher, Neither};
use crate::measure::measure;
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::verdict::Verdict;
use crate::{JudgeError, yes_no};

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "hallusion_bench",
    argument: "hallusion-bench",
    label: "HallusionBench",
    help: "HallusionBench, its questions with a figure",
    measures: &[
        measure("accuracy", "aAcc", Higher, 3),
        measure("question_accuracy", "qAcc", Higher, 3),
        measure("figure_accuracy", "fAcc", Higher, 3),
        measure("yes_ratio", "yes-ratio", Neither, 3),
        measure("unparsed", "not read", Neither, 3),
    ],
    highest: Some(1.0),
    beside: None,
    unparsed: "could not be read",
    taken_for: ", and count as wrong",
    is_free: false,
    has_splits: false,
    outcome,
    open: |files, _| Ok(Box::new(HallusionBench::read(files)?)),
};

fn outcome(verdict: &Verdict) -> ItemOutcome {
    ItemOutcome {
        right: Some(verdict.holds("accuracy")),
        hallucinated: verdict.holds("yes_ratio") && !verdict.holds("accuracy"),
        unparsed: verdict.holds("unparsed"),
    }
}

/// Its questions.
struct HallusionBench {
    rows: Vec<Question>,
    items: Vec<Item>,
    /// The question of each item's key, whatever its figure.
    pairs: BTreeMap<String, String>,
}

impl HallusionBench {
    fn read(files: &Files) -> Result<Self, JudgeError> {
        let path = files.first();
        let mut rows = format::read(path)?;
        rows.retain(Question::has_figure);
        if rows.is_empty() {
            return Err(JudgeError::unfit(
                path,
                "no question has a figure",
                "give HallusionBench.json",
            ));
        }
        let rows = limited(rows, files);
        let item = |row: &Question| {
            let figure = row.figure();
            Item {
                id: row.key(),
                file: 0,
                names: [figure.clone(), figure.clone()],
                image: figure,
                question: row.question.clone(),
                prompt: row.question.clone(),
                instruction: SHORT,
            }
        };
        Ok(Self {
            items: rows.iter().map(item).collect(),
            pairs: rows.iter().map(|row| (row.key(), row.pair())).collect(),
            rows,
        })
    }
}

impl Task for HallusionBench {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        _replies: InOrders<String>,
    ) -> Result<ItemScore, JudgeError> {
        let (row, item) = (&self.rows[item], &self.items[item]);
        let said = yes_no::read(&answer.text);
        let truth = row.gt_answer == "1";
        let mut verdict = Verdict {
            id: item.id.clone(),
            // A question is about several figures of its set, so a set stands or falls together.
            image: format!("{}/{}/{}", row.category, row.subcategory, row.set_id),
            image_file: Some(item.image.clone()),
            group: format!("{}-{}", row.category, row.subcategory),
            question: row.question.clone(),
            reference: Some(word(truth)),
            answer: answer.text.clone(),
            read_as: vec![said.map_or_else(|| "none".to_owned(), word)],
            ..Verdict::default()
        };
        verdict.add("accuracy", share(said == Some(truth)), 1.0);
        verdict.add("yes_ratio", share(said == Some(true)), 1.0);
        verdict.add("unparsed", share(said.is_none()), 1.0);
        Ok(ItemScore {
            verdict,
            ..ItemScore::default()
        })
    }

    fn conclude(&self, verdicts: &mut [&mut Verdict]) {
        let of_pair = |verdict: &Verdict| self.pairs.get(&verdict.id).cloned();
        all_right(verdicts, "question_accuracy", |verdict| {
            of_pair(verdict).unwrap_or_default()
        });
        all_right(verdicts, "figure_accuracy", |verdict| {
            verdict.file_name().to_owned()
        });
    }
}

/// Adds to the first verdict of each group whether all of the group are right.
fn all_right(verdicts: &mut [&mut Verdict], key: &str, group: impl Fn(&Verdict) -> String) {
    let mut groups: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for (at, verdict) in verdicts.iter().enumerate() {
        let found = groups.entry(group(verdict)).or_insert((at, true));
        found.1 &= verdict.holds("accuracy");
    }
    for (first, right) in groups.into_values() {
        verdicts[first].add(key, share(right), 1.0);
    }
}

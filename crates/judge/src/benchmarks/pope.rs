//! POPE: is there such an object in the image? Read by the official rule, in several splits.

use std::collections::HashSet;
use std::path::Path;

use candor_data::formats::answers::Answer;
use candor_data::formats::pope as format;

use super::part::share;
use super::{About, Files, ItemScore, SHORT, Task, limited};
use crate::item::Item;
use crate::measure::Better::{Higher, Neither};
use crate::measure::measure;
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::verdict::Verdict;
use crate::{JudgeError, pope};

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "pope",
    argument: "pope",
    label: "POPE",
    help: "POPE",
    measures: &[
        measure("accuracy", "accuracy", Higher, 3),
        measure("precision", "precision", Higher, 3),
        measure("recall", "recall", Higher, 3),
        measure("f1", "F1", Higher, 3),
        measure("yes_ratio", "yes-ratio", Neither, 3),
        measure("neither", "neither yes nor no", Neither, 3),
    ],
    highest: Some(1.0),
    beside: None,
    unparsed: "hold neither yes nor no",
    taken_for: ", and count as yes by its rule",
    is_free: false,
    has_splits: true,
    outcome,
    open: |files, _| Ok(Box::new(Pope::read(files)?)),
};

fn outcome(verdict: &Verdict) -> ItemOutcome {
    ItemOutcome {
        right: Some(verdict.holds("accuracy")),
        hallucinated: verdict.holds("yes_ratio") && !verdict.holds("accuracy"),
        unparsed: verdict.holds("neither"),
    }
}

/// Its questions.
struct Pope {
    rows: Vec<format::Question>,
    items: Vec<Item>,
    splits: Vec<String>,
}

impl Pope {
    fn read(files: &Files) -> Result<Self, JudgeError> {
        let splits: Vec<String> = files.questions.iter().map(|path| split(path)).collect();
        let (mut rows, mut items) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for (file, path) in files.questions.iter().enumerate() {
            if !seen.insert(&splits[file]) {
                return Err(JudgeError::unfit(
                    path,
                    format!("a second file of the split {:?}", splits[file]),
                    "give each split once; the file's name tells it",
                ));
            }
            for row in limited(format::read(path)?, files) {
                items.push(Item {
                    id: row.question_id.to_string(),
                    file,
                    image: row.image.clone(),
                    names: [row.image.clone(), row.image.clone()],
                    question: row.text.clone(),
                    prompt: row.text.clone(),
                    instruction: SHORT,
                });
                rows.push(row);
            }
        }
        Ok(Self {
            rows,
            items,
            splits,
        })
    }
}

/// The split of POPE that a file's name tells, or the whole name.
#[must_use]
pub(crate) fn split(path: &Path) -> String {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let known = ["random", "popular", "adversarial"]
        .into_iter()
        .find(|name| stem.contains(name));
    known.map_or(stem, str::to_owned)
}

/// A yes or a no as verdicts show it.
pub(super) fn word(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// POPE's part of the numbers.
fn add(verdict: &mut Verdict, truth: bool, read: pope::Read) {
    let hit = share(truth && read.yes);
    let (false_alarm, miss) = (share(!truth && read.yes), share(truth && !read.yes));
    verdict.add("accuracy", share(truth == read.yes), 1.0);
    verdict.add("precision", hit, hit + false_alarm);
    verdict.add("recall", hit, hit + miss);
    verdict.add("f1", 2.0 * hit, 2.0 * hit + false_alarm + miss);
    verdict.add("yes_ratio", share(read.yes), 1.0);
    verdict.add("neither", share(read.neither), 1.0);
}

impl Task for Pope {
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
        let split = &self.splits[item.file];
        let read = pope::read(&answer.text);
        let truth = row.label == format::Label::Yes;
        let mut verdict = Verdict {
            id: format!("{split}-{}", item.id),
            image: row.image.clone(),
            group: split.clone(),
            question: row.text.clone(),
            reference: Some(word(truth)),
            answer: answer.text.clone(),
            read_as: vec![word(read.yes)],
            ..Verdict::default()
        };
        add(&mut verdict, truth, read);
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
    fn a_yes_to_what_is_not_there_is_made_up_and_a_no_to_what_is_there_is_only_wrong() {
        let answered = |truth: bool, answer: &str| {
            let mut verdict = Verdict::default();
            add(&mut verdict, truth, pope::read(answer));
            let found = outcome(&verdict);
            (found.right, found.hallucinated, found.unparsed)
        };
        assert_eq!(answered(false, "Yes."), (Some(false), true, false));
        assert_eq!(answered(true, "No."), (Some(false), false, false));
        assert_eq!(answered(true, "Perhaps"), (Some(true), false, true));
    }
}

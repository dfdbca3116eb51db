//! POPE: is there such an object in the picture? Read by the official rule, in several splits.

use std::collections::HashSet;
use std::path::Path;

use candor_data::formats::answers::Answer;
use candor_data::formats::pope as format;

use super::part::{add_words, share};
use super::{Exam, Files, Item, Mark, SHORT, limited};
use crate::measure::Verdict;
use crate::order::InOrders;
use crate::{JudgeError, pope};

/// Its questions.
pub(super) struct Pope {
    rows: Vec<format::Question>,
    items: Vec<Item>,
    splits: Vec<String>,
}

impl Pope {
    pub fn read(files: &Files) -> Result<Self, JudgeError> {
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
pub fn split(path: &Path) -> String {
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
pub(crate) fn add_pope(verdict: &mut Verdict, truth: bool, read: pope::Read) {
    let hit = share(truth && read.yes);
    let (false_alarm, miss) = (share(!truth && read.yes), share(truth && !read.yes));
    verdict.add("accuracy", share(truth == read.yes), 1.0);
    verdict.add("precision", hit, hit + false_alarm);
    verdict.add("recall", hit, hit + miss);
    verdict.add("f1", 2.0 * hit, 2.0 * hit + false_alarm + miss);
    verdict.add("yes_ratio", share(read.yes), 1.0);
    verdict.add("neither", share(read.neither), 1.0);
    add_words(verdict);
}

impl Exam for Pope {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        _replies: InOrders<String>,
    ) -> Result<Mark, JudgeError> {
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
        add_pope(&mut verdict, truth, read);
        Ok(Mark {
            verdict,
            unread: read.neither,
            ..Mark::default()
        })
    }
}

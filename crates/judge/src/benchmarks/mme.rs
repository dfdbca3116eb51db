//! The hallucination tasks of MME (arXiv 2306.13394): existence, count, position, colour, two questions about each image.
//!
//! Each task is a file of questions, told by its name. An answer is read as MME's tool reads it. A task's score is
//! 100 · (accuracy + accuracy+), where accuracy+ is the share of images whose questions are all answered rightly; what is
//! published is the sum over the tasks.

use std::collections::{BTreeMap, HashMap, HashSet};

use candor_data::formats::answers::Answer;
use candor_data::formats::mme as format;
use candor_data::formats::pope::Label;

use super::part::share;
use super::pope::{split, word};
use super::{About, Files, ItemScore, Task, limited};
use crate::JudgeError;
use crate::item::Item;
use crate::measure::Better::{Higher, Neither};
use crate::measure::measure;
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::verdict::Verdict;

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "mme",
    argument: "mme",
    label: "MME",
    help: "MME's hallucination tasks",
    measures: &[
        measure("score", "score (0-200)", Higher, 2),
        measure("accuracy", "accuracy", Higher, 3),
        measure("accuracy_plus", "accuracy+", Higher, 3),
        measure("unparsed", "neither yes nor no", Neither, 3),
    ],
    highest: Some(200.0),
    beside: None,
    unparsed: "begin with neither yes nor no",
    taken_for: ", and count as wrong",
    is_free: false,
    has_splits: true,
    outcome,
    open: |files, _| Ok(Box::new(Mme::read(files)?)),
};

fn outcome(verdict: &Verdict) -> ItemOutcome {
    let said_yes = verdict.read_as.first().is_some_and(|read| read == "yes");
    ItemOutcome {
        right: Some(verdict.holds("accuracy")),
        hallucinated: said_yes && !verdict.holds("accuracy"),
        unparsed: verdict.holds("unparsed"),
    }
}

/// Its questions.
struct Mme {
    rows: Vec<format::Question>,
    items: Vec<Item>,
    tasks: Vec<String>,
}

impl Mme {
    fn read(files: &Files) -> Result<Self, JudgeError> {
        let tasks: Vec<String> = files.questions.iter().map(|path| split(path)).collect();
        let (mut rows, mut items) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for (file, path) in files.questions.iter().enumerate() {
            if !seen.insert(&tasks[file]) {
                return Err(JudgeError::unfit(
                    path,
                    format!("a second file of the task {:?}", tasks[file]),
                    "give each task once; the file's name tells it",
                ));
            }
            let asked = limited(format::read(path)?, files);
            let mut of_image: HashMap<&str, usize> = HashMap::new();
            for row in &asked {
                *of_image.entry(&row.image).or_default() += 1;
            }
            let odd = asked.iter().find(|row| of_image[row.image.as_str()] != 2);
            if let Some(odd) = odd.filter(|_| files.limit.is_none()) {
                return Err(JudgeError::unfit(
                    path,
                    format!(
                        "{} has {} questions, where MME asks two about an image",
                        odd.image,
                        of_image[odd.image.as_str()]
                    ),
                    "give the whole file of the task",
                ));
            }
            for (number, row) in asked.into_iter().enumerate() {
                let image = format!("{}/{}", tasks[file], row.image);
                items.push(Item {
                    id: number.to_string(),
                    file,
                    names: [image.clone(), row.image.clone()],
                    image,
                    question: row.text.clone(),
                    prompt: row.text.clone(),
                    instruction: "",
                });
                rows.push(row);
            }
        }
        Ok(Self { rows, items, tasks })
    }
}

/// What an answer says by MME's tool: one of the two words, or else a word that its first four characters hold, yes before
/// no, whatever case.
#[must_use]
fn read(answer: &str) -> Option<bool> {
    let beginning: String = answer.to_lowercase().chars().take(4).collect();
    if beginning.contains("yes") {
        return Some(true);
    }
    beginning.contains("no").then_some(false)
}

impl Task for Mme {
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
        let task = &self.tasks[item.file];
        let said = read(&answer.text);
        let truth = row.label == Label::Yes;
        let mut verdict = Verdict {
            id: format!("{task}-{}", item.id),
            image: item.image.clone(),
            group: task.clone(),
            question: row.text.clone(),
            reference: Some(word(truth)),
            answer: answer.text.clone(),
            read_as: vec![said.map_or_else(|| "other".to_owned(), word)],
            ..Verdict::default()
        };
        let right = share(said == Some(truth));
        verdict.add("accuracy", right, 1.0);
        verdict.add("score", 100.0 * right, 1.0);
        verdict.add("unparsed", share(said.is_none()), 1.0);
        Ok(ItemScore {
            verdict,
            ..ItemScore::default()
        })
    }

    /// Adds to the first question of each image whether all of them are right. With n questions and n/2 images, 100 ·
    /// accuracy+ is 200 for each such image over n.
    fn conclude(&self, verdicts: &mut [&mut Verdict]) {
        let mut images: BTreeMap<String, (usize, usize, bool)> = BTreeMap::new();
        for (at, verdict) in verdicts.iter().enumerate() {
            let image = images.entry(verdict.image.clone()).or_insert((at, 0, true));
            image.1 += 1;
            image.2 &= verdict.holds("accuracy");
        }
        for (first, n_questions, right) in images.into_values() {
            let verdict = &mut *verdicts[first];
            let [score, whole] = verdict.part("score");
            verdict.add("accuracy_plus", share(right), 1.0);
            verdict.add(
                "score",
                score + 100.0 * n_questions as f64 * share(right),
                whole,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_answer_decides() {
        for (answer, said) in [
            ("Yes", Some(true)),
            (" yes, there is", Some(true)),
            ("No.", Some(false)),
            ("Not sure", Some(false)),
            ("I know", None),
            ("There is no", None),
            ("", None),
        ] {
            assert_eq!(read(answer), said, "{answer:?}");
        }
    }
}

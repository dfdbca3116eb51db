//! MMBench: multiple choice, each question in all turns of its options.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use candor_data::formats::answers::Answer;
use candor_data::formats::mmbench as table;

use super::part::share;
use super::{About, Files, Image, ItemScore, SHORT, Task, limited};
use crate::item::Item;
use crate::measure::Better::{Higher, Neither};
use crate::measure::measure;
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::verdict::Verdict;
use crate::{JudgeError, choice};

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "mmbench",
    argument: "mmbench",
    label: "MMBench",
    help: "MMBench",
    measures: &[
        measure("accuracy", "accuracy", Higher, 3),
        measure("circular", "accuracy, circular", Higher, 3),
        measure("unparsed", "answers not read", Neither, 3),
    ],
    highest: Some(1.0),
    beside: None,
    unparsed: "could not be read",
    taken_for: "",
    is_free: false,
    has_splits: false,
    outcome,
    open: |files, _| Ok(Box::new(Mmbench::read(files)?)),
};

fn outcome(verdict: &Verdict) -> ItemOutcome {
    ItemOutcome {
        right: Some(verdict.holds("accuracy")),
        hallucinated: false,
        unparsed: verdict.holds("unparsed"),
    }
}

/// Its questions.
struct Mmbench {
    path: PathBuf,
    rows: Vec<table::Question>,
    items: Vec<Item>,
}

impl Mmbench {
    fn read(files: &Files) -> Result<Self, JudgeError> {
        let path = files.first();
        let rows = table::read(path)?;
        let item = |row: &table::Question| Item {
            id: row.index.to_string(),
            file: 0,
            image: match row.image {
                table::Image::Base64(_) => row.index.to_string(),
                table::Image::Row(index) => index.to_string(),
            },
            names: Default::default(),
            question: row.question.clone(),
            prompt: prompt(row.hint.as_deref(), &row.question, &row.options),
            instruction: SHORT,
        };
        let items = rows.iter().map(item).collect();
        Ok(Self {
            path: path.to_owned(),
            items: limited(items, files),
            // All of them: one within the limit may have its image in one beyond it.
            rows,
        })
    }
}

/// Hint, question and options, each on a line of its own.
pub(super) fn prompt(
    hint: Option<&str>,
    question: &str,
    options: &BTreeMap<char, String>,
) -> String {
    let mut text = String::new();
    for line in hint.into_iter().chain([question]) {
        text += line;
        text.push('\n');
    }
    for (letter, option) in options {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{letter}. {option}");
    }
    text.truncate(text.trim_end().len());
    text
}

impl Task for Mmbench {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn image(&self, item: usize) -> Result<Image<'_>, JudgeError> {
        let bytes = table::image(&self.path, &self.rows, &self.rows[item])?;
        Ok(Image::Held(bytes))
    }

    fn mark(
        &self,
        item: usize,
        answer: &Answer,
        _replies: InOrders<String>,
    ) -> Result<ItemScore, JudgeError> {
        let (row, id) = (&self.rows[item], &self.items[item].id);
        let Some(truth) = row.answer else {
            return Err(JudgeError::unfit(
                &self.path,
                format!("question {id} has no answer to compare with"),
                "score a file with answers, such as the dev set",
            ));
        };
        let read = choice::read(&answer.text, &row.options);
        let mut verdict = Verdict {
            id: id.clone(),
            // All turns of a question stand or fall together.
            image: row.group().to_string(),
            group: row.category.clone().unwrap_or_default(),
            question: row.question.clone(),
            reference: Some(format!("{truth}. {}", row.options[&truth])),
            answer: answer.text.clone(),
            read_as: vec![read.map_or_else(|| "none".to_owned(), String::from)],
            ..Verdict::default()
        };
        verdict.add("accuracy", share(read == Some(truth)), 1.0);
        verdict.add("unparsed", share(read.is_none()), 1.0);
        Ok(ItemScore {
            verdict,
            ..ItemScore::default()
        })
    }

    fn conclude(&self, verdicts: &mut [&mut Verdict]) {
        let mut circles: BTreeMap<String, (usize, bool)> = BTreeMap::new();
        for (at, verdict) in verdicts.iter().enumerate() {
            let right = verdict.holds("accuracy");
            let circle = circles.entry(verdict.image.clone()).or_insert((at, true));
            circle.1 &= right;
        }
        for (first, right) in circles.into_values() {
            verdicts[first].add("circular", share(right), 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_hint_question_and_options_on_lines_of_their_own() {
        let options = BTreeMap::from([('A', "a cup".to_owned()), ('B', "a dish".to_owned())]);
        let text = prompt(Some("It is porcelain."), "What is it?", &options);
        assert_eq!(text, "It is porcelain.\nWhat is it?\nA. a cup\nB. a dish");
        assert_eq!(prompt(None, "Why?", &BTreeMap::new()), "Why?");
    }
}

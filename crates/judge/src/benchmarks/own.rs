//! A user's own set: each question says which rule scores it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candor_data::formats::answers::Answer;
use candor_data::formats::own_set::{self, Question, Rule};

use super::mmhal::{ratings, shown};
use super::part::{mean, share};
use super::pope::word;
use super::{About, Files, ItemScore, SHORT, Task, limited, mmbench, request, template};
use crate::item::Item;
use crate::measure::Better::{Higher, Neither};
use crate::measure::measure;
use crate::mmhal::HALLUCINATED_BELOW;
use crate::order::InOrders;
use crate::outcome::ItemOutcome;
use crate::request::Request;
use crate::template::Templates;
use crate::verdict::Verdict;
use crate::{JudgeError, choice, settings, yes_no};

/// What is known of it.
pub(crate) const ABOUT: About = About {
    key: "own",
    argument: "own",
    label: "own questions",
    help: "Questions of your own, each with the rule that scores it",
    measures: &[
        measure("accuracy", "accuracy", Higher, 3),
        measure("score", "score (0-6)", Higher, 2),
        measure("unparsed", "not read", Neither, 3),
    ],
    highest: None,
    beside: None,
    unparsed: "could not be read",
    taken_for: "",
    is_free: false,
    has_splits: false,
    outcome,
    open: |files, templates| Ok(Box::new(Own::read(files, templates)?)),
};

/// Right by the rule, or else by the rating.
fn outcome(verdict: &Verdict) -> ItemOutcome {
    let ([right, n_ruled], [score, n_rated]) = (verdict.part("accuracy"), verdict.part("score"));
    let rated = || (n_rated > 0.0).then(|| score / n_rated >= f64::from(HALLUCINATED_BELOW));
    ItemOutcome {
        right: if n_ruled > 0.0 {
            Some(right > 0.0)
        } else {
            rated()
        },
        hallucinated: false,
        unparsed: verdict.holds("unparsed"),
    }
}

/// The questions.
struct Own {
    path: PathBuf,
    rows: Vec<Question>,
    items: Vec<Item>,
    templates: Templates,
}

/// What a rule makes of an answer.
struct Read {
    right: bool,
    /// What it was read as; `None` where it could not be read.
    said: Option<String>,
}

impl Own {
    fn read(files: &Files, templates: &settings::Templates) -> Result<Self, JudgeError> {
        let path = files.first();
        let rows = limited(own_set::read(path)?, files);
        let item = |row: &Question| Item {
            id: row.id.clone(),
            file: 0,
            image: row.image.clone(),
            names: [row.image.clone(), row.image.clone()],
            question: row.question.clone(),
            prompt: mmbench::prompt(None, &row.question, &options(row)),
            instruction: instruction(row.rule),
        };
        Ok(Self {
            path: path.to_owned(),
            items: rows.iter().map(item).collect(),
            templates: Templates::own(templates.own.as_deref())?,
            rows,
        })
    }
}

fn instruction(rule: Rule) -> &'static str {
    match rule {
        Rule::Exact | Rule::YesNo => SHORT,
        Rule::Letter => "Answer with the letter of the right option.",
        Rule::Judge => "",
    }
}

/// The options of a question by their letters.
fn options(row: &Question) -> BTreeMap<char, String> {
    ('A'..='Z').zip(row.options.iter().cloned()).collect()
}

/// What a rule makes of an answer; `None` where a judge is asked.
fn read(row: &Question, answer: &str) -> Option<Read> {
    let truth = row.answer.as_deref().unwrap_or_default();
    match row.rule {
        Rule::Judge => None,
        Rule::Exact => {
            let said = plain(answer);
            Some(Read {
                right: said == plain(truth),
                said: Some(said),
            })
        }
        Rule::YesNo => {
            let said = yes_no::read(answer).map(word);
            Some(Read {
                right: said.as_deref() == Some(truth.trim().to_lowercase().as_str()),
                said,
            })
        }
        Rule::Letter => {
            let mut known = options(row);
            if known.is_empty() {
                // The options are in the question's words: any letter may be meant.
                known.extend(('A'..='Z').map(|letter| (letter, String::new())));
            }
            let said = choice::read(answer, &known).map(String::from);
            Some(Read {
                right: said.as_deref() == Some(truth.trim()),
                said,
            })
        }
    }
}

/// An answer without what does not count: case, further blanks, and emphasis, quotes and marks around it.
pub(crate) fn plain(answer: &str) -> String {
    let words: Vec<&str> = answer.split_whitespace().collect();
    let text = words.join(" ").to_lowercase();
    let around = |c: char| c.is_whitespace() || "*_`\"'“”‘’.!".contains(c);
    text.trim_matches(around).to_owned()
}

impl Task for Own {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn asks_judge(&self) -> bool {
        self.rows.iter().any(|row| row.rule == Rule::Judge)
    }

    fn request(&self, item: usize, answer: &str) -> Result<Option<Request>, JudgeError> {
        let row = &self.rows[item];
        if row.rule != Rule::Judge {
            return Ok(None);
        }
        let reference = row.answer.as_deref().unwrap_or("(none is given)");
        let values = [
            ("question", row.question.as_str()),
            ("reference", reference),
            ("answer", answer),
        ];
        let template = template(&self.path, &self.templates, "")?;
        Ok(Some(request(&self.items[item], template, &values)))
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
        let replies = replies.usual;
        let row = &self.rows[item];
        let mut verdict = Verdict {
            id: row.id.clone(),
            image: row.image.clone(),
            group: row.category.clone().unwrap_or_default(),
            question: row.question.clone(),
            reference: row.answer.clone(),
            answer: answer.text.clone(),
            ..Verdict::default()
        };
        let mut mark = ItemScore::default();
        if let Some(read) = read(row, &answer.text) {
            verdict.add("accuracy", share(read.right), 1.0);
            verdict.add("unparsed", share(read.said.is_none()), 1.0);
            verdict.read_as = vec![read.said.unwrap_or_else(|| "none".to_owned())];
        } else {
            let [ours, _] = ratings(&replies);
            let scores: Vec<Option<f64>> =
                ours.iter().map(|rating| rating.map(f64::from)).collect();
            let [sum, n] = mean(&scores);
            mark.scores = vec![scores];
            verdict.add("score", sum, n);
            let n_unparsed = ours.iter().filter(|rating| rating.is_none()).count();
            verdict.add("unparsed", n_unparsed as f64, ours.len() as f64);
            verdict.read_as = ours.iter().copied().map(shown).collect();
            verdict.replies = replies;
        }
        mark.verdict = verdict;
        Ok(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_reads_answers_its_own_way() {
        let row = |rule: Rule, answer: &str, options: &[&str]| Question {
            id: "1".to_owned(),
            image: "a.jpg".to_owned(),
            question: "Q?".to_owned(),
            options: options.iter().map(|text| (*text).to_owned()).collect(),
            answer: Some(answer.to_owned()),
            category: None,
            rule,
        };
        for (row, answer, right, said) in [
            (
                row(Rule::Exact, "Red Bus", &[]),
                " red  bus. ",
                true,
                Some("red bus"),
            ),
            (
                row(Rule::Exact, "3", &[]),
                "3 boats",
                false,
                Some("3 boats"),
            ),
            (
                row(Rule::YesNo, "No", &[]),
                "There is not, sorry",
                true,
                Some("no"),
            ),
            (row(Rule::YesNo, "yes", &[]), "Perhaps", false, None),
            (row(Rule::YesNo, "yes", &[]), "", false, None),
            (row(Rule::YesNo, "No", &[]), "No!", true, Some("no")),
            (row(Rule::YesNo, "no", &[]), "**No**", true, Some("no")),
            (row(Rule::YesNo, "no", &[]), "YES", false, Some("yes")),
            (
                row(Rule::Exact, "Red Bus", &[]),
                "**\"Red bus\"**!",
                true,
                Some("red bus"),
            ),
            (
                row(Rule::Letter, "B", &[]),
                "The answer is **B**",
                true,
                Some("B"),
            ),
            (
                row(Rule::Letter, "B", &["wood", "steel"]),
                "steel",
                true,
                Some("B"),
            ),
            (
                row(Rule::Letter, "B", &["wood", "steel"]),
                "C.",
                false,
                None,
            ),
            (row(Rule::Letter, "D", &[]), "(D) it is", true, Some("D")),
        ] {
            let read = read(&row, answer).unwrap();
            assert_eq!(
                (read.right, read.said.as_deref()),
                (right, said),
                "{answer}"
            );
        }
        assert!(read(&row(Rule::Judge, "x", &[]), "y").is_none());
    }
    #[test]
    fn questions_are_right_by_rule_or_by_rating() {
        let stands = |key: &str, part: f64| {
            let mut verdict = Verdict::default();
            verdict.add(key, part, 1.0);
            let found = outcome(&verdict);
            (found.right, found.hallucinated, found.unparsed)
        };
        assert_eq!(stands("accuracy", 1.0), (Some(true), false, false));
        assert_eq!(stands("accuracy", 0.0), (Some(false), false, false));
        assert_eq!(stands("score", 3.0), (Some(true), false, false));
        assert_eq!(stands("score", 2.5), (Some(false), false, false));
        assert_eq!(stands("unparsed", 1.0), (None, false, true));
    }
}

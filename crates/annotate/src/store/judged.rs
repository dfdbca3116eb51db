//! Items of work with the answers that count.

use std::collections::BTreeMap;

use candor_data::{Side, Turn};

use super::Store;
use super::database::values;
use super::tasks::side;
use crate::answer::Answer;
use crate::error::AnnotateError;

/// An item of work and what people said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The item.
    pub item: i64,
    /// Its id in the file that it came from.
    pub name: String,
    /// File name of the picture.
    pub image: Option<String>,
    /// What both outputs respond to.
    pub turns: Vec<Turn>,
    /// The two answers that are compared.
    pub outputs: [String; 2],
    /// The data set's own answer.
    pub original_answer: Option<String>,
    /// What people said, in the order in which they did.
    pub answers: Vec<Given>,
}

/// What one person said; `a` is the first output.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Who.
    pub person: String,
    /// Their name.
    pub name: String,
    /// What.
    pub answer: Answer,
    /// Which output stood on the left.
    pub shown_left: Side,
    /// When, in Unix milliseconds.
    pub answered_at: i64,
}

impl Store {
    /// All items of work with at least one answer, in the order of import; withdrawn ones are left out.
    ///
    /// # Errors
    /// As the database says.
    pub async fn judged(&self) -> Result<Vec<Judged>, AnnotateError> {
        let connection = &mut self.read().await?;
        let sql = "SELECT a.item, a.person, p.name, a.answer, a.shown_left, a.answered_at \
                   FROM answers a JOIN items i ON i.item = a.item JOIN people p ON p.person = a.person \
                   WHERE i.kind = 'work' AND i.state <> 'withdrawn' AND a.state = 'current' ORDER BY a.number";
        let mut answers: BTreeMap<i64, Vec<Given>> = BTreeMap::new();
        for row in connection.rows(sql, values![]).await? {
            answers.entry(row.int("item")?).or_default().push(Given {
                person: row.text("person")?,
                name: row.text("name")?,
                answer: row.json("answer")?,
                shown_left: side(row.int("shown_left")?),
                answered_at: row.int("answered_at")?,
            });
        }
        let sql = "SELECT item, name, image, turns, outputs, original_answer FROM items \
                   WHERE kind = 'work' AND state <> 'withdrawn' AND n_answers > 0 ORDER BY item";
        let rows = connection.rows(sql, values![]).await?;
        rows.iter()
            .map(|row| {
                let item = row.int("item")?;
                Ok(Judged {
                    item,
                    name: row.text("name")?,
                    image: row.maybe_text("image")?,
                    turns: row.json("turns")?,
                    outputs: row.json("outputs")?,
                    original_answer: row.maybe_text("original_answer")?,
                    answers: answers.remove(&item).unwrap_or_default(),
                })
            })
            .collect()
    }
}

//! What people said, for exports and statistics.

use std::collections::{BTreeMap, HashMap};

use candor_data::Turn;

use super::Store;
use super::database::{Connection, Row, values};
use super::tasks::order;
use crate::answer::{Answer, Order};
use crate::error::AnnotateError;
use crate::task::Expected;

/// An item of work and what people said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The item.
    pub item: i64,
    /// Its id in the file that it came from.
    pub name: String,
    /// File name of the image, or the names of several ([`candor_data::shown`]).
    pub image: Option<String>,
    /// What both outputs respond to.
    pub turns: Vec<Turn>,
    /// The two answers that are compared.
    pub outputs: [String; 2],
    /// The data set's own answer.
    pub original_answer: Option<String>,
    /// What kind of question it is.
    pub question_type: Option<String>,
    /// Which model wrote which answer.
    pub models: Option<[String; 2]>,
    /// Whether all answers are there, or somebody decided.
    pub is_closed: bool,
    /// Whether it waits for an adjudicator because its answers disagree.
    pub is_disputed: bool,
    /// What people said, in the order in which they did.
    pub answers: Vec<Given>,
    /// What an adjudicator decided.
    pub decision: Option<Given>,
}

/// An answer that people rate by itself, and what they said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rated {
    /// Its id in the file that it came from.
    pub name: String,
    /// File name of the image, or the names of several ([`candor_data::shown`]).
    pub image: Option<String>,
    /// What it responds to.
    pub turns: Vec<Turn>,
    /// It.
    pub output: String,
    /// Whether all ratings are there, or somebody decided.
    pub is_closed: bool,
    /// Whether it waits for an adjudicator because its ratings disagree.
    pub is_disputed: bool,
    /// What people said, in the order in which they did.
    pub answers: Vec<Given>,
    /// What an adjudicator decided.
    pub decision: Option<Given>,
}

/// Several answers that people put in order, and what they said of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Their id in the file that they came from.
    pub name: String,
    /// File name of the image, or the names of several ([`candor_data::shown`]).
    pub image: Option<String>,
    /// What all outputs respond to.
    pub turns: Vec<Turn>,
    /// The answers, three or more.
    pub outputs: Vec<String>,
    /// The data set's own answer.
    pub original_answer: Option<String>,
    /// Whether all rankings are there, or somebody decided.
    pub is_closed: bool,
    /// Whether it waits for an adjudicator because its rankings disagree.
    pub is_disputed: bool,
    /// What people said, in the order in which they did.
    pub answers: Vec<Given>,
    /// What an adjudicator decided.
    pub decision: Option<Given>,
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
    /// In which order the outputs stood on the page.
    pub order: Order,
    /// How long the task was on screen.
    pub active_ms: i64,
    /// When, in Unix milliseconds.
    pub answered_at: i64,
}

#[cfg(test)]
impl Given {
    /// A ranking by outputs, of a page on which they stood in this order (JSON).
    pub(crate) fn ranked(person: &str, ranking: [u8; 3], order: &str) -> Self {
        use crate::answer::{Corrections, Pick};
        Self {
            person: person.into(),
            name: person.into(),
            answer: Answer {
                first: Pick::Tie,
                second: Some(Pick::Tie),
                rating: None,
                ranking: Some(ranking.to_vec()),
                marks: Vec::new(),
                corrections: Corrections::default(),
                note: None,
            },
            order: serde_json::from_str(order).expect("an order"),
            active_ms: 1_000,
            answered_at: 7_000,
        }
    }
}

/// One answer to a gold item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldAnswer {
    /// Who.
    pub person: String,
    /// The item.
    pub item: i64,
    /// Whether it was right.
    pub correct: bool,
}

/// All that is known about the quality of the work.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Everybody who gave an answer: id and name, in the order in which they joined.
    pub people: Vec<(String, String)>,
    /// Items of work with answers, of which two outputs are compared.
    pub items: Vec<Judged>,
    /// Those of which one output is rated.
    pub rated: Vec<Rated>,
    /// Those of which three outputs or more are ranked.
    pub ranked: Vec<Ranked>,
    /// Answers to gold.
    pub gold: Vec<GoldAnswer>,
}

impl Store {
    /// How many things have happened; none is ever removed, so another number is a change.
    ///
    /// # Errors
    /// As the database says.
    pub async fn n_events(&self) -> Result<i64, AnnotateError> {
        let sql = "SELECT COUNT(*) AS n FROM events";
        self.read().await?.int(sql, values![]).await
    }

    /// All that is known about the quality of the work.
    ///
    /// # Errors
    /// As the database says.
    pub async fn evidence(&self) -> Result<Evidence, AnnotateError> {
        let connection = &mut self.read().await?;
        // People go on answering: whether an item has all its answers, and these, must be of one moment.
        connection.hold_still().await?;
        let sql = "SELECT p.person, p.name FROM people p \
                   WHERE EXISTS (SELECT 1 FROM answers a WHERE a.person = p.person) ORDER BY p.number";
        let people = connection
            .rows(sql, values![])
            .await?
            .iter()
            .map(|row| Ok((row.text("person")?, row.text("name")?)))
            .collect::<Result<_, AnnotateError>>()?;
        let sql = "SELECT a.person, a.item, a.answer, i.expected FROM answers a JOIN items i ON i.item = a.item \
                   WHERE i.kind = 'gold' AND i.state <> 'withdrawn' AND a.state = 'current' ORDER BY a.number";
        let gold = connection
            .rows(sql, values![])
            .await?
            .iter()
            .map(|row| {
                let expected: Expected = row.json("expected")?;
                Ok(GoldAnswer {
                    person: row.text("person")?,
                    item: row.int("item")?,
                    correct: expected.is_met_by(&row.json("answer")?),
                })
            })
            .collect::<Result<_, AnnotateError>>()?;
        let said = judged(connection).await?;
        Ok(Evidence {
            people,
            items: said.compared,
            rated: said.rated,
            ranked: said.ranked,
            gold,
        })
    }
}

/// Items of work, by what is asked about them.
#[derive(Default)]
struct Said {
    compared: Vec<Judged>,
    rated: Vec<Rated>,
    ranked: Vec<Ranked>,
}

/// All items of work with at least one answer or a decision, in the order of import; withdrawn ones are left out.
async fn judged(connection: &mut Connection) -> Result<Said, AnnotateError> {
    let mut answers = answers(connection).await?;
    let mut decisions = decisions(connection).await?;
    let sql = "SELECT item, name, state, image, turns, outputs, original_answer, question_type, models FROM items i \
               WHERE kind = 'work' AND state <> 'withdrawn' AND (n_answers > 0 OR state = 'decided') ORDER BY item";
    let rows = connection.rows(sql, values![]).await?;
    let mut said = Said::default();
    for row in &rows {
        let item = row.int("item")?;
        let state = row.text("state")?;
        let name = row.text("name")?;
        let image = row.maybe_text("image")?;
        let turns = row.json("turns")?;
        let original_answer = row.maybe_text("original_answer")?;
        let is_closed = matches!(state.as_str(), "complete" | "disputed" | "decided");
        let is_disputed = state == "disputed";
        let answers = answers.remove(&item).unwrap_or_default();
        let decision = decisions.remove(&item);
        let outputs: Vec<String> = row.json("outputs")?;
        match <[String; 2]>::try_from(outputs) {
            Ok(outputs) => said.compared.push(Judged {
                item,
                name,
                image,
                turns,
                outputs,
                original_answer,
                question_type: row.maybe_text("question_type")?,
                models: row.maybe_json("models")?,
                is_closed,
                is_disputed,
                answers,
                decision,
            }),
            Err(outputs) if outputs.len() > 2 => said.ranked.push(Ranked {
                name,
                image,
                turns,
                outputs,
                original_answer,
                is_closed,
                is_disputed,
                answers,
                decision,
            }),
            Err(one) => said.rated.push(Rated {
                name,
                image,
                turns,
                output: one.into_iter().next().unwrap_or_default(),
                is_closed,
                is_disputed,
                answers,
                decision,
            }),
        }
    }
    Ok(said)
}

async fn answers(connection: &mut Connection) -> Result<BTreeMap<i64, Vec<Given>>, AnnotateError> {
    let sql = "SELECT a.item, a.person, p.name, a.answer, a.shown_left, a.shown_order, a.active_ms, a.answered_at \
               FROM answers a JOIN items i ON i.item = a.item JOIN people p ON p.person = a.person \
               WHERE i.kind = 'work' AND i.state <> 'withdrawn' AND a.state = 'current' ORDER BY a.number";
    let mut answers: BTreeMap<i64, Vec<Given>> = BTreeMap::new();
    for row in connection.rows(sql, values![]).await? {
        let answer: Answer = row.json("answer")?;
        // A ranking has a rank of each answer. Of an answer that is rated, nobody asks where it stood.
        let n = answer.ranking.as_ref().map_or(2, Vec::len);
        let given = given(&row, answer, order(&row, n)?, row.int("active_ms")?)?;
        answers.entry(row.int("item")?).or_default().push(given);
    }
    Ok(answers)
}

async fn decisions(connection: &mut Connection) -> Result<HashMap<i64, Given>, AnnotateError> {
    let sql = "SELECT d.item, d.person, p.name, d.answer, d.decided_at AS answered_at \
               FROM decisions d JOIN people p ON p.person = d.person";
    let rows = connection.rows(sql, values![]).await?;
    rows.iter()
        .map(|row| {
            let given = given(row, row.json("answer")?, Order::as_given(2), 0)?;
            Ok((row.int("item")?, given))
        })
        .collect()
}

fn given(row: &Row, answer: Answer, order: Order, active_ms: i64) -> Result<Given, AnnotateError> {
    Ok(Given {
        person: row.text("person")?,
        name: row.text("name")?,
        answer,
        order,
        active_ms,
        answered_at: row.int("answered_at")?,
    })
}

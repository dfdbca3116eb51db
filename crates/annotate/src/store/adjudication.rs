//! Disputed, flagged and much skipped items: somebody looks at them again and decides.

use candor_data::shown;
use serde::Serialize;
use serde_json::json as object;

use super::claims::kind;
use super::database::{Connection, json, values};
use super::events::{self, Event};
use super::tasks::Again;
use super::undo::{self, Reopened};
use super::{Rules, Store, deliveries, outcome};
use crate::answer::{Answer, Order};
use crate::error::{AnnotateError, Refusal};
use crate::project::Kind;
use crate::task::{Answers, ShownTurn};

/// Most items of the queue that are listed at once.
const MAX_LISTED: i64 = 100;
/// An hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Why an item waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Its answers disagree.
    Disputed,
    /// Somebody complained.
    Flagged,
    /// Too many people skipped it.
    Skipped,
}

/// The items that wait for an adjudicator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// How many this adjudicator may decide.
    pub n_waiting: i64,
    /// The first of them.
    pub items: Vec<Waiting>,
}

/// An item that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The item.
    pub item: i64,
    /// Why it waits.
    pub why: Vec<Why>,
    /// Answers that it has.
    pub n_answers: i64,
}

/// An item and all that was said of it, without names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// The item.
    pub item: i64,
    /// Work, or gold that somebody complained about.
    pub kind: Kind,
    /// Where the images are, in their order.
    pub image: Vec<String>,
    /// The conversation so far.
    pub turns: Vec<ShownTurn>,
    /// The answers; `a` is the item's first.
    pub answers: Answers,
    /// Why it waits.
    pub why: Vec<Why>,
    /// Whether nothing is left to decide.
    pub decided: bool,
    /// What people said.
    pub judgements: Vec<Judgement>,
    /// Complaints.
    pub flags: Vec<Flag>,
    /// People who skipped it.
    pub n_skips: usize,
}

/// What one person said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Names the judgement in requests.
    pub judgement: String,
    /// `P1`, `P2` …
    pub who: String,
    /// What they said.
    #[serde(flatten)]
    pub answer: Answer,
    /// Whether it was sent back and waits for its author.
    pub sent_back: bool,
}

/// A complaint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flag {
    /// Its kind.
    pub reason: String,
    /// Its words.
    pub note: Option<String>,
}

/// The condition of the queue: what waits, and was not answered by the person `$1`.
macro_rules! waiting {
    ($start:literal, $end:literal) => {
        concat!(
            $start,
            " FROM items i WHERE i.state IN ('disputed', 'held') AND NOT EXISTS (SELECT 1 FROM answers a \
             WHERE a.item = i.item AND a.person = $1 AND a.state IN ('current', 'sent_back'))",
            $end
        )
    };
}

impl Store {
    /// The items that wait for this adjudicator.
    ///
    /// # Errors
    /// As the database says.
    pub async fn queue(&self, person: &str) -> Result<Queue, AnnotateError> {
        let connection = &mut self.read().await?;
        let count = waiting!("SELECT COUNT(*) AS n", "");
        let n_waiting = connection.int(count, values![person]).await?;
        let list = waiting!(
            "SELECT i.item, i.state, i.n_answers, \
             (SELECT COUNT(*) FROM skips f WHERE f.item = i.item AND f.solved = 0 AND f.reason IS NOT NULL) AS n_flags",
            " ORDER BY i.item LIMIT $2"
        );
        let rows = connection.rows(list, values![person, MAX_LISTED]).await?;
        let items = rows
            .iter()
            .map(|row| {
                Ok(Waiting {
                    item: row.int("item")?,
                    why: why(&row.text("state")?, row.int("n_flags")? > 0),
                    n_answers: row.int("n_answers")?,
                })
            })
            .collect::<Result<_, AnnotateError>>()?;
        Ok(Queue { n_waiting, items })
    }

    /// An item with all that was said of it, once it waits or waited: adjudicators compare too, and what is open may come to them.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], also for an item that is open and was never sent back to an author.
    pub async fn case(&self, item: i64) -> Result<Case, AnnotateError> {
        let connection = &mut self.read().await?;
        let sql = "SELECT kind, state, image, turns, outputs FROM items i WHERE item = $1 AND kind <> 'training' \
                   AND (state NOT IN ('open', 'unshown') OR EXISTS (SELECT 1 FROM answers a WHERE a.item = i.item AND a.state = 'sent_back'))";
        let row = connection
            .row(sql, values![item])
            .await?
            .ok_or(Refusal::NotFound("item"))?;
        let turns: Vec<candor_data::Turn> = row.json("turns")?;
        let outputs: Vec<String> = row.json("outputs")?;
        let state = row.text("state")?;
        let n_images = shown::count(row.maybe_text("image")?.as_deref());
        let sql =
            "SELECT reason, note FROM skips WHERE item = $1 AND solved = 0 ORDER BY at, person";
        let mut flags = Vec::new();
        let mut n_skips = 0;
        for skip in connection.rows(sql, values![item]).await? {
            match skip.maybe_text("reason")? {
                Some(reason) => flags.push(Flag {
                    reason,
                    note: skip.maybe_text("note")?,
                }),
                None => n_skips += 1,
            }
        }
        Ok(Case {
            item,
            kind: kind(&row.text("kind")?)?,
            image: (0..n_images)
                .map(|number| format!("/api/items/{item}/image/{number}"))
                .collect(),
            turns: ShownTurn::all(&turns, n_images),
            answers: Answers::of(&outputs, &Order::as_given(outputs.len())),
            why: why(&state, !flags.is_empty()),
            decided: !matches!(state.as_str(), "disputed" | "held"),
            judgements: judgements(connection, item).await?,
            flags,
            n_skips,
        })
    }

    /// Decides an item of work; `a` is its first answer.
    ///
    /// # Errors
    /// [`Refusal`] if it waits no longer, if the adjudicator answered it, or if the decision breaks the protocol.
    pub async fn decide(
        &self,
        person: String,
        item: i64,
        answer: Answer,
    ) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                waiting(connection, &person, item).await?;
                let sql = "SELECT outputs FROM items WHERE item = $1 AND kind = 'work'";
                let row = connection.row(sql, values![item]).await?.ok_or(Refusal::NotFound("item of work"))?;
                let outputs: Vec<String> = row.json("outputs")?;
                answer.check_for(&outputs)?;
                answer.check_ties(rules.protocol.ranking_ties)?;
                set_state(connection, item, "decided").await?;
                let sql = "INSERT INTO decisions (item, person, answer, decided_at) VALUES ($1, $2, $3, $4)";
                let values = values![item, &person, json(&answer), rules.unix_now()];
                connection.execute(sql, values).await?;
                deliveries::item_is(connection, rules, item, "decided").await?;
                record(connection, rules, "decide", &person, item, object!({"answer": answer})).await
            })
        })
        .await
    }

    /// Sends a judgement back to its author, who gets the task again.
    ///
    /// # Errors
    /// [`Refusal`] if the item waits no longer or there is no such judgement.
    pub async fn send_back(
        &self,
        person: String,
        item: i64,
        submission: String,
        note: String,
    ) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                waiting(connection, &person, item).await?;
                let sql = "SELECT slot, answer FROM answers \
                           WHERE submission = $1 AND item = $2 AND state = 'current'";
                let row = connection.row(sql, values![&submission, item]).await?;
                let row = row.ok_or(Refusal::NotFound("judgement"))?;
                let again = Again {
                    note: Some(note.clone()),
                    answer: row.json("answer")?,
                };
                let reopened = Reopened {
                    submission: &submission,
                    item,
                    slot: row.int("slot")?,
                    state: "sent_back",
                    lease_ms: i64::from(rules.protocol.return_hours) * HOUR_MS,
                };
                undo::reopen(connection, rules, &reopened, again).await?;
                let data = object!({"submission": submission, "note": note});
                record(connection, rules, "send_back", &person, item, data).await
            })
        })
        .await
    }

    /// Withdraws an item: it is handed out no more and never exported.
    ///
    /// # Errors
    /// [`Refusal::Decided`] if it waits no longer.
    pub async fn withdraw(
        &self,
        person: String,
        item: i64,
        note: String,
    ) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                waiting(connection, &person, item).await?;
                set_state(connection, item, "withdrawn").await?;
                deliveries::item_is(connection, rules, item, "withdrawn").await?;
                record(
                    connection,
                    rules,
                    "withdraw",
                    &person,
                    item,
                    object!({"note": note}),
                )
                .await
            })
        })
        .await
    }

    /// Hands an item out again after complaints and skips were dealt with.
    ///
    /// # Errors
    /// [`Refusal::Decided`] if it waits no longer, [`Refusal::Invalid`] if its answers disagree: it has them all.
    pub async fn reopen(
        &self,
        person: String,
        item: i64,
        note: String,
    ) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                if waiting(connection, &person, item).await? == "disputed" {
                    let remedy = "decide it, or send an answer back to its author";
                    return Err(Refusal::invalid("item", "has all its answers, which disagree", remedy).into());
                }
                let sql = "UPDATE skips SET solved = 1 WHERE item = $1";
                connection.execute(sql, values![item]).await?;
                set_state(connection, item, "open").await?;
                let sql = "SELECT COUNT(*) AS n FROM items WHERE item = $1 AND kind = 'work' AND n_answers >= overlap";
                if connection.int(sql, values![item]).await? > 0 {
                    outcome::close(connection, rules, item).await?;
                }
                record(connection, rules, "reopen", &person, item, object!({"note": note})).await
            })
        })
        .await
    }
}

fn why(state: &str, flagged: bool) -> Vec<Why> {
    let mut why = Vec::new();
    match (state, flagged) {
        ("disputed", _) => why.push(Why::Disputed),
        ("held", false) => why.push(Why::Skipped),
        _ => {}
    }
    if flagged {
        why.push(Why::Flagged);
    }
    why
}

/// Checks that an item waits for this adjudicator, and keeps others off it until the transaction ends. Returns its state.
async fn waiting(
    connection: &mut Connection,
    person: &str,
    item: i64,
) -> Result<String, AnnotateError> {
    // Writes nothing new, but locks the row.
    let sql = "UPDATE items SET state = state WHERE item = $1 RETURNING state";
    let row = connection
        .row(sql, values![item])
        .await?
        .ok_or(Refusal::NotFound("item"))?;
    let state = row.text("state")?;
    if !matches!(state.as_str(), "disputed" | "held") {
        return Err(Refusal::Decided.into());
    }
    let sql = "SELECT COUNT(*) AS n FROM answers \
               WHERE item = $1 AND person = $2 AND state IN ('current', 'sent_back')";
    if connection.int(sql, values![item, person]).await? > 0 {
        return Err(Refusal::OwnAnswer.into());
    }
    Ok(state)
}

async fn set_state(
    connection: &mut Connection,
    item: i64,
    state: &'static str,
) -> Result<(), AnnotateError> {
    let sql = "UPDATE items SET state = $1 WHERE item = $2";
    connection
        .execute(sql, values![state, item])
        .await
        .map(drop)
}

async fn record(
    connection: &mut Connection,
    rules: &Rules,
    kind: &'static str,
    person: &str,
    item: i64,
    data: serde_json::Value,
) -> Result<(), AnnotateError> {
    let event = Event {
        kind,
        person: Some(person),
        item: Some(item),
        data,
    };
    events::add(connection, rules, event).await.map(drop)
}

async fn judgements(
    connection: &mut Connection,
    item: i64,
) -> Result<Vec<Judgement>, AnnotateError> {
    let sql = "SELECT submission, person, state, answer FROM answers \
               WHERE item = $1 AND state IN ('current', 'sent_back') ORDER BY number";
    let mut people: Vec<String> = Vec::new();
    let mut said = Vec::new();
    for row in connection.rows(sql, values![item]).await? {
        let person = row.text("person")?;
        let number = people
            .iter()
            .position(|known| *known == person)
            .unwrap_or_else(|| {
                people.push(person);
                people.len() - 1
            });
        said.push(Judgement {
            judgement: row.text("submission")?,
            who: format!("P{}", number + 1),
            answer: row.json("answer")?,
            sent_back: row.text("state")? == "sent_back",
        });
    }
    Ok(said)
}

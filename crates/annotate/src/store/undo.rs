//! Answers that are wanted again: taken back by their author, or sent back by an adjudicator.

use serde_json::json as object;

use super::database::{Connection, json, values};
use super::events::{self, Event};
use super::tasks::{self, Again};
use super::{Rules, Store, outcome, people};
use crate::answer::Draft;
use crate::error::{AnnotateError, Refusal};
use crate::task::Task;

impl Store {
    /// Takes a person's last answer back and hands its task out again.
    ///
    /// # Errors
    /// [`Refusal::NothingToUndo`].
    pub async fn undo(&self, person: String) -> Result<Task, AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                if undo_left(connection, rules, &person).await? == 0 {
                    return Err(Refusal::NothingToUndo.into());
                }
                let sql = "SELECT a.submission, a.item, a.slot, a.answer, s.assignment FROM answers a \
                           JOIN slots s ON s.item = a.item AND s.slot = a.slot JOIN items i ON i.item = a.item \
                           WHERE a.person = $1 AND a.state = 'current' AND i.kind <> 'training' \
                           AND i.state NOT IN ('decided', 'withdrawn', 'unshown') ORDER BY a.number DESC LIMIT 1";
                let row = connection.row(sql, values![&person]).await?.ok_or(Refusal::NothingToUndo)?;
                let submission = row.text("submission")?;
                let assignment = row.text("assignment")?;
                let again = Again {
                    note: None,
                    answer: row.json("answer")?,
                };
                let reopened = Reopened {
                    submission: &submission,
                    item: row.int("item")?,
                    slot: row.int("slot")?,
                    state: "undone",
                    lease_ms: rules.lease_ms(),
                };
                reopen(connection, rules, &reopened, again).await?;
                let event = Event {
                    kind: "undo",
                    person: Some(&person),
                    item: Some(reopened.item),
                    data: object!({"submission": submission}),
                };
                events::add(connection, rules, event).await?;
                let person = people::by_id(connection, &person).await?;
                tasks::task(connection, rules, &person, &assignment, true).await
            })
        })
        .await
    }
}

/// How many answers a person can take back now.
pub(super) async fn undo_left(
    connection: &mut Connection,
    rules: &Rules,
    person: &str,
) -> Result<i64, AnnotateError> {
    let sql = "SELECT COUNT(*) AS n FROM slots WHERE person = $1 AND state IN ('leased', 'open') AND again IS NOT NULL";
    let n_open = connection.int(sql, values![person]).await?;
    let limit = i64::from(rules.protocol.undo) - n_open;
    let sql = "SELECT COUNT(*) AS n FROM (SELECT 1 FROM answers a JOIN items i ON i.item = a.item \
               WHERE a.person = $1 AND a.state = 'current' AND i.kind <> 'training' \
               AND i.state NOT IN ('decided', 'withdrawn', 'unshown') LIMIT $2) AS last";
    connection.int(sql, values![person, limit.max(0)]).await
}

/// An answer that is wanted again.
pub(super) struct Reopened<'a> {
    pub submission: &'a str,
    pub item: i64,
    pub slot: i64,
    /// What becomes of the answer: `undone` or `sent_back`.
    pub state: &'static str,
    pub lease_ms: i64,
}

/// Takes an answer out of the count and gives its slot back to its author.
///
/// # Errors
/// [`Refusal::Decided`], [`Refusal::NothingToUndo`] if somebody was faster.
pub(super) async fn reopen(
    connection: &mut Connection,
    rules: &Rules,
    reopened: &Reopened<'_>,
    again: Again,
) -> Result<(), AnnotateError> {
    outcome::uncount(connection, reopened.item).await?;
    let sql = "UPDATE answers SET state = $1 WHERE submission = $2 AND state = 'current'";
    let values = values![reopened.state, reopened.submission];
    if connection.execute(sql, values).await? == 0 {
        return Err(Refusal::NothingToUndo.into());
    }
    let now = rules.lease_now();
    let draft = Draft::from(again.answer.clone());
    let sql = "UPDATE slots SET state = 'leased', lease_from = $1, lease_until = $2, draft = $3, again = $4 \
               WHERE item = $5 AND slot = $6";
    let values = values![
        now,
        now + reopened.lease_ms,
        json(&draft),
        json(&again),
        reopened.item,
        reopened.slot,
    ];
    connection.execute(sql, values).await.map(drop)
}

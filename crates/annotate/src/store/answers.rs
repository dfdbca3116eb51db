//! Answers: stored once, taken back, never lost.

use serde_json::json as object;

use super::database::{Connection, json, values};
use super::events::{self, Event};
use super::people;
use super::tasks::{self, Held};
use super::undo::undo_left;
use super::{Rules, Store, outcome, training};
use crate::answer::{Answer, Draft};
use crate::error::{AnnotateError, Refusal};
use crate::project::Kind;
use crate::task::Feedback;
use crate::token;

/// An answer as a browser sends it: `a` is the left one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The task.
    pub assignment: String,
    /// The browser's name for this answer; the same on every retry.
    pub id: String,
    /// The judgement.
    pub answer: Answer,
    /// How long the task was on screen.
    pub active_ms: i64,
}

/// What is told about a stored answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Receipt {
    /// Always true: there is no receipt for anything else.
    pub stored: bool,
    /// Whether this answer was stored before.
    pub repeated: bool,
    /// What is learned from a training item.
    pub feedback: Option<Feedback>,
    /// Answers that can be taken back.
    pub undo_left: i64,
}

/// What a transaction made of an answer. Refusals are outcomes here and not errors, because something is written down
/// with them.
enum Outcome {
    Stored(Receipt),
    Refused(Refusal),
}

impl Store {
    /// Stores an answer; when this returns, it is on the disk.
    ///
    /// # Errors
    /// [`Refusal`] if the task is somebody else's by now, if nobody could have read it yet, if the answer breaks the
    /// protocol, or if its id was used for another.
    pub async fn submit(
        &self,
        person: String,
        submission: Submission,
    ) -> Result<Receipt, AnnotateError> {
        let outcome = self
            .write(move |connection, rules| {
                Box::pin(async move { submit(connection, rules, &person, &submission).await })
            })
            .await?;
        match outcome {
            Outcome::Stored(receipt) => Ok(receipt),
            Outcome::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// Keeps what is given so far of an answer.
    ///
    /// # Errors
    /// [`Refusal::LeaseLost`], [`Refusal::Invalid`].
    pub async fn keep_draft(
        &self,
        person: String,
        assignment: String,
        draft: Draft,
    ) -> Result<(), AnnotateError> {
        self.write(move |connection, _| {
            Box::pin(async move {
                let held = tasks::held(connection, &person, &assignment).await?;
                let held = held.filter(Held::is_unfinished).ok_or(Refusal::LeaseLost)?;
                let draft = draft.stored(&held.order);
                draft.check_for(&held.outputs)?;
                let sql = "UPDATE slots SET draft = $1 WHERE assignment = $2";
                connection
                    .execute(sql, values![json(&draft), assignment])
                    .await
                    .map(drop)
            })
        })
        .await
    }
}

async fn submit(
    connection: &mut Connection,
    rules: &Rules,
    person: &str,
    submission: &Submission,
) -> Result<Outcome, AnnotateError> {
    let held = tasks::held(connection, person, &submission.assignment).await?;
    let fingerprint = token::hashed(&json(&(&submission.assignment, &submission.answer)));
    if let Some(outcome) = repeated(
        connection,
        rules,
        person,
        submission,
        &fingerprint,
        held.as_ref(),
    )
    .await?
    {
        return Ok(outcome);
    }
    let item = held.as_ref().map(|held| held.item);
    let Some(held) = held.filter(Held::is_unfinished) else {
        return late(connection, rules, person, submission, item).await;
    };
    let answer = submission.answer.clone().stored(&held.order);
    answer.check_for(&held.outputs)?;
    answer.check_ties(rules.protocol.ranking_ties)?;
    if held.kind == Kind::Training {
        // The round may end with this answer. A claim takes the rows in this order too.
        people::lock(connection, person).await?;
    }
    if let Some(refusal) = too_soon(connection, rules, &held).await? {
        return Ok(Outcome::Refused(refusal));
    }
    let sql = "UPDATE slots SET state = 'answered', draft = NULL, again = NULL, note = NULL \
               WHERE assignment = $1 AND state IN ('leased', 'open')";
    if connection.execute(sql, values![&held.assignment]).await? == 0 {
        // Taken by somebody else, or answered in another window, since the slot was looked at; or this very answer was sent
        // again, to another server perhaps, while the first sending of it was being stored.
        let again = repeated(
            connection,
            rules,
            person,
            submission,
            &fingerprint,
            Some(&held),
        );
        return match again.await? {
            Some(outcome) => Ok(outcome),
            None => late(connection, rules, person, submission, Some(held.item)).await,
        };
    }
    insert(
        connection,
        rules,
        person,
        submission,
        &held,
        &answer,
        &fingerprint,
    )
    .await?;
    if held.kind == Kind::Work {
        outcome::count(connection, rules, held.item).await?;
    }
    let feedback = if held.kind == Kind::Training {
        let person = people::by_id(connection, person).await?;
        let feedback = training::feedback(connection, rules, &person, &held, &answer).await?;
        if let Some(result) = feedback
            .as_ref()
            .and_then(|feedback| feedback.result.as_ref())
        {
            training::settle(connection, rules, &person, result).await?;
        }
        feedback
    } else {
        None
    };
    Ok(Outcome::Stored(Receipt {
        stored: true,
        repeated: false,
        feedback,
        undo_left: undo_left(connection, rules, person).await?,
    }))
}

/// What to say of an answer that was stored before.
async fn repeated(
    connection: &mut Connection,
    rules: &Rules,
    person: &str,
    submission: &Submission,
    fingerprint: &str,
    held: Option<&Held>,
) -> Result<Option<Outcome>, AnnotateError> {
    let sql = "SELECT fingerprint, person, answer FROM answers WHERE submission = $1";
    let Some(row) = connection.row(sql, values![&submission.id]).await? else {
        return Ok(None);
    };
    if row.text("fingerprint")? != fingerprint || row.text("person")? != person {
        return Ok(Some(Outcome::Refused(Refusal::SubmissionReused)));
    }
    let feedback = match held {
        Some(held) if held.kind == Kind::Training => {
            let person = people::by_id(connection, person).await?;
            training::feedback(connection, rules, &person, held, &row.json("answer")?).await?
        }
        _ => None,
    };
    Ok(Some(Outcome::Stored(Receipt {
        stored: true,
        repeated: true,
        feedback,
        undo_left: undo_left(connection, rules, person).await?,
    })))
}

/// An answer to what is somebody else's now: it counts for nothing and is kept in the log.
async fn late(
    connection: &mut Connection,
    rules: &Rules,
    person: &str,
    submission: &Submission,
    item: Option<i64>,
) -> Result<Outcome, AnnotateError> {
    let event = Event {
        kind: "late_answer",
        person: Some(person),
        item,
        data: object!({
            "assignment": submission.assignment, "submission": submission.id, "answer": submission.answer
        }),
    };
    events::add(connection, rules, event).await?;
    Ok(Outcome::Refused(Refusal::LeaseLost))
}

/// Refuses what nobody could have read. A browser that never said that the task is shown is taken to show it now.
async fn too_soon(
    connection: &mut Connection,
    rules: &Rules,
    held: &Held,
) -> Result<Option<Refusal>, AnnotateError> {
    let now = rules.lease_now();
    let shown_from = if let Some(shown_from) = held.shown_from {
        shown_from
    } else {
        let sql = "UPDATE slots SET shown_from = $1 WHERE assignment = $2";
        connection
            .execute(sql, values![now, &held.assignment])
            .await?;
        now
    };
    let wait = shown_from + i64::from(rules.protocol.min_reading_secs) * 1000 - now;
    Ok((wait > 0).then_some(Refusal::TooSoon {
        retry_after_ms: wait,
    }))
}

async fn insert(
    connection: &mut Connection,
    rules: &Rules,
    person: &str,
    submission: &Submission,
    held: &Held,
    answer: &Answer,
    fingerprint: &str,
) -> Result<(), AnnotateError> {
    let event = Event {
        kind: "answer",
        person: Some(person),
        item: Some(held.item),
        data: object!({
            "submission": submission.id, "kind": held.kind, "answer": answer, "shown_left": held.order.left(),
            "shown_order": held.order, "active_ms": submission.active_ms
        }),
    };
    let number = events::add(connection, rules, event).await?;
    let sql = "INSERT INTO answers (submission, number, fingerprint, item, slot, attempt, person, state, answer, \
               shown_left, shown_order, active_ms, answered_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, 'current', $8, $9, $10, $11, $12)";
    let values = values![
        &submission.id,
        number,
        fingerprint,
        held.item,
        held.slot,
        held.attempt,
        person,
        json(answer),
        held.order.left().index() as i64,
        tasks::kept(&held.order),
        submission.active_ms,
        rules.unix_now(),
    ];
    connection.execute(sql, values).await.map(drop)
}

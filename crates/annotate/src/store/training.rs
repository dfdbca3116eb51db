//! The training round: progress, feedback, pass mark.

use serde_json::json as object;

use super::Rules;
use super::database::{Connection, values};
use super::events::{self, Event};
use super::people::{self, Person};
use super::tasks::Held;
use crate::answer::Answer;
use crate::error::AnnotateError;
use crate::task::{Expected, Feedback, TrainingProgress, TrainingResult};

/// How far a person is in this attempt.
pub(super) async fn progress(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
) -> Result<TrainingProgress, AnnotateError> {
    Ok(TrainingProgress {
        n_done: answers(connection, &person.person, person.attempt)
            .await?
            .len() as i64,
        n_total: people::n_training(connection).await?,
        pass_mark: rules.training.pass_mark,
    })
}

/// What a person learns from an answer to a training item, and whether the round is over.
pub(super) async fn feedback(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
    held: &Held,
    answer: &Answer,
) -> Result<Option<Feedback>, AnnotateError> {
    let Some(expected) = held.expected else {
        return Ok(None);
    };
    let given = answers(connection, &person.person, held.attempt).await?;
    let n_total = people::n_training(connection).await?;
    let n_done = given.len() as i64;
    let over = n_done >= n_total;
    let result = over.then(|| {
        let n_right = given
            .iter()
            .filter(|(answer, expected)| expected.is_met_by(answer))
            .count();
        let share = n_right as f64 / n_total as f64;
        TrainingResult {
            passed: share >= rules.training.pass_mark,
            share,
            attempts_left: (i64::from(rules.training.attempts) - held.attempt
                + person.attempts_from)
                .max(0),
        }
    });
    Ok(Some(Feedback {
        correct: expected.is_met_by(answer),
        expected: Expected {
            first: expected.first.turned(held.shown_left),
            second: expected.second.map(|pick| pick.turned(held.shown_left)),
        },
        explanation: held.explanation.clone(),
        n_done,
        n_total,
        result,
    }))
}

/// Writes the outcome of a round down.
pub(super) async fn settle(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
    result: &TrainingResult,
) -> Result<(), AnnotateError> {
    let sql = if result.passed {
        "UPDATE people SET trained_at = $1 WHERE person = $2 AND attempt = $3 AND trained_at IS NULL"
    } else {
        "UPDATE people SET attempt = attempt + 1 WHERE $1 > 0 AND person = $2 AND attempt = $3 AND trained_at IS NULL"
    };
    connection
        .execute(
            sql,
            values![rules.unix_now(), &person.person, person.attempt],
        )
        .await?;
    let event = Event {
        kind: "training",
        person: Some(&person.person),
        item: None,
        data: object!({"attempt": person.attempt, "passed": result.passed, "share": result.share}),
    };
    events::add(connection, rules, event).await.map(drop)
}

/// The answers of an attempt, with the right ones.
async fn answers(
    connection: &mut Connection,
    person: &str,
    attempt: i64,
) -> Result<Vec<(Answer, Expected)>, AnnotateError> {
    let sql = "SELECT a.answer, i.expected FROM answers a JOIN items i ON i.item = a.item \
               WHERE a.person = $1 AND a.attempt = $2 AND a.state = 'current' AND i.kind = 'training'";
    let rows = connection.rows(sql, values![person, attempt]).await?;
    rows.iter()
        .map(|row| Ok((row.json("answer")?, row.json("expected")?)))
        .collect()
}

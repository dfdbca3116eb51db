//! The training round: progress, feedback, pass mark.

use serde_json::json as object;

use super::Rules;
use super::database::{Connection, values};
use super::events::{self, Event};
use super::people::Person;
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
        n_total: n_shown(connection).await?,
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
    let n_total = n_shown(connection).await?;
    let n_done = given.len() as i64;
    let result = result(rules, person, held.attempt, &given, n_total);
    Ok(Some(Feedback {
        correct: expected.is_met_by(answer),
        expected: Expected {
            first: expected.first.turned(held.order.left()),
            second: expected.second.map(|pick| pick.turned(held.order.left())),
        },
        explanation: held.explanation.clone(),
        n_done,
        n_total,
        result,
    }))
}

/// The outcome of a round, once all of it is answered.
fn result(
    rules: &Rules,
    person: &Person,
    attempt: i64,
    given: &[(Answer, Expected)],
    n_total: i64,
) -> Option<TrainingResult> {
    let over = n_total > 0 && given.len() as i64 >= n_total;
    over.then(|| {
        let n_right = given
            .iter()
            .filter(|(answer, expected)| expected.is_met_by(answer))
            .count();
        let share = n_right as f64 / n_total as f64;
        TrainingResult {
            passed: share >= rules.training.pass_mark,
            share,
            attempts_left: (i64::from(rules.training.attempts) - attempt + person.attempts_from)
                .max(0),
        }
    })
}

/// Ends a round of which what is not answered cannot be shown; says whether there was one.
pub(super) async fn close(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
) -> Result<bool, AnnotateError> {
    let given = answers(connection, &person.person, person.attempt).await?;
    let n_total = n_shown(connection).await?;
    let Some(result) = result(rules, person, person.attempt, &given, n_total) else {
        return Ok(false);
    };
    settle(connection, rules, person, &result).await?;
    Ok(true)
}

/// The items of a round: the training items that can be shown.
async fn n_shown(connection: &mut Connection) -> Result<i64, AnnotateError> {
    let sql = "SELECT COUNT(*) AS n FROM items WHERE kind = 'training' AND state = 'open'";
    connection.int(sql, values![]).await
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

/// The answers of an attempt to what can be shown, with the right ones.
async fn answers(
    connection: &mut Connection,
    person: &str,
    attempt: i64,
) -> Result<Vec<(Answer, Expected)>, AnnotateError> {
    let sql = "SELECT a.answer, i.expected FROM answers a JOIN items i ON i.item = a.item \
               WHERE a.person = $1 AND a.attempt = $2 AND a.state = 'current' AND i.kind = 'training' \
               AND i.state = 'open'";
    let rows = connection.rows(sql, values![person, attempt]).await?;
    rows.iter()
        .map(|row| Ok((row.json("answer")?, row.json("expected")?)))
        .collect()
}

//! What administrators see of people and change about them.

use serde::Serialize;
use serde_json::json as object;

use super::Store;
use super::database::{Alone, Connection, values};
use super::events::{self, Event};
use super::people::{self, Person, Role, Stage};
use super::tokens;
use crate::error::{AnnotateError, Refusal};

/// A person, for administrators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// A name that never changes.
    pub person: String,
    /// The name to log in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// How far they are.
    pub stage: Stage,
    /// Whether they can log in no more.
    pub disabled: bool,
    /// Answers to work and gold.
    pub n_answers: i64,
    /// Their last request, roughly, in Unix milliseconds.
    pub last_seen_at: Option<i64>,
}

/// An invitation that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invite {
    /// The role that it gives.
    pub role: Role,
    /// When it ends.
    pub expires_at: i64,
}

/// What is to change about a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amendment {
    /// A new role.
    pub role: Option<Role>,
    /// Whether the account is disabled.
    pub disabled: Option<bool>,
    /// Whether the training round begins anew.
    pub retrain: bool,
}

impl Store {
    /// Everybody, and the invitations that wait.
    ///
    /// # Errors
    /// As the database says.
    pub async fn members(&self) -> Result<(Vec<Member>, Vec<Invite>), AnnotateError> {
        let connection = &mut self.read().await?;
        let n_training = people::n_training(connection).await?;
        let sql = "SELECT p.person, p.number, p.name, p.role, p.attempt, p.attempts_from, p.guidelines_at, \
                   p.trained_at, p.disabled, \
                   (SELECT COUNT(*) FROM answers a JOIN items i ON i.item = a.item WHERE a.person = p.person \
                       AND a.state = 'current' AND i.kind <> 'training') AS n_answers, \
                   (SELECT MAX(s.seen_at) FROM sessions s WHERE s.person = p.person) AS last_seen_at \
                   FROM people p ORDER BY p.number";
        let rows = connection.rows(sql, values![]).await?;
        let members = rows
            .iter()
            .map(|row| {
                let person = Person::from_row(row)?;
                Ok(Member {
                    stage: person.stage(n_training, self.rules.training.attempts),
                    person: person.person,
                    name: person.name,
                    role: person.role,
                    disabled: row.int("disabled")? != 0,
                    n_answers: row.int("n_answers")?,
                    last_seen_at: row.maybe_int("last_seen_at")?,
                })
            })
            .collect::<Result<_, AnnotateError>>()?;
        let sql = "SELECT role, expires_at FROM invites \
                   WHERE used_by IS NULL AND renews IS NULL AND expires_at > $1 ORDER BY expires_at";
        let rows = connection.rows(sql, values![self.rules.unix_now()]).await?;
        let invites = rows
            .iter()
            .map(|row| {
                Ok(Invite {
                    role: Role::parse(&row.text("role")?)?,
                    expires_at: row.int("expires_at")?,
                })
            })
            .collect::<Result<_, AnnotateError>>()?;
        Ok((members, invites))
    }

    /// Changes something about a person. Whoever is disabled is logged out at once, and the tokens of whoever is no administrator any
    /// more are revoked.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::LastAdmin`].
    pub async fn amend(
        &self,
        by: String,
        person: String,
        change: Amendment,
    ) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                connection.alone(Alone::Account).await?;
                let known = people::by_id(connection, &person).await?;
                if let Some(role) = change.role {
                    let sql = "UPDATE people SET role = $1 WHERE person = $2";
                    connection.execute(sql, values![role.name(), &person]).await?;
                }
                if let Some(disabled) = change.disabled {
                    let sql = "UPDATE people SET disabled = $1 WHERE person = $2";
                    connection.execute(sql, values![i64::from(disabled), &person]).await?;
                }
                if change.disabled == Some(true) {
                    let sql = "DELETE FROM sessions WHERE person = $1";
                    connection.execute(sql, values![&person]).await?;
                }
                if change.retrain {
                    let sql = "UPDATE people SET attempts_from = attempt, attempt = attempt + 1, trained_at = NULL \
                               WHERE person = $1";
                    connection.execute(sql, values![&person]).await?;
                }
                if known.role == Role::Admin {
                    keep_an_admin(connection).await?;
                    if change.disabled == Some(true) || change.role.is_some_and(|role| role != Role::Admin) {
                        tokens::revoke_all_of(connection, rules, &person).await?;
                    }
                }
                let event = Event {
                    kind: "amend",
                    person: Some(&by),
                    item: None,
                    data: object!({
                        "person": person, "role": change.role, "disabled": change.disabled, "retrain": change.retrain
                    }),
                };
                events::add(connection, rules, event).await.map(drop)
            })
        })
        .await
    }
}

/// Refuses a change that leaves nobody who could undo it.
pub(super) async fn keep_an_admin(connection: &mut Connection) -> Result<(), AnnotateError> {
    let sql = "SELECT COUNT(*) AS n FROM people WHERE role = 'admin' AND disabled = 0";
    if connection.int(sql, values![]).await? == 0 {
        return Err(Refusal::LastAdmin.into());
    }
    Ok(())
}

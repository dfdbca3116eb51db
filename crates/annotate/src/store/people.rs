//! People: who they are, what they may, how far they are.

use serde::{Deserialize, Serialize};
use serde_json::json as object;

use super::database::{Alone, Connection, Dialect, Row, values};
use super::events::{self, Event};
use super::{Rules, Store};
use crate::error::{AnnotateError, Refusal};
use crate::token;

/// What a person may do; each role may what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Compare.
    Annotator,
    /// Decide disputes.
    Adjudicator,
    /// Everything.
    Admin,
}

impl Role {
    /// As the database and messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Annotator => "annotator",
            Self::Adjudicator => "adjudicator",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, AnnotateError> {
        [Self::Annotator, Self::Adjudicator, Self::Admin]
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| AnnotateError::Damaged {
                what: "role",
                found: text.to_owned(),
            })
    }
}

/// How far a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The guidelines wait to be accepted.
    Guidelines,
    /// In the training round.
    Training,
    /// At work.
    Work,
    /// Out of attempts at the training round.
    FailedTraining,
}

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// A name that never changes.
    pub person: String,
    /// Counts from 1.
    pub number: i64,
    /// The name to log in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Attempt at the training round, from 1.
    pub attempt: i64,
    /// The attempt after which counting began anew.
    pub attempts_from: i64,
    /// Whether the guidelines are accepted.
    pub knows_guidelines: bool,
    /// Whether the training round is passed.
    pub trained: bool,
}

impl Person {
    pub(super) fn from_row(row: &Row) -> Result<Self, AnnotateError> {
        Ok(Self {
            person: row.text("person")?,
            number: row.int("number")?,
            name: row.text("name")?,
            role: Role::parse(&row.text("role")?)?,
            attempt: row.int("attempt")?,
            attempts_from: row.int("attempts_from")?,
            knows_guidelines: row.maybe_int("guidelines_at")?.is_some(),
            trained: row.maybe_int("trained_at")?.is_some(),
        })
    }

    /// How far this person is in a project with `n_training` training items.
    pub(super) fn stage(&self, n_training: i64, attempts: u32) -> Stage {
        if !self.knows_guidelines {
            Stage::Guidelines
        } else if n_training == 0 || self.trained {
            Stage::Work
        } else if self.attempt - self.attempts_from > i64::from(attempts) {
            Stage::FailedTraining
        } else {
            Stage::Training
        }
    }
}

/// How names are compared: two that look alike to a person must not be two accounts.
fn name_key(name: &str) -> String {
    name.to_lowercase()
}

/// The training items of the project.
pub(super) async fn n_training(connection: &mut Connection) -> Result<i64, AnnotateError> {
    let sql = "SELECT COUNT(*) AS n FROM items WHERE kind = 'training'";
    connection.int(sql, values![]).await
}

impl Store {
    /// Whether nobody has an account yet.
    ///
    /// # Errors
    /// As the database says.
    pub async fn is_deserted(&self) -> Result<bool, AnnotateError> {
        let sql = "SELECT COUNT(*) AS n FROM people";
        Ok(self.read().await?.int(sql, values![]).await? == 0)
    }

    /// Makes an invitation and returns its secret, which is stored nowhere, and when it expires.
    ///
    /// # Errors
    /// As the database says.
    pub async fn invite(
        &self,
        role: Role,
        hours: u32,
        by: Option<String>,
    ) -> Result<(String, i64), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let secret = token::secret();
                let now = rules.unix_now();
                let expires_at = now + i64::from(hours) * 3_600_000;
                let sql = "INSERT INTO invites (token_hash, role, created_at, expires_at) VALUES ($1, $2, $3, $4)";
                let values = values![token::hashed(&secret), role.name(), now, expires_at];
                connection.execute(sql, values).await?;
                let event = Event {
                    kind: "invite",
                    person: by.as_deref(),
                    item: None,
                    data: object!({"role": role, "expires_at": expires_at}),
                };
                events::add(connection, rules, event).await?;
                Ok((secret, expires_at))
            })
        })
        .await
    }

    /// The role that an invitation gives, while it is good.
    ///
    /// # Errors
    /// As the database says.
    pub async fn invitation(&self, secret: &str) -> Result<Option<Role>, AnnotateError> {
        invited(&mut self.read().await?, &self.rules, secret).await
    }

    /// Uses an invitation: makes the account.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if it is no longer good, [`Refusal::Invalid`] if the name is taken.
    pub async fn join(
        &self,
        secret: String,
        name: String,
        password_hash: String,
    ) -> Result<Person, AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                connection.alone(Alone::Account).await?;
                let role = invited(connection, rules, &secret)
                    .await?
                    .ok_or(Refusal::NotFound("invitation"))?;
                if is_taken(connection, &name).await? {
                    return Err(
                        Refusal::invalid("name", "this name is taken", "choose another").into(),
                    );
                }
                let person = add(connection, rules, &name, role, &password_hash).await?;
                let sql = "UPDATE invites SET used_by = $1 WHERE token_hash = $2";
                connection
                    .execute(sql, values![&person, token::hashed(&secret)])
                    .await?;
                let event = Event {
                    kind: "join",
                    person: Some(&person),
                    item: None,
                    data: object!({"name": name, "role": role}),
                };
                events::add(connection, rules, event).await?;
                by_id(connection, &person).await
            })
        })
        .await
    }

    /// The account of a name with its password hash, unless it is disabled.
    ///
    /// # Errors
    /// As the database says.
    pub async fn account(&self, name: &str) -> Result<Option<(Person, String)>, AnnotateError> {
        let sql = "SELECT person, number, name, role, attempt, attempts_from, guidelines_at, trained_at, password FROM people \
                   WHERE name_key = $1 AND disabled = 0";
        let row = self.read().await?.row(sql, values![name_key(name)]).await?;
        row.map(|row| Ok((Person::from_row(&row)?, row.text("password")?)))
            .transpose()
    }

    /// Who somebody is, by the name that never changes.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn account_of(&self, person: &str) -> Result<Person, AnnotateError> {
        by_id(&mut self.read().await?, person).await
    }

    /// Remembers that a person accepts the guidelines.
    ///
    /// # Errors
    /// As the database says.
    pub async fn accept_guidelines(&self, person: String) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let sql = "UPDATE people SET guidelines_at = $1 WHERE person = $2 AND guidelines_at IS NULL";
                if connection.execute(sql, values![rules.unix_now(), &person]).await? > 0 {
                    let event = Event {
                        kind: "guidelines",
                        person: Some(&person),
                        item: None,
                        data: object!({}),
                    };
                    events::add(connection, rules, event).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// Whether somebody has this name, or one that looks like it.
pub(super) async fn is_taken(
    connection: &mut Connection,
    name: &str,
) -> Result<bool, AnnotateError> {
    let sql = "SELECT COUNT(*) AS n FROM people WHERE name_key = $1";
    Ok(connection.int(sql, values![name_key(name)]).await? > 0)
}

/// Makes an account, and returns the name of it that never changes.
pub(super) async fn add(
    connection: &mut Connection,
    rules: &Rules,
    name: &str,
    role: Role,
    password_hash: &str,
) -> Result<String, AnnotateError> {
    let person = token::secret();
    let sql = "INSERT INTO people (person, number, name, name_key, role, password, created_at) \
               SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5, $6 FROM people";
    let (key, now) = (name_key(name), rules.unix_now());
    let values = values![&person, name, key, role.name(), password_hash, now];
    connection.execute(sql, values).await?;
    Ok(person)
}

/// A person by id.
pub(super) async fn by_id(
    connection: &mut Connection,
    person: &str,
) -> Result<Person, AnnotateError> {
    let sql = "SELECT person, number, name, role, attempt, attempts_from, guidelines_at, trained_at FROM people WHERE person = $1";
    let row = connection
        .row(sql, values![person])
        .await?
        .ok_or(Refusal::NotFound("person"))?;
    Person::from_row(&row)
}

/// Makes other changes to a person wait until this transaction ends. SQLite has one writer anyway.
pub(super) async fn lock(connection: &mut Connection, person: &str) -> Result<(), AnnotateError> {
    if connection.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let sql = "SELECT number FROM people WHERE person = $1 FOR NO KEY UPDATE";
    connection.int(sql, values![person]).await.map(drop)
}

async fn invited(
    connection: &mut Connection,
    rules: &Rules,
    secret: &str,
) -> Result<Option<Role>, AnnotateError> {
    let sql = "SELECT role FROM invites WHERE token_hash = $1 AND renews IS NULL AND used_by IS NULL AND expires_at > $2";
    let row = connection
        .row(sql, values![token::hashed(secret), rules.unix_now()])
        .await?;
    row.map(|row| Role::parse(&row.text("role")?)).transpose()
}

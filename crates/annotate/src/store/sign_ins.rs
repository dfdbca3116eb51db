//! People whom a provider of sign-in vouches for: attempts under way, and whose account an identity opens.

use serde_json::json as object;

use super::Store;
use super::database::{Alone, Connection, values};
use super::events::{self, Event};
use super::people::{self, Person, Role};
use super::{Rules, members, tokens};
use crate::error::{AnnotateError, Refusal};
use crate::token;

/// How long an attempt may take.
const ATTEMPT_MS: i64 = 10 * 60 * 1000;
/// Attempts under way that are remembered.
const MAX_ATTEMPTS: i64 = 10_000;
/// What stands for the password of an account that has none: no hash, so none matches it.
const NO_PASSWORD: &str = "none";
/// People of one name that are told apart by a number.
const MAX_NAMESAKES: u32 = 1000;

/// An attempt to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Comes back with the browser.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves that the code was asked for from here.
    pub verifier: String,
}

/// Somebody whom a provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The provider.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// The name of a new account.
    pub name: String,
    /// What they may do; none where the provider gives them no part in the project.
    pub role: Option<Role>,
    /// Whether an account that is there gets that role too, or is closed where there is none.
    pub follows: bool,
}

impl Attempt {
    /// One that nobody could guess.
    #[must_use]
    pub fn fresh() -> Self {
        Self {
            state: token::secret(),
            nonce: token::secret(),
            verifier: token::secret(),
        }
    }
}

impl Store {
    /// Begins an attempt, and forgets those that took too long and the oldest where there are many: anybody may begin one.
    ///
    /// # Errors
    /// As the database says.
    pub async fn begin_sign_in(&self, attempt: Attempt) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let now = rules.unix_now();
                let sql = "SELECT expires_at FROM sign_ins ORDER BY expires_at DESC LIMIT 1 OFFSET $1";
                let last = connection.int(sql, values![MAX_ATTEMPTS]).await?;
                let sql = "DELETE FROM sign_ins WHERE expires_at <= $1";
                connection.execute(sql, values![now.max(last)]).await?;
                let sql = "INSERT INTO sign_ins (state_hash, nonce, verifier, expires_at) VALUES ($1, $2, $3, $4)";
                let values = values![
                    token::hashed(&attempt.state),
                    &attempt.nonce,
                    &attempt.verifier,
                    now + ATTEMPT_MS
                ];
                connection.execute(sql, values).await.map(drop)
            })
        })
        .await
    }

    /// The attempt with this state, which is good once.
    ///
    /// # Errors
    /// As the database says.
    pub async fn take_sign_in(&self, state: String) -> Result<Option<Attempt>, AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let sql = "DELETE FROM sign_ins WHERE state_hash = $1 RETURNING nonce, verifier, expires_at";
                let row = connection.row(sql, values![token::hashed(&state)]).await?;
                let Some(row) = row else {
                    return Ok(None);
                };
                let attempt = Attempt {
                    nonce: row.text("nonce")?,
                    verifier: row.text("verifier")?,
                    state,
                };
                Ok((row.int("expires_at")? > rules.unix_now()).then_some(attempt))
            })
        })
        .await
    }

    /// The account of somebody whom a provider vouches for, made if there is none. An account with a password is never taken for
    /// theirs, whatever its name: nobody but the provider says who has which name there.
    ///
    /// # Errors
    /// [`Refusal::NoRole`] for somebody without one, whose account is closed where it follows the provider; [`Refusal::Disabled`],
    /// [`Refusal::LastAdmin`] if the last administrator would be none any more.
    pub async fn admit(&self, guest: Guest) -> Result<Person, AnnotateError> {
        let admitted: Option<Person> = self.write(move |connection, rules| {
            Box::pin(async move {
                // Another server may make the account of the same person, or one of the same name.
                connection.alone(Alone::Account).await?;
                let sql = "SELECT p.person, p.disabled FROM identities i JOIN people p ON p.person = i.person \
                           WHERE i.issuer = $1 AND i.subject = $2";
                let row = connection.row(sql, values![&guest.issuer, &guest.subject]).await?;
                let Some(role) = guest.role else {
                    if let Some(row) = row.filter(|_| guest.follows) {
                        shut_out(connection, rules, &guest.issuer, &row.text("person")?).await?;
                    }
                    // An error would take it back.
                    return Ok(None);
                };
                let Some(row) = row else {
                    let person = join(connection, rules, &guest, role).await?;
                    return people::by_id(connection, &person).await.map(Some);
                };
                if row.int("disabled")? != 0 {
                    return Err(Refusal::Disabled.into());
                }
                let person = people::by_id(connection, &row.text("person")?).await?;
                if !guest.follows || person.role == role {
                    return Ok(Some(person));
                }
                let sql = "UPDATE people SET role = $1 WHERE person = $2";
                connection.execute(sql, values![role.name(), &person.person]).await?;
                if person.role == Role::Admin {
                    members::keep_an_admin(connection).await?;
                    tokens::revoke_all_of(connection, rules, &person.person).await?;
                }
                let event = Event {
                    kind: "amend",
                    person: None,
                    item: None,
                    data: object!({"person": person.person, "role": role, "issuer": guest.issuer}),
                };
                events::add(connection, rules, event).await?;
                people::by_id(connection, &person.person).await.map(Some)
            })
        })
        .await?;
        admitted.ok_or_else(|| Refusal::NoRole.into())
    }
}

/// Closes the account of somebody who has no part in the project any more. The last administrator's stays, since nobody else could open
/// it again, but who is in is not any more.
async fn shut_out(
    connection: &mut Connection,
    rules: &Rules,
    issuer: &str,
    person: &str,
) -> Result<(), AnnotateError> {
    let sql = "DELETE FROM sessions WHERE person = $1";
    connection.execute(sql, values![person]).await?;
    tokens::revoke_all_of(connection, rules, person).await?;
    let sql = "UPDATE people SET disabled = 1 WHERE person = $1 AND disabled = 0 AND (role <> 'admin' OR EXISTS \
               (SELECT 1 FROM people o WHERE o.role = 'admin' AND o.disabled = 0 AND o.person <> $1))";
    if connection.execute(sql, values![person]).await? > 0 {
        let event = Event {
            kind: "amend",
            person: None,
            item: None,
            data: object!({"person": person, "disabled": true, "issuer": issuer}),
        };
        events::add(connection, rules, event).await?;
    }
    Ok(())
}

/// Makes the account of a guest.
async fn join(
    connection: &mut Connection,
    rules: &Rules,
    guest: &Guest,
    role: Role,
) -> Result<String, AnnotateError> {
    let name = free_name(connection, &guest.name).await?;
    let person = people::add(connection, rules, &name, role, NO_PASSWORD).await?;
    let now = rules.unix_now();
    let sql = "INSERT INTO identities (issuer, subject, person, linked_at) VALUES ($1, $2, $3, $4)";
    let values = values![&guest.issuer, &guest.subject, &person, now];
    connection.execute(sql, values).await?;
    let event = Event {
        kind: "join",
        person: Some(&person),
        item: None,
        data: object!({"name": name, "role": role, "issuer": guest.issuer}),
    };
    events::add(connection, rules, event).await?;
    Ok(person)
}

/// The name, or the first of its namesakes that nobody has.
async fn free_name(connection: &mut Connection, name: &str) -> Result<String, AnnotateError> {
    for number in 1..=MAX_NAMESAKES {
        let name = if number == 1 {
            name.to_owned()
        } else {
            format!("{name} ({number})")
        };
        if !people::is_taken(connection, &name).await? {
            return Ok(name);
        }
    }
    Err(Refusal::invalid("name", "this name is taken", "ask an administrator").into())
}

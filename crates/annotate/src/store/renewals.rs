//! Another password for somebody who has an account: by a link that an administrator makes, because the app sends no mail.

use serde_json::json as object;

use super::Store;
use super::database::values;
use super::events::{self, Event};
use super::people::{self, Person};
use crate::error::{AnnotateError, Refusal};
use crate::token;

/// How long a link is good, in hours.
const HOURS: i64 = 24;

impl Store {
    /// Makes a link that gives a person another password. Returns its secret, which is stored nowhere, and when it ends.
    /// Until it is used, the old password works.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn offer_renewal(
        &self,
        by: String,
        person: String,
    ) -> Result<(String, i64), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let person = people::by_id(connection, &person).await?;
                let secret = token::secret();
                let now = rules.unix_now();
                let expires_at = now + HOURS * 3_600_000;
                let sql = "INSERT INTO invites (token_hash, role, created_at, expires_at, renews) VALUES ($1, $2, $3, $4, $5)";
                let values =
                    values![token::hashed(&secret), person.role.name(), now, expires_at, &person.person];
                connection.execute(sql, values).await?;
                let event = Event {
                    kind: "offer_renewal",
                    person: Some(&by),
                    item: None,
                    data: object!({"person": person.person, "expires_at": expires_at}),
                };
                events::add(connection, rules, event).await?;
                Ok((secret, expires_at))
            })
        })
        .await
    }

    /// Whose password a link renews, while it is good.
    ///
    /// # Errors
    /// As the database says.
    pub async fn renewal(&self, secret: &str) -> Result<Option<Person>, AnnotateError> {
        let connection = &mut self.read().await?;
        let sql = "SELECT renews FROM invites WHERE token_hash = $1 AND renews IS NOT NULL AND used_by IS NULL \
                   AND expires_at > $2";
        let values = values![token::hashed(secret), self.rules.unix_now()];
        match connection.row(sql, values).await? {
            Some(row) => people::by_id(connection, &row.text("renews")?)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// Uses such a link: the person has this password now, is logged out everywhere, and all their links are used.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if it is no longer good.
    pub async fn renew(
        &self,
        secret: String,
        password_hash: String,
    ) -> Result<Person, AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let sql = "UPDATE invites SET used_by = renews \
                           WHERE token_hash = $1 AND renews IS NOT NULL AND used_by IS NULL AND expires_at > $2 \
                           RETURNING renews";
                let values = values![token::hashed(&secret), rules.unix_now()];
                let row = connection.row(sql, values).await?.ok_or(Refusal::NotFound("link"))?;
                let person = row.text("renews")?;
                for sql in [
                    "UPDATE invites SET used_by = renews WHERE renews = $1",
                    "DELETE FROM sessions WHERE person = $1",
                ] {
                    connection.execute(sql, values![&person]).await?;
                }
                let sql = "UPDATE people SET password = $1 WHERE person = $2";
                connection.execute(sql, values![password_hash, &person]).await?;
                let event = Event {
                    kind: "renew",
                    person: Some(&person),
                    item: None,
                    data: object!({}),
                };
                events::add(connection, rules, event).await?;
                people::by_id(connection, &person).await
            })
        })
        .await
    }
}

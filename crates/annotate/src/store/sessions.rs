//! Sessions: a secret in a cookie, its hash here.

use super::Store;
use super::database::values;
use super::people::Person;
use crate::error::AnnotateError;
use crate::token;

/// How exactly the time of the last request is kept: a request need not wait for the disk.
const SEEN_EVERY_MS: i64 = 60_000;

impl Store {
    /// Starts a session and returns its secret.
    ///
    /// # Errors
    /// As the database says.
    pub async fn start_session(&self, person: String) -> Result<String, AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let secret = token::secret();
                let now = rules.unix_now();
                let sql = "INSERT INTO sessions (token_hash, person, created_at, seen_at) VALUES ($1, $2, $3, $3)";
                connection.execute(sql, values![token::hashed(&secret), person, now]).await?;
                Ok(secret)
            })
        })
        .await
    }

    /// Whose session it is, if it was used in the last `hours` and the account is not disabled. Whom a provider vouches for has it for so
    /// long after it began, used or not: then the provider is asked again.
    ///
    /// # Errors
    /// As the database says.
    pub async fn session(&self, secret: &str, hours: u32) -> Result<Option<Person>, AnnotateError> {
        let now = self.rules.unix_now();
        let hash = token::hashed(secret);
        let sql = "SELECT p.person, p.number, p.name, p.role, p.attempt, p.attempts_from, p.guidelines_at, p.trained_at, s.seen_at \
                   FROM sessions s JOIN people p ON p.person = s.person \
                   WHERE s.token_hash = $1 AND s.seen_at > $2 AND p.disabled = 0 \
                   AND (s.created_at > $2 OR NOT EXISTS (SELECT 1 FROM identities i WHERE i.person = p.person))";
        let oldest = now - i64::from(hours) * 3_600_000;
        let row = self.read().await?.row(sql, values![&hash, oldest]).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        if row.int("seen_at")? + SEEN_EVERY_MS < now {
            self.write(move |connection, _| {
                Box::pin(async move {
                    let sql = "UPDATE sessions SET seen_at = $1 WHERE token_hash = $2";
                    connection.execute(sql, values![now, hash]).await
                })
            })
            .await?;
        }
        Person::from_row(&row).map(Some)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// As the database says.
    pub async fn end_session(&self, secret: &str) -> Result<(), AnnotateError> {
        let hash = token::hashed(secret);
        self.write(move |connection, _| {
            Box::pin(async move {
                let sql = "DELETE FROM sessions WHERE token_hash = $1";
                connection.execute(sql, values![hash]).await.map(drop)
            })
        })
        .await
    }
}

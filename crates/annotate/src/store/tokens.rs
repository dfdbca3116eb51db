//! Tokens of programs: a secret that a script sends with its requests, its hash here, and what it may do.
//!
//! A token is good while whoever made it is an administrator: nobody keeps a way in after their account is closed, and none comes back
//! when it is opened again.

use serde::{Deserialize, Serialize};
use serde_json::json as object;

use super::database::{Alone, Connection, Row, json, values};
use super::events::{self, Event};
use super::{Rules, Store};
use crate::error::{AnnotateError, Refusal};
use crate::token;

/// What every token begins with, so that people and programs that look for leaked secrets know it.
pub const PREFIX: &str = "candor_";
/// How exactly the time of the last use is kept: a request need not wait for the disk.
const USED_EVERY_MS: i64 = 60_000;

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Progress, quality, and what people did on each day.
    Read,
    /// Adding items.
    Import,
    /// What people said, and the event log.
    Export,
}

impl Scope {
    /// As requests and messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What it is for, in an administrator's words.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// After so many days it is good no more; none for one that is good until it is revoked.
    pub days: Option<u32>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// A name that never changes, and opens nothing.
    pub token: String,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The name of the administrator who made it.
    pub made_by: String,
    /// When it was made.
    pub created_at: i64,
    /// When it ends, if it does by itself.
    pub expires_at: Option<i64>,
    /// When it was last used, roughly.
    pub used_at: Option<i64>,
}

impl Token {
    fn from_row(row: &Row) -> Result<Self, AnnotateError> {
        Ok(Self {
            token: row.text("token")?,
            name: row.text("name")?,
            scopes: row.json("scopes")?,
            made_by: row.text("made_by")?,
            created_at: row.int("created_at")?,
            expires_at: row.maybe_int("expires_at")?,
            used_at: row.maybe_int("used_at")?,
        })
    }
}

impl Store {
    /// Makes a token. Returns its name that never changes, its secret, which is stored nowhere, and when it ends.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] if whoever makes it is no administrator any more.
    pub async fn make_token(
        &self,
        by: String,
        new: NewToken,
    ) -> Result<(String, String, Option<i64>), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                // Their role may be taken from them at this moment, and their tokens with it, which must not miss this one.
                connection.alone(Alone::Account).await?;
                let sql = "SELECT COUNT(*) AS n FROM people WHERE person = $1 AND role = 'admin' AND disabled = 0";
                if connection.int(sql, values![&by]).await? == 0 {
                    return Err(Refusal::Forbidden.into());
                }
                let (token, secret) = (token::secret(), format!("{PREFIX}{}", token::secret()));
                let now = rules.unix_now();
                let expires_at = new.days.map(|days| now + i64::from(days) * 86_400_000);
                let sql = "INSERT INTO tokens (token, token_hash, name, scopes, made_by, created_at, expires_at) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7)";
                let values = values![
                    &token,
                    token::hashed(&secret),
                    &new.name,
                    json(&new.scopes),
                    &by,
                    now,
                    expires_at
                ];
                connection.execute(sql, values).await?;
                let event = Event {
                    kind: "make_token",
                    person: Some(&by),
                    item: None,
                    data: object!({
                        "token": token, "name": new.name, "scopes": new.scopes, "expires_at": expires_at
                    }),
                };
                events::add(connection, rules, event).await?;
                Ok((token, secret, expires_at))
            })
        })
        .await
    }

    /// All tokens that are good, the newest first.
    ///
    /// # Errors
    /// As the database says.
    pub async fn tokens(&self) -> Result<Vec<Token>, AnnotateError> {
        let sql = "SELECT t.token, t.name, t.scopes, p.name AS made_by, t.created_at, t.expires_at, t.used_at \
                   FROM tokens t JOIN people p ON p.person = t.made_by \
                   WHERE t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $1) \
                   AND p.role = 'admin' AND p.disabled = 0 ORDER BY t.created_at DESC, t.token";
        let values = values![self.rules.unix_now()];
        let rows = self.read().await?.rows(sql, values).await?;
        rows.iter().map(Token::from_row).collect()
    }

    /// Ends a token at once.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if there is none, or it is revoked already.
    pub async fn revoke_token(&self, by: String, token: String) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let sql =
                    "UPDATE tokens SET revoked_at = $1 WHERE token = $2 AND revoked_at IS NULL";
                if connection
                    .execute(sql, values![rules.unix_now(), &token])
                    .await?
                    == 0
                {
                    return Err(Refusal::NotFound("token").into());
                }
                let event = Event {
                    kind: "revoke_token",
                    person: Some(&by),
                    item: None,
                    data: object!({"token": token}),
                };
                events::add(connection, rules, event).await.map(drop)
            })
        })
        .await
    }

    /// What the token with this secret may be used for, while it is good.
    ///
    /// # Errors
    /// As the database says.
    pub async fn scopes(&self, secret: &str) -> Result<Option<Vec<Scope>>, AnnotateError> {
        let now = self.rules.unix_now();
        let hash = token::hashed(secret);
        let sql = "SELECT t.scopes, t.used_at FROM tokens t JOIN people p ON p.person = t.made_by \
                   WHERE t.token_hash = $1 AND t.revoked_at IS NULL \
                   AND (t.expires_at IS NULL OR t.expires_at > $2) AND p.role = 'admin' AND p.disabled = 0";
        let row = self.read().await?.row(sql, values![&hash, now]).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let used_at = row.maybe_int("used_at")?;
        if used_at.is_none_or(|at| at + USED_EVERY_MS < now) {
            self.write(move |connection, _| {
                Box::pin(async move {
                    let sql = "UPDATE tokens SET used_at = $1 WHERE token_hash = $2";
                    connection.execute(sql, values![now, hash]).await
                })
            })
            .await?;
        }
        row.json("scopes").map(Some)
    }
}

/// Ends all tokens of somebody who is no administrator any more.
pub(super) async fn revoke_all_of(
    connection: &mut Connection,
    rules: &Rules,
    person: &str,
) -> Result<(), AnnotateError> {
    let sql = "UPDATE tokens SET revoked_at = $1 WHERE made_by = $2 AND revoked_at IS NULL";
    let values = values![rules.unix_now(), person];
    connection.execute(sql, values).await.map(drop)
}

//! How often a login may be tried: by name, so that no password is guessed, and by address, so that no list of names
//! is tried out.
//!
//! Counted in the database, so that all servers of a project count together, and by lease time, which no machine's time of
//! day moves. Names and addresses are kept as hashes: some people type their password where the name belongs.
//!
//! Anybody may send logins without end. So what is refused is only looked up, and of the others a server counts one at a
//! time: while servers wait for each other's counts, it is logins that queue, and all but one of the writers are free.

use std::net::IpAddr;

use super::Store;
use super::database::{Alone, Connection, values};
use crate::error::{AnnotateError, Refusal};
use crate::token;

/// Failures of one name or address within the window before it has to wait.
const MAX_BY_NAME: i64 = 5;
const MAX_BY_ADDRESS: i64 = 30;
/// How long failures count.
const WINDOW_MS: i64 = 15 * 60 * 1000;
/// Names and addresses remembered; beyond that, the oldest are forgotten.
const MAX_KEYS: i64 = 10_000;

/// What a name's failures are counted under.
fn name_key(name: &str) -> String {
    let name = name.chars().take(100).collect::<String>().to_lowercase();
    token::hashed(&format!("name {name}"))
}

/// What an address's failures are counted under.
fn address_key(address: Option<IpAddr>) -> Option<String> {
    address.map(|address| token::hashed(&format!("address {address}")))
}

impl Store {
    /// Counts a login that is about to be tried, as failed until [`Self::forgive_login`] says otherwise; so those that are
    /// tried at the same time count too.
    ///
    /// # Errors
    /// [`Refusal::TooManyAttempts`]; then it does not count.
    pub async fn attempt_login(
        &self,
        name: &str,
        address: Option<IpAddr>,
    ) -> Result<(), AnnotateError> {
        let (name, address) = (name_key(name), address_key(address));
        let mut reader = self.read().await?;
        let now = self.rules.lease_now();
        look(&mut reader, &name, MAX_BY_NAME, now).await?;
        if let Some(address) = &address {
            look(&mut reader, address, MAX_BY_ADDRESS, now).await?;
        }
        drop(reader);
        let _turn = self.logins.lock().await;
        self.write(move |connection, rules| {
            Box::pin(async move {
                connection.alone(Alone::Login).await?;
                let now = rules.lease_now();
                let sql = "DELETE FROM login_failures WHERE since <= $1";
                connection.execute(sql, values![now - WINDOW_MS]).await?;
                count(connection, name, MAX_BY_NAME, now).await?;
                if let Some(address) = address {
                    count(connection, address, MAX_BY_ADDRESS, now).await?;
                }
                let sql = "DELETE FROM login_failures WHERE since < \
                           (SELECT since FROM login_failures ORDER BY since DESC LIMIT 1 OFFSET $1)";
                connection.execute(sql, values![MAX_KEYS]).await.map(drop)
            })
        })
        .await
    }

    /// Takes a counted login back, because it was right; a name's earlier failures are forgotten with it.
    ///
    /// # Errors
    /// As the database says.
    pub async fn forgive_login(
        &self,
        name: &str,
        address: Option<IpAddr>,
    ) -> Result<(), AnnotateError> {
        let (name, address) = (name_key(name), address_key(address));
        let _turn = self.logins.lock().await;
        self.write(move |connection, _| {
            Box::pin(async move {
                connection.alone(Alone::Login).await?;
                let sql = "DELETE FROM login_failures WHERE key_hash = $1";
                connection.execute(sql, values![name]).await?;
                let sql = "UPDATE login_failures SET n = n - 1 WHERE key_hash = $1 AND n > 0";
                connection.execute(sql, values![address]).await.map(drop)
            })
        })
        .await
    }
}

/// Refuses what would be one failure too many.
async fn look(
    connection: &mut Connection,
    key: &str,
    max: i64,
    now: i64,
) -> Result<(), AnnotateError> {
    let sql = "SELECT since FROM login_failures WHERE key_hash = $1 AND since > $2 AND n >= $3";
    match connection
        .row(sql, values![key, now - WINDOW_MS, max])
        .await?
    {
        Some(row) => Err(too_many(row.int("since")?, now)),
        None => Ok(()),
    }
}

fn too_many(since: i64, now: i64) -> AnnotateError {
    let retry_after_ms = since + WINDOW_MS - now;
    Refusal::TooManyAttempts { retry_after_ms }.into()
}

/// Counts one failure more of what was not forgotten, or the first.
async fn count(
    connection: &mut Connection,
    key: String,
    max: i64,
    now: i64,
) -> Result<(), AnnotateError> {
    let sql = "INSERT INTO login_failures (key_hash, n, since) VALUES ($1, 1, $2) \
               ON CONFLICT (key_hash) DO UPDATE SET n = login_failures.n + 1 RETURNING n, since";
    let Some(row) = connection.row(sql, values![key, now]).await? else {
        return Ok(());
    };
    if row.int("n")? > max {
        return Err(too_many(row.int("since")?, now));
    }
    Ok(())
}

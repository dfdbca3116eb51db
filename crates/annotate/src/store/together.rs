//! Several servers of one PostgreSQL database (`docs/adr/0009-annotation-replicas.md`).
//!
//! Each holds the database's advisory lock together with the others, on a connection of its own; what must be alone, as a
//! change of the schema, holds it for itself. Over that connection goes a beat a second: the server says how far its lease
//! time is, and follows the farthest that any of them has said. So there is no leader, and none to be found when one dies.
//! What all must have in common (title, path, seed, protocol, training, webhooks) is said by the first that comes, so that two
//! projects that name one database by mistake do not share it in silence.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Encode, PgConnection, PgPool, Postgres, Type};
use tokio::time::{sleep, timeout};

use super::Rules;
use super::database::LOCK;
use super::serving::not_served;
use super::writer;
use crate::error::AnnotateError;
use crate::token;

/// How often a server says how far it is.
const BEAT: Duration = Duration::from_secs(1);
/// How often a server looks, a [`PAUSE`] apart, before it serves beside others: for a beat and a half.
const LOOKS: u32 = 15;
/// How long a beat may take before its connection is given up for another.
const SILENCE: Duration = Duration::from_secs(3);
/// How often, and with what pause, a lock is asked for: PostgreSQL may take a moment to see that a killed process is gone.
pub(super) const TRIES: u32 = 50;
pub(super) const PAUSE: Duration = Duration::from_millis(100);

const TAKE_ALONE: &str = "SELECT pg_try_advisory_lock($1)::INT::BIGINT";
const LEAVE_ALONE: &str = "SELECT pg_advisory_unlock($1)::INT::BIGINT";
const TAKE_TOGETHER: &str = "SELECT pg_try_advisory_lock_shared($1)::INT::BIGINT";
/// The first server says by which rules all go on.
const BEGIN: &str = "INSERT INTO lease_clock (clock, now_ms, rules) VALUES (1, 0, $1) \
    ON CONFLICT (clock) DO UPDATE SET rules = excluded.rules RETURNING now_ms";
/// The rules of a database that was moved. No server has these: they are no hash.
pub(super) const MOVED: &str = "moved";
const SAME_RULES: &str = "SELECT COUNT(*) FROM lease_clock WHERE rules = $1";
const TELL: &str =
    "UPDATE lease_clock SET now_ms = GREATEST(now_ms, $1) WHERE clock = 1 RETURNING now_ms";
/// A beat need not wait for the disk: what a crash of PostgreSQL loses of it, the servers tell again.
const NO_WAIT: &str = "SELECT LENGTH(set_config('synchronous_commit', $1, false))::BIGINT";

/// PostgreSQL too gives up what is not waited for any more: its process would be left behind, as often as a beat fails.
const GIVE_UP: &str = "SELECT LENGTH(set_config('statement_timeout', $1, false))::BIGINT";
/// [`SILENCE`], as PostgreSQL reads it.
const SILENCE_SQL: &str = "3s";

/// What a server needs to be let in, and let in again when its connection breaks.
pub(super) struct Door {
    pub pool: PgPool,
    pub rules: Arc<Rules>,
    pub database: String,
}

/// A server that is let in.
pub(super) struct Entered {
    connection: PgConnection,
    /// Whether no other server was there.
    is_first: bool,
}

impl Door {
    /// Takes the lock with the other servers, if there are any and they go by the same rules.
    pub(super) async fn enter(&self) -> Result<Entered, AnnotateError> {
        let mut connection = connected(&self.pool).await?;
        number(&mut connection, GIVE_UP, SILENCE_SQL.to_owned()).await?;
        let mark = self.rules.mark();
        let is_first = is_alone(&mut connection).await?;
        // What a connection holds alone does not keep itself from holding it with others.
        if number(&mut connection, TAKE_TOGETHER, LOCK).await? == 0 {
            let (reason, remedy) = ("another process has it alone", "stop that process first");
            return Err(not_served(&self.database, reason, remedy));
        }
        // Whoever moves the database has it alone, so that it is not moved from here on.
        self.refuse_moved(&mut connection).await?;
        if is_first {
            number(&mut connection, BEGIN, mark).await?;
            number(&mut connection, LEAVE_ALONE, LOCK).await?;
        } else if number(&mut connection, SAME_RULES, mark).await? == 0 {
            return Err(not_served(
                &self.database,
                "it has a server with another title, `server.path`, seed, [protocol], [training] or [[webhook]]",
                "give all servers the same project and version and each project a database of its own, or stop the others first",
            ));
        }
        number(&mut connection, NO_WAIT, "off".to_owned()).await?;
        Ok(Entered {
            connection,
            is_first,
        })
    }

    /// Refuses a database that was moved.
    pub(super) async fn refuse_moved(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), AnnotateError> {
        if number(connection, SAME_RULES, MOVED.to_owned()).await? == 0 {
            return Ok(());
        }
        let (reason, remedy) = ("it was moved", "name the one that it was moved to");
        Err(not_served(&self.database, reason, remedy))
    }

    /// Comes to the lease time of the others, before anybody is served.
    pub(super) async fn settle(&self, entered: Entered) -> Result<PgConnection, AnnotateError> {
        let mut connection = entered.connection;
        if !entered.is_first {
            // What the others told last is up to a beat old. Whoever looks often for longer than that sees each of them tell.
            for _ in 0..LOOKS {
                self.beat(&mut connection).await?;
                sleep(PAUSE).await;
            }
        }
        self.beat(&mut connection).await?;
        Ok(connection)
    }

    /// Tells the others how far this server is, and follows the farthest.
    async fn beat(&self, connection: &mut PgConnection) -> Result<(), AnnotateError> {
        let clock = self.rules.clock.as_ref();
        let asked_ms = clock.running_ms();
        let newest = number(connection, TELL, self.rules.lease_now()).await?;
        self.rules.lease_time.follow(newest, clock);
        self.rules.heard(asked_ms);
        Ok(())
    }

    /// Beats for as long as the process serves.
    pub(super) async fn beats(self, connection: PgConnection) {
        let mut connection = Some(connection);
        // Why the last beat failed, if it did.
        let mut told = None;
        loop {
            sleep(BEAT).await;
            let reason = match timeout(SILENCE, self.next_beat(connection.take())).await {
                Ok(Ok(open)) => {
                    connection = Some(open);
                    None
                }
                Ok(Err(error)) => Some(writer::reason(&error)),
                Err(_) => Some("it does not answer".to_owned()),
            };
            if reason != told {
                if let Some(reason) = &reason {
                    tracing::error!("the database does not know this server any more: {reason}");
                } else {
                    tracing::info!("the database knows this server again");
                }
                told = reason;
            }
        }
    }

    /// One beat, over another connection where the last one broke.
    async fn next_beat(&self, open: Option<PgConnection>) -> Result<PgConnection, AnnotateError> {
        let mut connection = match open {
            Some(connection) => connection,
            None => self.enter().await?.connection,
        };
        self.beat(&mut connection).await?;
        Ok(connection)
    }
}

/// Takes the lock for this process alone, if no other holds it for a while.
pub(super) async fn take_alone(pool: &PgPool) -> Result<Option<PgConnection>, AnnotateError> {
    let mut connection = connected(pool).await?;
    for _ in 0..TRIES {
        if is_alone(&mut connection).await? {
            return Ok(Some(connection));
        }
        sleep(PAUSE).await;
    }
    Ok(None)
}

/// Takes the lock for this process alone, if no other holds it now.
pub(super) async fn is_alone(connection: &mut PgConnection) -> Result<bool, AnnotateError> {
    Ok(number(connection, TAKE_ALONE, LOCK).await? != 0)
}

/// Whether the database ever had a server that may have others beside it.
pub(super) async fn was_served(pool: &PgPool) -> Result<bool, AnnotateError> {
    let mut connection = connected(pool).await?;
    let sql = "SELECT COUNT(*) FROM lease_clock WHERE clock = $1";
    Ok(number(&mut connection, sql, 1_i64).await? > 0)
}

/// A connection that is no pool's any more: what it has locked is free when it is dropped.
pub(super) async fn connected(pool: &PgPool) -> Result<PgConnection, AnnotateError> {
    let sql = "connect";
    let connection = pool.acquire().await;
    let connection = connection.map_err(|source| AnnotateError::Statement { sql, source })?;
    Ok(connection.detach())
}

/// The single number that a statement about one value returns.
async fn number<T>(
    connection: &mut PgConnection,
    sql: &'static str,
    value: T,
) -> Result<i64, AnnotateError>
where
    T: for<'q> Encode<'q, Postgres> + Type<Postgres> + Send + 'static,
{
    sqlx::query_scalar::<Postgres, i64>(sql)
        .bind(value)
        .fetch_one(connection)
        .await
        .map_err(|source| AnnotateError::Statement { sql, source })
}

impl Rules {
    /// A hash of what all servers must have in common. One that did not know a webhook would give up what it is to be told.
    fn mark(&self) -> String {
        let hooks: Vec<_> = self
            .hooks
            .iter()
            .map(|hook| (&hook.name, &hook.events))
            .collect();
        let common = (
            &self.title,
            &self.path,
            self.seed,
            &self.protocol,
            &self.training,
            hooks,
        );
        token::hashed(&format!("{common:?}"))
    }
}

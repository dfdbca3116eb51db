//! The database: the only place with SQL.
//!
//! Changes go through one queue (`writer.rs`) and are on the disk when it answers. An item that `n` people compare has
//! `n` rows in `slots`, so that it can never be given out more often; a claim takes one of them in one statement.
//! `docs/annotate.md` describes the tables.

mod adjudication;
mod answers;
mod claims;
mod database;
mod deliveries;
mod events;
mod items;
mod judged;
mod logins;
mod members;
mod outcome;
mod overview;
mod pauses;
mod people;
mod pulse;
mod release;
mod renewals;
mod schema;
mod serving;
mod sessions;
mod sign_ins;
mod standing;
mod tasks;
mod together;
mod tokens;
mod training;
mod transfer;
mod undo;
mod unshown;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::Mutex;
use tokio::time::timeout;

pub use self::adjudication::{Case, Flag, Judgement, Queue, Waiting, Why};
pub use self::answers::{Receipt, Submission};
pub use self::claims::{Claim, Leases};
pub use self::database::Dialect;
use self::database::{Connection, Pool, values};
pub use self::deliveries::Delivery;
pub use self::items::{Image, Known, NewItem};
pub use self::judged::{Evidence, Given, GoldAnswer, Judged, Ranked, Rated};
pub use self::members::{Amendment, Invite, Member};
pub use self::overview::{Day, Overview, Timed, Told};
pub use self::people::{Person, Role, Stage};
use self::pulse::Pulse;
pub use self::release::FlagReason;
pub use self::schema::VERSION;
pub use self::serving::Serving;
pub use self::sign_ins::{Attempt, Guest};
pub use self::standing::Standing;
pub use self::tokens::{NewToken, PREFIX as TOKEN_PREFIX, Scope, Token};
pub use self::unshown::Unshown;
use self::writer::{Work, Writer};
use crate::clock::{Clock, LeaseTime};
use crate::error::AnnotateError;
use crate::project::{Project, Protocol, Training, Webhook};

/// How long a statement waits for another process that writes to the same SQLite file.
const BUSY: Duration = Duration::from_secs(10);
/// Connections that read.
const N_READERS: u32 = 4;

/// What PostgreSQL is to hold to on our connections.
const POSTGRES: [(&str, &str); 6] = [
    // A plan that was made while a table was empty would be kept when the table is full.
    ("plan_cache_mode", "force_custom_plan"),
    // A machine that vanishes says no farewell. What its transactions had locked others would wait for, for hours: so
    // PostgreSQL finds out within half a minute that nobody is there any more.
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
    // A process that hangs in the middle of a transaction, but not one that only fetches much.
    ("idle_in_transaction_session_timeout", "60000"),
];

/// The newest lease time that the database knows.
const NEWEST: &str = "SELECT MAX(newest) AS newest FROM (SELECT MAX(lease_from) AS newest FROM slots \
    UNION ALL SELECT MAX(now_ms) FROM lease_clock UNION ALL SELECT MAX(since) FROM login_failures) AS times";

/// A project's database.
#[derive(Clone)]
pub struct Store {
    readers: Pool,
    writer_pool: Pool,
    writer: Writer,
    rules: Arc<Rules>,
    /// Held by the login that is being counted.
    logins: Arc<Mutex<()>>,
    /// The database as it may be shown.
    name: String,
    /// The file, of a SQLite database.
    file: Option<PathBuf>,
}

/// What decides how the work goes on, and the clocks.
pub(crate) struct Rules {
    seed: u64,
    protocol: Protocol,
    training: Training,
    title: String,
    /// Where the project lies on its servers.
    path: Option<String>,
    hooks: Vec<Webhook>,
    clock: Arc<dyn Clock>,
    lease_time: LeaseTime,
    pulse: Pulse,
}

impl Rules {
    fn lease_now(&self) -> i64 {
        self.lease_time.now(self.clock.as_ref())
    }

    fn unix_now(&self) -> i64 {
        self.clock.unix_ms()
    }

    fn lease_ms(&self) -> i64 {
        i64::from(self.protocol.lease_secs) * 1000
    }
}

impl Store {
    /// Opens a project's database, makes it if there is none, and brings it to this version's schema.
    ///
    /// # Errors
    /// [`AnnotateError::Database`] if it cannot be reached or is of a newer version.
    pub async fn open(project: &Project, clock: Arc<dyn Clock>) -> Result<Self, AnnotateError> {
        let name = without_password(&project.database);
        let unreachable = |source: sqlx::Error| AnnotateError::Database {
            action: "open",
            database: name.clone(),
            remedy: "check `database` of the project, that the server runs and that you may use it",
            source: Box::new(source),
        };
        let mut file = None;
        let (readers, writer_pool) = if is_postgres(&project.database) {
            let options: PgConnectOptions = project.database.parse().map_err(unreachable)?;
            let options = options.options(POSTGRES);
            let pool = PgPoolOptions::new()
                .max_connections(16)
                .connect_with(options)
                .await;
            let pool = Pool::Postgres(pool.map_err(unreachable)?);
            (pool.clone(), pool)
        } else {
            let path = project.resolve(Path::new(&project.database));
            let (readers, writer) = open_sqlite(&path).await.map_err(unreachable)?;
            file = Some(path);
            (Pool::Sqlite(readers), Pool::Sqlite(writer))
        };
        schema::migrate(&writer_pool, &name).await?;
        let mut connection = readers.acquire().await?;
        let newest = connection.int(NEWEST, values![]).await?;
        drop(connection);
        let lease_time = LeaseTime::resume(newest, clock.as_ref());
        Ok(Self {
            writer: Writer::start(&writer_pool),
            readers,
            writer_pool,
            rules: Arc::new(Rules {
                seed: project.seed,
                protocol: project.protocol.clone(),
                training: project.training.clone(),
                title: project.title.clone(),
                path: project.server.path.clone(),
                hooks: project.webhooks.clone(),
                clock,
                lease_time,
                pulse: Pulse::default(),
            }),
            logins: Arc::default(),
            name,
            file,
        })
    }

    /// Closes all connections, after the changes under way.
    pub async fn close(&self) {
        self.writer_pool.close().await;
        self.readers.close().await;
    }

    async fn read(&self) -> Result<Connection, AnnotateError> {
        self.readers.acquire().await
    }

    /// Runs `work` in a transaction, with the rules at hand; see [`Writer::write`].
    async fn write<T, F>(&self, work: F) -> Result<T, AnnotateError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection, &'c Rules) -> Work<'c, T> + Send + 'static,
    {
        let rules = Arc::clone(&self.rules);
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    rules.require_pulse(pulse::LOST_MS)?;
                    let done = work(connection, &rules).await?;
                    // The work may have waited while the database was moved.
                    rules.require_pulse(pulse::LOST_MS)?;
                    Ok(done)
                })
            })
            .await
    }

    /// Whether the database answers, soon, and to a server among others still lets it change anything.
    ///
    /// # Errors
    /// [`AnnotateError::NotCommitted`] if the database does not know of this server any more; as the database says.
    pub async fn check(&self) -> Result<(), AnnotateError> {
        self.rules.require_pulse(pulse::LATE_MS)?;
        let count = async {
            let sql = "SELECT COUNT(*) AS n FROM invites";
            self.read().await?.int(sql, values![]).await.map(drop)
        };
        let silent = |_| AnnotateError::NotCommitted {
            reason: "it does not answer".into(),
        };
        let soon = Duration::from_millis(pulse::LATE_MS as u64);
        timeout(soon, count).await.map_err(silent)?
    }
}

/// Whether a `database` is a URL of PostgreSQL.
pub(crate) fn is_postgres(database: &str) -> bool {
    database.starts_with("postgres://") || database.starts_with("postgresql://")
}

/// The database as it may be shown.
fn without_password(database: &str) -> String {
    if !is_postgres(database) {
        return database.to_owned();
    }
    let Some((scheme, rest)) = database.split_once("://") else {
        return database.to_owned();
    };
    // A password may stand before the host, or among the parameters.
    let (place, parameters) = rest
        .split_once('?')
        .map_or((rest, ""), |(place, _)| (place, "?…"));
    match place.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{parameters}"),
        // What is before the `?` may be a part of a password that has one.
        None if rest.contains('@') => format!("{scheme}://…"),
        None => format!("{scheme}://{place}{parameters}"),
    }
}

/// A file's readers, and the single connection that writes. What is committed is on the disk (`FULL`), and readers
/// never wait for the writer (`WAL`). Readers are not opened read-only: such a connection cannot set up the shared
/// memory of the WAL, and fails when it comes first.
async fn open_sqlite(path: &Path) -> Result<(sqlx::SqlitePool, sqlx::SqlitePool), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(N_READERS)
        .connect_with(options.pragma("query_only", "ON"))
        .await?;
    Ok((readers, writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_without_its_password() {
        for (database, shown) in [
            ("annotate.sqlite", "annotate.sqlite"),
            ("postgres://anna:secret@db/a", "postgres://…@db/a"),
            ("postgres://db/a", "postgres://db/a"),
            (
                "postgres://anna@db/a?password=secret",
                "postgres://…@db/a?…",
            ),
            (
                "postgresql:///a?user=anna&password=secret",
                "postgresql:///a?…",
            ),
            ("postgres://db/a?password=s@cret", "postgres://…"),
            ("postgres://anna:se?cret@db/a", "postgres://…"),
        ] {
            assert_eq!(without_password(database), shown, "{database}");
        }
    }
}

//! The schema and its history: one step for each released change, never edited afterwards.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, SqlSafeStr as _};
use tokio::time::sleep;

use super::database::{Dialect, Pool};
use super::together::{self, PAUSE, TRIES};
use crate::error::AnnotateError;

/// The steps: number, name, and the SQL of both dialects.
const STEPS: [(i64, &str, &str, &str); 6] = [
    (
        1,
        "start",
        include_str!("../../migrations/sqlite/1_start.sql"),
        include_str!("../../migrations/postgres/1_start.sql"),
    ),
    (
        2,
        "renewals",
        include_str!("../../migrations/sqlite/2_renewals.sql"),
        include_str!("../../migrations/postgres/2_renewals.sql"),
    ),
    (
        3,
        "pauses",
        include_str!("../../migrations/sqlite/3_pauses.sql"),
        include_str!("../../migrations/postgres/3_pauses.sql"),
    ),
    (
        4,
        "replicas",
        include_str!("../../migrations/sqlite/4_replicas.sql"),
        include_str!("../../migrations/postgres/4_replicas.sql"),
    ),
    (
        5,
        "access",
        include_str!("../../migrations/sqlite/5_access.sql"),
        include_str!("../../migrations/postgres/5_access.sql"),
    ),
    (
        6,
        "rankings",
        include_str!("../../migrations/sqlite/6_rankings.sql"),
        include_str!("../../migrations/postgres/6_rankings.sql"),
    ),
];

/// The schema's version.
pub const VERSION: i64 = STEPS[STEPS.len() - 1].0;

fn migrator(dialect: Dialect) -> Migrator {
    let steps = STEPS.iter().map(|&(version, name, sqlite, postgres)| {
        let sql = match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(steps.collect())
}

/// Brings a database to this version's schema.
///
/// # Errors
/// [`AnnotateError::Database`] when a step fails, the database was written by a newer version, or servers of an older one
/// use it.
pub(crate) async fn migrate(pool: &Pool, database: &str) -> Result<(), AnnotateError> {
    let outcome = match pool {
        Pool::Sqlite(pool) => migrator(Dialect::Sqlite).run(pool).await,
        Pool::Postgres(pool) => {
            let _alone = if version(pool).await? < VERSION {
                without_servers(pool, database).await?
            } else {
                None
            };
            migrator(Dialect::Postgres).run(pool).await
        }
    };
    outcome.map_err(|source| AnnotateError::Database {
        action: "bring to this version's schema",
        database: database.to_owned(),
        remedy: "use the candor that wrote it or a newer one; the database is as it was",
        source: Box::new(source),
    })
}

/// The version of a PostgreSQL database's schema; 0 before the first step.
async fn version(pool: &PgPool) -> Result<i64, AnnotateError> {
    let is_there = "SELECT (to_regclass('_sqlx_migrations') IS NOT NULL)::INT::BIGINT";
    if number(pool, is_there).await? == 0 {
        return Ok(0);
    }
    let sql = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations WHERE success";
    number(pool, sql).await
}

async fn number(pool: &PgPool, sql: &'static str) -> Result<i64, AnnotateError> {
    sqlx::query_scalar::<_, i64>(sql)
        .fetch_one(pool)
        .await
        .map_err(|source| AnnotateError::Statement { sql, source })
}

/// Keeps servers off while the schema changes: those of an older version would not know what they read. None where another
/// process, as a server that was started at the same moment, has changed it meanwhile.
async fn without_servers(
    pool: &PgPool,
    database: &str,
) -> Result<Option<PgConnection>, AnnotateError> {
    let mut connection = together::connected(pool).await?;
    for _ in 0..TRIES {
        if together::is_alone(&mut connection).await? {
            return Ok(Some(connection));
        }
        sleep(PAUSE).await;
        if version(pool).await? >= VERSION {
            return Ok(None);
        }
    }
    Err(AnnotateError::Database {
        action: "bring to this version's schema",
        database: database.to_owned(),
        remedy: "stop all its servers first, then start those of this version",
        source: "a server of an older version uses it".into(),
    })
}

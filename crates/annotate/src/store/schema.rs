//! The schema and its history: one step for each released change, never edited afterwards.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use super::database::{Dialect, Pool};
use crate::error::AnnotateError;

/// The steps: number, name, and the SQL of both dialects.
const STEPS: [(i64, &str, &str, &str); 4] = [
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
        5,
        "access",
        include_str!("../../migrations/sqlite/5_access.sql"),
        include_str!("../../migrations/postgres/5_access.sql"),
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
/// [`AnnotateError::Database`] when a step fails, or the database was written by a newer version.
pub(crate) async fn migrate(pool: &Pool, database: &str) -> Result<(), AnnotateError> {
    let outcome = match pool {
        Pool::Sqlite(pool) => migrator(Dialect::Sqlite).run(pool).await,
        Pool::Postgres(pool) => migrator(Dialect::Postgres).run(pool).await,
    };
    outcome.map_err(|source| AnnotateError::Database {
        action: "bring to this version's schema",
        database: database.to_owned(),
        remedy: "use the candor that wrote it or a newer one; the database is as it was",
        source: Box::new(source),
    })
}

//! One way to talk to SQLite and to PostgreSQL.
//!
//! Every statement of [`crate::store`] is one text with `$1` placeholders that both understand, over two types only:
//! text and 64-bit integers. Where the dialects differ, [`Connection::dialect`] chooses between two texts.

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, Row as _, Type};

use crate::error::{AnnotateError, Refusal};

/// Which SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// The connections to one database.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    pub(crate) async fn acquire(&self) -> Result<Connection, AnnotateError> {
        let connection = match self {
            Self::Sqlite(pool) => pool.acquire().await.map(Connection::Sqlite),
            Self::Postgres(pool) => pool.acquire().await.map(Connection::Postgres),
        };
        connection.map_err(refused("connect"))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// The number of PostgreSQL's advisory lock that serving processes hold: "candor" in ASCII.
pub(crate) const LOCK: i64 = 0x63_61_6e_64_6f_72;

/// Changes that all servers of a database together make one at a time. Each waits for its own kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alone {
    /// To accounts: their numbers, their links, the last administrator.
    Account = 1,
    /// Imports, which number items.
    Import = 2,
    /// Counts of failed logins.
    Login = 3,
    /// Pauses.
    Pause = 4,
}

/// One connection.
#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A column, for copying.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    Int(&'static str),
    Text(&'static str),
}

impl Column {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Int(name) | Self::Text(name) => name,
        }
    }
}

/// What a placeholder stands for. Nulls have a type too, because PostgreSQL asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

/// The values of a statement's placeholders, `$1` first.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::database::Value::from($value)),*] };
}
pub(crate) use values;

/// What went wrong with a statement.
fn refused(sql: &'static str) -> impl Fn(sqlx::Error) -> AnnotateError {
    move |source| AnnotateError::Statement { sql, source }
}

/// Refuses the zero character, which PostgreSQL cannot hold; SQLite could, but what one database refuses the other does
/// too.
fn without_zero(values: &[Value]) -> Result<(), AnnotateError> {
    let has_zero = |value: &Value| matches!(value, Value::Text(Some(text)) if text.contains('\0'));
    if values.iter().any(has_zero) {
        return Err(Refusal::invalid("text", "holds a zero character", "remove it").into());
    }
    Ok(())
}

/// Binds the values to a statement of either dialect.
macro_rules! bound {
    ($sql:expr, $values:expr) => {
        $values
            .iter()
            .fold(sqlx::query($sql), |query, value| match value {
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_deref()),
            })
    };
}

impl Connection {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Waits for other transactions with such a change, and keeps them waiting until this one ends. SQLite has one writer
    /// anyway.
    pub(crate) async fn alone(&mut self, change: Alone) -> Result<(), AnnotateError> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let sql = "SELECT pg_advisory_xact_lock($1)";
        let number = LOCK + change as i64;
        self.execute(sql, values![number]).await.map(drop)
    }

    /// Begins to read the database as it is at one moment. The connection is closed at its end and goes to nobody else, so that
    /// whoever leaves in the middle leaves no transaction behind.
    pub(crate) async fn hold_still(&mut self) -> Result<(), AnnotateError> {
        let begin = match self {
            Self::Sqlite(connection) => {
                connection.close_on_drop();
                "BEGIN"
            }
            Self::Postgres(connection) => {
                connection.close_on_drop();
                "BEGIN ISOLATION LEVEL REPEATABLE READ"
            }
        };
        self.execute(begin, values![]).await.map(drop)
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<u64, AnnotateError> {
        without_zero(values)?;
        let changed = match self {
            Self::Sqlite(c) => bound!(sql, values)
                .execute(&mut **c)
                .await
                .map(|done| done.rows_affected()),
            Self::Postgres(c) => bound!(sql, values)
                .execute(&mut **c)
                .await
                .map(|done| done.rows_affected()),
        };
        changed.map_err(refused(sql))
    }

    /// All rows of a query.
    pub(crate) async fn rows(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, AnnotateError> {
        without_zero(values)?;
        match self {
            Self::Sqlite(c) => {
                let rows = bound!(sql, values)
                    .fetch_all(&mut **c)
                    .await
                    .map_err(refused(sql))?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(c) => {
                let rows = bound!(sql, values)
                    .fetch_all(&mut **c)
                    .await
                    .map_err(refused(sql))?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The first row of a query, if it has one.
    pub(crate) async fn row(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, AnnotateError> {
        without_zero(values)?;
        let row = match self {
            Self::Sqlite(c) => bound!(sql, values)
                .fetch_optional(&mut **c)
                .await
                .map(|row| row.map(Row::Sqlite)),
            Self::Postgres(c) => bound!(sql, values)
                .fetch_optional(&mut **c)
                .await
                .map(|row| row.map(Row::Postgres)),
        };
        row.map_err(refused(sql))
    }

    /// A page of a whole table, for copying: `select` was made from the names in `columns` and nothing else.
    pub(crate) async fn columns(
        &mut self,
        select: &str,
        offset: i64,
        columns: &[Column],
    ) -> Result<Vec<Vec<Value>>, AnnotateError> {
        let sql = AssertSqlSafe(select);
        let refused = refused("SELECT … of a whole table");
        let rows: Vec<Row> = match self {
            Self::Sqlite(c) => {
                let rows = sqlx::query(sql).bind(offset).fetch_all(&mut **c).await;
                rows.map_err(refused)?
                    .into_iter()
                    .map(Row::Sqlite)
                    .collect()
            }
            Self::Postgres(c) => {
                let rows = sqlx::query(sql).bind(offset).fetch_all(&mut **c).await;
                rows.map_err(refused)?
                    .into_iter()
                    .map(Row::Postgres)
                    .collect()
            }
        };
        let value = |row: &Row, column: &Column| match column {
            Column::Int(name) => row.maybe_int(name).map(Value::Int),
            Column::Text(name) => row.maybe_text(name).map(Value::Text),
        };
        rows.iter()
            .map(|row| columns.iter().map(|column| value(row, column)).collect())
            .collect()
    }

    /// Adds a row that [`Self::columns`] gave.
    pub(crate) async fn insert_row(
        &mut self,
        insert: &str,
        values: &[Value],
    ) -> Result<(), AnnotateError> {
        let sql = AssertSqlSafe(insert);
        let done = match self {
            Self::Sqlite(c) => bound!(sql, values).execute(&mut **c).await.map(drop),
            Self::Postgres(c) => bound!(sql, values).execute(&mut **c).await.map(drop),
        };
        done.map_err(refused("INSERT … of a copied row"))
    }

    /// The single integer of a query's first row; 0 where there is none or it is null.
    pub(crate) async fn int(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<i64, AnnotateError> {
        let row = self.row(sql, values).await?;
        row.map_or(Ok(0), |row| {
            row.get::<Option<i64>, _>(0).map(Option::unwrap_or_default)
        })
    }
}

/// A row of a result.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    fn get<T, I>(&self, column: I) -> Result<T, AnnotateError>
    where
        T: for<'r> Decode<'r, Sqlite>
            + Type<Sqlite>
            + for<'r> Decode<'r, Postgres>
            + Type<Postgres>,
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        let value = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        value.map_err(refused("reading a column"))
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64, AnnotateError> {
        self.get(column)
    }

    pub(crate) fn maybe_int(&self, column: &str) -> Result<Option<i64>, AnnotateError> {
        self.get(column)
    }

    pub(crate) fn text(&self, column: &str) -> Result<String, AnnotateError> {
        self.get(column)
    }

    pub(crate) fn maybe_text(&self, column: &str) -> Result<Option<String>, AnnotateError> {
        self.get(column)
    }

    /// A text column that holds JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<T, AnnotateError> {
        parsed(column, &self.text(column)?)
    }

    /// A text column that holds JSON or nothing.
    pub(crate) fn maybe_json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, AnnotateError> {
        self.maybe_text(column)?
            .map(|text| parsed(column, &text))
            .transpose()
    }
}

fn parsed<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, AnnotateError> {
    serde_json::from_str(text).map_err(|error| AnnotateError::Damaged {
        what,
        found: error.to_string(),
    })
}

/// Whether a statement gave up because another transaction holds what it waits for, and may do better when it is tried again.
pub(crate) fn was_in_the_way(error: &AnnotateError) -> bool {
    let AnnotateError::Statement { source, .. } = error else {
        return false;
    };
    let code = (source.as_database_error()).and_then(sqlx::error::DatabaseError::code);
    // PostgreSQL's lock_not_available and deadlock_detected.
    code.is_some_and(|code| code == "55P03" || code == "40P01")
}

/// JSON for a text column.
///
/// # Panics
/// Never for the types that are stored: they have string keys only.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("stored types have string keys only")
}

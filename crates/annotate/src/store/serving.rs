//! One server for one database: leases run by the clock of the process that serves.

use std::fs::{File, TryLockError};

use candor_data::Locked;

use super::Store;
use super::database::{Connection, values};
use crate::error::AnnotateError;

/// The number of PostgreSQL's advisory lock: "candor" in ASCII.
const LOCK: i64 = 0x63_61_6e_64_6f_72;

/// Held while a process serves; other processes cannot serve the same database meanwhile.
#[derive(Debug)]
pub struct Serving {
    _file: Option<Locked>,
    _connection: Option<Connection>,
}

impl Store {
    /// Claims the database for this process to serve.
    ///
    /// # Errors
    /// [`AnnotateError::Database`] if another process serves it.
    pub async fn serve(&self) -> Result<Serving, AnnotateError> {
        let taken = |reason: &str| AnnotateError::Database {
            action: "serve",
            database: self.name.clone(),
            remedy: "stop the other server first",
            source: reason.into(),
        };
        let Some(file) = &self.file else {
            let mut connection = self.readers.acquire().await?;
            let sql = "SELECT CAST(pg_try_advisory_lock($1) AS INT)::BIGINT AS taken";
            if connection.int(sql, values![LOCK]).await? == 0 {
                return Err(taken("another process serves it"));
            }
            return Ok(Serving {
                _file: None,
                _connection: Some(connection),
            });
        };
        let path = file.with_added_extension("serving");
        let file = File::create(&path).map_err(|source| AnnotateError::Io {
            action: "create",
            place: path.display().to_string(),
            remedy: "check that you may write to the database's folder",
            source,
        })?;
        match Locked::now(file) {
            Ok(file) => Ok(Serving {
                _file: Some(file),
                _connection: None,
            }),
            Err((_, TryLockError::WouldBlock)) => Err(taken("another process serves it")),
            Err((_, TryLockError::Error(error))) => Err(taken(&error.to_string())),
        }
    }
}

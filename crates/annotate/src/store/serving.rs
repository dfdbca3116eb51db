//! Who serves a database: one process a SQLite file, any number a PostgreSQL database (`together.rs`).

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::time::Duration;

use candor_data::Locked;
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::database::Pool;
use super::pulse::LOST_MS;
use super::together::{self, Door, PAUSE, TRIES};
use super::{Rules, Store};
use crate::error::AnnotateError;

/// Held while a process serves, or has the database for itself.
pub struct Serving {
    rules: Arc<Rules>,
    beats: Option<JoinHandle<()>>,
    /// The lock of a SQLite database.
    _file: Option<Locked>,
    /// The connection that holds a PostgreSQL database alone.
    _alone: Option<PgConnection>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(beats) = &self.beats {
            beats.abort();
        }
        self.rules.pulse.stop();
    }
}

impl Store {
    /// Claims the database for this process to serve: alone, or on PostgreSQL with others.
    ///
    /// # Errors
    /// [`AnnotateError::Database`] if another process has it for itself, or serves it by other rules, or it was moved.
    pub async fn serve(&self) -> Result<Serving, AnnotateError> {
        let Pool::Postgres(pool) = &self.writer_pool else {
            return self.hold_file();
        };
        let door = self.door(pool);
        let mut tries = 1;
        let entered = loop {
            match door.enter().await {
                Err(AnnotateError::Database { .. }) if tries < TRIES => sleep(PAUSE).await,
                entered => break entered?,
            }
            tries += 1;
        };
        let connection = door.settle(entered).await?;
        Ok(Serving {
            rules: Arc::clone(&self.rules),
            beats: Some(tokio::spawn(door.beats(connection))),
            _file: None,
            _alone: None,
        })
    }

    /// Keeps all servers off the database while the result is held.
    ///
    /// # Errors
    /// [`AnnotateError::Database`] if a process serves it, or it was moved.
    pub async fn hold(&self) -> Result<Serving, AnnotateError> {
        let Pool::Postgres(pool) = &self.writer_pool else {
            return self.hold_file();
        };
        let Some(mut alone) = together::take_alone(pool).await? else {
            let (reason, remedy) = ("another process serves it", "stop all its servers first");
            return Err(not_served(&self.name, reason, remedy));
        };
        self.door(pool).refuse_moved(&mut alone).await?;
        if together::was_served(pool).await? {
            // A server that was cut off from the database takes no answers after this time.
            sleep(Duration::from_millis(LOST_MS as u64)).await;
        }
        Ok(Serving {
            rules: Arc::clone(&self.rules),
            beats: None,
            _file: None,
            _alone: Some(alone),
        })
    }

    fn door(&self, pool: &PgPool) -> Door {
        Door {
            pool: pool.clone(),
            rules: Arc::clone(&self.rules),
            database: self.name.clone(),
        }
    }

    fn hold_file(&self) -> Result<Serving, AnnotateError> {
        let taken = |reason: &str| not_served(&self.name, reason, "stop the other server first");
        let Some(file) = &self.file else {
            return Err(taken("it is no file"));
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
                rules: Arc::clone(&self.rules),
                beats: None,
                _file: Some(file),
                _alone: None,
            }),
            Err((_, TryLockError::WouldBlock)) => Err(taken("another process serves it")),
            Err((_, TryLockError::Error(error))) => Err(taken(&error.to_string())),
        }
    }
}

/// The error of a process that may not serve.
pub(super) fn not_served(database: &str, reason: &str, remedy: &'static str) -> AnnotateError {
    AnnotateError::Database {
        action: "serve",
        database: database.to_owned(),
        remedy,
        source: reason.into(),
    }
}

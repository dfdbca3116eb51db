//! The quality of the work as it was last computed.
//!
//! The intervals of a large project take longer than anybody waits for a page. So what was computed last is kept, with its
//! time, and is computed anew in the background when somebody looks and something has happened since. Whether something has
//! is told by the number of events: every change to answers, decisions and items is one, and none is ever removed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex as Turn;
use tokio::time;

use super::{Quality, of};
use crate::error::{AnnotateError, Refusal};
use crate::store::Store;

/// How long somebody who looks waits for what is being computed; a small project's is there sooner.
const WAIT: Duration = Duration::from_secs(2);

/// For how long a failure is told to whoever looks before it is tried again, in milliseconds: the reason may have gone.
const FAILED_MS: i64 = 60_000;

/// The last quality that was computed.
#[derive(Debug, Default)]
pub struct Kept {
    newest: Mutex<Option<Computed>>,
    /// The last attempt, if it failed.
    failed: Mutex<Option<Failed>>,
    /// Held while the quality is computed, so that this is done once at a time.
    turn: Arc<Turn<()>>,
}

#[derive(Debug, Clone)]
struct Computed {
    /// When, in Unix milliseconds.
    at: i64,
    /// Events of which it knows.
    n_events: i64,
    quality: Quality,
}

#[derive(Debug, Clone)]
struct Failed {
    /// When, in Unix milliseconds.
    at: i64,
    /// Events that there were.
    n_events: i64,
    reason: String,
}

/// The quality of the work, and how old it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aged {
    /// When it was computed, in Unix milliseconds; none where it is being computed for the first time.
    pub computed_at: Option<i64>,
    /// Whether nothing has happened since.
    pub is_current: bool,
    /// The quality.
    pub quality: Option<Quality>,
}

impl Kept {
    /// What was computed last; where something has happened since, it is computed anew, and waited for a little.
    ///
    /// # Errors
    /// As the database says; or it was tried within the last minute, failed, and nothing has happened since.
    pub async fn look(self: &Arc<Self>, store: &Store, seed: u64) -> Result<Aged, AnnotateError> {
        let aged = self.newest(store).await?;
        if aged.is_current {
            return Ok(aged);
        }
        self.has_not_failed(store).await?;
        if let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() {
            let (kept, store) = (Arc::clone(self), store.clone());
            // It goes on when whoever looks has left.
            let computed = tokio::spawn(async move {
                let computed = kept.compute(&store, seed).await;
                drop(turn);
                computed
            });
            if let Ok(computed) = time::timeout(WAIT, computed).await {
                computed.map_err(|_| Refusal::NotFound("statistic"))??;
            }
        } else {
            drop(time::timeout(WAIT, self.turn.lock()).await);
            self.has_not_failed(store).await?;
        }
        self.newest(store).await
    }

    /// What was computed last, however old it is.
    ///
    /// # Errors
    /// As the database says.
    pub async fn newest(&self, store: &Store) -> Result<Aged, AnnotateError> {
        let n_events = store.n_events().await?;
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Aged {
            computed_at: newest.as_ref().map(|computed| computed.at),
            is_current: newest
                .as_ref()
                .is_some_and(|computed| computed.n_events == n_events),
            quality: newest.as_ref().map(|computed| computed.quality.clone()),
        })
    }

    /// An error if the last attempt failed a short time ago, and nothing has happened since.
    async fn has_not_failed(&self, store: &Store) -> Result<(), AnnotateError> {
        let failed = self.failed.lock();
        let failed = failed.unwrap_or_else(PoisonError::into_inner).clone();
        let Some(failed) = failed else {
            return Ok(());
        };
        let age = store.unix_ms() - failed.at;
        if age >= FAILED_MS || store.n_events().await? != failed.n_events {
            return Ok(());
        }
        Err(AnnotateError::NoQuality {
            reason: failed.reason,
        })
    }

    async fn compute(&self, store: &Store, seed: u64) -> Result<(), AnnotateError> {
        // Counted before anything is read, so that what happens meanwhile makes it old.
        let n_events = store.n_events().await?;
        let at = store.unix_ms();
        let quality = quality(store, seed).await;
        let failed = quality.as_ref().err().map(|error| {
            tracing::error!("the quality of the work cannot be computed: {error}");
            let reason = error.to_string();
            Failed {
                at,
                n_events,
                reason,
            }
        });
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        let computed = Computed {
            at,
            n_events,
            quality: quality?,
        };
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(computed);
        Ok(())
    }
}

async fn quality(store: &Store, seed: u64) -> Result<Quality, AnnotateError> {
    let evidence = store.evidence().await?;
    let quality = tokio::task::spawn_blocking(move || of(&evidence, seed)).await;
    Ok(quality.map_err(|_| Refusal::NotFound("statistic"))?)
}

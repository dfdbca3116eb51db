//! Whether the database still knows this server.
//!
//! A server of a database that others may serve too tells it every second that it is there (`together.rs`). One that could
//! not for a while may have been given up: `candor annotate move` may copy the database by now, and an answer that is taken
//! meanwhile would be missing in the copy. So such a server changes nothing until it is known again.

use std::sync::atomic::{AtomicI64, Ordering};

use super::Rules;
use crate::error::AnnotateError;

/// After so long without an answer a load balancer had better send people elsewhere.
pub(super) const LATE_MS: i64 = 4_000;
/// After so long a server changes nothing more.
pub(super) const LOST_MS: i64 = 10_000;

/// What stands for a process that need not be known: one that does not serve, or serves alone.
const NEEDLESS: i64 = i64::MAX;

/// When the database last answered, by the clock of this process.
#[derive(Debug)]
pub(super) struct Pulse {
    last_ms: AtomicI64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            last_ms: AtomicI64::new(NEEDLESS),
        }
    }
}

impl Pulse {
    /// Nothing more is expected of this process.
    pub(super) fn stop(&self) {
        self.last_ms.store(NEEDLESS, Ordering::SeqCst);
    }
}

impl Rules {
    /// The database has answered to what was asked at `asked_ms`, by the clock of this process.
    pub(super) fn heard(&self, asked_ms: i64) {
        self.pulse.last_ms.store(asked_ms, Ordering::SeqCst);
    }

    /// Refuses if the database has not answered for `ms`.
    ///
    /// # Errors
    /// [`AnnotateError::NotCommitted`].
    pub(super) fn require_pulse(&self, ms: i64) -> Result<(), AnnotateError> {
        let last_ms = self.pulse.last_ms.load(Ordering::SeqCst);
        if last_ms == NEEDLESS || self.clock.running_ms() - last_ms < ms {
            return Ok(());
        }
        Err(AnnotateError::NotCommitted {
            reason: "the database has not heard of this server for a while".into(),
        })
    }
}

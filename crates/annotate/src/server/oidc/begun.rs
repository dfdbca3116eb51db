//! How many sign-ins one address may have begun and not finished. Each is a row of the database, which keeps the latest ones alone: without
//! a bound one browser could crowd out everybody else's.
//!
//! Kept in memory, as an attempt is good for minutes only.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::error::Refusal;

/// Of one address within the window; a laboratory may have one for all its people.
const MAX: u32 = 100;
/// How long they count: as long as an attempt is good.
const WINDOW_MS: i64 = 10 * 60 * 1000;
/// Addresses remembered; beyond that, all are forgotten.
const MAX_ADDRESSES: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Count {
    n: u32,
    since_ms: i64,
}

/// Counts sign-ins that are begun.
#[derive(Debug, Default)]
pub(super) struct Begun {
    counts: Mutex<HashMap<IpAddr, Count>>,
}

impl Begun {
    /// Counts one that is about to begin.
    pub(super) fn begin(&self, address: Option<IpAddr>, now_ms: i64) -> Result<(), Refusal> {
        let Some(address) = address else {
            return Ok(());
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_ADDRESSES {
            counts.retain(|_, count| count.since_ms + WINDOW_MS > now_ms);
        }
        if counts.len() >= MAX_ADDRESSES {
            counts.clear();
        }
        let new = Count {
            n: 0,
            since_ms: now_ms,
        };
        let count = counts.entry(address).or_insert(new);
        let wait = count.since_ms + WINDOW_MS - now_ms;
        if wait <= 0 {
            *count = new;
        }
        if count.n >= MAX {
            return Err(Refusal::TooManyAttempts {
                retry_after_ms: wait,
            });
        }
        count.n += 1;
        Ok(())
    }

    /// Takes one back that came to its end.
    pub(super) fn finished(&self, address: Option<IpAddr>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = address.and_then(|address| counts.get_mut(&address)) {
            count.n = count.n.saturating_sub(1);
        }
    }
}

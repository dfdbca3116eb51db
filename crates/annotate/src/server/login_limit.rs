//! How often a login may be tried: by name, so that no password is guessed, and by address, so that no list of names
//! is tried out.
//!
//! Kept in memory: a restart forgives everybody, and costs an attacker more than it gives.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::error::Refusal;

/// Failures of one name or address within the window before it has to wait.
const MAX_BY_NAME: u32 = 5;
const MAX_BY_ADDRESS: u32 = 30;
/// How long failures count.
const WINDOW_MS: i64 = 15 * 60 * 1000;
/// Names and addresses remembered; beyond that, the oldest are forgotten.
const MAX_KEYS: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    n: u32,
    since_ms: i64,
}

/// Counts failed logins.
#[derive(Debug, Default)]
pub(super) struct LoginLimit {
    failures: Mutex<HashMap<Key, Failures>>,
}

fn keys(name: &str, address: Option<IpAddr>) -> impl Iterator<Item = (Key, u32)> {
    let name = Key::Name(name.chars().take(100).collect::<String>().to_lowercase());
    [(name, MAX_BY_NAME)]
        .into_iter()
        .chain(address.map(|address| (Key::Address(address), MAX_BY_ADDRESS)))
}

impl LoginLimit {
    /// Counts an attempt that is about to be made, as failed until [`Self::forgive`] says otherwise; so attempts that
    /// are made at the same time count too.
    pub(super) fn attempt(
        &self,
        name: &str,
        address: Option<IpAddr>,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, max) in keys(name, address) {
            if let Some(known) = failures.get(&key) {
                let wait = known.since_ms + WINDOW_MS - now_ms;
                if known.n >= max && wait > 0 {
                    return Err(Refusal::TooManyAttempts {
                        retry_after_ms: wait,
                    });
                }
            }
        }
        if failures.len() >= MAX_KEYS {
            failures.retain(|_, known| known.since_ms + WINDOW_MS > now_ms);
        }
        if failures.len() >= MAX_KEYS {
            let oldest = failures
                .values()
                .map(|known| known.since_ms)
                .min()
                .unwrap_or_default();
            failures.retain(|_, known| known.since_ms > oldest);
        }
        for (key, _) in keys(name, address) {
            let known = failures.entry(key).or_insert(Failures {
                n: 0,
                since_ms: now_ms,
            });
            if known.since_ms + WINDOW_MS <= now_ms {
                *known = Failures {
                    n: 0,
                    since_ms: now_ms,
                };
            }
            known.n += 1;
        }
        Ok(())
    }

    /// Takes a counted attempt back, because it was right; a name's earlier failures are forgotten with it.
    pub(super) fn forgive(&self, name: &str, address: Option<IpAddr>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in keys(name, address) {
            match key {
                Key::Name(_) => drop(failures.remove(&key)),
                Key::Address(_) => {
                    if let Some(known) = failures.get_mut(&key) {
                        known.n = known.n.saturating_sub(1);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_of_a_name_have_to_wait_and_others_do_not() {
        let limit = LoginLimit::default();
        for _ in 0..5 {
            limit.attempt("Anna", None, 0).unwrap();
        }
        let refused = limit.attempt("anna", None, 1000).unwrap_err();
        assert_eq!(
            refused,
            Refusal::TooManyAttempts {
                retry_after_ms: 899_000
            }
        );
        limit.attempt("bert", None, 1000).unwrap();
        limit.attempt("anna", None, WINDOW_MS).unwrap();
    }

    #[test]
    fn a_right_password_is_no_failure() {
        let limit = LoginLimit::default();
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        for _ in 0..100 {
            limit.attempt("anna", address, 0).unwrap();
            limit.forgive("anna", address);
        }
    }

    #[test]
    fn one_address_cannot_try_many_names() {
        let limit = LoginLimit::default();
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        for i in 0..30 {
            limit.attempt(&format!("name{i}"), address, 0).unwrap();
        }
        assert!(limit.attempt("another", address, 0).is_err());
        assert!(
            limit
                .attempt("another", Some(IpAddr::from([10, 0, 0, 2])), 0)
                .is_ok()
        );
    }
}

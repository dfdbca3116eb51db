//! What the threads of a judge share: cache, budget and pace, and why nothing more is asked.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::JudgeError;
use crate::budget::{Admission, Budget, Tokens};
use crate::cache::Cache;
use crate::clock::Clock;
use crate::rate_limit::RateLimit;
use crate::reply::Reply;

/// So many requests failing one after the other are not the requests' fault.
const FAILURES_IN_A_ROW: usize = 5;

/// Why nothing more is asked.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    pub problem: String,
    pub remedy: String,
}

/// Cache, budget and pace behind one lock.
pub(crate) struct JudgeState {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    cache: Cache,
    budget: Budget,
    rate_limit: RateLimit,
    stop: Option<Stop>,
    failed: Vec<String>,
    /// Keys of replies that the endpoint will not give.
    refused: HashSet<String>,
    failures_in_a_row: usize,
}

impl JudgeState {
    pub(crate) fn new(cache: Cache, budget: Budget, rate_limit: RateLimit) -> Self {
        Self {
            state: Mutex::new(State {
                cache,
                budget,
                rate_limit,
                stop: None,
                failed: Vec::new(),
                refused: HashSet::new(),
                failures_in_a_row: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// No thread leaves the state half changed, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and lets those look again who wait for a change.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.state());
        self.changed.notify_all();
        outcome
    }

    /// Forgets what stopped an earlier round.
    pub(crate) fn begin(&self) {
        self.change(|state| {
            state.stop = None;
            state.failed.clear();
            state.refused.clear();
            state.failures_in_a_row = 0;
        });
    }

    pub(crate) fn stop(&self) -> Option<Stop> {
        self.state().stop.clone()
    }

    /// Ends the round; the first reason counts.
    pub(crate) fn end(&self, stop: Stop) {
        self.change(|state| {
            state.stop.get_or_insert(stop);
        });
    }

    /// A question got its reply.
    pub(crate) fn went_well(&self) {
        self.state().failures_in_a_row = 0;
    }

    /// A question got none; one that `counts` may be a sign that none will.
    pub(crate) fn failed(&self, id: &str, problem: &str, counts: bool) {
        self.change(|state| {
            state.failed.push(format!("{id}: {problem}"));
            if !counts {
                return;
            }
            state.failures_in_a_row += 1;
            if state.failures_in_a_row >= FAILURES_IN_A_ROW {
                state.stop.get_or_insert(Stop {
                    problem: format!(
                        "{FAILURES_IN_A_ROW} questions in a row failed, the last: {problem}"
                    ),
                    remedy: "see whether the endpoint works, then continue".to_owned(),
                });
            }
        });
    }

    /// The endpoint will not give the reply with this key.
    pub(crate) fn refused(&self, key: &str) {
        self.state().refused.insert(key.to_owned());
    }

    pub(crate) fn is_refused(&self, key: &str) -> bool {
        self.state().refused.contains(key)
    }

    pub(crate) fn has_refused(&self) -> bool {
        !self.state().refused.is_empty()
    }

    /// Why replies are missing.
    pub(crate) fn why(&self) -> Stop {
        let state = self.state();
        state.stop.clone().unwrap_or_else(|| Stop {
            problem: format!(
                "{} questions got no reply ({})",
                state.failed.len(),
                state.failed[..state.failed.len().min(3)].join("; ")
            ),
            remedy: "see to them, then continue".to_owned(),
        })
    }

    /// Waits until budget and pace let a request go.
    pub(crate) fn admit(&self, most: Tokens, clock: &dyn Clock) -> Result<u64, Stop> {
        let mut state = self.state();
        loop {
            if let Some(stop) = &state.stop {
                return Err(stop.clone());
            }
            match state.budget.reserve(most) {
                Admission::Granted => break,
                Admission::Wait => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Admission::Refused => {
                    return Err(Stop {
                        problem: format!(
                            "the cap is reached: {}, and the next question can cost {} tokens",
                            state.budget.in_words(),
                            most.total()
                        ),
                        remedy: "raise the cap to go on".to_owned(),
                    });
                }
            }
        }
        loop {
            match state.rate_limit.admit(clock.now(), most.total()) {
                Ok(ticket) => return Ok(ticket),
                Err(wait) => {
                    drop(state);
                    clock.sleep(wait);
                    state = self.state();
                }
            }
            if let Some(stop) = state.stop.clone() {
                state.budget.settle(most, Tokens::default());
                return Err(stop);
            }
        }
    }

    /// Puts down what an admitted request did cost.
    pub(crate) fn settle(&self, most: Tokens, cost: Tokens, ticket: u64) {
        self.change(|state| {
            state.rate_limit.settle(ticket, cost.total());
            state.budget.settle(most, cost);
        });
    }

    /// An admitted request cost nothing.
    pub(crate) fn release(&self, most: Tokens, ticket: u64) {
        self.settle(most, Tokens::default(), ticket);
    }

    /// An admitted request may have cost the most.
    pub(crate) fn lose(&self, most: Tokens) -> Result<(), JudgeError> {
        self.change(|state| {
            state.budget.settle(most, most);
            state.cache.lose(most)
        })
    }

    /// Lets nothing go before a time.
    pub(crate) fn hold(&self, until: Duration) {
        self.state().rate_limit.hold(until);
    }

    /// Keeps a reply.
    pub(crate) fn keep(
        &self,
        key: &str,
        origin: (&str, u32),
        reply: &Reply,
        raw: String,
        cost: Tokens,
    ) -> Result<(), JudgeError> {
        self.state().cache.keep(key, origin, reply, raw, cost)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.state().cache.get(key).is_some()
    }

    /// The replies that are there, for each list of keys.
    pub(crate) fn replies(&self, keys: &[Vec<String>]) -> Vec<Vec<Reply>> {
        let state = self.state();
        let of = |keys: &Vec<String>| {
            keys.iter()
                .filter_map(|key| state.cache.get(key).cloned())
                .collect()
        };
        keys.iter().map(of).collect()
    }

    pub(crate) fn spent(&self) -> Tokens {
        self.state().budget.spent()
    }
}

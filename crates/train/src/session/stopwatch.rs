//! Where the time and the memory of a step go.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use candor_torch_ext::{recent_peak_bytes, restart_peak};
use serde::Serialize;

/// The phase that the process is in.
static PHASE: Mutex<Option<&'static str>> = Mutex::new(None);

/// The phase of a step that this process is in, for messages that no step can give any more; none outside of steps.
#[must_use]
pub fn current_phase() -> Option<&'static str> {
    *PHASE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set_current_phase(name: Option<&'static str>) {
    *PHASE.lock().unwrap_or_else(PoisonError::into_inner) = name;
}

/// One line of `timings.jsonl`: wall-clock figures are no function of the recipe and stand apart from metrics.
#[derive(Debug, Serialize)]
pub(super) struct Timing {
    step: u64,
    secs: f64,
    phase_secs: BTreeMap<&'static str, f64>,
    phase_peak_bytes: BTreeMap<&'static str, u64>,
    tokens_per_sec: f64,
    #[serde(flatten)]
    ranks: Option<RankTiming>,
}

/// Of a step that several ranks share.
#[derive(Debug, Serialize)]
pub(super) struct RankTiming {
    /// The longest that a rank was in exchanges with the others.
    pub wait_secs: f64,
    /// The rank that was in them for the shortest time: the others waited for it.
    pub slowest_rank: usize,
}

impl RankTiming {
    /// Of ranks that were in exchanges for so long, in the order of ranks.
    pub(super) fn of(secs: &[f64]) -> Self {
        let of_ranks = secs.iter().copied().enumerate();
        let slowest = of_ranks.min_by(|(_, left), (_, right)| left.total_cmp(right));
        Self {
            wait_secs: secs.iter().copied().fold(0.0, f64::max),
            slowest_rank: slowest.map_or(0, |(rank, _)| rank),
        }
    }
}

/// A clock for one step and its phases.
#[derive(Debug)]
pub(super) struct Stopwatch {
    step_started: Instant,
    phase: Option<(&'static str, Instant)>,
    // Whole nanoseconds, so that phases never add up to more than their step by rounding.
    phases: BTreeMap<&'static str, Duration>,
    peak_bytes: BTreeMap<&'static str, u64>,
}

impl Stopwatch {
    /// Starts a step, in no phase yet.
    pub(super) fn start() -> Self {
        Self {
            step_started: Instant::now(),
            phase: None,
            phases: BTreeMap::new(),
            peak_bytes: BTreeMap::new(),
        }
    }

    /// Ends the current phase and begins this one; a name that comes again adds up.
    pub(super) fn phase(&mut self, name: &'static str) {
        let now = Instant::now();
        self.end_phase(now);
        restart_peak();
        set_current_phase(Some(name));
        self.phase = Some((name, now));
    }

    /// Ends the step.
    pub(super) fn stop(&mut self, step: u64, n_tokens: usize, ranks: Option<RankTiming>) -> Timing {
        let now = Instant::now();
        self.end_phase(now);
        set_current_phase(None);
        let secs = now.duration_since(self.step_started).as_secs_f64();
        let phases = std::mem::take(&mut self.phases).into_iter();
        Timing {
            step,
            secs,
            phase_secs: phases
                .map(|(name, took)| (name, took.as_secs_f64()))
                .collect(),
            phase_peak_bytes: std::mem::take(&mut self.peak_bytes),
            tokens_per_sec: n_tokens as f64 / secs,
            ranks,
        }
    }

    fn end_phase(&mut self, now: Instant) {
        if let Some((name, started)) = self.phase.take() {
            *self.phases.entry(name).or_default() += now.duration_since(started);
            let peak = self.peak_bytes.entry(name).or_default();
            *peak = (*peak).max(recent_peak_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rank 2 came last to every exchange, and so waited least.
    #[test]
    fn the_slowest_rank_is_the_one_that_waits_least() {
        let timing = RankTiming::of(&[0.25, 1.5, 0.125, 0.5]);
        let line = serde_json::to_value(&timing).unwrap();
        let expected = serde_json::json!({"wait_secs": 1.5, "slowest_rank": 2});
        assert_eq!(line, expected);
    }

    /// Checkpoints and what comes after the last step are in no phase.
    #[test]
    fn a_phase_ends_with_its_step() {
        assert_eq!(current_phase(), None);
        let mut stopwatch = Stopwatch::start();
        stopwatch.phase("pass");
        stopwatch.phase("update");
        assert_eq!(current_phase(), Some("update"));
        let timing = stopwatch.stop(1, 10, None);
        assert_eq!(current_phase(), None);
        assert!(timing.phase_secs.keys().eq(&["pass", "update"]));
    }
}

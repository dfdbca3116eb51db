//! Where the time and the memory of a step go, and on one step, if that is asked for, what it asks of a GPU.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use candor_torch_ext::{
    Counted, Counting, device_peak_bytes, recent_peak_bytes, restart_device_peak, restart_peak,
};
use serde::Serialize;
use tch::Device;

use crate::error::TrainError;

/// The environment variable that names a step whose kernels are counted.
const COUNTED_STEP: &str = "CANDOR_COUNT_STEP";

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

/// The step whose kernels are counted, as the environment has it.
///
/// # Errors
/// It names something that is no step.
pub(super) fn counted_step() -> Result<Option<u64>, TrainError> {
    counted(std::env::var_os(COUNTED_STEP))
}

fn counted(value: Option<OsString>) -> Result<Option<u64>, TrainError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let step = value.to_str().and_then(|text| text.parse().ok());
    match step {
        Some(step) if step > 0 => Ok(Some(step)),
        _ => Err(TrainError::CountedStep {
            variable: COUNTED_STEP,
            value: value.to_string_lossy().into_owned(),
        }),
    }
}

/// One line of `timings.jsonl`: wall-clock figures are no function of the recipe and stand apart from metrics.
#[derive(Debug, Serialize)]
pub(super) struct Timing {
    step: u64,
    secs: f64,
    phase_secs: BTreeMap<&'static str, f64>,
    phase_peak_bytes: BTreeMap<&'static str, u64>,
    /// Empty on a CPU.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    phase_device_peak_bytes: BTreeMap<&'static str, u64>,
    /// Of the step that is counted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    phase_counts: BTreeMap<&'static str, Counts>,
    tokens_per_sec: f64,
    #[serde(flatten)]
    ranks: Option<RankTiming>,
}

/// What a phase asked of a GPU.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Counts {
    kernels: u64,
    copies: u64,
    waits: u64,
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
    device: Device,
    device_peak_bytes: BTreeMap<&'static str, u64>,
    /// Whether what the phases ask of the device is counted.
    counts: bool,
    counting: Option<Counting>,
    counted: BTreeMap<&'static str, Counts>,
}

impl Counts {
    fn add(&mut self, more: Counted) {
        self.kernels += more.n_kernels;
        self.copies += more.n_copies;
        self.waits += more.n_waits;
    }
}

impl Stopwatch {
    /// Starts a step on a device, in no phase yet; `counts` says whether what it asks of the device is counted, which makes it
    /// slower.
    pub(super) fn start(device: Device, counts: bool) -> Self {
        Self {
            step_started: Instant::now(),
            phase: None,
            phases: BTreeMap::new(),
            peak_bytes: BTreeMap::new(),
            device,
            device_peak_bytes: BTreeMap::new(),
            counts,
            counting: None,
            counted: BTreeMap::new(),
        }
    }

    /// Ends the current phase and begins this one; a name that comes again adds up.
    pub(super) fn phase(&mut self, name: &'static str) {
        self.end_phase(Instant::now());
        restart_peak();
        restart_device_peak(self.device);
        set_current_phase(Some(name));
        if self.counts {
            self.counting = self.said(Counting::begin(self.device));
        }
        self.phase = Some((name, Instant::now()));
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
            phase_device_peak_bytes: std::mem::take(&mut self.device_peak_bytes),
            phase_counts: std::mem::take(&mut self.counted),
            tokens_per_sec: n_tokens as f64 / secs,
            ranks,
        }
    }

    fn end_phase(&mut self, now: Instant) {
        if let Some((name, started)) = self.phase.take() {
            *self.phases.entry(name).or_default() += now.duration_since(started);
            let peak = self.peak_bytes.entry(name).or_default();
            *peak = (*peak).max(recent_peak_bytes());
            if let Some(bytes) = device_peak_bytes(self.device) {
                let peak = self.device_peak_bytes.entry(name).or_default();
                *peak = (*peak).max(bytes);
            }
            if let Some(counting) = self.counting.take()
                && let Some(more) = self.said(counting.end())
            {
                self.counted.entry(name).or_default().add(more);
            }
        }
    }

    /// What was counted; where nothing can be, that is said once, and the step goes on without.
    fn said<T>(&mut self, found: Result<T, String>) -> Option<T> {
        if let Err(problem) = &found {
            tracing::warn!(
                "what this step asks of {:?} cannot be counted: {problem}",
                self.device
            );
            self.counts = false;
        }
        found.ok()
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    #[test]
    fn a_step_to_count_is_a_number_from_one_on() {
        let of = |value: &str| counted(Some(value.into()));
        assert_eq!(of("3").unwrap(), Some(3));
        assert_eq!((of("").unwrap(), counted(None).unwrap()), (None, None));
        for wrong in ["0", "-1", "first", "1.5"] {
            let message = of(wrong).unwrap_err().to_string();
            assert!(message.contains("CANDOR_COUNT_STEP is"), "{message}");
            assert!(message.contains(wrong), "{message}");
        }
    }

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
        let mut stopwatch = Stopwatch::start(Device::Cpu, false);
        stopwatch.phase("pass");
        stopwatch.phase("update");
        assert_eq!(current_phase(), Some("update"));
        let timing = stopwatch.stop(1, 10, None);
        assert_eq!(current_phase(), None);
        assert!(timing.phase_secs.keys().eq(&["pass", "update"]));
        assert!(timing.phase_counts.is_empty() && timing.phase_device_peak_bytes.is_empty());
        // What was not asked for is not written either.
        let line = serde_json::to_value(&timing).unwrap();
        assert!(line.get("phase_counts").is_none(), "{line}");
        phases_are_counted_apart_and_stretches_of_one_name_together();
    }

    /// Called by the other test, because the phase is one of the process. How many operations one is made of is libtorch's affair.
    fn phases_are_counted_apart_and_stretches_of_one_name_together() {
        let ones = Tensor::ones([3], (Kind::Float, Device::Cpu));
        let mut stopwatch = Stopwatch::start(Device::Cpu, true);
        let _ = ones.neg();
        for (phase, n) in [("pass", 2), ("update", 1), ("pass", 4)] {
            stopwatch.phase(phase);
            for _ in 0..n {
                let _ = ones.neg();
            }
        }
        let timing = stopwatch.stop(1, 10, None);
        let kernels = |phase: &str| timing.phase_counts[phase].kernels;
        assert!(kernels("update") > 0);
        assert_eq!(kernels("pass"), 6 * kernels("update"));
    }
}

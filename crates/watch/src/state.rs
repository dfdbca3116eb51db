//! How a run gets on: its stage, whether it still writes, how long it will take.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::curves::Curves;

/// A run that wrote nothing for so long, and for ten of its steps, is not thought to be running.
const QUIET: Duration = Duration::from_mins(2);
/// The time left is reckoned from so many of the last steps.
const RECENT: usize = 20;

/// What a stage, or an evaluation, writes at its end.
const ENDS: [&str; 2] = ["result.json", "results.json"];

/// What fine-tuning writes after its last step. It has a `result.json` only where it left rows out or measured held-out ones.
const TUNED: [&str; 2] = ["model", "adapter"];

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It has all its steps.
    Finished,
    /// It wrote something lately.
    Running,
    /// It has steps left and writes nothing: stopped, killed, or in a very long step.
    Quiet,
}

/// How a run gets on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Progress {
    pub state: State,
    /// Steps done.
    pub step: u64,
    /// Of so many, where the recipe says it.
    pub n_steps: Option<u64>,
    /// Seconds of a step, the median of the last.
    pub step_secs: Option<f64>,
    /// At that speed.
    pub secs_left: Option<f64>,
    /// Since something was written.
    pub quiet_secs: u64,
}

impl Progress {
    /// Of the run in a folder, `now`.
    pub(crate) fn of(
        folder: &Path,
        metrics: &Curves,
        timings: &Curves,
        n_steps: Option<u64>,
        now: SystemTime,
    ) -> Self {
        let files = [
            "metrics.jsonl",
            "timings.jsonl",
            "resolved.toml",
            "result.json",
            "results.json",
        ];
        let written = files
            .iter()
            .filter_map(|name| folder.join(name).metadata().ok()?.modified().ok())
            .max();
        let quiet = written
            .and_then(|then| now.duration_since(then).ok())
            .unwrap_or_default();
        let step = metrics.last_step().unwrap_or_default();
        let step_secs = median_of_last(&timings.numbers("secs"));
        let has = |name: &&str| folder.join(name).exists();
        let done = ENDS.iter().any(has)
            || stage(metrics) == "sft" && TUNED.iter().any(has)
            || n_steps.is_some_and(|n| step >= n);
        let patience = QUIET.max(
            Duration::try_from_secs_f64(10.0 * step_secs.unwrap_or_default()).unwrap_or(QUIET),
        );
        let state = match (done, quiet < patience) {
            (true, _) => State::Finished,
            (false, true) => State::Running,
            (false, false) => State::Quiet,
        };
        let left = n_steps
            .filter(|_| state == State::Running)
            .map(|n| n.saturating_sub(step));
        Self {
            state,
            step,
            n_steps,
            step_secs,
            secs_left: left.zip(step_secs).map(|(left, secs)| left as f64 * secs),
            quiet_secs: quiet.as_secs(),
        }
    }
}

fn median_of_last(secs: &[f64]) -> Option<f64> {
    let mut last = secs[secs.len().saturating_sub(RECENT)..].to_vec();
    last.sort_by(f64::total_cmp);
    last.get(last.len() / 2).copied()
}

/// The stage that writes these fields; docs/metrics.md has them all.
pub(crate) fn stage(metrics: &Curves) -> &'static str {
    let stages = [
        ("rl", "kl_mean"),
        ("dpo", "chosen_drift"),
        ("reward", "pair_loss"),
        ("ground", "kind_accuracy"),
        ("sample", "n_identical"),
        ("rounds", "held_out_accuracy"),
        ("sft", "n_target_tokens"),
    ];
    let found = stages.iter().find(|(_, field)| metrics.has(field));
    found.map_or("starting", |(stage, _)| stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_told_by_its_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        for (line, expected) in [
            ("{\"step\":1,\"loss\":2,\"n_target_tokens\":9}", "sft"),
            (
                "{\"step\":1,\"n_cut\":0,\"held_out_accuracy\":0.5}",
                "rounds",
            ),
            ("{\"step\":1,\"loss\":2}", "starting"),
        ] {
            std::fs::write(&path, format!("{line}\n")).unwrap();
            let mut metrics = Curves::default();
            metrics.follow(&path);
            assert_eq!(stage(&metrics), expected);
        }
    }

    #[test]
    fn fine_tuning_of_epochs_is_finished_when_its_model_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let state = |line: &str| {
            std::fs::write(&path, line).unwrap();
            let mut metrics = Curves::default();
            metrics.follow(&path);
            let now = SystemTime::now() + Duration::from_mins(5);
            Progress::of(dir.path(), &metrics, &Curves::default(), None, now).state
        };
        let sft = "{\"step\":1,\"loss\":2,\"n_target_tokens\":9}\n";
        assert_eq!(state(sft), State::Quiet);
        std::fs::create_dir(dir.path().join("model")).unwrap();
        assert_eq!(state(sft), State::Finished);
        // A reward model is measured after its adapter is written, and has its result then.
        assert_eq!(state("{\"step\":1,\"pair_loss\":2}\n"), State::Quiet);
    }

    #[test]
    fn a_run_is_finished_running_or_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n");
        write(
            "timings.jsonl",
            "{\"step\":1,\"secs\":100}\n{\"step\":2,\"secs\":30}\n{\"step\":2,\"secs\":40}\n",
        );
        let (mut metrics, mut timings) = (Curves::default(), Curves::default());
        metrics.follow(&dir.path().join("metrics.jsonl"));
        timings.follow(&dir.path().join("timings.jsonl"));
        let after = |secs: u64, n_steps| {
            let now = SystemTime::now() + Duration::from_secs(secs);
            Progress::of(dir.path(), &metrics, &timings, n_steps, now)
        };
        let running = after(10, Some(5));
        assert_eq!((running.state, running.step), (State::Running, 2));
        // Of step 2 the later counts: 40 and 100 seconds, of which the longer is taken. Three steps of 100 are left.
        assert_eq!(
            (running.step_secs, running.secs_left),
            (Some(100.0), Some(300.0))
        );
        // Ten steps are 1000 seconds.
        assert_eq!(after(995, Some(5)).state, State::Running);
        assert_eq!(after(1005, Some(5)).state, State::Quiet);
        assert_eq!(after(1005, Some(5)).secs_left, None);
        assert_eq!(after(1005, Some(2)).state, State::Finished);
        assert_eq!(after(10, None).secs_left, None);
        write("result.json", "{}");
        assert_eq!(after(1005, None).state, State::Finished);
    }
}

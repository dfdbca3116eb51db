//! Telling a person where a run is: what it does, how far, how long still, the key metrics.
//!
//! On a terminal this is a bar; elsewhere plain lines, the first and the last step and one about every ten
//! seconds in between, so that a log file stays readable. Everything goes to stderr.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ranks::Ranks;

/// Seconds between plain lines.
const LINE_INTERVAL_SECS: f64 = 10.0;
/// Steps over which the speed is averaged: enough to be calm, few enough to follow a change.
const SPEED_WINDOW: usize = 50;

/// The progress of one stage.
#[derive(Debug)]
pub struct Progress {
    stage: String,
    doing: String,
    n_steps: u64,
    step: u64,
    started: Instant,
    speed: Speed,
    last_line_secs: Option<f64>,
    bar: Option<ProgressBar>,
    silent: bool,
}

impl Progress {
    /// Progress over `n_steps`, of which `n_done` were done by an earlier start of the run.
    #[must_use]
    pub fn new(stage: &str, n_steps: u64, n_done: u64) -> Self {
        let bar = std::io::stderr()
            .is_terminal()
            .then(|| terminal_bar(stage, n_steps, n_done));
        let mut speed = Speed::default();
        speed.record(0.0, n_done);
        Self {
            stage: stage.to_owned(),
            doing: String::new(),
            n_steps,
            step: n_done,
            started: Instant::now(),
            speed,
            last_line_secs: None,
            bar,
            silent: false,
        }
    }

    /// Progress of which nothing is said: of a process whose run another one tells of.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            stage: String::new(),
            doing: String::new(),
            n_steps: 0,
            step: 0,
            started: Instant::now(),
            speed: Speed::default(),
            last_line_secs: None,
            bar: None,
            silent: true,
        }
    }

    /// As [`Progress::new`] on the first rank, and silent on the others.
    #[must_use]
    pub fn of_rank(ranks: &Ranks, stage: &str) -> Self {
        if ranks.is_first() {
            return Self::new(stage, 0, 0);
        }
        Self::silent()
    }

    /// A line of its own, where there is no bar.
    fn say(&self, line: &str) {
        if !self.silent {
            eprintln!("{}: {line}", self.stage);
        }
    }

    /// Sets how many steps there are and how many of them are done, where that was not known at first.
    pub fn set_steps(&mut self, n_steps: u64, n_done: u64) {
        (self.n_steps, self.step) = (n_steps, n_done);
        self.speed = Speed::default();
        self.speed
            .record(self.started.elapsed().as_secs_f64(), n_done);
    }

    /// Says what is being done now, such as `"training"`; empty for plain stepping.
    pub fn doing(&mut self, what: &str) {
        what.clone_into(&mut self.doing);
        if let Some(bar) = &self.bar {
            bar.set_length(self.n_steps);
            bar.set_position(self.step);
            bar.set_message(what.to_owned());
        } else if !what.is_empty() {
            self.say(what);
        }
    }

    /// Says what is being done now, where that is no step but takes long, such as `"encoding images"`. What is returned is to
    /// be told how much of it is done, and of how much.
    pub fn counter(&mut self, what: &str) -> impl FnMut(usize, usize) + '_ {
        self.doing(what);
        let mut speed = Speed::default();
        speed.record(0.0, 0);
        let (started, mut last_line_secs) = (Instant::now(), 0.0);
        move |done, n| {
            let (done, n) = (done as u64, n as u64);
            let secs = started.elapsed().as_secs_f64();
            speed.record(secs, done);
            let left = speed.eta_secs(n).map(duration).unwrap_or_default();
            if let Some(bar) = &self.bar {
                bar.set_length(n);
                bar.set_position(done);
                bar.set_message(format!("{}, {left} left", self.doing));
            } else if secs - last_line_secs >= LINE_INTERVAL_SECS {
                last_line_secs = secs;
                let percent = done as f64 / n.max(1) as f64 * 100.0;
                let doing = &self.doing;
                self.say(&format!(
                    "{doing}, {done} of {n} ({percent:.0} %), {left} left"
                ));
            }
        }
    }

    /// Reports that `step` steps are done, with the metrics worth seeing, in this order.
    pub fn step(&mut self, step: u64, metrics: &[(&str, f64)]) {
        let secs = self.started.elapsed().as_secs_f64();
        self.step = step;
        self.speed.record(secs, step);
        let eta_secs = self.speed.eta_secs(self.n_steps);
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(details(
                &self.doing,
                self.speed.per_sec(),
                eta_secs,
                metrics,
            ));
        } else if self.line_is_due(secs) {
            self.last_line_secs = Some(secs);
            let details = details(&self.doing, self.speed.per_sec(), eta_secs, metrics);
            self.say(&format!("{}, {details}", share(step, self.n_steps)));
        }
    }

    /// Prints a line that stays, above the bar if there is one.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.say(line)),
            None => self.say(line),
        }
    }

    /// Ends the progress with a last line.
    pub fn finish(self, outcome: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let took = duration(self.started.elapsed().as_secs_f64());
        let share = share(self.step, self.n_steps);
        self.say(&format!("{outcome} ({share} in {took})"));
    }

    fn line_is_due(&self, secs: f64) -> bool {
        self.step >= self.n_steps
            || self
                .last_line_secs
                .is_none_or(|last| secs - last >= LINE_INTERVAL_SECS)
    }
}

impl Drop for Progress {
    /// An error, or what comes next, is not to be written behind a bar.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Recent moments and the steps done by then.
#[derive(Debug, Default)]
struct Speed {
    moments: VecDeque<(f64, u64)>,
}

impl Speed {
    fn record(&mut self, secs: f64, step: u64) {
        self.moments.push_back((secs, step));
        if self.moments.len() > SPEED_WINDOW + 1 {
            self.moments.pop_front();
        }
    }

    fn per_sec(&self) -> Option<f64> {
        let (first_secs, first_step) = *self.moments.front()?;
        let (last_secs, last_step) = *self.moments.back()?;
        let secs = last_secs - first_secs;
        (secs > 0.0 && last_step > first_step).then(|| (last_step - first_step) as f64 / secs)
    }

    fn eta_secs(&self, n_steps: u64) -> Option<f64> {
        let (_, step) = *self.moments.back()?;
        Some(n_steps.saturating_sub(step) as f64 / self.per_sec()?)
    }
}

fn terminal_bar(stage: &str, n_steps: u64, n_done: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(n_steps), ProgressDrawTarget::stderr());
    // The template is a constant; should indicatif refuse it, its default bar serves.
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(stage.to_owned());
    bar.set_position(n_done);
    bar
}

fn share(step: u64, n_steps: u64) -> String {
    let percent = step as f64 / n_steps.max(1) as f64 * 100.0;
    format!("step {step}/{n_steps} ({percent:.0} %)")
}

fn details(
    doing: &str,
    per_sec: Option<f64>,
    eta_secs: Option<f64>,
    metrics: &[(&str, f64)],
) -> String {
    let mut parts = Vec::new();
    if !doing.is_empty() {
        parts.push(doing.to_owned());
    }
    if let (Some(per_sec), Some(eta_secs)) = (per_sec, eta_secs) {
        parts.push(format!("{}, {} left", rate(per_sec), duration(eta_secs)));
    }
    let mut shown = String::new();
    for (name, value) in metrics {
        let gap = if shown.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(shown, "{gap}{name} {}", number(*value));
    }
    if !shown.is_empty() {
        parts.push(shown);
    }
    parts.join(", ")
}

/// Whichever is the larger number: steps in a second, or seconds in a step.
fn rate(steps_per_sec: f64) -> String {
    let secs = 1.0 / steps_per_sec;
    match secs {
        _ if secs <= 1.0 => format!("{steps_per_sec:.2} steps/s"),
        _ if secs < 9.95 => format!("{secs:.1} s a step"),
        _ if secs < 99.5 => format!("{secs:.0} s a step"),
        _ => format!("{} a step", duration(secs)),
    }
}

/// Four significant digits, or powers of ten where that would be all zeros.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = match size {
        s if s >= 1000.0 => 0,
        s if s >= 100.0 => 1,
        s if s >= 10.0 => 2,
        s if s >= 1.0 || s == 0.0 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// `42s`, `3m05s`, `2h07m`.
fn duration(secs: f64) -> String {
    let secs = secs.round().max(0.0) as u64;
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (secs, text) in [
            (0.2, "0s"),
            (59.0, "59s"),
            (185.0, "3m05s"),
            (7620.0, "2h07m"),
        ] {
            assert_eq!(duration(secs), text);
        }
    }

    #[test]
    fn numbers_keep_four_digits() {
        for (value, text) in [
            (0.0, "0.000"),
            (1.23456, "1.235"),
            (-45.678, "-45.68"),
            (0.012_345, "0.0123"),
            (2e-5, "2.00e-5"),
            (123_456.0, "1.23e5"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_rate_is_never_a_fraction_of_a_step() {
        for (per_sec, text) in [
            (3.5, "3.50 steps/s"),
            (1.0, "1.00 steps/s"),
            (0.625, "1.6 s a step"),
            (0.03, "33 s a step"),
            (0.1, "10 s a step"),
            (0.001, "16m40s a step"),
        ] {
            assert_eq!(rate(per_sec), text);
        }
    }

    #[test]
    fn speed_counts_only_the_steps_of_this_start() {
        let mut speed = Speed::default();
        speed.record(0.0, 100);
        assert_eq!(speed.per_sec(), None);
        speed.record(4.0, 108);
        assert_eq!(speed.per_sec(), Some(2.0));
        assert_eq!(speed.eta_secs(118), Some(5.0));
    }

    #[test]
    fn speed_follows_a_change() {
        let mut speed = Speed::default();
        for step in 0..=100 {
            speed.record(step as f64 * 10.0, step);
        }
        for step in 1..=60 {
            speed.record(1000.0 + step as f64, 100 + step);
        }
        assert_eq!(speed.per_sec(), Some(1.0));
    }

    #[test]
    fn a_line_names_activity_speed_and_metrics() {
        let line = details(
            "training",
            Some(3.5),
            Some(61.0),
            &[("loss", 1.5), ("lr", 2e-5)],
        );
        assert_eq!(
            line,
            "training, 3.50 steps/s, 1m01s left, loss 1.500 lr 2.00e-5"
        );
        assert_eq!(share(30, 120), "step 30/120 (25 %)");
    }
}

//! The runs as a table for a terminal.

use std::fmt::Write as _;

use crate::server::Watch;
use crate::state::State;
use crate::watched::Summary;

/// What is shown of each stage: the figures that say how it gets on.
const FIGURES: [(&str, &[&str]); 7] = [
    (
        "rl",
        &[
            "reward_mean",
            "correctness_mean",
            "kl_mean",
            "response_tokens_mean",
        ],
    ),
    ("dpo", &["loss", "accuracy", "margin"]),
    ("reward", &["loss", "accuracy", "validation_accuracy"]),
    ("ground", &["loss", "kind_accuracy"]),
    ("sample", &["mean_response_tokens", "n_cut"]),
    ("sft", &["loss", "validation_loss", "grad_norm"]),
    (
        "rounds",
        &["score_mean", "held_out_accuracy", "n_preferences"],
    ),
];

/// All runs, a line each, and what looks wrong below each.
#[must_use]
pub fn table(watch: &Watch) -> String {
    let mut runs = watch.runs();
    runs.look();
    let mut text = String::new();
    let width = runs
        .runs
        .iter()
        .map(|run| run.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(3);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:width$}  {:8}  {:>13}  {:>9}  now",
        "run", "stage", "step", "left"
    );
    for (id, run) in runs.runs.iter().enumerate() {
        let summary = run.summary(id);
        let shown = FIGURES
            .iter()
            .find(|(stage, _)| *stage == summary.stage)
            .map_or(&[][..], |(_, names)| names);
        let figures = shown
            .iter()
            .filter_map(|name| Some(format!("{name} {}", figure(run.metrics.last(name)?))));
        let now = figures.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "{:width$}  {:8}  {:>13}  {:>9}  {now}",
            summary.name,
            summary.stage,
            steps(&summary),
            left(&summary)
        );
        for warning in &summary.warnings {
            let _ = writeln!(text, "{:width$}  ! {}", "", warning.text);
        }
    }
    text
}

fn steps(summary: &Summary) -> String {
    let step = summary.progress.step;
    summary
        .progress
        .n_steps
        .map_or(step.to_string(), |n| format!("{step} of {n}"))
}

fn left(summary: &Summary) -> String {
    match summary.progress.state {
        State::Finished => "finished".to_owned(),
        State::Running => summary
            .progress
            .secs_left
            .map_or("running".to_owned(), duration),
        State::Quiet => format!("quiet {}", duration(summary.progress.quiet_secs as f64)),
    }
}

/// Seconds as a person says them.
fn duration(secs: f64) -> String {
    match secs {
        secs if secs < 90.0 => format!("{secs:.0} s"),
        secs if secs < 5400.0 => format!("{:.0} min", secs / 60.0),
        secs if secs < 172_800.0 => format!("{:.1} h", secs / 3600.0),
        secs => format!("{:.1} days", secs / 86_400.0),
    }
}

/// A number with four digits that matter.
fn figure(value: f64) -> String {
    let size = value.abs();
    match size {
        size if size != 0.0 && !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stand_in_a_table_with_their_hints() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("ppo");
        std::fs::create_dir(&run).unwrap();
        std::fs::write(
            run.join("resolved.toml"),
            "[run]\nsteps = 4\n[guard]\nmax_kl = 10.0\n",
        )
        .unwrap();
        let lines = "{\"step\":1,\"kl_mean\":0.00001,\"reward_mean\":-1.5}\n{\"step\":2,\"kl_mean\":8,\"reward_mean\":250}\n";
        std::fs::write(run.join("metrics.jsonl"), lines).unwrap();
        std::fs::write(
            run.join("timings.jsonl"),
            "{\"step\":1,\"secs\":60}\n{\"step\":2,\"secs\":60}\n",
        )
        .unwrap();
        let shown = table(&Watch::open(vec![dir.path().to_owned()]).unwrap());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[1],
            "ppo  rl               2 of 4      2 min  reward_mean 250, kl_mean 8.000"
        );
        assert!(
            lines[2].starts_with(
                "     ! the policy is 8.0 nats from its reference, and 10 stop the run"
            ),
            "{shown}"
        );
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(
            [0.0, 0.00012, 1.23456, 1234.5, 1e7].map(figure),
            ["0.000", "1.20e-4", "1.235", "1234", "1.00e7"]
        );
        assert_eq!(
            [5.0, 120.0, 7200.0, 259_200.0].map(duration),
            ["5 s", "2 min", "2.0 h", "3.0 days"]
        );
    }
}

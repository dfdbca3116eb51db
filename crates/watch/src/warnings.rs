//! What looks wrong in the curves of a run: rules that a person would check by eye. They are hints, not verdicts.

use serde::Serialize;

use crate::curves::Curves;

/// Fewer steps than this tell nothing of a trend.
const MIN_STEPS: usize = 12;

/// A hint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Warning {
    /// The field that shows it.
    pub metric: &'static str,
    /// What is seen and what it may mean.
    pub text: String,
}

fn warning(metric: &'static str, text: impl Into<String>) -> Warning {
    Warning {
        metric,
        text: text.into(),
    }
}

/// All hints of a run. `max_kl` is the recipe's `guard.max_kl`, where it has one.
pub(crate) fn warnings(curves: &Curves, max_kl: Option<f64>) -> Vec<Warning> {
    let rules: [fn(&Curves) -> Option<Warning>; 7] = [
        rewarded_for_what_is_false,
        short_answers,
        one_answer_to_all,
        no_exploration,
        clipped,
        jumps,
        overfits,
    ];
    let mut found: Vec<Warning> = rules.iter().filter_map(|rule| rule(curves)).collect();
    found.extend(far_from_the_reference(curves, max_kl));
    if curves.n_damaged() > 0 {
        let n = curves.n_damaged();
        found.push(warning(
            "step",
            format!("{n} lines of metrics.jsonl cannot be read and are left out"),
        ));
    }
    found
}

/// Means of the first and of the last third, and the standard deviation of the first.
struct Trend {
    before: f64,
    spread: f64,
    now: f64,
}

impl Trend {
    fn of(curves: &Curves, field: &str) -> Option<Self> {
        let numbers = curves.numbers(field);
        if numbers.len() < MIN_STEPS {
            return None;
        }
        let third = numbers.len() / 3;
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (first, last) = (&numbers[..third], &numbers[numbers.len() - third..]);
        let before = mean(first);
        let variance = first.iter().map(|x| (x - before).powi(2)).sum::<f64>() / third as f64;
        Some(Self {
            before,
            spread: variance.sqrt(),
            now: mean(last),
        })
    }

    fn rises(&self) -> bool {
        self.now > self.before + self.spread
    }
}

fn rewarded_for_what_is_false(curves: &Curves) -> Option<Warning> {
    let reward = Trend::of(curves, "reward_mean")?;
    let truth = Trend::of(curves, "correctness_mean")?;
    let falls = truth.now < truth.before - 0.05;
    (reward.rises() && falls).then(|| {
        warning(
            "correctness_mean",
            format!(
                "the reward rises ({:.2} to {:.2}) while checked answers get worse ({:.2} to {:.2}): the policy may be learning \
                 what the reward model likes and what is false",
                reward.before, reward.now, truth.before, truth.now
            ),
        )
    })
}

fn far_from_the_reference(curves: &Curves, max_kl: Option<f64>) -> Option<Warning> {
    let (kl, limit) = (curves.last("kl_mean")?, max_kl?);
    (kl > limit / 2.0).then(|| {
        let text = format!("the policy is {kl:.1} nats from its reference, and {limit} stop the run: raise kl.coef or lower the learning rate");
        warning("kl_mean", text)
    })
}

fn short_answers(curves: &Curves) -> Option<Warning> {
    let length = Trend::of(curves, "response_tokens_mean")?;
    (length.now < length.before / 2.0).then(|| {
        warning(
            "response_tokens_mean",
            format!(
                "answers shrank from {:.0} tokens to {:.0}: silence is never false",
                length.before, length.now
            ),
        )
    })
}

fn one_answer_to_all(curves: &Curves) -> Option<Warning> {
    let yes = Trend::of(curves, "yes_ratio")?;
    (yes.now > 0.9 || yes.now < 0.1).then(|| {
        warning(
            "yes_ratio",
            format!(
                "{:.0} % of yes/no questions are answered with yes",
                100.0 * yes.now
            ),
        )
    })
}

fn no_exploration(curves: &Curves) -> Option<Warning> {
    let entropy = Trend::of(curves, "entropy")?;
    (entropy.now < 0.1 * entropy.before).then(|| {
        let text = format!(
            "entropy fell from {:.2} to {:.3} nats: samples hardly differ any more",
            entropy.before, entropy.now
        );
        warning("entropy", text)
    })
}

fn clipped(curves: &Curves) -> Option<Warning> {
    let share = Trend::of(curves, "clip_fraction")?.now;
    (share > 0.3).then(|| {
        let text = format!(
            "{:.0} % of tokens are clipped: updates are larger than PPO's step allows",
            100.0 * share
        );
        warning("clip_fraction", text)
    })
}

fn jumps(curves: &Curves) -> Option<Warning> {
    let mut norms = curves.numbers("grad_norm");
    let last = *norms.last()?;
    if norms.len() < MIN_STEPS {
        return None;
    }
    norms.sort_by(f64::total_cmp);
    let median = norms[norms.len() / 2];
    (last > 10.0 * median).then(|| {
        warning(
            "grad_norm",
            format!(
                "the last gradient is {:.0} times the usual one",
                last / median
            ),
        )
    })
}

fn overfits(curves: &Curves) -> Option<Warning> {
    let losses = curves.numbers("validation_loss");
    let best = losses.iter().copied().min_by(f64::total_cmp)?;
    let since = losses.iter().rev().take_while(|&&loss| loss > best).count();
    (since >= 3).then(|| {
        let text = format!("the held-out loss was best {since} evaluations ago ({best:.3})");
        warning("validation_loss", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value by the share of the run that is done.
    type Curve = fn(f64) -> f64;

    /// Curves of `n` lines whose fields are functions of the line.
    fn curves(n: usize, fields: &[(&str, Curve)]) -> Curves {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let line = |i: usize| {
            let at = i as f64 / (n - 1) as f64;
            let pairs = fields
                .iter()
                .map(|(name, value)| format!(",\"{name}\":{}", value(at)));
            format!("{{\"step\":{}{}}}\n", i + 1, pairs.collect::<String>())
        };
        std::fs::write(&path, (0..n).map(line).collect::<String>()).unwrap();
        let mut curves = Curves::default();
        curves.follow(&path);
        curves
    }

    fn metrics_of(curves: &Curves) -> Vec<&'static str> {
        warnings(curves, Some(60.0))
            .iter()
            .map(|warning| warning.metric)
            .collect()
    }

    #[test]
    fn a_reward_that_rises_over_false_answers_is_a_warning_and_over_true_ones_is_none() {
        let hacked = curves(
            30,
            &[
                ("reward_mean", |t| t),
                ("correctness_mean", |t| 0.8 - 0.3 * t),
            ],
        );
        assert_eq!(metrics_of(&hacked), ["correctness_mean"]);
        let honest = curves(
            30,
            &[
                ("reward_mean", |t| t),
                ("correctness_mean", |t| 0.5 + 0.3 * t),
            ],
        );
        assert_eq!(metrics_of(&honest), Vec::<&str>::new());
        let short = curves(
            9,
            &[
                ("reward_mean", |t| t),
                ("correctness_mean", |t| 0.8 - 0.3 * t),
            ],
        );
        assert_eq!(metrics_of(&short), Vec::<&str>::new());
    }

    #[test]
    fn each_rule_sees_what_it_is_for() {
        for (name, value) in [
            (
                "response_tokens_mean",
                (|t: f64| 30.0 - 28.0 * t) as fn(f64) -> f64,
            ),
            ("yes_ratio", |t| 0.5 + 0.5 * t.powf(0.2)),
            ("entropy", |t| if t < 0.4 { 1.0 } else { 0.01 }),
            ("clip_fraction", |t| 0.6 * t),
            ("grad_norm", |t| if t < 1.0 { 1.0 } else { 40.0 }),
            ("validation_loss", |t| (t - 0.5).abs()),
            ("kl_mean", |t| 40.0 * t),
        ] {
            assert_eq!(metrics_of(&curves(30, &[(name, value)])), [name]);
            assert_eq!(
                metrics_of(&curves(30, &[(name, |_| 0.2)])),
                Vec::<&str>::new(),
                "{name}"
            );
        }
    }
}

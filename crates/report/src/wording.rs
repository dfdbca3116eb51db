//! The summary in words. Every sentence is made from the numbers: "halved" stands there only if it is so, and
//! where intervals overlap the page says that this run alone does not decide.

use candor_judge::{Benchmark, Results};
use candor_stats::bootstrap::Interval;

use crate::plots::percent;
use crate::summary::{RewardFigures, Summary, Variants, measured};
use crate::svg::scale::number;
use crate::table::apart;

/// A value with its interval.
#[derive(Debug, Clone, Copy)]
struct Value {
    value: f64,
    interval: Option<Interval>,
}

impl Value {
    fn new(value: f64, interval: Option<Interval>) -> Self {
        Self { value, interval }
    }

    fn shown(self, written: fn(f64) -> String) -> String {
        let interval = self.interval.map_or_else(String::new, |[low, high]| {
            format!(" ({} to {})", written(low), written(high))
        });
        written(self.value) + &interval
    }

    /// What the intervals of two values say, in brackets.
    fn certainty(self, other: Self) -> &'static str {
        match self.interval.zip(other.interval) {
            Some((a, b)) if apart(a, b) => "(the intervals do not overlap)",
            Some(_) => "(the intervals overlap)",
            None => "(without intervals)",
        }
    }
}

/// What was done, as far as there are numbers of it.
#[must_use]
pub(crate) fn done(summary: &Summary) -> String {
    let built = if summary.family.is_usual() {
        String::new()
    } else {
        format!(", built as {},", summary.family.name())
    };
    let mut text = format!(
        "A small vision-language model{built} learned to describe drawn scenes from texts that also name things that are not \
         there."
    );
    if !summary.reward_models.is_empty() {
        text += " Two of its answers at a time were compared by a simulated annotator, and reward models learned \
                 from the comparisons: one reads the facts of the image, its captions, the other does not.";
    }
    let policies = &summary.policies;
    if policies.rlhf.is_some() && policies.fact_rlhf.is_some() {
        text += " PPO then trained the same policy against each of them.";
    }
    format!("{text} The whole took {}.", duration(summary.wall_secs))
}

/// What came out, as pairs of what a sentence is about and the sentence: the reward models, hallucination,
/// completeness, both at once, the judge's score; those whose numbers are there.
#[must_use]
pub(crate) fn headline(summary: &Summary) -> Vec<(&'static str, String)> {
    let trio = |benchmark: Benchmark, key: &str| {
        let value = |results: &Results| {
            let (value, interval) = measured(results, benchmark, key)?;
            Some(Value::new(value, interval))
        };
        Trio {
            sft: summary.policies.sft.as_ref().and_then(value),
            facts: summary.policies.fact_rlhf.as_ref().and_then(value),
            no_facts: summary.policies.rlhf.as_ref().and_then(value),
        }
    };
    let chair_i = trio(Benchmark::Chair, "chair_i");
    let recall = trio(Benchmark::Chair, "recall");
    let f1 = trio(Benchmark::Chair, "object_f1");
    let score = trio(Benchmark::Mmhal, "score");
    let sentences = [
        ("Reward models", reward_models(&summary.reward_models)),
        ("Hallucination", hallucination(chair_i)),
        ("Completeness", kept(recall)),
        ("Both at once", against("object F1", f1, percent)),
        (
            "The exact judge",
            against("mean score from 0 to 6", score, |value| number(value, 2)),
        ),
    ];
    sentences
        .into_iter()
        .filter_map(|(about, sentence)| Some((about, sentence?)))
        .collect()
}

/// One number of the three policies.
#[derive(Debug, Clone, Copy)]
struct Trio {
    sft: Option<Value>,
    facts: Option<Value>,
    no_facts: Option<Value>,
}

fn reward_models(models: &Variants<RewardFigures>) -> Option<String> {
    let [facts, no_facts] = [models.facts.as_ref()?, models.no_facts.as_ref()?];
    let value = |figures: &RewardFigures| Value::new(figures.accuracy, Some(figures.ci95));
    let of_other = if facts.n_pairs == no_facts.n_pairs {
        String::new()
    } else {
        format!(" of {}", no_facts.n_pairs)
    };
    Some(format!(
        "the one that reads the facts puts the better answer first in {} of {} held-out pairs, the one without in \
         {}{of_other}. With facts is {}.",
        value(facts).shown(percent),
        facts.n_pairs,
        value(no_facts).shown(percent),
        comparison(value(facts), "without", value(no_facts)),
    ))
}

fn hallucination(chair_i: Trio) -> Option<String> {
    let sft = chair_i.sft?;
    let after = |name: &str, value: Option<Value>| {
        value.map_or_else(String::new, |value| {
            format!(
                "; after PPO {name} {}, {}",
                value.shown(percent),
                fall(sft, value)
            )
        })
    };
    Some(format!(
        "of the objects that the SFT model names in its descriptions, {} are not in the image (CHAIR_i){}{}.",
        sft.shown(percent),
        after("with facts", chair_i.facts),
        after("without", chair_i.no_facts),
    ))
}

/// How much lower a number is than before.
fn fall(before: Value, after: Value) -> String {
    let part = if before.value > 0.0 {
        1.0 - after.value / before.value
    } else {
        0.0
    };
    let how = if part >= 0.505 {
        "less than half".to_owned()
    } else if part >= 0.495 {
        "half".to_owned()
    } else if part >= 0.005 {
        format!("{:.0}% less", part * 100.0)
    } else if part > -0.005 {
        "the same".to_owned()
    } else {
        format!("{:.0}% more", -part * 100.0)
    };
    format!("{how} {}", before.certainty(after))
}

fn kept(recall: Trio) -> Option<String> {
    let sft = recall.sft?;
    let after = |name: &str, value: Option<Value>| {
        value.map_or_else(String::new, |value| {
            let part = if sft.value > 0.0 {
                value.value / sft.value
            } else {
                0.0
            };
            format!(
                "; after PPO {name} {}, {:.0}% of that",
                value.shown(percent),
                part * 100.0
            )
        })
    };
    Some(format!(
        "the SFT model names {} of the objects that are there (recall){}{}. Saying less lowers hallucination too, so \
         the two belong together.",
        sft.shown(percent),
        after("with facts", recall.facts),
        after("without", recall.no_facts),
    ))
}

fn against(what: &str, trio: Trio, written: fn(f64) -> String) -> Option<String> {
    let (sft, facts) = (trio.sft?, trio.facts?);
    let without = trio.no_facts.map(|no_facts| {
        let said = format!(" and {}", comparison(facts, "without", no_facts));
        (format!(", {} without", no_facts.shown(written)), said)
    });
    let (number, said) = without.unwrap_or_default();
    Some(format!(
        "{what} is {} for SFT, {} with facts{number}. With facts is {}{said}.",
        sft.shown(written),
        facts.shown(written),
        comparison(facts, "SFT", sft),
    ))
}

/// Where a number stands to another one, and whether their intervals say the same.
fn comparison(a: Value, other: &str, b: Value) -> String {
    let standing = match a.value.total_cmp(&b.value) {
        std::cmp::Ordering::Greater => "above",
        std::cmp::Ordering::Less => "below",
        std::cmp::Ordering::Equal => "level with",
    };
    format!("{standing} {other} {}", a.certainty(b))
}

/// Seconds as a person says them.
#[must_use]
pub(crate) fn duration(secs: f64) -> String {
    let whole = secs.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, secs) => format!("{secs} s"),
        (0, mins, secs) => format!("{mins} min {secs} s"),
        (hours, mins, _) => format!("{hours} h {mins} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: f64, low: f64, high: f64) -> Value {
        Value::new(value, Some([low, high]))
    }

    #[test]
    fn halved_is_said_only_if_it_is_so() {
        let before = value(0.20, 0.17, 0.23);
        let after = [
            (
                value(0.09, 0.07, 0.11),
                "less than half (the intervals do not overlap)",
            ),
            (
                value(0.10, 0.08, 0.12),
                "half (the intervals do not overlap)",
            ),
            (
                value(0.11, 0.09, 0.13),
                "45% less (the intervals do not overlap)",
            ),
            (
                value(0.09, 0.01, 0.18),
                "less than half (the intervals overlap)",
            ),
            (value(0.15, 0.12, 0.18), "25% less (the intervals overlap)"),
            (value(0.20, 0.17, 0.23), "the same (the intervals overlap)"),
            (
                value(0.30, 0.25, 0.35),
                "50% more (the intervals do not overlap)",
            ),
            (Value::new(0.15, None), "25% less (without intervals)"),
        ];
        for (after, said) in after {
            assert_eq!(fall(before, after), said);
        }
        let nothing = value(0.0, 0.0, 0.0);
        assert_eq!(fall(nothing, nothing), "the same (the intervals overlap)");
    }

    #[test]
    fn an_overlap_is_said_whoever_is_ahead() {
        let said = |a, b| comparison(a, "B", b);
        let (low, high) = (value(0.5, 0.4, 0.6), value(0.8, 0.7, 0.9));
        assert_eq!(said(high, low), "above B (the intervals do not overlap)");
        assert_eq!(said(low, high), "below B (the intervals do not overlap)");
        let middle = value(0.65, 0.55, 0.75);
        assert_eq!(said(middle, low), "above B (the intervals overlap)");
        assert_eq!(said(middle, high), "below B (the intervals overlap)");
        assert_eq!(
            said(Value::new(0.9, None), low),
            "above B (without intervals)"
        );
    }

    #[test]
    fn durations_are_said_in_words() {
        let said = [0.4, 59.7, 125.0, 3700.0].map(duration);
        assert_eq!(said, ["0 s", "1 min 0 s", "2 min 5 s", "1 h 1 min"]);
    }

    #[test]
    fn nothing_is_said_of_what_was_not_run() {
        assert_eq!(headline(&Summary::default()), []);
        let done = done(&Summary::default());
        assert!(!done.contains("reward") && !done.contains("PPO"), "{done}");
    }
}

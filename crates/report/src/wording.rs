//! The summary in words. Every sentence is made from the numbers: "halved" stands there only if it is so, and
//! where intervals overlap the page says that this run alone does not decide.

use candor_eval::Results;
use candor_eval::bootstrap::Interval;

use crate::plots::percent;
use crate::summary::{Arm, Arms, RewardFigures, Summary};
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

    /// Whether the intervals are there and have no value in common.
    fn apart(self, other: Self) -> bool {
        let both = self.interval.zip(other.interval);
        both.is_some_and(|(a, b)| apart(a, b))
    }
}

/// What was done, in a sentence or two.
#[must_use]
pub fn done(summary: &Summary) -> String {
    let pairs = summary
        .reward_models
        .iter()
        .map(|(_, figures)| figures.n_pairs)
        .max();
    let judged = pairs.map_or_else(String::new, |n| {
        format!(" {n} comparisons were kept to test them.")
    });
    format!(
        "A small vision-language model learned to describe drawn scenes from texts that also name things that are \
         not there. Two of its answers at a time were compared by a simulated annotator, and two reward models \
         learned from the comparisons: one reads the facts of the picture, its captions, the other does not.{judged} \
         PPO then trained the same policy against each, for the same steps. The whole took {}.",
        duration(summary.wall_secs)
    )
}

/// What came out: one sentence each about the reward models, CHAIR_i, recall, F1 and the judge's score; those
/// whose numbers are there.
#[must_use]
pub fn headline(summary: &Summary) -> Vec<String> {
    let policies = &summary.policies;
    let chair = |results: &Option<Results>| results.as_ref().and_then(|r| r.chair.clone());
    let number_of = |of: fn(&candor_eval::chair::Scores) -> Option<Value>| Trio {
        sft: chair(&policies.sft).as_ref().and_then(of),
        facts: chair(&policies.fact_rlhf).as_ref().and_then(of),
        no_facts: chair(&policies.rlhf).as_ref().and_then(of),
    };
    let chair_i = number_of(|c| Some(Value::new(c.chair_i?, c.ci95_chair_i)));
    let recall = number_of(|c| Some(Value::new(c.recall?, c.ci95_recall)));
    let f1 = number_of(|c| Some(Value::new(c.object_f1?, c.ci95_object_f1)));
    let score = |results: &Option<Results>| {
        let mmhal = results.as_ref()?.mmhal.as_ref()?;
        Some(Value::new(mmhal.score, mmhal.ci95_score))
    };
    let score = Trio {
        sft: score(&policies.sft),
        facts: score(&policies.fact_rlhf),
        no_facts: score(&policies.rlhf),
    };
    [
        reward_models(&summary.reward_models),
        hallucination(chair_i),
        kept(recall),
        against(
            "Object F1, which counts both what is invented and what is left out,",
            f1,
            percent,
        ),
        against("The exact judge's mean score, 0 to 6,", score, |value| {
            number(value, 2)
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One number of the three policies.
#[derive(Debug, Clone, Copy)]
struct Trio {
    sft: Option<Value>,
    facts: Option<Value>,
    no_facts: Option<Value>,
}

fn reward_models(models: &Arms<RewardFigures>) -> Option<String> {
    let [facts, no_facts] = [models.facts.as_ref()?, models.no_facts.as_ref()?];
    let value = |figures: &RewardFigures| Value::new(figures.accuracy, Some(figures.ci95));
    let verdict = comparison(
        "the one with facts",
        value(facts),
        "the other",
        value(no_facts),
    );
    Some(format!(
        "Reward models: the one that reads the facts puts the better answer first in {} of {} held-out pairs, the \
         one without in {} of {}; {verdict}.",
        value(facts).shown(percent),
        facts.n_pairs,
        value(no_facts).shown(percent),
        no_facts.n_pairs,
    ))
}

fn hallucination(chair_i: Trio) -> Option<String> {
    let sft = chair_i.sft?;
    let after = |arm: Arm, value: Option<Value>| {
        value.map(|value| {
            let name = arm_name(arm);
            format!(
                "; after PPO {name} {}, {}",
                value.shown(percent),
                fall(sft, value)
            )
        })
    };
    let facts = after(Arm::Facts, chair_i.facts).unwrap_or_default();
    let no_facts = after(Arm::NoFacts, chair_i.no_facts).unwrap_or_default();
    Some(format!(
        "Hallucination: of the objects that the SFT model names in its descriptions, {} are not in the \
         picture{facts}{no_facts}.",
        sft.shown(percent)
    ))
}

fn arm_name(arm: Arm) -> &'static str {
    match arm {
        Arm::Facts => "with facts",
        Arm::NoFacts => "without facts",
    }
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
    if before.apart(after) {
        how
    } else {
        how + " (the intervals overlap)"
    }
}

fn kept(recall: Trio) -> Option<String> {
    let sft = recall.sft?;
    let after = |value: Value| {
        let part = if sft.value > 0.0 {
            value.value / sft.value
        } else {
            0.0
        };
        format!("{}, {:.0}% of that", value.shown(percent), part * 100.0)
    };
    let facts = recall
        .facts
        .map(|value| format!("; after PPO with facts {}", after(value)));
    let no_facts = recall
        .no_facts
        .map(|value| format!("; without facts {}", after(value)));
    Some(format!(
        "Completeness: the SFT model names {} of the objects that are there{}{}. Saying less lowers hallucination \
         too, so the two belong together.",
        sft.shown(percent),
        facts.unwrap_or_default(),
        no_facts.unwrap_or_default(),
    ))
}

fn against(what: &str, trio: Trio, written: fn(f64) -> String) -> Option<String> {
    let (sft, facts) = (trio.sft?, trio.facts?);
    let with = comparison("with facts", facts, "SFT", sft);
    let Some(no_facts) = trio.no_facts else {
        let (sft, facts) = (sft.shown(written), facts.shown(written));
        return Some(format!(
            "{what} is {sft} for SFT and {facts} with facts: {with}."
        ));
    };
    let without = comparison("with facts", facts, "without", no_facts);
    Some(format!(
        "{what} is {} for SFT, {} with facts, {} without: {with}; {without}.",
        sft.shown(written),
        facts.shown(written),
        no_facts.shown(written),
    ))
}

/// Which of two is higher, and whether this run alone decides it.
fn comparison(name: &str, a: Value, other: &str, b: Value) -> String {
    let apart = a.apart(b);
    if a.value > b.value && apart {
        format!("{name} is above {other} and the intervals do not overlap")
    } else if a.value < b.value && apart {
        format!("{name} is below {other} and the intervals do not overlap")
    } else {
        let where_ = match a.value.total_cmp(&b.value) {
            std::cmp::Ordering::Greater => "above",
            std::cmp::Ordering::Less => "below",
            std::cmp::Ordering::Equal => "level with",
        };
        format!(
            "{name} is {where_} {other}, but the intervals overlap, so this run alone does not decide it"
        )
    }
}

/// Seconds as a person says them.
#[must_use]
pub fn duration(secs: f64) -> String {
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
        let said = |after, low, high| fall(before, value(after, low, high));
        assert_eq!(said(0.09, 0.07, 0.11), "less than half");
        assert_eq!(said(0.10, 0.08, 0.12), "half");
        assert_eq!(said(0.11, 0.09, 0.13), "45% less");
        assert_eq!(said(0.15, 0.12, 0.18), "25% less (the intervals overlap)");
        assert_eq!(said(0.20, 0.17, 0.23), "the same (the intervals overlap)");
        assert_eq!(said(0.30, 0.25, 0.35), "50% more");
        assert_eq!(
            fall(value(0.0, 0.0, 0.0), value(0.0, 0.0, 0.0)),
            "the same (the intervals overlap)"
        );
    }

    #[test]
    fn an_overlap_is_said_whoever_is_ahead() {
        let said = |a, b| comparison("A", a, "B", b);
        let (low, high) = (value(0.5, 0.4, 0.6), value(0.8, 0.7, 0.9));
        assert_eq!(
            said(high, low),
            "A is above B and the intervals do not overlap"
        );
        assert_eq!(
            said(low, high),
            "A is below B and the intervals do not overlap"
        );
        let middle = value(0.65, 0.55, 0.75);
        assert!(said(middle, low).starts_with("A is above B, but the intervals overlap"));
        assert!(said(middle, high).starts_with("A is below B, but the intervals overlap"));
        // Without an interval nothing is decided.
        assert!(said(Value::new(0.9, None), low).contains("does not decide"));
    }

    #[test]
    fn durations_are_said_in_words() {
        let said = [0.4, 59.7, 125.0, 3700.0].map(duration);
        assert_eq!(said, ["0 s", "1 min 0 s", "2 min 5 s", "1 h 1 min"]);
    }

    #[test]
    fn nothing_is_said_of_what_was_not_run() {
        assert_eq!(headline(&Summary::default()), Vec::<String>::new());
    }
}

//! What the method claims, and whether the demos of several seeds bear it: decided by rule from the intervals.

use candor_judge::Benchmark;
use candor_stats::bootstrap::Interval;
use candor_stats::paired::Pair;
use candor_stats::pooled::{Contrast, Pooled, pool};
use serde::Serialize;

use super::demos::Demo;
use crate::ReportError;
use crate::plots::percent;
use crate::summary::Policy;
use crate::svg::scale::number;

/// Decides what the intervals draw: with the same demos always the same.
pub(super) const SEED: u64 = 0;

/// A claim with what the numbers say of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// Its name in files.
    pub key: &'static str,
    /// The claim.
    pub claim: &'static str,
    /// What became of it: shown if all its parts are, the opposite if that of one part is.
    pub decision: Decision,
    /// The comparisons that it rests on.
    pub parts: Vec<Part>,
}

/// One comparison of a claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// What is compared.
    pub what: &'static str,
    /// Where the claim says that the mean lies.
    pub bound: Bound,
    /// In what it is written.
    pub unit: Unit,
    /// The seeds whose demos have it.
    pub seeds: Vec<u64>,
    /// The comparison over these seeds.
    pub pooled: Pooled,
    /// Its two intervals together.
    pub ci95: Option<Interval>,
    /// What follows.
    pub decision: Decision,
}

/// What numbers say of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The whole interval lies where the claim says.
    Shown,
    /// The interval holds the bound, or there is none.
    NotDecided,
    /// The whole interval lies on the other side.
    Opposite,
}

impl Decision {
    /// As it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::NotDecided => "not decided",
            Self::Opposite => "the opposite",
        }
    }

    fn of(interval: Option<Interval>, bound: Bound) -> Self {
        let Some([low, high]) = interval else {
            return Self::NotDecided;
        };
        let at = bound.at();
        let (above, below) = match bound {
            Bound::Above(_) => (Self::Shown, Self::Opposite),
            Bound::Below(_) => (Self::Opposite, Self::Shown),
        };
        if low > at {
            above
        } else if high < at {
            below
        } else {
            Self::NotDecided
        }
    }

    fn of_all(parts: &[Part]) -> Self {
        let mut decisions = parts.iter().map(|part| part.decision);
        if decisions.clone().any(|decision| decision == Self::Opposite) {
            Self::Opposite
        } else if decisions.all(|decision| decision == Self::Shown) {
            Self::Shown
        } else {
            Self::NotDecided
        }
    }
}

/// On which side of a number a claim says that a mean lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Above it.
    Above(f64),
    /// Below it.
    Below(f64),
}

impl Bound {
    /// The number.
    #[must_use]
    pub fn at(self) -> f64 {
        match self {
            Self::Above(at) | Self::Below(at) => at,
        }
    }
}

/// In what a comparison is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A difference of shares, in percentage points.
    Points,
    /// A difference of scores.
    Score,
    /// A ratio, in percent.
    Percent,
}

impl Unit {
    /// A value as text, without the name of the unit but for `%`.
    #[must_use]
    pub fn written(self, value: f64) -> String {
        match self {
            Self::Points => signed(value * 100.0, 1),
            Self::Score => signed(value, 2),
            Self::Percent => percent(value),
        }
    }

    /// What is written after a value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Points => " points",
            Self::Score | Self::Percent => "",
        }
    }
}

fn signed(value: f64, decimals: usize) -> String {
    let text = number(value, decimals);
    let is_zero = text.chars().all(|c| c == '0' || c == '.');
    if text.starts_with('−') || is_zero {
        text
    } else {
        format!("+{text}")
    }
}

/// What two arms of each demo are compared by.
enum Of {
    RewardModels,
    Policies([Policy; 2], Benchmark, &'static str),
}

impl Of {
    fn pairs(&self, demo: &Demo) -> Result<Option<Vec<Pair>>, ReportError> {
        match self {
            Self::RewardModels => demo.reward_models(),
            Self::Policies(policies, benchmark, key) => demo.policies(*policies, *benchmark, key),
        }
    }
}

/// A comparison: what, of whom, how, where the claim says it lies, and in what it is written.
type Comparison = (&'static str, Of, Contrast, Bound, Unit);

/// Name, claim and comparisons of each claim.
const CLAIMS: [(&str, &str, &[Comparison]); 6] = [
    (
        "reward_accuracy",
        "The reward model that reads the facts orders more held-out pairs as the annotator did than the one that does not.",
        &[(
            "Accuracy with facts less that without",
            Of::RewardModels,
            Contrast::Difference,
            Bound::Above(0.0),
            Unit::Points,
        )],
    ),
    (
        "object_f1",
        "Fact-RLHF has a higher object F1 than RLHF.",
        &[(
            "Object F1 of Fact-RLHF less that of RLHF",
            Of::Policies(RLHF, Benchmark::Chair, "object_f1"),
            Contrast::Difference,
            Bound::Above(0.0),
            Unit::Points,
        )],
    ),
    (
        "mmhal_score",
        "Fact-RLHF has a higher MMHal score than RLHF.",
        &[(
            "MMHal score of Fact-RLHF less that of RLHF",
            Of::Policies(RLHF, Benchmark::Mmhal, "score"),
            Contrast::Difference,
            Bound::Above(0.0),
            Unit::Score,
        )],
    ),
    (
        "hallucination",
        "Fact-RLHF has less than 40% of SFT's CHAIR_i, at more than 95% of its recall.",
        &[
            (
                "CHAIR_i of Fact-RLHF over that of SFT",
                Of::Policies(SFT, Benchmark::Chair, "chair_i"),
                Contrast::Ratio,
                Bound::Below(0.4),
                Unit::Percent,
            ),
            (
                "Recall of Fact-RLHF over that of SFT",
                Of::Policies(SFT, Benchmark::Chair, "recall"),
                Contrast::Ratio,
                Bound::Above(0.95),
                Unit::Percent,
            ),
        ],
    ),
    (
        "mixture_pope",
        "SFT on the mixture has a higher POPE F1 than SFT on GPT-4-like data alone.",
        &[(
            "POPE F1 of SFT less that of SFT on GPT-4-like data",
            Of::Policies(GPT4, Benchmark::Pope, "f1"),
            Contrast::Difference,
            Bound::Above(0.0),
            Unit::Points,
        )],
    ),
    (
        "mixture_chair",
        "SFT on the mixture has a lower CHAIR_i than SFT on GPT-4-like data alone.",
        &[(
            "CHAIR_i of SFT less that of SFT on GPT-4-like data",
            Of::Policies(GPT4, Benchmark::Chair, "chair_i"),
            Contrast::Difference,
            Bound::Below(0.0),
            Unit::Points,
        )],
    ),
];

const RLHF: [Policy; 2] = [Policy::Rlhf, Policy::FactRlhf];
const SFT: [Policy; 2] = [Policy::Sft, Policy::FactRlhf];
const GPT4: [Policy; 2] = [Policy::SftGpt4, Policy::Sft];

/// The claims that the demos can say something of, and of the others that they cannot, in words.
///
/// # Errors
/// What is compared in a demo was not asked the same.
pub(super) fn decide(demos: &[Demo]) -> Result<(Vec<Claim>, Vec<String>), ReportError> {
    let mut claims = Vec::new();
    let mut left_out = Vec::new();
    for (key, claim, comparisons) in &CLAIMS {
        let parts = comparisons.iter().map(|one| part(one, demos));
        let parts: Vec<Part> = parts.collect::<Result<_, _>>()?;
        if let Some(part) = parts.iter().find(|part| part.seeds.is_empty()) {
            left_out.push(format!(
                "Left out, because no demo has numbers of both arms of \"{}\": {claim}",
                part.what
            ));
            continue;
        }
        for part in parts.iter().filter(|part| part.seeds.len() < demos.len()) {
            let seeds = listed(&part.seeds);
            left_out.push(format!(
                "{}: of the seeds {seeds} alone, which have numbers of both arms.",
                part.what
            ));
        }
        claims.push(Claim {
            key,
            claim,
            decision: Decision::of_all(&parts),
            parts,
        });
    }
    Ok((claims, left_out))
}

fn part(
    (what, of, contrast, bound, unit): &Comparison,
    demos: &[Demo],
) -> Result<Part, ReportError> {
    let (mut seeds, mut pairs): (Vec<u64>, Vec<Vec<Pair>>) = (Vec::new(), Vec::new());
    for demo in demos {
        if let Some(both) = of.pairs(demo)?.filter(|both| !both.is_empty()) {
            seeds.push(demo.summary.seed);
            pairs.push(both);
        }
    }
    let pooled = pool(&pairs, *contrast, SEED);
    let ci95 = pooled.ci95();
    Ok(Part {
        what,
        bound: *bound,
        unit: *unit,
        seeds,
        decision: Decision::of(ci95, *bound),
        ci95,
        pooled,
    })
}

/// Seeds in words: `0, 1, 2`.
pub(super) fn listed(seeds: &[u64]) -> String {
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    seeds.join(", ")
}

impl Part {
    /// The mean with its interval: `+8.5 points (+2.0 to +15.1)`.
    #[must_use]
    pub fn mean(&self) -> String {
        let written = |value| self.unit.written(value);
        let Some(mean) = self.pooled.mean else {
            return "a ratio over nothing with one of the seeds".to_owned();
        };
        let interval = match self.ci95 {
            Some([low, high]) => format!("{} to {}", written(low), written(high)),
            None if self.seeds.len() == 1 => "one seed has no interval over seeds".to_owned(),
            None => "no interval: most resamples are over nothing".to_owned(),
        };
        format!("{}{} ({interval})", written(mean), self.unit.name())
    }

    /// Chances between equal policies, in words; empty for ratios.
    #[must_use]
    pub fn chances(&self) -> String {
        let Some((seeds, images)) = self.pooled.p_seeds.zip(self.pooled.p_images) else {
            return String::new();
        };
        format!(
            "p {} over seeds (never below {}), {} over images",
            number(seeds, 3),
            number(self.least_p(), 3),
            number(images, 4)
        )
    }

    /// What no p over its seeds can be below: the two outcomes of 2^n in which all seeds have one sign.
    fn least_p(&self) -> f64 {
        0.5_f64.powf(self.seeds.len() as f64 - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_decides_where_all_of_it_lies_on_one_side() {
        let above = |interval| Decision::of(interval, Bound::Above(0.0));
        assert_eq!(above(Some([0.01, 0.2])), Decision::Shown);
        assert_eq!(above(Some([-0.01, 0.2])), Decision::NotDecided);
        assert_eq!(above(Some([-0.2, -0.01])), Decision::Opposite);
        // An interval that touches the bound holds it.
        assert_eq!(above(Some([0.0, 0.2])), Decision::NotDecided);
        assert_eq!(above(None), Decision::NotDecided);
        let below = |interval| Decision::of(interval, Bound::Below(0.4));
        assert_eq!(below(Some([0.1, 0.39])), Decision::Shown);
        assert_eq!(below(Some([0.1, 0.4])), Decision::NotDecided);
        assert_eq!(below(Some([0.41, 0.9])), Decision::Opposite);
    }

    #[test]
    fn values_have_a_sign_unless_they_are_shares_or_nothing() {
        assert_eq!(Unit::Points.written(0.0852), "+8.5");
        assert_eq!(Unit::Points.written(-0.0852), "−8.5");
        assert_eq!(Unit::Points.written(-0.0001), "0.0");
        assert_eq!(Unit::Score.written(0.106), "+0.11");
        assert_eq!(Unit::Percent.written(0.4217), "42.2%");
    }
}

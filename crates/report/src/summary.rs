//! The numbers of a demo: `summary.json`.

use std::collections::BTreeMap;
use std::path::Path;

use candor_judge::{Benchmark, Results};
use candor_stats::bootstrap::Interval;
use candor_stats::calibration::Bin;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::{Family, ReportError};

/// Everything a demo found out. What was not run is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Decides every random choice.
    pub seed: u64,
    /// Everything was made small, to see every stage run: no number says anything about the method.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quick: bool,
    /// What the models are built as; absent where that is LLaVA.
    #[serde(default, skip_serializing_if = "Family::is_usual")]
    pub family: Family,
    /// What a clock on the wall showed while there was work, interruptions not counted.
    pub wall_secs: f64,
    /// Seconds of each stage. Stages run side by side, so that they add up to more than `wall_secs`.
    pub stage_secs: BTreeMap<String, f64>,
    /// The most memory at a time: of all that ran at once, each process's own peak, added up.
    pub peak_memory_bytes: u64,
    /// The reward models.
    #[serde(default)]
    pub reward_models: Variants<RewardFigures>,
    /// The policies.
    #[serde(default)]
    pub policies: Policies,
    /// The ablation, if it was run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ablation: Vec<AblationRow>,
    /// The algorithms side by side, if they were run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<AlgorithmRow>,
}

/// Something of the variant with facts and of the variant without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variants<T> {
    /// The reward model sees the facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<T>,
    /// It does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_facts: Option<T>,
}

impl<T> Default for Variants<T> {
    fn default() -> Self {
        Self {
            facts: None,
            no_facts: None,
        }
    }
}

impl<T> Variants<T> {
    /// That of a variant.
    #[must_use]
    pub fn get(&self, variant: Variant) -> Option<&T> {
        match variant {
            Variant::Facts => self.facts.as_ref(),
            Variant::NoFacts => self.no_facts.as_ref(),
        }
    }

    /// Both variants by name, those that are there.
    pub fn iter(&self) -> impl Iterator<Item = (Variant, &T)> {
        let both = Variant::ALL.into_iter();
        both.filter_map(|variant| Some((variant, self.get(variant)?)))
    }

    /// The same with something else made of each variant.
    pub fn map<U>(&self, change: impl Fn(&T) -> U) -> Variants<U> {
        Variants {
            facts: self.facts.as_ref().map(&change),
            no_facts: self.no_facts.as_ref().map(&change),
        }
    }

    /// Whether neither variant is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_none() && self.no_facts.is_none()
    }
}

/// Which reward model a policy was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// The one that sees the facts.
    Facts,
    /// The one that does not.
    NoFacts,
}

impl Variant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Facts, Self::NoFacts];

    /// As it is written in folder names.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::NoFacts => "no-facts",
        }
    }

    /// As it is called on the page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Facts => "with facts",
            Self::NoFacts => "without",
        }
    }
}

/// How well a reward model tells the better answer: `result.json` of its run folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardFigures {
    /// Share of the held-out pairs that it orders as the annotator did.
    pub accuracy: f64,
    /// 95% interval of `accuracy`.
    pub ci95: Interval,
    /// Held-out pairs.
    pub n_pairs: usize,
    /// The same share of the pairs that chose the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// The step that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_step: Option<u64>,
    /// Expected calibration error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
    /// What its probabilities were worth, by bin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Bin>,
}

impl RewardFigures {
    /// Reads a reward run's `result.json`.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        files::json(path)
    }
}

/// The numbers of each policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Policies {
    /// After supervised fine-tuning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sft: Option<Results>,
    /// After supervised fine-tuning without the sources that people wrote: on GPT-4-like data alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sft_gpt4: Option<Results>,
    /// Where PPO starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_init: Option<Results>,
    /// After PPO with the reward model that does not see the facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rlhf: Option<Results>,
    /// After PPO with the reward model that sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact_rlhf: Option<Results>,
}

/// A policy of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// After supervised fine-tuning.
    Sft,
    /// After supervised fine-tuning on GPT-4-like data alone.
    SftGpt4,
    /// Where PPO starts.
    PolicyInit,
    /// After PPO without facts.
    Rlhf,
    /// After PPO with facts.
    FactRlhf,
}

impl Policy {
    /// In the order they come to be.
    pub const ALL: [Self; 5] = [
        Self::Sft,
        Self::SftGpt4,
        Self::PolicyInit,
        Self::Rlhf,
        Self::FactRlhf,
    ];

    /// As it is written in `summary.json` and in folder names.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::SftGpt4 => "sft_gpt4",
            Self::PolicyInit => "policy_init",
            Self::Rlhf => "rlhf",
            Self::FactRlhf => "fact_rlhf",
        }
    }

    /// As it is called on the page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sft => "SFT",
            Self::SftGpt4 => "SFT, GPT-4 alone",
            Self::PolicyInit => "policy init",
            Self::Rlhf => "RLHF",
            Self::FactRlhf => "Fact-RLHF",
        }
    }
}

/// A number with its interval.
pub(crate) type Measured = (f64, Option<Interval>);

/// A number of a policy's results; `None` where it was not measured, or is a ratio over nothing.
#[must_use]
pub(crate) fn measured(results: &Results, benchmark: Benchmark, key: &str) -> Option<Measured> {
    let figure = results.figure(benchmark, key)?;
    Some((figure.value?, figure.ci95))
}

impl Policies {
    /// The numbers of one policy.
    #[must_use]
    pub fn get(&self, policy: Policy) -> Option<&Results> {
        match policy {
            Policy::Sft => self.sft.as_ref(),
            Policy::SftGpt4 => self.sft_gpt4.as_ref(),
            Policy::PolicyInit => self.policy_init.as_ref(),
            Policy::Rlhf => self.rlhf.as_ref(),
            Policy::FactRlhf => self.fact_rlhf.as_ref(),
        }
    }

    /// Those that are there, in the order they come to be.
    pub fn iter(&self) -> impl Iterator<Item = (Policy, &Results)> {
        Policy::ALL
            .into_iter()
            .filter_map(|policy| self.get(policy).map(|results| (policy, results)))
    }
}

/// A policy of the ablation: which of the three additions it was trained with, and its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AblationRow {
    /// The reward model saw the facts.
    pub facts: bool,
    /// Checkable answers were rewarded by rule.
    pub symbolic: bool,
    /// Length was penalised.
    pub length_penalty: bool,
    /// Its numbers.
    pub results: Results,
}

/// How a policy learned from the comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// PPO, with a critic.
    Ppo,
    /// GRPO: each answer against the mean of its prompt's answers.
    Grpo,
    /// Leave-one-out: each answer against the mean of its prompt's other answers.
    Rloo,
    /// DPO, which has neither reward model nor sampling.
    Dpo,
}

impl Algorithm {
    /// As it is written in `summary.json` and in folder names.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Ppo => "ppo",
            Self::Grpo => "grpo",
            Self::Rloo => "rloo",
            Self::Dpo => "dpo",
        }
    }

    /// The name of a policy of it in the demo's folder of evaluations; without facts to show or to hide, its own.
    #[must_use]
    pub fn policy(self, facts: Option<bool>) -> String {
        match (self, facts) {
            (Self::Ppo, Some(true)) => Policy::FactRlhf.key().to_owned(),
            (Self::Ppo, Some(false)) => Policy::Rlhf.key().to_owned(),
            (other, Some(true)) => format!("{}_facts", other.key()),
            (other, Some(false)) => format!("{}_no_facts", other.key()),
            (other, None) => other.key().to_owned(),
        }
    }

    /// As it is called on the page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ppo => "PPO",
            Self::Grpo => "GRPO",
            Self::Rloo => "RLOO",
            Self::Dpo => "DPO",
        }
    }
}

/// A policy of the comparison of algorithms. All start from the policy init and learn from the same comparisons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlgorithmRow {
    /// How it learned.
    pub algorithm: Algorithm,
    /// Whether its reward model saw the facts; absent where there is no reward model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<bool>,
    /// Answers that it learned from: its own, each written once; for DPO those of the comparisons, each epoch anew.
    pub samples: u64,
    /// Processor seconds of its training, the reward model's not among them.
    pub processor_secs: f64,
    /// The file in the demo's folder that holds its `candor_eval::curve::Curve`, such as `eval/curve-grpo-facts.json`; absent
    /// where the training keeps no snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<String>,
    /// Its numbers.
    pub results: Results,
}

impl AlgorithmRow {
    /// As it is called on the page: `GRPO with facts`.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.algorithm.name();
        match self.facts {
            None => name.to_owned(),
            Some(true) => format!("{name} {}", Variant::Facts.name()),
            Some(false) => format!("{name} {}", Variant::NoFacts.name()),
        }
    }
}

impl Summary {
    /// Collects the numbers that the stages of a demo left in its folder: `eval/<policy>/results.json` and
    /// `reward-<variant>/result.json`. What is missing is left out; ablation and algorithms are the caller's to add.
    ///
    /// # Errors
    /// A file is damaged.
    pub fn gather(folder: &Path) -> Result<Self, ReportError> {
        let results = |policy: Policy| Results::read(&folder.join("eval").join(policy.key()));
        let reward = |variant: Variant| {
            files::json_if_there(
                &folder
                    .join(format!("reward-{}", variant.folder()))
                    .join("result.json"),
            )
        };
        Ok(Self {
            reward_models: Variants {
                facts: reward(Variant::Facts)?,
                no_facts: reward(Variant::NoFacts)?,
            },
            policies: Policies {
                sft: results(Policy::Sft)?,
                sft_gpt4: results(Policy::SftGpt4)?,
                policy_init: results(Policy::PolicyInit)?,
                rlhf: results(Policy::Rlhf)?,
                fact_rlhf: results(Policy::FactRlhf)?,
            },
            ..Self::default()
        })
    }
}

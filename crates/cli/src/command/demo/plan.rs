//! What the demo does, in order.

/// A PPO run of the demo: which reward model it is trained with, and which parts its terminal reward has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Whether the reward model is shown the facts.
    pub facts: bool,
    /// Whether answers that a rule can check are rewarded by it.
    pub symbolic: bool,
    /// Whether length is penalised.
    pub length_penalty: bool,
}

impl Variant {
    /// Fact-RLHF.
    pub const FACTS: Self = Self {
        facts: true,
        symbolic: true,
        length_penalty: true,
    };
    /// RLHF: the same without facts.
    pub const NO_FACTS: Self = Self {
        facts: false,
        ..Self::FACTS
    };

    /// All combinations, the two that every demo runs first.
    pub fn all() -> impl Iterator<Item = Self> {
        [(true, true), (false, true), (true, false), (false, false)]
            .into_iter()
            .flat_map(|(symbolic, length_penalty)| {
                [true, false].map(|facts| Self {
                    facts,
                    symbolic,
                    length_penalty,
                })
            })
    }

    /// The folder of its reward model.
    pub fn reward_model(self) -> &'static str {
        if self.facts {
            "reward-facts"
        } else {
            "reward-no-facts"
        }
    }

    /// The folder of its PPO run.
    pub fn folder(self) -> String {
        let model = if self.facts { "facts" } else { "no-facts" };
        format!("ppo-{model}{}", self.left_out("-"))
    }

    /// The name of its policy.
    pub fn policy(self) -> String {
        let name = if self.facts { "fact_rlhf" } else { "rlhf" };
        format!("{name}{}", self.left_out("_"))
    }

    /// What it is trained without.
    fn left_out(self, dash: &str) -> String {
        let parts = [(self.symbolic, "symbolic"), (self.length_penalty, "length")];
        parts
            .iter()
            .filter(|(there, _)| !there)
            .map(|(_, part)| [dash, "no", dash, part].concat())
            .collect()
    }
}

/// One stage of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Images and texts.
    World,
    /// A tower that sees.
    Ground,
    /// A decoder that looks and reads.
    Pretrain,
    /// Supervised fine-tuning.
    Sft,
    /// Two answers to every preference prompt.
    Sample,
    /// The simulated annotator compares them.
    Annotate,
    /// The base of both reward models learns to read facts.
    Reading,
    /// The reward model that sees the facts, or the one that does not.
    Reward {
        /// Whether it sees the facts.
        facts: bool,
    },
    /// The adapter that PPO starts from.
    PolicyInit,
    /// PPO.
    Rl(Variant),
    /// The benchmarks.
    Eval {
        /// Name of the policy.
        policy: String,
        /// Folder of the run that its adapter comes from; none for the fine-tuned model itself.
        run: Option<String>,
    },
    /// What became of a policy over the steps of PPO.
    Curve(Variant),
}

impl Stage {
    /// All stages in their order.
    pub fn all(ablation: bool) -> Vec<Self> {
        let mut stages = vec![
            Self::World,
            Self::Ground,
            Self::Pretrain,
            Self::Sft,
            Self::eval("sft", None),
            Self::Sample,
            Self::Annotate,
            Self::Reading,
            Self::Reward { facts: true },
            Self::Reward { facts: false },
            Self::PolicyInit,
            Self::eval("policy_init", Some("policy-init")),
        ];
        for variant in Variant::all().take(if ablation { 8 } else { 2 }) {
            stages.push(Self::Rl(variant));
            stages.push(Self::eval(&variant.policy(), Some(&variant.folder())));
            if variant.symbolic && variant.length_penalty {
                stages.push(Self::Curve(variant));
            }
        }
        stages
    }

    fn eval(policy: &str, run: Option<&str>) -> Self {
        Self::Eval {
            policy: policy.to_owned(),
            run: run.map(str::to_owned),
        }
    }

    /// The name in messages and in `demo.json`; for most stages also the folder.
    pub fn name(&self) -> String {
        match self {
            Self::World => "world".to_owned(),
            Self::Ground => "ground".to_owned(),
            Self::Pretrain => "pretrain".to_owned(),
            Self::Sft => "sft".to_owned(),
            Self::Sample => "sample".to_owned(),
            Self::Annotate => "annotate".to_owned(),
            Self::Reading => "reading".to_owned(),
            Self::Reward { facts: true } => Variant::FACTS.reward_model().to_owned(),
            Self::Reward { facts: false } => Variant::NO_FACTS.reward_model().to_owned(),
            Self::PolicyInit => "policy-init".to_owned(),
            Self::Rl(variant) => variant.folder(),
            Self::Eval { policy, .. } => format!("eval/{policy}"),
            Self::Curve(Variant { facts: true, .. }) => "eval/curve-facts".to_owned(),
            Self::Curve(Variant { facts: false, .. }) => "eval/curve-no-facts".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_ablation_adds_the_other_six_arms_and_changes_nothing_before() {
        let (plain, whole) = (Stage::all(false), Stage::all(true));
        assert_eq!(plain[..], whole[..plain.len()]);
        let variants = |stages: &[Stage]| {
            let variant = |stage: &Stage| matches!(stage, Stage::Rl(_));
            stages.iter().filter(|stage| variant(stage)).count()
        };
        assert_eq!((variants(&plain), variants(&whole)), (2, 8));
        let names: BTreeSet<String> = whole.iter().map(Stage::name).collect();
        assert_eq!(names.len(), whole.len(), "two stages share a name");
        let last = Variant {
            facts: false,
            symbolic: false,
            length_penalty: false,
        };
        assert_eq!(last.folder(), "ppo-no-facts-no-symbolic-no-length");
        assert_eq!(last.policy(), "rlhf_no_symbolic_no_length");
    }
}

//! What the demo does: its stages, what each needs, and how many threads it has.
//!
//! Bits on a CPU depend on the number of threads, so a stage has those that are written here, whatever the machine has, and
//! a seed gives the same bytes with two cores and with sixteen. The matrices are small: a stage beside which others can run
//! has one thread, which is nearly as fast as two and leaves a core to another stage.

use candor_report::{Algorithm, Policy};

use super::variant::{Variant, reward_model};

/// What a demo runs besides the stages of every demo.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// The other combinations of facts, symbolic reward and length penalty.
    pub ablation: bool,
    /// The other algorithms.
    pub algorithms: bool,
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
    /// Supervised fine-tuning on all sources, or on GPT-4-like ones alone.
    Sft {
        /// Without the sources that people wrote.
        gpt4: bool,
    },
    /// The base of both reward models learns to read facts.
    Reading,
    /// Two answers to every preference prompt.
    Sample,
    /// The simulated annotator compares them.
    Annotate,
    /// The reward model that sees the facts, or the one that does not.
    Reward {
        /// Whether it sees the facts.
        facts: bool,
    },
    /// The adapter that the policies start from.
    PolicyInit,
    /// PPO and its relatives.
    Rl(Variant),
    /// DPO.
    Dpo,
    /// The benchmarks.
    Eval {
        /// Name of the policy.
        policy: String,
        /// The stage whose fine-tuned model it is, or stands on.
        base: &'static str,
        /// The stage that trained its adapter; none for a fine-tuned model itself.
        adapter: Option<String>,
    },
    /// What became of a policy over the steps of its training.
    Curve(Variant),
}

impl Stage {
    /// All stages. Each comes after those it needs, and of two that could start the first one does.
    pub fn all(scope: Scope) -> Vec<Self> {
        let mut stages = vec![
            Self::World,
            Self::Ground,
            Self::Pretrain,
            Self::Sft { gpt4: false },
            Self::Sft { gpt4: true },
            Self::Reading,
            Self::Sample,
            Self::Annotate,
            Self::Reward { facts: true },
            Self::Reward { facts: false },
            Self::PolicyInit,
        ];
        let variants = variants(scope);
        stages.extend(variants.iter().map(|variant| Self::Rl(*variant)));
        if scope.algorithms {
            stages.push(Self::Dpo);
        }
        stages.extend([
            Self::eval(Policy::Sft.key(), "sft", None),
            Self::eval(Policy::SftGpt4.key(), "sft-gpt4", None),
            Self::eval(Policy::PolicyInit.key(), "sft", Some("policy-init")),
        ]);
        for variant in variants {
            stages.push(Self::eval(
                &variant.policy(),
                "sft",
                Some(&variant.folder()),
            ));
            if variant.symbolic && variant.length_penalty {
                stages.push(Self::Curve(variant));
            }
        }
        if scope.algorithms {
            let dpo = Algorithm::Dpo.key();
            stages.push(Self::eval(dpo, "sft", Some(dpo)));
        }
        stages
    }

    fn eval(policy: &str, base: &'static str, adapter: Option<&str>) -> Self {
        Self::Eval {
            policy: policy.to_owned(),
            base,
            adapter: adapter.map(str::to_owned),
        }
    }

    /// The name in messages and in `demo.json`; for most stages also the folder.
    pub fn name(&self) -> String {
        match self {
            Self::World => "world".to_owned(),
            Self::Ground => "ground".to_owned(),
            Self::Pretrain => "pretrain".to_owned(),
            Self::Sft { gpt4: false } => "sft".to_owned(),
            Self::Sft { gpt4: true } => "sft-gpt4".to_owned(),
            Self::Reading => "reading".to_owned(),
            Self::Sample => "sample".to_owned(),
            Self::Annotate => "annotate".to_owned(),
            Self::Reward { facts } => reward_model(*facts).to_owned(),
            Self::PolicyInit => "policy-init".to_owned(),
            Self::Rl(variant) => variant.folder(),
            Self::Dpo => Algorithm::Dpo.key().to_owned(),
            Self::Eval { policy, .. } => format!("eval/{policy}"),
            Self::Curve(variant) => variant.curve(),
        }
    }

    /// The names of the stages that must be finished before it can start; those that these need are not said again.
    pub fn needs(&self) -> Vec<String> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        match self {
            Self::World => Vec::new(),
            Self::Ground => names(&["world"]),
            Self::Pretrain => names(&["ground"]),
            Self::Sft { .. } => names(&["pretrain"]),
            Self::Reading | Self::Sample | Self::PolicyInit => names(&["sft"]),
            Self::Annotate => names(&["sample"]),
            Self::Reward { .. } => names(&["reading", "annotate"]),
            Self::Rl(variant) => names(&["policy-init", variant.reward_model()]),
            Self::Dpo => names(&["policy-init", "annotate"]),
            Self::Eval { base, adapter, .. } => {
                vec![adapter.clone().unwrap_or_else(|| (*base).to_owned())]
            }
            Self::Curve(variant) => vec![variant.folder()],
        }
    }

    /// The threads that compute it. Those beside which nothing can run have two.
    pub fn threads(&self) -> usize {
        match self {
            Self::World | Self::Ground | Self::Pretrain => 2,
            _ => 1,
        }
    }
}

/// The runs of reinforcement learning, those of every demo first.
fn variants(scope: Scope) -> Vec<Variant> {
    let mut variants = Variant::main().to_vec();
    if scope.ablation {
        variants.extend(Variant::ablation().skip(variants.len()));
    }
    if scope.algorithms {
        variants.extend(Variant::algorithms().skip(Variant::main().len()));
    }
    variants
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const WHOLE: Scope = Scope {
        ablation: true,
        algorithms: true,
    };

    fn names(ablation: bool, algorithms: bool) -> BTreeSet<String> {
        let stages = Stage::all(Scope {
            ablation,
            algorithms,
        });
        let names: BTreeSet<String> = stages.iter().map(Stage::name).collect();
        assert_eq!(names.len(), stages.len(), "two stages share a name");
        names
    }

    #[test]
    fn a_stage_comes_after_all_that_it_needs() {
        let mut before = BTreeSet::new();
        for stage in Stage::all(WHOLE) {
            for need in stage.needs() {
                assert!(before.contains(&need), "{} before {need}", stage.name());
            }
            before.insert(stage.name());
        }
    }

    #[test]
    fn what_is_added_adds_its_stages_and_takes_none_away() {
        let plain = names(false, false);
        assert_eq!(plain.len(), 20);
        let ablation = names(true, false);
        assert!(ablation.is_superset(&plain));
        // Six more runs, each with its evaluation.
        assert_eq!(ablation.len(), 20 + 6 * 2);
        assert!(ablation.contains("ppo-no-facts-no-symbolic-no-length"));
        assert!(ablation.contains("eval/rlhf_no_symbolic_no_length"));
        let algorithms = names(false, true);
        assert!(algorithms.is_superset(&plain));
        // GRPO and RLOO with facts and without, each with evaluation and curve; DPO with its evaluation.
        assert_eq!(algorithms.len(), 20 + 4 * 3 + 2);
        for name in [
            "grpo-facts",
            "eval/rloo_no_facts",
            "eval/curve-grpo-no-facts",
            "dpo",
        ] {
            assert!(algorithms.contains(name), "{name}");
        }
        assert_eq!(names(true, true).len(), 20 + 6 * 2 + 4 * 3 + 2);
    }

    /// Whether `later` cannot start before `earlier` is finished.
    fn waits_for(later: &str, earlier: &str) -> bool {
        let stages = Stage::all(WHOLE);
        let mut reached = vec![later.to_owned()];
        while let Some(name) = reached.pop() {
            if name == earlier {
                return true;
            }
            let stage = stages.iter().find(|stage| stage.name() == name).unwrap();
            reached.extend(stage.needs());
        }
        false
    }

    #[test]
    fn what_does_not_need_the_other_may_run_beside_it() {
        for (one, other) in [
            ("sft", "sft-gpt4"),
            ("reading", "annotate"),
            ("reward-facts", "reward-no-facts"),
            ("reward-facts", "policy-init"),
            ("ppo-facts", "ppo-no-facts"),
            ("ppo-facts", "dpo"),
            ("reward-facts", "dpo"),
        ] {
            assert!(
                !waits_for(one, other) && !waits_for(other, one),
                "{one}, {other}"
            );
        }
        for (later, earlier) in [
            ("ppo-facts", "reading"),
            ("ppo-facts", "annotate"),
            ("grpo-no-facts", "reward-no-facts"),
            ("eval/sft_gpt4", "sft-gpt4"),
            ("eval/curve-rloo-facts", "rloo-facts"),
            ("dpo", "policy-init"),
        ] {
            assert!(waits_for(later, earlier), "{later} without {earlier}");
        }
        // The comparison of the two kinds of data says nothing about the rest.
        assert!(!waits_for("ppo-facts", "sft-gpt4"));
    }

    #[test]
    fn a_stage_with_two_threads_has_nothing_beside_it() {
        let stages = Stage::all(WHOLE);
        for alone in stages.iter().filter(|stage| stage.threads() > 1) {
            for stage in &stages {
                let (one, other) = (alone.name(), stage.name());
                assert!(
                    waits_for(&one, &other) || waits_for(&other, &one),
                    "{one}, {other}"
                );
            }
        }
    }
}

//! What a policy of the demo is trained by: the algorithm, the reward model, and the parts of the reward.

use candor_report::Algorithm;

/// A run of reinforcement learning in the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// What it learns by; any but DPO, which learns without a reward.
    pub algorithm: Algorithm,
    /// Whether the reward model is shown the facts.
    pub facts: bool,
    /// Whether answers that a rule can check are rewarded by it.
    pub symbolic: bool,
    /// Whether length is penalised.
    pub length_penalty: bool,
}

impl Variant {
    /// Fact-RLHF.
    const FACTS: Self = Self {
        algorithm: Algorithm::Ppo,
        facts: true,
        symbolic: true,
        length_penalty: true,
    };

    /// Fact-RLHF and RLHF, which every demo runs.
    pub fn main() -> [Self; 2] {
        Self::by(Algorithm::Ppo)
    }

    /// An algorithm with facts and without.
    pub fn by(algorithm: Algorithm) -> [Self; 2] {
        [true, false].map(|facts| Self {
            algorithm,
            facts,
            ..Self::FACTS
        })
    }

    /// All combinations of facts, symbolic reward and length penalty, those of [`Variant::main`] first.
    pub fn ablation() -> impl Iterator<Item = Self> {
        [(true, true), (false, true), (true, false), (false, false)]
            .into_iter()
            .flat_map(|(symbolic, length_penalty)| {
                Self::main().map(|variant| Self {
                    symbolic,
                    length_penalty,
                    ..variant
                })
            })
    }

    /// With facts and without, by each algorithm, those of [`Variant::main`] first.
    pub fn algorithms() -> impl Iterator<Item = Self> {
        let all = [Algorithm::Ppo, Algorithm::Grpo, Algorithm::Rloo];
        all.into_iter().flat_map(Self::by)
    }

    /// Its recipe.
    pub fn recipe(self) -> String {
        format!("5-{}.toml", self.algorithm.key())
    }

    /// The folder of its reward model.
    pub fn reward_model(self) -> &'static str {
        reward_model(self.facts)
    }

    /// The folder of its run.
    pub fn folder(self) -> String {
        format!(
            "{}-{}{}",
            self.algorithm.key(),
            self.shown(),
            self.left_out("-")
        )
    }

    /// The name of its policy.
    pub fn policy(self) -> String {
        self.algorithm.policy(Some(self.facts)) + &self.left_out("_")
    }

    /// What became of it over the steps, without `.json`: the name of the stage and the file.
    pub fn curve(self) -> String {
        let algorithm = match self.algorithm {
            Algorithm::Ppo => String::new(),
            other => format!("{}-", other.key()),
        };
        format!(
            "eval/curve-{algorithm}{}{}",
            self.shown(),
            self.left_out("-")
        )
    }

    fn shown(self) -> &'static str {
        if self.facts { "facts" } else { "no-facts" }
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

/// The folder of the reward model that sees the facts, or of the one that does not.
pub fn reward_model(facts: bool) -> &'static str {
    if facts {
        "reward-facts"
    } else {
        "reward-no-facts"
    }
}

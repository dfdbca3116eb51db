//! The recipe of reinforcement learning. Every number that changes a result stands in it, the reference's quirks
//! included. What not every algorithm has may be absent: `algorithm` is then `"ppo"`, `sampling.samples_per_prompt` is 1,
//! `kl.place` is `"reward"`, `advantages.refill_rounds` is 0, and `loss.clip_range_high` is `loss.clip_range`.

mod algorithm;
mod read;

use std::path::PathBuf;

use candor_data::image::PixelBounds;
use candor_data::rows::OnBadRow;
use candor_eval::training_suite::SuiteRecipe;
use candor_judge::reward::Term;
use candor_model::Activations;
use candor_recipe::Resolved;
use candor_train::{BasePrecision, DeviceChoice, Length, SessionRecipe};

use crate::advantages::Advantages;
use crate::kl::KlEstimator;
use crate::loss::Clip;
use crate::shaping::{ScorePosition, TerminalCoefs};
use crate::symbolic::YesReward;

/// How scores are brought to a common scale before penalties are subtracted from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalise {
    /// As the reward model says them.
    None,
    /// Less the mean of the scores it gave to its held-out responses, over their standard deviation.
    HeldOut,
}

/// What the sums of the losses are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AverageOver {
    /// The real response tokens of the whole mini-batch: every token weighs the same.
    RealTokensOfMiniBatch,
    /// The real tokens of each response, and then the responses: every response weighs the same (GRPO).
    Responses,
    /// `max_new_tokens` for each response, a constant: every token weighs the same, and so do mini-batches (Dr. GRPO).
    LongestResponse,
    /// All positions up to `max_new_tokens`, pads included: the reference's.
    Padded,
}

/// Where the KL to the reference is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KlPlace {
    /// In the reward of each token, as PPO's.
    Reward,
    /// In the loss, with a gradient of its own, as GRPO's.
    Loss,
}

/// Data files.
#[derive(Debug, Clone)]
pub struct DataRecipe {
    /// Image folder.
    pub images: PathBuf,
    /// PPO prompts.
    pub prompts: PathBuf,
    /// `image_to_caption.json`; may be absent when the reward model's prompt shows no facts.
    pub facts: Option<PathBuf>,
    /// What follows from a prompt that cannot be asked.
    pub on_bad_row: OnBadRow,
    /// Prompts with more tokens are dropped; an image counts as one token.
    pub max_query_tokens: usize,
}

/// How many rollouts go where.
#[derive(Debug, Clone, Copy)]
pub struct BatchRecipe {
    /// Rollouts of a step, all samples of its prompts together.
    pub rollout_batch: usize,
    /// Rollouts of an optimizer update.
    pub mini_batch: usize,
    /// Rollouts of a training pass; gradients add up over the passes of an update.
    pub micro_batch: usize,
    /// Passes through a step's rollouts.
    pub inner_epochs: u64,
}

/// How responses are sampled, and how many are looked at together where no gradient is needed.
#[derive(Debug, Clone, Copy)]
pub struct SamplingRecipe {
    /// Logits are divided by it, in sampling and in training alike.
    pub temperature: f64,
    /// Responses to each prompt of a step.
    pub samples_per_prompt: usize,
    /// Longest response, its end token included.
    pub max_new_tokens: usize,
    /// Sequences decoded together.
    pub batch_rows: usize,
    /// Sequences that are scored together, and that the reference and the critic read together.
    pub pass_rows: usize,
}

/// From a score to the terminal reward.
#[derive(Debug, Clone, Copy)]
pub struct ScoreRecipe {
    /// The scale of scores.
    pub normalise: Normalise,
    /// What the score is multiplied by.
    pub weight: f64,
    /// Penalties and the symbolic reward.
    pub terminal: TerminalCoefs,
    /// What a yes is worth.
    pub yes_reward: YesReward,
    /// Where the score is put.
    pub position: ScorePosition,
    /// Multiplies all rewards, KL included.
    pub reward_scale: f64,
}

/// From rewards to losses.
#[derive(Debug, Clone, Copy)]
pub struct PpoRecipe {
    /// Weight of the KL.
    pub kl_coef: f64,
    /// Where it is paid.
    pub kl_place: KlPlace,
    /// How the KL of a token is estimated.
    pub kl_estimator: KlEstimator,
    /// How advantages are estimated.
    pub advantages: Advantages,
    /// Whether advantages are whitened over the rollout batch.
    pub whiten_advantages: bool,
    /// Whether rewards are whitened over the rollout batch, keeping their mean.
    pub whiten_rewards: bool,
    /// How far a ratio may move before its gradient stops.
    pub clip: Clip,
    /// Weight of the entropy, which is subtracted from the loss.
    pub entropy_coef: f64,
    /// What sums are divided by.
    pub average_over: AverageOver,
}

/// When a run stops by itself.
#[derive(Debug, Clone, Copy)]
pub struct GuardRecipe {
    /// Largest mean KL of a sequence.
    pub max_kl: f64,
    /// Smallest mean length of a response.
    pub min_response_tokens: f64,
}

/// What the reference does and nobody would do on purpose.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of its own, and the recipe has them by name.
pub struct QuirksRecipe {
    /// Overlong prompts are dropped from the queries alone; images, facts, answer types and length factors stay
    /// where they were, so that every later query is judged by what belongs to another.
    pub misalign_dropped_queries: bool,
    /// A response ends at its first `?` and has no end token.
    pub cut_at_question_mark: bool,
    /// The facts are shown in another order each time.
    pub shuffle_captions: bool,
    /// Rollouts that do not fill a mini-batch are not trained on.
    pub drop_partial_mini_batch: bool,
}

/// Why a run with [`RlRecipe::reward_device`] is not shared by ranks.
pub const ONE_REWARD_DEVICE: &str = "model.reward_device names one device for all ranks; leave it out, and each rank has its models on its own";

/// Everything reinforcement learning needs to know.
#[derive(Debug, Clone)]
pub struct RlRecipe {
    /// Optimizer and run folder.
    pub session: SessionRecipe,
    /// How long to train.
    pub length: Length,
    /// Steps between copies of the policy's adapter in `adapters/`, the first one included.
    pub snapshot_every: u64,
    /// Rollouts written down each step.
    pub samples_per_step: usize,
    /// Folder of the policy's base.
    pub base: PathBuf,
    /// What the bases are held in, the reward model's own included.
    pub base_precision: BasePrecision,
    /// Bounds of the policy's images; the reward model brings its own.
    pub pixels: PixelBounds,
    /// Adapter that the policy starts from and stays near.
    pub policy_init: PathBuf,
    /// Folder that the reward stage wrote; absent where [`RlRecipe::rewards`] are all that is earned.
    pub reward: Option<PathBuf>,
    /// What the reward model runs on, and the critic that begins as it, where it is another device than the policy's.
    pub reward_device: Option<DeviceChoice>,
    /// What a response earns besides the reward model's score.
    pub rewards: Vec<Term>,
    /// What a training pass keeps in memory.
    pub activations: Activations,
    /// Data files.
    pub data: DataRecipe,
    /// Batch sizes.
    pub batch: BatchRecipe,
    /// Sampling.
    pub sampling: SamplingRecipe,
    /// Scores.
    pub score: ScoreRecipe,
    /// Rewards and losses.
    pub ppo: PpoRecipe,
    /// When to stop.
    pub guard: GuardRecipe,
    /// The reference's quirks.
    pub quirks: QuirksRecipe,
    /// Benchmarks that the run measures itself by, where the recipe has some.
    pub suite: Option<SuiteRecipe>,
    /// The recipe as it is run.
    pub resolved: Resolved,
}

impl RlRecipe {
    /// The keys that a resume may change, besides those of every stage: how many rollouts are in memory together, and where, which
    /// changes logits in their last bits, and so, once in a while, a token that is sampled; and when a step stops the run, which
    /// changes nothing of the steps that are done.
    #[must_use]
    pub fn may_change(&self) -> &'static [&'static str] {
        &[
            "batch.micro_batch",
            "sampling.batch_rows",
            "sampling.pass_rows",
            "model.activations",
            "model.recompute_blocks",
            "model.reward_device",
            "suite.batch_rows",
            "guard.max_kl",
            "guard.min_response_tokens",
            "rewards[*].unparsed",
            "rewards[*].timeout_secs",
            "rewards[*].attempts",
            "rewards[*].batch",
        ]
    }

    /// Prompts of a step.
    #[must_use]
    pub fn prompts_per_step(&self) -> usize {
        self.batch.rollout_batch / self.sampling.samples_per_prompt
    }
}

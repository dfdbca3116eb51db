//! What can go wrong before anything is run.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A model folder.
    #[error(transparent)]
    Model(#[from] candor_model::ModelError),
    /// Training has no room in the model for what the recipe allows.
    #[error(transparent)]
    Train(#[from] candor_train::TrainError),
    /// A recipe cannot be read.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
    /// Supervised fine-tuning refuses its recipe or data.
    #[error(transparent)]
    Sft(#[from] candor_sft::SftError),
    /// Sampling does.
    #[error(transparent)]
    Sample(#[from] candor_sample::SampleError),
    /// The reward model does.
    #[error(transparent)]
    Reward(#[from] candor_reward::RewardError),
    /// Learning from preferences does.
    #[error(transparent)]
    Dpo(#[from] candor_dpo::DpoError),
    /// Reinforcement learning does.
    #[error(transparent)]
    Rl(#[from] candor_rl::RlError),
    /// Rounds do.
    #[error(transparent)]
    Rounds(#[from] candor_rounds::RoundsError),
    /// Evaluation does.
    #[error(transparent)]
    Eval(#[from] candor_eval::EvalError),
    /// A run cannot be shared by so many ranks.
    #[error("{}: {problem}", recipe.display())]
    Ranks {
        /// The recipe.
        recipe: PathBuf,
        /// What is in the way, and what to do.
        problem: String,
    },
    /// No stage has such a recipe.
    #[error(
        "{path}: no stage has a recipe like this (a recipe of `sft` has model.tune, of `sample` run.chunk, of `reward` \
         data.preferences or data.rated, of `dpo` dpo.loss, of `rounds` rounds.n, of `rl` model.policy_init, of `eval` run.benchmarks, of `ground` tokenizer.max_vocab)"
    )]
    UnknownStage {
        /// The recipe.
        path: PathBuf,
    },
}

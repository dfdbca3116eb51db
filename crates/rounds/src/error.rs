//! What can go wrong in rounds.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum RoundsError {
    /// The recipe has mistakes; all of them are listed.
    #[error(transparent)]
    Recipe(#[from] candor_recipe::RecipeError),
    /// The folder of the rounds.
    #[error(transparent)]
    Run(#[from] candor_run::RunError),
    /// A data file.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
    /// Sampling.
    #[error(transparent)]
    Sample(#[from] candor_sample::SampleError),
    /// The reward model that compares answers.
    #[error(transparent)]
    Reward(#[from] candor_reward::RewardError),
    /// The judge or the rules that compare answers.
    #[error(transparent)]
    Judge(#[from] candor_judge::JudgeError),
    /// Learning.
    #[error(transparent)]
    Dpo(#[from] candor_dpo::DpoError),
    /// A file or a setting does not fit.
    #[error("{}: {problem}; {remedy}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A round has its answers, and people have not compared them yet.
    #[error(
        "round {round} waits for people: let them compare the answers of {} in a project of this round alone (docs/annotate.md), \
         export what they said with \
         `candor annotate export PROJECT --format preference-log --aggregate majority --out {}`, and continue with: {resume_command}",
        pairs.display(),
        file.display()
    )]
    Waiting {
        /// The round, from 1.
        round: u64,
        /// The answers, two and two.
        pairs: PathBuf,
        /// Where the comparisons are looked for.
        file: PathBuf,
        /// The command that goes on.
        resume_command: String,
    },
}

//! `candor judge …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `candor judge …`
#[derive(Debug, Subcommand)]
pub enum JudgeCommand {
    /// Ask the paper's two questions about pairs of answers, with the facts, in both orders.
    #[command(
        after_help = "Example:\n  candor judge preferences runs/llava-7b-224/sample/candidates.jsonl --judge judge.toml \
                            --facts image_to_caption.json --out runs/judged/preferences.json\n\n\
                            What it will cost at most is said first. The same command goes on after a kill and pays for no \
                            reply twice. Beside the preferences, which candor reward and candor dpo read, stand a log of both \
                            questions (.log.jsonl) and the counts (.summary.json). docs/ai-feedback.md explains them."
    )]
    Preferences(PreferencesArguments),
}

/// Arguments of `candor judge preferences`.
#[derive(Debug, Args)]
pub struct PreferencesArguments {
    /// The pairs: what `candor sample` writes, or any other file of comparisons, whose judgements are not looked at.
    pub pairs: PathBuf,
    /// Settings of the judge (docs/evaluation.md).
    #[arg(long)]
    pub judge: PathBuf,
    /// Captions by image, `image_to_caption.json`; needed if the judge's prompt has `{facts}`, as candor's own has.
    #[arg(long)]
    pub facts: Option<PathBuf>,
    /// Folder of the images, for a judge that is shown them.
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// File of preferences to write.
    #[arg(long)]
    pub out: PathBuf,
    /// Say what it will cost at most, and ask nothing.
    #[arg(long)]
    pub dry_run: bool,
}

//! `candor judge …`

use std::path::PathBuf;

use candor_judge::sentence_labels::Kind;
use candor_train::DeviceChoice;
use clap::{Args, Subcommand, ValueEnum};

use super::{OnBadRowName, PrecisionName};

/// `candor judge …`
#[derive(Debug, Subcommand)]
pub enum JudgeCommand {
    /// Ask the paper's two questions about pairs of answers, with the facts, in both orders.
    #[command(
        after_help = "Example:\n  candor judge preferences runs/llava-7b-224/sample/candidates.jsonl --judge judge.toml \
                            --facts image_to_caption.json --out runs/judged/preferences.json\n\n\
                            What it will cost at most, lost requests apart, is said first. The same command goes on after a kill and pays for no \
                            reply twice. Beside the preferences, which candor reward and candor dpo read, stand a log of both \
                            questions (.log.jsonl) and the counts (.summary.json). docs/ai-feedback.md explains them."
    )]
    Preferences(PreferencesArguments),
    /// Ask whether each sentence of answers is false, with the facts: rated answers for a reward model of segments.
    #[command(
        after_help = "Example:\n  candor judge sentences runs/llava-7b-224/sample/candidates.jsonl --judge judge.toml \
                            --facts image_to_caption.json --out data/sentences.jsonl\n\n\
                            What it will cost at most, lost requests apart, is said first. The same command goes on after a kill and pays for no \
                            reply twice. A row is an answer up to the end of a sentence, its label false where that sentence is; beside them stand \
                            the counts (.summary.json). docs/algorithms/reward.md says what learns from them, and what --about is for."
    )]
    Sentences(SentencesArguments),
    /// Choose the best of all answers to each prompt by a reward model, with the facts (best of n).
    #[command(
        after_help = "Example:\n  candor sample recipes/demo/2-sample.toml --set run.out=runs/demo/sample-1 --set seed=1\n  \
                            candor judge best runs/demo/sample/candidates.jsonl runs/demo/sample-1/candidates.jsonl --reward \
                            runs/demo/reward-facts --images runs/demo/world/images --facts \
                            runs/demo/world/facts/image_to_caption.json --out runs/demo/best\n\nbest.json has each prompt with its \
                            best answer, for candor sft; preferences.json has the best against the worst, for candor dpo and \
                            candor reward. The same command goes on after a kill."
    )]
    Best(BestArguments),
    /// Score both answers of pairs by a reward model, with the facts: people are asked first about what it is least sure of.
    #[command(
        after_help = "Example:\n  candor judge scores runs/demo/sample/candidates.jsonl --reward runs/demo/reward-facts \
                            --images runs/demo/world/images --facts runs/demo/world/facts/image_to_caption.json \
                            --out runs/demo/scores.jsonl\n\nName the file as `scores` of an import in the project of the \
                            annotation app: docs/annotate.md."
    )]
    Scores(ScoresArguments),
}

/// Arguments of `candor judge scores`.
#[derive(Debug, Args)]
pub struct ScoresArguments {
    /// The pairs: what `candor sample` writes, or any other file of comparisons, whose judgements are not looked at.
    pub pairs: PathBuf,
    /// Run folder of `candor reward`.
    #[arg(long)]
    pub reward: PathBuf,
    /// Folder of the images; those inside the file are written there.
    #[arg(long)]
    pub images: PathBuf,
    /// Captions by image, `image_to_caption.json`; needed if the reward model is shown facts.
    #[arg(long)]
    pub facts: Option<PathBuf>,
    /// Whether a row that cannot be scored ends the command, or is left out and counted.
    #[arg(long, value_enum, default_value_t = OnBadRowName::Stop)]
    pub on_bad_row: OnBadRowName,
    /// File to write.
    #[arg(long)]
    pub out: PathBuf,
    /// How the reward model is run.
    #[command(flatten)]
    pub scoring: ScoringArguments,
}

/// Arguments of `candor judge best`.
#[derive(Debug, Args)]
pub struct BestArguments {
    /// Files that `candor sample` wrote; answers of all of them to one prompt are compared.
    #[arg(required = true)]
    pub candidates: Vec<PathBuf>,
    /// Run folder of `candor reward`.
    #[arg(long)]
    pub reward: PathBuf,
    /// Folder of the images.
    #[arg(long)]
    pub images: PathBuf,
    /// Captions by image, `image_to_caption.json`; needed if the reward model is shown facts.
    #[arg(long)]
    pub facts: Option<PathBuf>,
    /// Folder to write to.
    #[arg(long)]
    pub out: PathBuf,
    /// How the reward model is run.
    #[command(flatten)]
    pub scoring: ScoringArguments,
}

/// How a reward model is run that scores answers.
#[derive(Debug, Args)]
pub struct ScoringArguments {
    /// What the reward model's base is held in: as when it was trained [default: f32 where any weight is, else bf16]
    #[arg(long)]
    pub precision: Option<PrecisionName>,
    /// Answers that are scored together.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub pass_rows: u16,
    /// What the model runs on: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}

/// Arguments of `candor judge sentences`.
#[derive(Debug, Args)]
pub struct SentencesArguments {
    /// The pairs and their judge.
    #[command(flatten)]
    pub asked: PreferencesArguments,
    /// Ask about one kind of falsehood alone, for a reward model of it; sentences without such a claim have nothing to check
    #[arg(long, value_enum)]
    pub about: Option<AboutName>,
}

/// Kinds of falsehoods.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AboutName {
    /// Objects that are not there.
    Objects,
    /// What objects are like: colour, number, size, shape, material, state.
    Attributes,
    /// How objects stand to each other.
    Relations,
}

impl From<AboutName> for Kind {
    fn from(name: AboutName) -> Self {
        match name {
            AboutName::Objects => Self::Objects,
            AboutName::Attributes => Self::Attributes,
            AboutName::Relations => Self::Relations,
        }
    }
}

/// Arguments of `candor judge preferences`, and what `candor judge sentences` has of them.
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
    /// File to write.
    #[arg(long)]
    pub out: PathBuf,
    /// Say what it will cost at most, lost requests apart, and ask nothing.
    #[arg(long)]
    pub dry_run: bool,
}

//! The command line.

use std::path::PathBuf;

use candor_world::WorldConfig;
use clap::{Args, Parser, Subcommand};

/// Trains vision-language models to say only what is in the picture.
#[derive(Debug, Parser)]
#[command(name = "candor", version, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order of the pipeline.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every stage on the micro-world and evaluate the result.
    #[command(
        after_help = "Example:\n  candor demo --out runs/demo --seed 0\n\nAn interrupted demo continues \
                            where it stopped when it is started again with the same arguments."
    )]
    Demo(DemoArguments),
    /// The micro-world: pictures, texts and questions with exact ground truth.
    #[command(subcommand)]
    World(WorldCommand),
    /// Make a fresh vision tower see (only for models that do not start from a pretrained one).
    #[command(after_help = "Example:\n  candor ground recipes/demo/0-ground.toml")]
    Ground(StageArguments),
    /// Supervised fine-tuning: everything but the tower, the projector alone, or a LoRA adapter.
    #[command(
        after_help = "Example:\n  candor sft recipes/demo/1-sft.toml --set optimizer.learning_rate=1e-3\n  \
                            candor sft recipes/demo/1-sft.toml --resume"
    )]
    Sft(StageArguments),
    /// Sample two answers to every prompt, for people or the simulated annotator to compare.
    #[command(
        after_help = "Example:\n  candor sample recipes/demo/2-sample.toml --set sampling.temperature=1.0\n  \
                            candor world annotate --world runs/demo/world --candidates \
                            runs/demo/sample/candidates.jsonl --out runs/demo/preferences/preferences.json"
    )]
    Sample(StageArguments),
    /// Let people compare answers in their browsers, and get out what they said.
    #[command(subcommand)]
    Annotate(AnnotateCommand),
    /// Train a reward model on comparisons; with facts or without, as its prompt says.
    #[command(
        after_help = "Example:\n  candor reward recipes/demo/3-reward.toml\n  \
                            candor reward recipes/demo/3-reward.toml --set run.out=runs/demo/reward-no-facts \
                            --set prompt.file=recipes/demo/reward-plain.txt"
    )]
    Reward(StageArguments),
    /// Reinforcement learning: PPO against a reward model.
    #[command(
        after_help = "Example:\n  candor rl recipes/demo/5-ppo.toml\n  candor rl recipes/demo/5-ppo.toml --set \
                            run.out=runs/demo/ppo-no-facts --set model.reward=runs/demo/reward-no-facts\n\n\
                            recipes/ppo/paper.toml runs PPO as the paper's code does; docs/algorithms/ppo.md \
                            explains every field."
    )]
    Rl(StageArguments),
    /// Evaluate a model on MMHal-Bench, POPE, CHAIR and LLaVA-Bench.
    #[command(after_help = "Example:\n  candor eval recipes/demo/6-eval.toml")]
    Eval(EvalArguments),
    /// Look at data files.
    #[command(subcommand)]
    Data(DataCommand),
}

/// Arguments of `candor demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Folder that everything is written to.
    #[arg(long, default_value = "runs/demo")]
    pub out: PathBuf,
    /// Decides every random choice.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Also train and evaluate the other combinations of facts, symbolic reward and length penalty.
    #[arg(long)]
    pub ablation: bool,
    /// Print the summary as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `candor world …`
#[derive(Debug, Subcommand)]
pub enum WorldCommand {
    /// Write a complete data folder in the public formats.
    #[command(after_help = "Example:\n  candor world write --out runs/world --seed 1 --train 2000")]
    Write {
        /// Folder to write.
        #[arg(long)]
        out: PathBuf,
        /// Decides every random choice.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Scenes for grounding and supervised fine-tuning.
        #[arg(long, default_value_t = WorldConfig::default().n_train)]
        train: usize,
        /// Scenes whose answers are compared.
        #[arg(long, default_value_t = WorldConfig::default().n_preference)]
        preference: usize,
        /// Scenes for PPO.
        #[arg(long, default_value_t = WorldConfig::default().n_rl)]
        rl: usize,
        /// Scenes for the evaluation sets, which appear nowhere else.
        #[arg(long, default_value_t = WorldConfig::default().n_eval)]
        eval: usize,
    },
    /// Let the simulated annotator compare sampled answers about this world's pictures.
    #[command(
        after_help = "Example:\n  candor world annotate --world runs/demo/world --candidates \
                            runs/demo/sample/candidates.jsonl --out runs/demo/preferences/preferences.json\n\n\
                            Beside the public preferences stand a log of both questions (.log.jsonl) and the \
                            counts (.summary.json)."
    )]
    Annotate {
        /// The world's folder.
        #[arg(long)]
        world: PathBuf,
        /// The answer pairs, as `candor sample` writes them.
        #[arg(long)]
        candidates: PathBuf,
        /// File of preferences to write.
        #[arg(long)]
        out: PathBuf,
        /// Chance of a slip, for each question [default: what the world says]
        #[arg(long)]
        error_rate: Option<f64>,
        /// Decides slips, and which answer is shown on the left.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

/// `candor annotate …`
#[derive(Debug, Subcommand)]
pub enum AnnotateCommand {
    /// Import what the project names and serve the app until it is interrupted.
    #[command(
        after_help = "Example:\n  candor annotate serve runs/demo/annotate/project.toml\n\n\
                            docs/annotate.md explains the project file."
    )]
    Serve {
        /// The project file.
        project: PathBuf,
    },
    /// Print a link that makes one account.
    #[command(after_help = "Example:\n  candor annotate invite project.toml --role annotator")]
    Invite {
        /// The project file.
        project: PathBuf,
        /// What the account may do.
        #[arg(long, value_enum, default_value_t = Role::Annotator)]
        role: Role,
        /// How long the link is good.
        #[arg(long, default_value_t = 168)]
        hours: u32,
    },
    /// Write what people said; gold and training items are left out.
    #[command(
        after_help = "Example:\n  candor annotate export project.toml --format preference-log \
                            --aggregate majority --out preferences.log.jsonl\n\n\
                            `candor reward` reads a preference log."
    )]
    Export {
        /// The project file.
        project: PathBuf,
        /// The format.
        #[arg(long, value_enum)]
        format: ExportFormat,
        /// How several answers become one preference.
        #[arg(long, value_enum, default_value_t = Aggregate::Majority)]
        aggregate: Aggregate,
        /// File to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Copy a SQLite database while the app may be running.
    #[command(after_help = "Example:\n  candor annotate backup project.toml --out backup.sqlite")]
    Backup {
        /// The project file.
        project: PathBuf,
        /// File to write; it must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Copy everything into an empty database of another kind; then name that one in the project.
    #[command(
        after_help = "Example:\n  candor annotate move project.toml --to postgres://annotate@db/annotate\n\n\
                            Stop the app first: what is answered after the copy is not in it."
    )]
    Move {
        /// The project file.
        project: PathBuf,
        /// The other database: a file for SQLite, or a postgres:// URL.
        #[arg(long)]
        to: String,
    },
}

/// Roles that an invitation gives.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Role {
    /// Compare.
    Annotator,
    /// Compare, and decide disputes.
    Adjudicator,
    /// Everything.
    Admin,
}

/// Formats of `candor annotate export`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum ExportFormat {
    /// candor's own preference log.
    PreferenceLog,
    /// LLaVA-Human-Preference.
    Llava,
    /// TRL's preference format, JSON lines.
    Trl,
    /// Corrections with marked words, in the manner of RLHF-V.
    Segments,
    /// The event log.
    Events,
}

/// Rules of `candor annotate export`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Aggregate {
    /// What more than half of the annotators prefer.
    Majority,
    /// What an adjudicator decided; the majority where nobody had to.
    Adjudicated,
    /// What more than half of the annotators prefer, weighted by how often they are right on gold.
    Weighted,
}

/// Arguments of a training stage.
#[derive(Debug, Args)]
pub struct StageArguments {
    /// The recipe.
    pub recipe: PathBuf,
    /// Replace a value of the recipe, such as `optimizer.learning_rate=1e-3`; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Continue the run in the recipe's folder.
    #[arg(long)]
    pub resume: bool,
    /// Check the recipe, print it as it would be run, and do nothing.
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,
}

/// Arguments of `candor eval`.
#[derive(Debug, Args)]
pub struct EvalArguments {
    /// The recipe.
    pub recipe: PathBuf,
    /// Replace a value of the recipe; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Print the results as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `candor data …`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Read a file of a public format and say what is in it, or what is wrong with it.
    #[command(
        after_help = "Example:\n  candor data check --format llava conversations.json --images coco/train2017"
    )]
    Check {
        /// The file.
        file: PathBuf,
        /// Its format.
        #[arg(long, value_enum)]
        format: DataFormat,
        /// Folder in which the rows' images must exist.
        #[arg(long)]
        images: Option<PathBuf>,
    },
}

/// Formats that `candor data check` reads.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum DataFormat {
    /// LLaVA conversations.
    Llava,
    /// LLaVA-Human-Preference comparisons.
    Preference,
    /// Answer pairs that wait to be compared.
    Candidates,
    /// Image to captions (facts).
    Captions,
    /// PPO prompts.
    PpoPrompts,
    /// VQA-v2 questions.
    VqaV2Questions,
    /// VQA-v2 annotations.
    VqaV2Annotations,
    /// A-OKVQA.
    AOkvqa,
    /// Flickr30k token file.
    Flickr30k,
    /// COCO captions.
    CocoCaptions,
    /// COCO instances.
    CocoInstances,
    /// POPE questions.
    Pope,
    /// MMHal-Bench template.
    Mmhal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}

//! `candor eval` and its commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `candor eval`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EvalArguments {
    /// What to do other than evaluating a model.
    #[command(subcommand)]
    pub command: Option<EvalCommand>,
    /// The recipe.
    #[arg(required = true)]
    pub recipe: Option<PathBuf>,
    /// Replace a value of the recipe; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Print the results as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `candor eval …`
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Score answers that any tool wrote; no model is run.
    #[command(
        after_help = "Example:\n  candor eval score --benchmark pope --questions coco_pope_random.jsonl \
                            --answers answers.jsonl --out runs/pope\n  candor eval score --benchmark mmhal \
                            --questions response_template.json --answers response.json --judge judge.toml \
                            --out runs/mmhal\n\ndocs/evaluation.md says what each benchmark needs."
    )]
    Score(ScoreArguments),
    /// Show evaluated models side by side, with a paired test of each against the first.
    #[command(
        after_help = "Examples:\n  candor eval compare runs/demo/eval/sft runs/demo/eval/fact_rlhf --out compared\n  \
                            candor eval compare runs/old runs/new --annotate people --images coco/val2014\n  candor annotate \
                            export people/project.toml --format preference-log --out people.log.jsonl\n  candor eval compare \
                            runs/old runs/new --preferences people.log.jsonl --out compared\n\ncompared/report.html shows \
                            every item behind every number; docs/evaluation.md explains it."
    )]
    Compare(CompareArguments),
}

/// Arguments of `candor eval compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Folders of `candor eval` or `candor eval score`.
    #[arg(required = true, num_args = 1..)]
    pub runs: Vec<PathBuf>,
    /// Folder for report.html, results.json, table.csv, table.md and table.tex.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Folder of the pictures [default: where the runs say]
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Write a project of the annotation app, in which people compare the answers of two runs, into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "preferences")]
    pub annotate: Option<PathBuf>,
    /// What people said: the preference log that such a project exports.
    #[arg(long, value_name = "FILE")]
    pub preferences: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArguments,
    /// Decides intervals and tests.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the comparison as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// What models were trained on, to be looked for in benchmarks.
#[derive(Debug, Args)]
pub struct TrainingArguments {
    /// Training data in the format of LLaVA, to be looked for in the benchmark; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub training: Vec<PathBuf>,
    /// Folder of the training pictures, to compare their bytes with the benchmark's (with --training and --images).
    #[arg(long, value_name = "DIR", requires = "training")]
    pub training_images: Option<PathBuf>,
}

/// Arguments of `candor eval score`.
#[derive(Debug, Args)]
pub struct ScoreArguments {
    /// The benchmark.
    #[arg(long, value_enum)]
    pub benchmark: BenchmarkName,
    /// Questions; for POPE once for each split, for CHAIR the COCO instances.
    #[arg(long, required = true)]
    pub questions: Vec<PathBuf>,
    /// Answers, as often as --questions.
    #[arg(long, required = true)]
    pub answers: Vec<PathBuf>,
    /// Reference answers (LLaVA-Bench).
    #[arg(long)]
    pub references: Option<PathBuf>,
    /// Captions and boxes (LLaVA-Bench), or COCO captions (CHAIR).
    #[arg(long)]
    pub context: Option<PathBuf>,
    /// Words for kinds of objects (CHAIR).
    #[arg(long)]
    pub synonyms: Option<PathBuf>,
    /// Folder of pictures, for a judge that is shown them and for the page of a comparison.
    #[arg(long)]
    pub images: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArguments,
    /// The judge's settings (MMHal-Bench, LLaVA-Bench).
    #[arg(long)]
    pub judge: Option<PathBuf>,
    /// Folder for results.json and the verdicts.
    #[arg(long)]
    pub out: PathBuf,
    /// Decides intervals, and the pauses between tries of a request.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the results as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Benchmarks that `candor eval score` knows.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum BenchmarkName {
    /// MMHal-Bench; needs a judge.
    Mmhal,
    /// POPE.
    Pope,
    /// LLaVA-Bench; needs a judge.
    LlavaBench,
    /// MMBench.
    Mmbench,
    /// CHAIR, on COCO.
    Chair,
}

//! The command line of `candor eval`.

use std::path::PathBuf;

use candor_data::rows::OnBadRow;
use candor_judge::Benchmark;
use candor_judge::suite::Suite;
use candor_train::DeviceChoice;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{PixelArguments, PrecisionName, RankArguments, ScoringArguments};

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
    /// What the model runs on: auto, cpu, cuda or cuda:N [default: the recipe's run.device, which is auto if absent]
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Print the results as JSON on stdout.
    #[arg(long)]
    pub json: bool,
    /// The processes that share the evaluation.
    #[command(flatten)]
    pub ranks: RankArguments,
}

/// `candor eval …`
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Ask a model what the files of a benchmark ask, and score its answers.
    #[command(
        after_help = "Example:\n  candor eval run --benchmark pope --model llava-hf/llava-1.5-7b-hf \
                            --questions coco_pope_random.jsonl --questions coco_pope_popular.jsonl \
                            --images coco/val2014 --out runs/pope\n  candor eval run --benchmark mmhal --model \
                            runs/sft/model --adapter runs/ppo/adapter --questions response_template.json --images \
                            mmhal_images --judge judge.toml --out runs/mmhal\n\nWhat is answered stays answered: \
                            the same command goes on after an interruption. Without a judge where one is needed, the \
                            answers are written and `candor eval score` can score them later. docs/evaluation.md says \
                            what each benchmark needs."
    )]
    Run(RunArguments),
    /// Ask one or several models all benchmarks of a suite, and set their numbers beside each other and beside published ones.
    #[command(
        after_help = "Examples:\n  candor eval suite llava-hf/llava-1.5-7b-hf --suite 2026 --data benchmarks \
                            --judge judge.toml --out runs/suite\n  candor eval suite sft=runs/sft/model \
                            rlhf=runs/sft/model+runs/ppo/adapter --suite paper --data benchmarks --judge judge.toml \
                            --out runs/suite\n  candor eval suite runs/ppo/adapters/step-100 \
                            runs/ppo/adapters/step-200 --suite paper --data benchmarks --limit 100 --best pope.f1 --out \
                            runs/steps\n\nWhat is answered stays answered: the same command goes on after an \
                            interruption, and after files were added. The exit code is 2 if a benchmark was not measured; \
                            the last lines say which, why and where its files come from. docs/evaluation.md says where \
                            each file belongs."
    )]
    Suite(SuiteArguments),
    /// Score answers that any tool wrote; no model is run.
    #[command(
        after_help = "Example:\n  candor eval score --benchmark pope --questions coco_pope_random.jsonl \
                            --answers answers.jsonl --out runs/pope\n  candor eval score --benchmark mmhal \
                            --questions response_template.json --answers response.json --judge judge.toml \
                            --out runs/mmhal\n\ndocs/evaluation.md says what each benchmark needs."
    )]
    Score(ScoreArguments),
    /// Measure a reward model on comparisons: how often it prefers what people prefer, how sure it is, and whether it prefers
    /// what is long.
    #[command(
        after_help = "Example:\n  candor eval reward runs/demo/reward-facts runs/demo/preferences/preferences.json \\\n      \
                            --images runs/demo/world/images --facts runs/demo/world/facts/image_to_caption.json \\\n      \
                            --out runs/demo/reward-eval\n  candor eval reward runs/reward VL-RewardBench.parquet --images \
                            runs/vl-images --out runs/vl-reward-bench --on-bad-row skip\n\nFiles may be of any format of \
                            comparisons that is judged: docs/formats.md, \"Comparisons\". VL-RewardBench and Multimodal \
                            RewardBench have groups of their own, else each file is one."
    )]
    Reward(RewardBenchmarkArguments),
    /// Show evaluated models side by side, with a paired test of each against the first.
    #[command(
        after_help = "Examples:\n  candor eval compare runs/demo/eval/sft runs/demo/eval/fact_rlhf --out compared\n  \
                            candor eval compare runs/old runs/new --annotate people --images coco/val2014\n  candor annotate \
                            export people/project.toml --format preference-log --aggregate majority --out \
                            people.log.jsonl\n  candor eval compare runs/old runs/new --preferences people.log.jsonl --out \
                            compared\n  candor eval compare runs/old runs/new --rate rated --images coco/val2014\n  candor \
                            annotate export rated/project.toml --format ratings --out ratings.jsonl\n  candor eval compare \
                            runs/old runs/new --ratings ratings.jsonl --out compared\n\ncompared/report.html shows every item behind every number; docs/evaluation.md \
                            explains it."
    )]
    Compare(CompareArguments),
}

/// What follows from a row that cannot be used.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum OnBadRowName {
    /// The command ends.
    Stop,
    /// The row is left out.
    Skip,
}

impl From<OnBadRowName> for OnBadRow {
    fn from(name: OnBadRowName) -> Self {
        match name {
            OnBadRowName::Stop => Self::Stop,
            OnBadRowName::Skip => Self::Skip,
        }
    }
}

/// Arguments of `candor eval reward`.
#[derive(Debug, Args)]
pub struct RewardBenchmarkArguments {
    /// Run folder of `candor reward`.
    pub reward: PathBuf,
    /// Comparisons that somebody has judged.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Folder of the images; those inside the files are written there.
    #[arg(long)]
    pub images: PathBuf,
    /// Captions by image, `image_to_caption.json`; needed if the reward model is shown facts.
    #[arg(long)]
    pub facts: Option<PathBuf>,
    /// Whether a row that cannot be scored ends the command, or is left out, counted and listed in skipped.jsonl.
    #[arg(long, value_enum, default_value_t = OnBadRowName::Stop)]
    pub on_bad_row: OnBadRowName,
    /// Folder for report.html, result.json and pairs.jsonl.
    #[arg(long)]
    pub out: PathBuf,
    /// How the reward model is run.
    #[command(flatten)]
    pub scoring: ScoringArguments,
    /// Decides intervals.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the result as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `candor eval compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Folders of `candor eval`, `candor eval run` or `candor eval score`.
    #[arg(required = true, num_args = 1..)]
    pub runs: Vec<PathBuf>,
    /// Folder for report.html, results.json, table.csv, table.md and table.tex.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Folder of the images [default: where the runs say]
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Write a project of the annotation app, in which people compare the answers of two runs, into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "preferences")]
    pub annotate: Option<PathBuf>,
    /// What people said: the preference log that such a project exports.
    #[arg(long, value_name = "FILE")]
    pub preferences: Option<PathBuf>,
    /// Write a project of the annotation app, in which people rate the answers of all runs one by one, into this folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["annotate", "preferences", "ratings"])]
    pub rate: Option<PathBuf>,
    /// What people rated: the ratings that such a project exports.
    #[arg(long, value_name = "FILE", conflicts_with = "annotate")]
    pub ratings: Option<PathBuf>,
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
    /// Folder of the training images, to compare their bytes with the benchmark's (with --training and --images).
    #[arg(long, value_name = "DIR", requires = "training")]
    pub training_images: Option<PathBuf>,
}

/// A benchmark with its files, and where its numbers go.
#[derive(Debug, Args)]
pub struct BenchmarkArguments {
    /// The benchmark.
    #[arg(long, value_parser = benchmark())]
    pub benchmark: Benchmark,
    /// Questions; for POPE once for each split, for MME once for each task, for CHAIR the COCO instances.
    #[arg(long, required = true)]
    pub questions: Vec<PathBuf>,
    /// Reference answers (LLaVA-Bench), words that go with each other (AMBER's relation.json), or COCO instances (Object-HalBench).
    #[arg(long)]
    pub references: Option<PathBuf>,
    /// Captions and boxes (LLaVA-Bench), COCO captions (CHAIR, Object-HalBench), or annotations (AMBER).
    #[arg(long)]
    pub context: Option<PathBuf>,
    /// Words for kinds of objects (CHAIR, Object-HalBench), or words that are like each other (AMBER).
    #[arg(long)]
    pub synonyms: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArguments,
    /// The judge's settings (MMHal-Bench, LLaVA-Bench, Object-HalBench, questions of your own that name it).
    #[arg(long)]
    pub judge: Option<PathBuf>,
    /// Take only so many questions of each file, from the first; the results say so.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Folder for results.json and the verdicts.
    #[arg(long)]
    pub out: PathBuf,
    /// Decides draws, intervals, and the pauses between tries of a judge.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the results as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `candor eval score`.
#[derive(Debug, Args)]
pub struct ScoreArguments {
    /// The benchmark.
    #[command(flatten)]
    pub task: BenchmarkArguments,
    /// Answers, as often as --questions.
    #[arg(long, required = true)]
    pub answers: Vec<PathBuf>,
    /// Folder of images, for a judge that is shown them and for the page of a comparison.
    #[arg(long)]
    pub images: Option<PathBuf>,
}

/// Arguments of `candor eval run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The benchmark.
    #[command(flatten)]
    pub task: BenchmarkArguments,
    /// The model: a folder, or org/name in the cache of Hugging Face.
    #[arg(long)]
    pub model: PathBuf,
    /// A LoRA adapter on it.
    #[arg(long)]
    pub adapter: Option<PathBuf>,
    /// Folder of images; MMBench and Object-HalBench have them in their files.
    #[arg(long, default_value = ".")]
    pub images: PathBuf,
    /// What a description is asked for with (CHAIR).
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Describe the image in detail."
    )]
    pub description: String,
    /// Instruction on a line of its own after every question; may be empty [default: the benchmark's custom]
    #[arg(long, value_name = "TEXT")]
    pub instruction: Option<String>,
    /// Logits are divided by it; 0 takes the likeliest token each time.
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f64,
    /// Sample from the smallest set of tokens with at least this probability.
    #[arg(long, default_value_t = 1.0)]
    pub top_p: f64,
    /// Longest answer; where the model has less room behind a question, that.
    #[arg(long, default_value_t = 1024)]
    pub max_new_tokens: usize,
    /// Questions that are answered together: speed against memory, and the last bits of logits.
    #[arg(long, default_value_t = 32)]
    pub batch_rows: usize,
    /// How large images are to it.
    #[command(flatten)]
    pub pixels: PixelArguments,
    /// What the weights are held in [default: f32 where the files are, else bf16]
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionName>,
    /// What the model runs on: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// The processes that share the questions.
    #[command(flatten)]
    pub ranks: RankArguments,
}

/// Arguments of `candor eval suite`.
#[derive(Debug, Args)]
pub struct SuiteArguments {
    /// The models: folders, org/name in the cache of Hugging Face, MODEL+ADAPTER, or an adapter's folder, which names its
    /// base; NAME= before one says what it is called. The others are compared with the first.
    #[arg(required = true, num_args = 1.., value_name = "MODEL")]
    pub models: Vec<String>,
    /// The benchmarks.
    #[arg(long, value_enum)]
    pub suite: SuiteName,
    /// Folder of the benchmarks' files.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The judge's settings; without them, what takes a judge is answered and not scored.
    #[arg(long, value_name = "FILE")]
    pub judge: Option<PathBuf>,
    /// Take only so many questions of each file, from the first; the results say so.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Folder for report.html, results.json, table.csv, table.md, table.tex, and an evaluation folder for each model and
    /// benchmark in runs.
    #[arg(long)]
    pub out: PathBuf,
    /// Also keep the best model by this number, such as pope.f1: best.json says which it is, best holds its adapter.
    #[arg(long, value_name = "BENCHMARK.NUMBER")]
    pub best: Option<String>,
    /// Longest answer; where the model has less room behind a question, that.
    #[arg(long, default_value_t = 1024)]
    pub max_new_tokens: usize,
    /// Questions that are answered together: speed against memory, and the last bits of logits.
    #[arg(long, default_value_t = 32)]
    pub batch_rows: usize,
    /// How large images are to the models.
    #[command(flatten)]
    pub pixels: PixelArguments,
    /// What the weights are held in [default: f32 where the files are, else bf16]
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionName>,
    /// What the models run on: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Decides intervals and tests, and the pauses between tries of a judge.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the results as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Benchmarks that are reported together.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum SuiteName {
    /// MMHal-Bench, POPE, LLaVA-Bench, MMBench, and CHAIR on 500 images.
    Paper,
    /// AMBER, Object-HalBench, HallusionBench, MME's hallucination tasks, POPE, MMHal-Bench.
    #[value(name = "2026")]
    Hallucination,
}

impl SuiteName {
    /// The suite.
    pub fn suite(self) -> Suite {
        match self {
            Self::Paper => Suite::Paper,
            Self::Hallucination => Suite::Hallucination,
        }
    }
}

/// Reads the name of a benchmark.
fn benchmark() -> impl TypedValueParser<Value = Benchmark> {
    let all = Benchmark::ALL.iter().map(|benchmark| benchmark.about());
    let values = all.map(|about| PossibleValue::new(about.argument).help(about.help));
    PossibleValuesParser::new(values).try_map(|given| {
        let is_named = |benchmark: &&Benchmark| benchmark.about().argument == given;
        let named = Benchmark::ALL.iter().find(is_named);
        named.copied().ok_or("no benchmark")
    })
}

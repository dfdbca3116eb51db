//! The command line.

mod annotate;
mod convert;
mod data;
mod demo;
mod eval;
#[cfg(test)]
mod help;
mod judge;
mod models;
mod serve;
mod shell;
#[cfg(test)]
mod shown;
mod stage;
mod watch;

use std::path::PathBuf;

use candor_world::WorldConfig;
use clap::{Args, Parser, Subcommand};

pub use self::annotate::{Aggregate, AnnotateCommand, ExportFormat, Rank, Role};
pub use self::convert::ConvertArguments;
pub use self::data::{BuildCommand, DataCommand, DataFormat, GetArguments, PaperArguments};
pub use self::demo::{DemoArguments, MAX_SEED};
pub use self::eval::{
    BenchmarkArguments, CompareArguments, EvalArguments, EvalCommand, OnBadRowName,
    RewardBenchmarkArguments, RunArguments, ScoreArguments, SuiteArguments, TrainingArguments,
};
pub use self::judge::{
    BestArguments, JudgeCommand, PreferencesArguments, ScoresArguments, ScoringArguments,
    SentencesArguments,
};
pub use self::models::{
    ChatArguments, DownloadArguments, ExportArguments, ExportType, InspectArguments, JoinArguments,
    PixelArguments, PrecisionName, WeightFormat,
};
pub use self::serve::ServeArguments;
pub use self::shell::{CompletionsArguments, ManArguments};
pub use self::stage::{
    RANK_TIMEOUT, RankArguments, RewardArguments, StageArguments, TrainArguments,
};
pub use self::watch::WatchArguments;

/// Trains vision-language models to say only what is in the image.
#[derive(Debug, Parser)]
#[command(
    name = "candor",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done; 2 something that can be mended, which stderr names; 75 another rank of a shared run has ended; 130 after SIGINT (Ctrl-C) and 143 \
                  after SIGTERM, the work is unfinished: `candor sft … && candor sample …` stops there."
)]
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
        after_help = "Examples:\n  candor demo --out runs/demo --seed 0\n  candor demo --quick --out runs/quick\n  \
                            candor demo --seeds 5 --out runs/five\n  \
                            candor demo --family qwen3_vl --out runs/qwen3-vl\n\nStages that do not need each other run side by side. \
                            An interrupted demo continues where it stopped when it is started again with the same \
                            arguments; --ablation and --algorithms may be added."
    )]
    Demo(DemoArguments),
    /// The micro-world: images, texts and questions with exact ground truth.
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
    Sft(TrainArguments),
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
    /// Compare answers in the place of people: by a judge behind an endpoint, or by a reward model.
    #[command(subcommand)]
    Judge(JudgeCommand),
    /// Train a reward model on comparisons; with facts or without, as its prompt says.
    #[command(
        after_help = "Example:\n  candor reward recipes/demo/3-reward.toml\n  \
                            candor reward recipes/demo/3-reward.toml --set run.out=runs/demo/reward-no-facts \
                            --set prompt.file=recipes/demo/reward-plain.txt\n  \
                            candor reward recipes/demo/3-reward.toml --set run.out=runs/reward-people \
                            --annotations runs/demo/annotate/project.toml --aggregate majority"
    )]
    Reward(RewardArguments),
    /// Learn from comparisons without a reward model: DPO, IPO, SimPO, ORPO or KTO, on images.
    #[command(
        after_help = "Example:\n  candor dpo recipes/demo/4-dpo.toml\n  candor dpo recipes/demo/4-dpo.toml --set \
                            run.out=runs/demo/dpo-dense --set dpo.logprob=mean --set dpo.changed_weight=5.0\n\n\
                            docs/algorithms/dpo.md has every formula."
    )]
    Dpo(TrainArguments),
    /// Learn in rounds from the policy's own answers: sample, compare (a reward model, a judge, rules or people), DPO, again.
    #[command(
        after_help = "Example:\n  candor rounds recipes/demo/4-rounds.toml\n  candor rounds recipes/demo/4-rounds.toml --resume\n  \
                            candor rounds recipes/demo/4-rounds.toml --set run.out=runs/demo/rounds-first --set \
                            rounds.reference=first\n\nA finished stage is never run again, and with a larger rounds.n a resume \
                            adds rounds. Where people compare, it stops and says which file it waits for. \
                            docs/algorithms/rounds.md has the formulas."
    )]
    Rounds(StageArguments),
    /// Reinforcement learning against a reward model, rules, judges or functions of your own: PPO, GRPO, leave-one-out or
    /// REINFORCE.
    #[command(
        after_help = "Example:\n  candor rl recipes/demo/5-ppo.toml\n  candor rl recipes/demo/5-ppo.toml --set \
                            run.out=runs/demo/ppo-no-facts --set model.reward=runs/demo/reward-no-facts\n\n\
                            recipes/llava-7b-224/paper/5-ppo.toml runs PPO as the paper's code does; \
                            docs/algorithms/ppo.md explains every field, grpo.md \
                            what other algorithms have, rewards.md what a response may earn."
    )]
    Rl(TrainArguments),
    /// Evaluate a model on MMHal-Bench, POPE, CHAIR, AMBER, HallusionBench, MME, LLaVA-Bench, MMBench or questions of your
    /// own; score answers of other tools; compare runs.
    #[command(
        after_help = "Example:\n  candor eval run --benchmark pope --model llava-hf/llava-1.5-7b-hf \
                            --questions coco_pope_random.jsonl --images coco/val2014 --out runs/pope\n  \
                            candor eval compare runs/pope runs/pope-rlhf\n  candor eval recipes/demo/6-eval.toml"
    )]
    Eval(Box<EvalArguments>),
    /// Write a model or an adapter as a folder that other tools open.
    #[command(
        after_help = "Example:\n  candor export runs/demo/sft/model --out exported\n  candor export llava-hf/llava-1.5-7b-hf \
                            --adapter runs/ppo/adapter --merge --dtype bf16 --out merged\n  candor export \
                            runs/ppo/adapter --merge --out merged\n\nWithout --merge an adapter stays an adapter: a \
                            PEFT folder is written. docs/checkpoints.md says what the folders hold."
    )]
    Export(ExportArguments),
    /// Make one model folder of a decoder, a vision tower and a projector: what stage 1 starts from.
    #[command(
        after_help = "Examples:\n  candor join --decoder lmsys/vicuna-7b-v1.5 --tower openai/clip-vit-large-patch14-336 \
                            --out llava-7b-336\n  candor join --decoder vicuna-7b-v1.5 --tower clip-vit-large-patch14-336 \
                            --projector mm_projector.bin --out llava-7b-336\n\nWithout --projector a fresh one is drawn \
                            from --seed. docs/checkpoints.md says what is written."
    )]
    Join(JoinArguments),
    /// Download a model into the cache of Hugging Face, where every command finds it by its name.
    #[command(
        after_help = "Example:\n  candor download llava-hf/llava-1.5-7b-hf\n  candor inspect llava-hf/llava-1.5-7b-hf\n\n\
                            HF_TOKEN holds the token of an account, HF_HUB_CACHE or HF_HOME says where models are kept, \
                            HF_ENDPOINT names another server. No other command asks the network for a model."
    )]
    Download(DownloadArguments),
    /// Talk to a model about images.
    #[command(
        after_help = "Examples:\n  candor chat runs/demo/sft/model --image kitchen.png\n  \
                            candor chat runs/demo/sft/model --image kitchen.png --prompt \"What is on the table?\"\n\n\
                            Without --prompt, what stdin holds is the prompt, unless it is a terminal: then the \
                            conversation goes on turn by turn, and /help says what can be typed."
    )]
    Chat(ChatArguments),
    /// Serve a model, adapters on it and reward models to programs that speak OpenAI's protocol, and to people on a chat page.
    #[command(
        after_help = "Examples:\n  candor serve runs/demo/sft/model\n  candor serve runs/demo/sft/model --name sft --adapter \
                            honest=runs/demo/ppo/adapter --reward facts=runs/demo/reward --preferences runs/demo/page\n\n\
                            The chat page is at http://127.0.0.1:8000; docs/serve.md says what each route takes and gives."
    )]
    Serve(Box<ServeArguments>),
    /// Say what a model folder holds and what it takes to use it; no weights are loaded.
    #[command(after_help = "Example:\n  candor inspect runs/demo/sft/model")]
    Inspect(InspectArguments),
    /// Look at recipes before they are run.
    #[command(subcommand)]
    Recipe(RecipeCommand),
    /// Fetch public sets, look at data files, convert them, and make those of training stages.
    #[command(subcommand)]
    Data(DataCommand),
    /// Say what this machine and this candor have: versions, devices, threads, folders, and what is missing.
    #[command(
        after_help = "Examples:\n  candor doctor\n  candor doctor --json\n\nThe exit code is 2 where something is broken; \
                            what is only absent, such as a GPU, is said and is no error. docs/devices.md says how to get it."
    )]
    Doctor(DoctorArguments),
    /// Look at runs, running ones too: curves, samples, time left, and what looks wrong, on a page or in the terminal.
    #[command(
        after_help = "Examples:\n  candor watch runs/demo\n  candor watch runs/ppo-facts runs/ppo-plain --listen 0.0.0.0:8321\n  \
                            candor watch runs/demo --tui\n  candor watch runs/demo --once\n  \
                            candor watch runs/demo --mlflow http://127.0.0.1:5000 --experiment demo\n\nIt only reads, and asks nobody who \
                            they are: where others can reach it, put a proxy that does in front of it. docs/watch.md says more."
    )]
    Watch(WatchArguments),
    /// Print what makes a shell complete candor's commands and arguments.
    #[command(
        after_help = "Examples:\n  candor completions bash > ~/.local/share/bash-completion/completions/candor\n  \
                            candor completions zsh > ~/.zfunc/_candor\n  \
                            candor completions fish > ~/.config/fish/completions/candor.fish"
    )]
    Completions(CompletionsArguments),
    /// Write the manual pages, one for each command.
    #[command(after_help = "Example:\n  candor man --out ~/.local/share/man/man1 && man candor-rl")]
    Man(ManArguments),
}

/// Arguments of `candor doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Print the findings as JSON on stdout.
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
    /// Let the simulated annotator compare sampled answers about this world's images.
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

/// `candor recipe …`
#[derive(Debug, Subcommand)]
pub enum RecipeCommand {
    /// Check recipes, and say how long the runs are and what memory they take.
    #[command(
        after_help = "Examples:\n  candor recipe check recipes/llava-7b-224/*.toml --rate 4000\n  \
                            candor recipe check recipes/llava-7b-224/8gpu/5-ppo.toml --ranks 8\n\n\
                            Recipes are looked at in the order given: where one makes the model that a later one \
                            starts from, the later one is planned on it, although it is not there yet."
    )]
    Check {
        /// The recipes.
        #[arg(required = true)]
        recipes: Vec<PathBuf>,
        /// Tokens per second that your machine was seen to do, to say how long the runs take.
        #[arg(long, value_name = "TOKENS_PER_SEC")]
        rate: Option<f64>,
        /// Processes that are to share each run: memory of each, and what they tell each other. docs/many-devices.md
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        ranks: u16,
        /// Replace a value in every recipe; may be given several times.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// Print the plans as JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// List every field of a stage's recipe: type, whether it is required, values, meaning.
    #[command(
        after_help = "Example:\n  candor recipe fields sft\n\ndocs/recipe-fields.md has all stages."
    )]
    Fields {
        /// The stage; all if absent, as a page of Markdown.
        #[arg(value_parser = candor_plan::STAGES)]
        stage: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_recipe_and_a_command_of_eval_are_told_apart() {
        let parse = |words: &str| Arguments::try_parse_from(words.split(' '));
        let eval = |words: &str| match parse(words).unwrap().command {
            Command::Eval(arguments) => arguments,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            eval("candor eval r.toml --set a=1").recipe,
            Some("r.toml".into())
        );
        let compared = eval("candor eval compare a b").command;
        assert!(
            matches!(compared, Some(EvalCommand::Compare(compared)) if compared.runs.len() == 2)
        );
        assert!(parse("candor eval").is_err());
        assert!(parse("candor eval compare").is_err());
        assert!(parse("candor eval score --benchmark pope --questions q --answers a").is_err());
    }
}

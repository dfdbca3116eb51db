//! The command line of `candor data`.

use std::path::PathBuf;

use candor_data::build::{Slice, Stage};
use candor_data::formats::ImageNames;
use clap::{Args, Subcommand};

use super::convert::ConvertArguments;

/// `candor data …`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Make the files of training stages of public ones.
    #[command(subcommand)]
    Build(Box<BuildCommand>),
    /// Read a file of a public format and say what is in it, or what is wrong with it.
    #[command(
        after_help = "Example:\n  candor data check --format llava conversations.json --images coco/train2017\n  \
                      candor data check preferences.parquet\n  \
                      candor data check --format vqa-v2-questions questions.json --images coco/val2014 \\\n      \
                      --image-names 'COCO_val2014_{:012}.jpg'"
    )]
    Check {
        /// The file, or a folder with the files of a set of conversations, comparisons, rated answers or prompts.
        file: PathBuf,
        /// Its format; without it, the file is one of comparisons, whose format is told by its content.
        #[arg(long, value_enum)]
        format: Option<DataFormat>,
        /// Folder in which the rows' images must exist; each is decoded.
        #[arg(long)]
        images: Option<PathBuf>,
        /// How image numbers become file names (VQA-v2 and A-OKVQA), such as `COCO_val2014_{:012}.jpg`.
        #[arg(long, value_name = "PATTERN", value_parser = image_names, default_value = "{:012}.jpg")]
        image_names: ImageNames,
    },
    /// Write the rows of a file in another format: conversations or comparisons, as JSON, JSON lines or parquet.
    #[command(
        after_help = "Example:\n  candor data convert preferences.json --from preference --to trl --out preferences.parquet \\\n      \
                      --images coco/train2017 --embed\n  \
                      candor data convert RLHF-V-Dataset.parquet --from trl --to preference-log --out rlhf-v.jsonl --images rlhf-v\n  \
                      candor data convert chats.jsonl --from messages --to llava --out chats.json --strict\n\n\
                      What the other format cannot hold is counted by field. docs/data.md says what each can."
    )]
    Convert(ConvertArguments),
    /// Fetch a public set from the hub of Hugging Face, or say where else it is.
    #[command(
        after_help = "Example:\n  candor data get --list\n  candor data get rlhf-v --yes --out sets/rlhf-v\n  \
                      candor data check sets/rlhf-v/RLHF-V-Dataset.parquet\n\n\
                      What is fetched, its licence and its checksums are shown first; without --yes it asks. HF_TOKEN holds \
                      the token of an account, HF_HUB_CACHE or HF_HOME says where files are kept, HF_ENDPOINT names another \
                      server. The exit code is 2 where not all was fetched, as for sets that the hub does not have."
    )]
    Get(GetArguments),
}

/// Arguments of `candor data get`.
#[derive(Debug, Args)]
pub struct GetArguments {
    /// The set, as --list names it; NAME@REVISION is another revision than the newest.
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// List the sets, each with where it is, its licence and what it is.
    #[arg(long)]
    pub list: bool,
    /// Folder that gets a copy of each file; the cache alone has them if absent.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Fetch without asking.
    #[arg(long)]
    pub yes: bool,
}

fn image_names(pattern: &str) -> Result<ImageNames, &'static str> {
    ImageNames::from_pattern(pattern).ok_or("write a pattern such as COCO_val2014_{:012}.jpg")
}

/// `candor data build …`
#[derive(Debug, Subcommand)]
pub enum BuildCommand {
    /// The data of all stages as the paper has them, from LLaVA-Instruct, VQA-v2, A-OKVQA, Flickr30k and COCO's captions.
    #[command(
        after_help = "Example:\n  candor data build paper --llava llava_instruct_150k.json \\\n      \
                      --vqa-questions v2_OpenEnded_mscoco_train2014_questions.json \\\n      \
                      --vqa-annotations v2_mscoco_train2014_annotations.json --aokvqa aokvqa_v1p0_train.json \\\n      \
                      --flickr results_20130124.token --coco-captions captions_train2017.json \\\n      \
                      --images images --exclude-eval coco_pope_random.jsonl --out data/paper\n  \
                      candor data build paper --llava llava_instruct_150k.json --stage preference \\\n      \
                      --count sft.llava=0 --count preference.llava=500 --out data/small\n\n\
                      What has no source is not written. docs/data.md says which rows each file has."
    )]
    Paper(PaperArguments),
}

/// Arguments of `candor data build paper`.
#[derive(Debug, Args)]
pub struct PaperArguments {
    /// LLaVA-Instruct, in the format of LLaVA.
    #[arg(long, value_name = "FILE")]
    pub llava: Option<PathBuf>,
    /// VQA-v2's questions.
    #[arg(long, value_name = "FILE", requires = "vqa_annotations")]
    pub vqa_questions: Option<PathBuf>,
    /// VQA-v2's annotations.
    #[arg(long, value_name = "FILE", requires = "vqa_questions")]
    pub vqa_annotations: Option<PathBuf>,
    /// A-OKVQA.
    #[arg(long, value_name = "FILE")]
    pub aokvqa: Option<PathBuf>,
    /// Flickr30k's token file.
    #[arg(long, value_name = "FILE")]
    pub flickr: Option<PathBuf>,
    /// COCO's captions, from which facts are taken; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub coco_captions: Vec<PathBuf>,
    /// Folder in which the rows' images must be; rows without one are left out.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// How image numbers become file names (VQA-v2 and A-OKVQA), such as `COCO_train2014_{:012}.jpg`.
    #[arg(long, value_name = "PATTERN", value_parser = image_names, default_value = "{:012}.jpg")]
    pub image_names: ImageNames,
    /// Questions of an evaluation set: rows about its images are left out and counted; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub exclude_eval: Vec<PathBuf>,
    /// Share of the images, from 0 to below 1, that no stage has; what is said about them is written to `held_out/`.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub held_out: f64,
    /// Write the files of this stage alone: `sft`, `preference`, `policy_init` or `rl`; may be given several times.
    #[arg(long = "stage", value_name = "STAGE", value_parser = stage)]
    pub stages: Vec<Stage>,
    /// Another number of rows than the paper's, such as `rl.vqa=500`; may be given several times.
    #[arg(long = "count", value_name = "SLICE=ROWS", value_parser = count)]
    pub counts: Vec<(Slice, usize)>,
    /// `length_bonus` of a slice's prompts, such as `rl.aokvqa=0.5`, where it is not 1; may be given several times.
    #[arg(long = "length-bonus", value_name = "SLICE=FACTOR", value_parser = length_bonus)]
    pub length_bonuses: Vec<(Slice, f64)>,
    /// Decides which rows are drawn.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder to write, which does not exist yet.
    #[arg(long)]
    pub out: PathBuf,
    /// Print the manifest as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

fn stage(name: &str) -> Result<Stage, String> {
    let found = Stage::ALL.into_iter().find(|stage| stage.name() == name);
    found.ok_or_else(|| format!("name one of {}", Stage::ALL.map(Stage::name).join(", ")))
}

fn slice(name: &str) -> Result<Slice, String> {
    let names = Slice::ALL.iter().map(|slice| slice.name());
    let names: Vec<&str> = names.collect();
    Slice::named(name).ok_or_else(|| format!("{name:?} is none of {}", names.join(", ")))
}

fn of_slice<T: std::str::FromStr>(setting: &str, what: &str) -> Result<(Slice, T), String> {
    let (name, value) = setting
        .split_once('=')
        .ok_or_else(|| format!("write SLICE={what}, such as rl.vqa=1"))?;
    let value = value
        .parse()
        .map_err(|_| format!("{value:?} is no {what}"))?;
    Ok((slice(name)?, value))
}

fn count(setting: &str) -> Result<(Slice, usize), String> {
    of_slice(setting, "number of rows")
}

fn length_bonus(setting: &str) -> Result<(Slice, f64), String> {
    let (slice, factor): (Slice, f64) = of_slice(setting, "factor")?;
    if slice.stage() != Stage::Rl || !factor.is_finite() {
        return Err("give a finite factor for rl.llava, rl.aokvqa or rl.vqa".to_owned());
    }
    Ok((slice, factor))
}

/// Formats that `candor data check` reads.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum DataFormat {
    /// LLaVA conversations, JSON or parquet.
    Llava,
    /// TRL conversations: messages with a role and a content, JSON or parquet.
    Messages,
    /// LLaVA-Human-Preference, and pairs in its manner that are not judged.
    Preference,
    /// candor's own preference log.
    PreferenceLog,
    /// TRL preferences and their like (RLAIF-V, RLHF-V, SENTINEL), JSON or parquet.
    Trl,
    /// TRL unpaired preferences: answers with labels, JSON or parquet.
    TrlUnpaired,
    /// VL-RewardBench, JSON or parquet.
    VlRewardBench,
    /// Multimodal RewardBench.
    MultimodalRewardBench,
    /// A reward model's scores of pairs.
    Scores,
    /// People's ratings of single answers.
    Ratings,
    /// Label Studio's JSON.
    LabelStudio,
    /// Argilla's records, JSON.
    Argilla,
    /// Answer pairs that wait to be compared.
    Candidates,
    /// Three to eight answers that wait to be put in order.
    AnswerSets,
    /// Image to captions (facts).
    Captions,
    /// PPO prompts, JSON or parquet.
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
    /// AMBER's queries.
    AmberQueries,
    /// AMBER's annotations.
    AmberAnnotations,
    /// AMBER's words by word.
    AmberWords,
    /// Object-HalBench.
    ObjectHalBench,
    /// HallusionBench.
    HallusionBench,
    /// A task of MME.
    Mme,
    /// MMBench.
    Mmbench,
    /// A user's own questions.
    Own,
    /// Answers of any tool.
    Answers,
}

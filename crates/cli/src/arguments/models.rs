//! The command line of what is done with models: export, chat, download, inspect.

use std::path::PathBuf;

use candor_data::image::PixelBounds;
use candor_train::DeviceChoice;
use clap::Args;

/// Arguments of `candor export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The model: a folder, or org/name in the cache of Hugging Face. Or a PEFT folder, whose base is then looked for.
    pub model: PathBuf,
    /// A PEFT folder that belongs to the model.
    #[arg(long)]
    pub adapter: Option<PathBuf>,
    /// Write the model with the adapter merged into it.
    #[arg(long)]
    pub merge: bool,
    /// Where the base of the PEFT folder MODEL is [default: where its configuration says, or beside it]
    #[arg(long, conflicts_with = "adapter")]
    pub base: Option<PathBuf>,
    /// The vision tower of an original LLaVA [default: what its configuration names]
    #[arg(long)]
    pub tower: Option<PathBuf>,
    /// Whose files and names are written.
    #[arg(long, value_enum, default_value_t = WeightFormat::Hf)]
    pub format: WeightFormat,
    /// Type of all tensors [default: each keeps its own]
    #[arg(long, value_enum)]
    pub dtype: Option<ExportType>,
    /// What merges, and compares the merged model with the unmerged one: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Folder to write, which must not exist yet.
    #[arg(long)]
    pub out: PathBuf,
}

/// Arguments of `candor join`.
#[derive(Debug, Args)]
pub struct JoinArguments {
    /// The decoder: the folder of a LLaMA or Vicuna, or org/name in the cache of Hugging Face.
    #[arg(long)]
    pub decoder: PathBuf,
    /// The vision tower: the folder of a CLIP, or its name.
    #[arg(long)]
    pub tower: PathBuf,
    /// A projector that was trained for them: `mm_projector.bin`, a safetensors file, or a folder that holds the former
    /// [default: a fresh one]
    #[arg(long)]
    pub projector: Option<PathBuf>,
    /// Decides the fresh projector.
    #[arg(long, default_value_t = 0, conflicts_with = "projector")]
    pub seed: u64,
    /// Pad images to a square, as LLaVA 1.5 was tuned, instead of cropping their middle.
    #[arg(long)]
    pub pad: bool,
    /// Whose files and names are written.
    #[arg(long, value_enum, default_value_t = WeightFormat::Hf)]
    pub format: WeightFormat,
    /// Type of all tensors [default: each keeps its own; a fresh projector has the decoder's]
    #[arg(long, value_enum)]
    pub dtype: Option<ExportType>,
    /// Folder to write, which must not exist yet.
    #[arg(long)]
    pub out: PathBuf,
}

/// Checkpoint formats that `candor export` writes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum WeightFormat {
    /// Hugging Face's `LlavaForConditionalGeneration`.
    Hf,
    /// The original LLaVA's `LlavaLlamaForCausalLM`.
    Llava,
}

/// Types that `candor export` writes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum ExportType {
    /// 32 bits.
    F32,
    /// 16 bits with the range of f32.
    Bf16,
    /// 16 bits of IEEE.
    F16,
}

/// Arguments of `candor chat`.
#[derive(Debug, Args)]
pub struct ChatArguments {
    /// The model's folder, or that of an adapter whose base is then looked for.
    pub model: PathBuf,
    /// A LoRA adapter on it.
    #[arg(long)]
    pub adapter: Option<PathBuf>,
    /// An image that the first question is about; may be given several times.
    #[arg(long = "image", value_name = "FILE")]
    pub images: Vec<PathBuf>,
    /// Ask this, print the answer and end.
    #[arg(long)]
    pub prompt: Option<String>,
    /// The system sentence [default: the template's]
    #[arg(long)]
    pub system: Option<String>,
    /// Logits are divided by it; 0 takes the likeliest token each time.
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f64,
    /// Sample from the smallest set of tokens with at least this probability.
    #[arg(long, default_value_t = 1.0)]
    pub top_p: f64,
    /// Longest answer.
    #[arg(long, default_value_t = 512)]
    pub max_new_tokens: usize,
    /// Decides every draw.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How large images are to it.
    #[command(flatten)]
    pub pixels: PixelArguments,
    /// What the weights are held in [default: f32 where the files are, else bf16]
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionName>,
    /// What the model runs on: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Print the answer as JSON on stdout: its text, its token ids and their log-probabilities.
    #[arg(long)]
    pub json: bool,
}

/// How large images are to a model that sees them near their own size.
#[derive(Debug, Args)]
pub struct PixelArguments {
    /// The least pixels of an image as the model sees it, for models that see images near their own size [default: the folder's]
    #[arg(long, value_name = "N", value_parser = pixels())]
    min_pixels: Option<u32>,
    /// The most [default: the folder's]
    #[arg(long, value_name = "N", value_parser = pixels())]
    max_pixels: Option<u32>,
}

fn pixels() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(PixelBounds::MOST))
}

impl PixelArguments {
    /// What is given.
    pub fn bounds(&self) -> PixelBounds {
        PixelBounds {
            min: self.min_pixels,
            max: self.max_pixels,
        }
    }
}

/// What weights are held in.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum PrecisionName {
    /// 32 bits.
    F32,
    /// 16 bits.
    Bf16,
    /// The decoder's linear layers in 8 bits.
    Int8,
    /// The decoder's linear layers in 4 bits.
    Nf4,
}

/// Arguments of `candor download`.
#[derive(Debug, Args)]
pub struct DownloadArguments {
    /// The model, as org/name or org/name@revision.
    pub model: String,
}

/// Arguments of `candor inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The model's folder, or that of an adapter whose base is then looked for.
    pub model: PathBuf,
    /// Print everything as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

//! The command line of `candor serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use candor_train::DeviceChoice;
use clap::Args;

use super::{PixelArguments, PrecisionName};

/// Arguments of `candor serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The model's folder, or that of an adapter whose base is then looked for.
    pub model: PathBuf,
    /// What requests call the model [default: MODEL as it is given]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A LoRA adapter on the model, which requests choose by its name; may be given several times.
    #[arg(long = "adapter", value_name = "NAME=PATH", value_parser = named)]
    pub adapters: Vec<(String, PathBuf)>,
    /// A reward model that scores answers; may be given several times.
    #[arg(long = "reward", value_name = "NAME=PATH", value_parser = named)]
    pub rewards: Vec<(String, PathBuf)>,
    /// Where to listen; port 0 is any that is free.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// A file with a key on each line, one of which every request must carry; needed to listen for other machines.
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Fetch images that requests name by an http or https address, from public addresses alone.
    #[arg(long)]
    pub allow_remote_images: bool,
    /// Append preferences that are given on the chat page to a file in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub preferences: Option<PathBuf>,
    /// Answers that are written together.
    #[arg(long, default_value_t = 16)]
    pub batch_rows: usize,
    /// Positions that are held for answers in progress: their number times the longest, prompt and answer.
    #[arg(long, default_value_t = 32_768)]
    pub batch_positions: usize,
    /// Requests that wait at most; others are told to come back.
    #[arg(long, default_value_t = 256)]
    pub max_waiting: usize,
    /// Longest answer, and what a request without a length gets.
    #[arg(long, default_value_t = 1024)]
    pub max_new_tokens: usize,
    /// Connections that one address may have.
    #[arg(long, default_value_t = 64)]
    pub connections_per_address: usize,
    /// Seconds that requests under way may go on after SIGTERM.
    #[arg(long, default_value_t = 30)]
    pub drain_secs: u64,
    /// How large images are to it.
    #[command(flatten)]
    pub pixels: PixelArguments,
    /// What the weights are held in [default: f32 where the files are, else bf16]
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionName>,
    /// What the models run on: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Print a line of JSON on stdout once the server listens: its address, its models and its rewards.
    #[arg(long)]
    pub json: bool,
}

fn named(text: &str) -> Result<(String, PathBuf), &'static str> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), path.into()))
        }
        _ => Err("write NAME=PATH, such as honest=runs/ppo/adapter"),
    }
}

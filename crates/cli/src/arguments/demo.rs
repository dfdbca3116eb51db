//! Arguments of `candor demo`.

use std::path::PathBuf;

use candor_report::Family;
use candor_train::DeviceChoice;
use clap::{Args, ValueEnum};

/// The largest seed: recipes are TOML, which has no larger numbers.
pub const MAX_SEED: u64 = i64::MAX as u64;

/// Families that a demo can make of nothing.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FamilyName {
    /// LLaVA-1.5.
    Llava,
    /// Qwen2.5-VL: a tower with windows, positions of rows and columns.
    #[value(name = "qwen2_5_vl")]
    Qwen25Vl,
    /// Qwen3-VL: what a block in the middle of the tower sees goes into the decoder as well.
    #[value(name = "qwen3_vl")]
    Qwen3Vl,
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Self {
        match name {
            FamilyName::Llava => Self::Llava,
            FamilyName::Qwen25Vl => Self::Qwen25Vl,
            FamilyName::Qwen3Vl => Self::Qwen3Vl,
        }
    }
}

/// Arguments of `candor demo`.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of its own on the command line.
pub struct DemoArguments {
    /// Folder that everything is written to.
    #[arg(long, default_value = "runs/demo")]
    pub out: PathBuf,
    /// Decides every random choice.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    pub seed: u64,
    /// Run so many seeds, from --seed on, one after the other, each in the folder seed-K of --out, and pool what they found.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// Make everything small: all stages in two minutes, to see them run. The numbers say nothing about the method.
    #[arg(long)]
    pub quick: bool,
    /// What the models are built as.
    #[arg(long, value_enum, default_value_t = FamilyName::Llava)]
    pub family: FamilyName,
    /// What the models run on: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Also train and evaluate the other combinations of facts, symbolic reward and length penalty.
    #[arg(long)]
    pub ablation: bool,
    /// Also train and evaluate by GRPO and RLOO, with facts and without, and by DPO, from the same start and comparisons.
    #[arg(long)]
    pub algorithms: bool,
    /// Stages that run side by side, by their threads; no number depends on it [default: the cores, at most 8]
    #[arg(long, value_name = "THREADS", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Print the summary as JSON on stdout.
    #[arg(long)]
    pub json: bool,
    /// A file of changes in the place of those of --quick.
    #[arg(long, value_name = "FILE", hide = true, conflicts_with = "quick")]
    pub changes: Option<PathBuf>,
    /// Run this stage alone, of a demo that has all it needs: what the demo starts its processes with.
    #[arg(long, hide = true, requires = "again", conflicts_with = "seeds")]
    pub stage: Option<String>,
    /// The command that continues the demo that this stage belongs to.
    #[arg(long, value_name = "COMMAND", hide = true)]
    pub again: Option<String>,
}

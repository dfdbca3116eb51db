//! The command line of `candor data convert`.

use std::path::PathBuf;

use candor_data::formats::convert::{SourceFormat, TargetFormat};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Arguments of `candor data convert`.
#[derive(Debug, Args)]
pub struct ConvertArguments {
    /// The file: JSON lines, a JSON list, or parquet, whatever its name.
    pub file: PathBuf,
    /// Its format.
    #[arg(long, value_name = "FORMAT", value_parser = source())]
    pub from: SourceFormat,
    /// The format to write.
    #[arg(long, value_name = "FORMAT", value_parser = target())]
    pub to: TargetFormat,
    /// File to write, which ends in .json (a list), .jsonl or .parquet.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Folder of the pictures: those to be put into the file are read from it, those inside the file that is read are
    /// written to it.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Put the pictures into the parquet file; it has their names alone if absent.
    #[arg(long)]
    pub embed: bool,
    /// End with an error if anything cannot be carried over.
    #[arg(long)]
    pub strict: bool,
}

/// Reads the name of a format that rows are read in.
fn source() -> impl TypedValueParser<Value = SourceFormat> {
    let help = |format| match format {
        SourceFormat::Llava => "LLaVA conversations",
        SourceFormat::Sharegpt => "ShareGPT's conversations",
        SourceFormat::Messages => "Messages, as TRL, OpenAI and ChatML have them",
        SourceFormat::Preference => {
            "LLaVA-Human-Preference, and pairs in its manner that are not judged"
        }
        SourceFormat::PreferenceLog => "candor's own preference log",
        SourceFormat::Trl => "TRL preferences and their like (RLAIF-V, RLHF-V, SENTINEL)",
        SourceFormat::Candidates => "Answer pairs that wait to be compared",
        SourceFormat::Povid => "POVID",
        SourceFormat::Vlfeedback => "VLFeedback",
    };
    let values =
        SourceFormat::ALL.map(|format| PossibleValue::new(format.name()).help(help(format)));
    PossibleValuesParser::new(values).try_map(|given| {
        let mut all = SourceFormat::ALL.into_iter();
        all.find(|format| format.name() == given).ok_or("no format")
    })
}

/// Reads the name of a format that rows are written in.
fn target() -> impl TypedValueParser<Value = TargetFormat> {
    let help = |format| match format {
        TargetFormat::Llava => "LLaVA conversations",
        TargetFormat::Sharegpt => "ShareGPT's conversations",
        TargetFormat::Messages => "Messages with contents in parts",
        TargetFormat::Preference => "LLaVA-Human-Preference",
        TargetFormat::PreferenceLog => "candor's own preference log",
        TargetFormat::Trl => "TRL preferences as messages with contents in parts",
        TargetFormat::TrlStandard => "TRL preferences as texts",
        TargetFormat::RlhfV => "RLHF-V",
        TargetFormat::RlaifV => "RLAIF-V",
    };
    let values =
        TargetFormat::ALL.map(|format| PossibleValue::new(format.name()).help(help(format)));
    PossibleValuesParser::new(values).try_map(|given| {
        let mut all = TargetFormat::ALL.into_iter();
        all.find(|format| format.name() == given).ok_or("no format")
    })
}

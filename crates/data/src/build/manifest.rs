//! What was done, so that it can be done again and looked through: `manifest.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

/// What was made of which files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Manifest {
    /// Which data these are.
    pub built: &'static str,
    /// What decided every choice.
    pub seed: u64,
    /// Share of images that no stage has.
    pub held_out: f64,
    /// The files that were read.
    pub sources: Vec<SourceFile>,
    /// The files that were written.
    pub files: Vec<Written>,
    /// Rows of each slice, by name.
    pub slices: BTreeMap<&'static str, SliceCounts>,
    /// What became of the rows of each source.
    pub rows: BTreeMap<&'static str, SourceCounts>,
    /// What of the evaluation sets was found among the sources, and is in no file.
    pub evaluation: Vec<Evaluation>,
    /// Images that two stages share, `stage+stage`.
    pub shared_images: BTreeMap<String, usize>,
    /// Facts, where there are any.
    pub facts: Option<FactCounts>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceFile {
    /// What it is.
    pub what: &'static str,
    /// Its name, without folders.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Of its content.
    pub sha256: String,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Its place in the folder.
    pub file: String,
    /// Its rows; of facts, the images.
    pub rows: usize,
    /// Of its content.
    pub sha256: String,
}

/// Rows of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SliceCounts {
    /// Rows that it has.
    pub rows: usize,
    /// Rows that could have been drawn for it.
    pub candidates: usize,
    /// Different images.
    pub images: usize,
    /// Rows by `caption_type`, for reinforcement learning.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub caption_types: BTreeMap<u8, usize>,
}

/// What became of the rows of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SourceCounts {
    /// Rows of the file: conversations, questions, or images of Flickr30k.
    pub rows: usize,
    /// Rows about images that are held out.
    pub held_out: usize,
    /// Rows that are in no file, by reason.
    pub left_out: BTreeMap<&'static str, usize>,
}

/// An evaluation set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// Its file, without folders.
    pub file: String,
    /// Images that it names.
    pub images: usize,
    /// Rows of each source about one of them.
    pub rows: BTreeMap<&'static str, usize>,
}

/// Facts about the images of preference and PPO prompts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FactCounts {
    /// Images with captions.
    pub captioned: usize,
    /// Images with reasons.
    pub reasoned: usize,
    /// Prompts' images without the facts that the prompts are judged by.
    pub without: usize,
}

/// The last part of a path.
pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

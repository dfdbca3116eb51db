//! A new project, of a file of comparisons and a folder of images: with comments, guidelines to edit and both questions.

use std::io;
use std::path::Path;

use candor_data::{ComparisonFormat, atomic};
use serde_json::json;

use crate::error::AnnotateError;
use crate::project::Project;

const PROJECT: &str = include_str!("new/project.toml");
const GUIDELINES: &str = include_str!("new/guidelines.md");

/// The name of a project's file.
pub const FILE: &str = "project.toml";

/// Writes `project.toml` and `guidelines.md` into a folder, and returns the project. `seed` decides what the app draws.
///
/// # Errors
/// [`AnnotateError::Data`] if the format of `comparisons` cannot be told or the disk refuses, [`AnnotateError::Io`] if a
/// path does not exist or cannot be written in a project file.
pub fn write(
    folder: &Path,
    comparisons: &Path,
    images: &Path,
    seed: u64,
) -> Result<Project, AnnotateError> {
    let format = ComparisonFormat::of(comparisons)?;
    let file = quoted(
        comparisons,
        "check the path of the comparisons, which the project names",
    )?;
    let images = quoted(
        images,
        "make the folder of images or name another; where they are at a URL, write it in the project afterwards",
    )?;
    let text = format!(
        "{}file = {file}\nformat = \"{}\"\nimages = {images}\n",
        PROJECT.replace("SEED", &seed.to_string()),
        format.name()
    );
    let path = folder.join(FILE);
    atomic::write(&folder.join("guidelines.md"), GUIDELINES.as_bytes())?;
    atomic::write(&path, text.as_bytes())?;
    Project::read(&path)
}

/// The whole path of what is there, as a string of TOML, which one of JSON is too.
fn quoted(path: &Path, remedy: &'static str) -> Result<String, AnnotateError> {
    let whole = path.canonicalize().and_then(|whole| {
        let text = whole.to_str().map(|text| json!(text).to_string());
        text.ok_or_else(|| io::Error::other("the path is not in UTF-8"))
    });
    whole.map_err(|source| AnnotateError::Io {
        action: "name",
        place: path.display().to_string(),
        remedy,
        source,
    })
}

//! What can go wrong in the micro-world: a configuration that cannot be met, a folder that cannot be
//! written, a scene file that cannot be read.

use std::path::PathBuf;

use candor_data::DataError;

/// Everything that fails in this crate, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A field of [`crate::WorldConfig`] has a value the world cannot be built from.
    #[error("world configuration: `{field}` is {found}; {remedy}")]
    Config {
        /// The field's name.
        field: &'static str,
        /// What it held.
        found: String,
        /// What it must hold.
        remedy: &'static str,
    },
    /// An image could not be turned into a file.
    #[error("{}: encoding the image failed; this is a bug, please report it with the seed", path.display())]
    Image {
        /// The file that was to be written.
        path: PathBuf,
        /// The encoder's own words.
        #[source]
        source: image::ImageError,
    },
    /// A line of `scenes.jsonl` or `world.json` is not what this version writes.
    #[error("{}:{line}: not a scene; write the folder again with `candor world write`", path.display())]
    Scene {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser found.
        #[source]
        source: serde_json::Error,
    },
    /// A scene that parses but contradicts itself.
    #[error("{}:{line}: {found}; write the folder again with `candor world write`", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The contradiction.
        found: String,
    },
    /// A file of the folder cannot be read or written.
    #[error("{}: cannot be read or written; check the path, its rights and the free space", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A candidate is about an image that the world does not have.
    #[error("{}: candidate {id} is about {image}, which is no image of {}; give the world whose prompts were answered", path.display(), world.display())]
    NoScene {
        /// The file of candidates.
        path: PathBuf,
        /// The candidate's id.
        id: String,
        /// Its image.
        image: String,
        /// The world's folder.
        world: PathBuf,
    },
    /// No pair of candidates could be told apart.
    #[error("{}: none of the {n_pairs} pairs can be told apart; sample at a higher temperature or from a better model", path.display())]
    Undecided {
        /// The file of candidates.
        path: PathBuf,
        /// Its pairs.
        n_pairs: usize,
    },
    /// A file of the data folder could not be written or read.
    #[error(transparent)]
    Data(#[from] DataError),
}

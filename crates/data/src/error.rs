//! What can go wrong with data, always with the place it went wrong at and what to do about it.
//!
//! The binary prints the chain once, so no message repeats its source.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::rows::BadRows;

/// Advice to the reader of an error: what to change so that it goes away.
pub type Remedy = Cow<'static, str>;

/// Where in a file something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// Row `row` (from 0) of a JSON list; `list` names the list where the file holds several.
    Row {
        /// Name of the list inside the file, if the file is an object of lists.
        list: Option<&'static str>,
        /// Index of the row, from 0.
        row: usize,
        /// Line of the file, from 1, where it is known.
        line: Option<usize>,
    },
    /// A line of a text file, from 1.
    Line(usize),
    /// The entry of a JSON object under this key.
    Key(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => write!(f, "the whole file"),
            Self::Row { list, row, line } => {
                if let Some(list) = list {
                    write!(f, "{list} ")?;
                }
                write!(f, "row {row}")?;
                line.map_or(Ok(()), |line| write!(f, " (line {line})"))
            }
            Self::Line(line) => write!(f, "line {line}"),
            Self::Key(key) => write!(f, "row {key:?}"),
        }
    }
}

/// A field of a row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file.
    pub path: PathBuf,
    /// The row in it.
    pub place: Place,
    /// The field in the row, as a path such as `conversations[1].from`; empty if the row as a whole is meant.
    pub field: String,
}

impl Spot {
    /// The spot of `field` at `place` of the file at `path`, boxed as the errors hold it.
    #[must_use]
    pub fn new(path: &Path, place: Place, field: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            path: path.to_path_buf(),
            place,
            field: field.into(),
        })
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.place)?;
        if self.field.is_empty() {
            Ok(())
        } else {
            write!(f, ", field `{}`", self.field)
        }
    }
}

/// Everything this crate refuses to do.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot {action} {}; {remedy}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What to do.
        remedy: Remedy,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing at a path.
    #[error("cannot {action}: {} does not exist{near}; {remedy}", path.display())]
    Missing {
        /// What was to be done, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What is there instead ([`crate::missing::near`]).
        near: String,
        /// What to do.
        remedy: Remedy,
    },
    /// A file is larger than the bound that is checked before it is read.
    #[error("{} has {bytes} bytes, more than the limit of {limit}; {remedy}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
        /// What to do.
        remedy: Remedy,
    },
    /// A file or list holds nothing.
    #[error("{spot}: empty, expected {expected}; {remedy}")]
    Empty {
        /// The file, and the list in it.
        spot: Box<Spot>,
        /// What should be there.
        expected: &'static str,
        /// What to do.
        remedy: Remedy,
    },
    /// The text is not of the format at all: cut off, or another format.
    #[error("{spot}: {found}; {remedy}")]
    Syntax {
        /// How far it was readable.
        spot: Box<Spot>,
        /// What was found.
        found: String,
        /// What to do.
        remedy: Remedy,
    },
    /// A field is missing, of the wrong type, or has a value that it may not have.
    #[error("{spot}: {found}; {remedy}")]
    Field {
        /// The field.
        spot: Box<Spot>,
        /// What was found.
        found: String,
        /// What to do.
        remedy: Remedy,
    },
    /// Two rows carry the same id where the id is a key.
    #[error("{spot}: duplicate id {id}, first used at {first}; {remedy}")]
    DuplicateId {
        /// The second use.
        spot: Box<Spot>,
        /// The id.
        id: String,
        /// The first use.
        first: Place,
        /// What to do.
        remedy: Remedy,
    },
    /// A row names an image that is not in the image folder.
    #[error("{spot}: missing image {image:?} in folder {}; {remedy}", folder.display())]
    MissingImage {
        /// The row that names it.
        spot: Box<Spot>,
        /// The name.
        image: String,
        /// The folder that was searched.
        folder: PathBuf,
        /// What to do.
        remedy: Remedy,
    },
    /// Images that rows name cannot be used; all of them at once.
    #[error(
        "{}: {} of {n_images} images cannot be used; replace them, or remove the rows that name them\n  {}",
        path.display(), faults.len(), faults.join("\n  ")
    )]
    Images {
        /// The file with the rows.
        path: PathBuf,
        /// Images that it names.
        n_images: usize,
        /// For each that cannot be used the first row that names it, its name, and what was found.
        faults: Vec<String>,
    },
    /// An image cannot be decoded within its limits.
    #[error("image {}: {found}; {remedy}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What to do.
        remedy: Remedy,
    },
    /// Rows that a stage cannot use.
    #[error("{rows}{}", remedy.map(|remedy| format!("{}{remedy}", if rows.0.len() == 1 { "; " } else { "\n" })).unwrap_or_default())]
    BadRows {
        /// The rows.
        rows: BadRows,
        /// What to do besides mending them.
        remedy: Option<&'static str>,
    },
    /// Files for training cannot be made of those that were given.
    #[error("{found}; {remedy}")]
    Build {
        /// What was found.
        found: String,
        /// What to do.
        remedy: Remedy,
    },
    /// A mixture of sources cannot be built or continued.
    #[error("mixture, {part}: {found}; {remedy}")]
    Mixture {
        /// Which part of the mixture: a source's name, or a setting.
        part: String,
        /// What was found.
        found: String,
        /// What to do.
        remedy: Remedy,
    },
}

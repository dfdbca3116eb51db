//! Tensors that a model cannot be made of: one line for each.

use std::fmt;
use std::path::PathBuf;

use candor_weights::Dtype;

/// So many are spelled out.
const MAX_SHOWN: usize = 50;
/// Characters of a name that are shown.
const MAX_NAME: usize = 200;

/// Why one tensor does not fit the configuration. Names are the file's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The configuration calls for it, and it is not there.
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// What it would be called.
        name: String,
    },
    /// It has another shape than the configuration says.
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Shape in the file.
        found: Vec<u64>,
        /// Shape by the configuration.
        expected: Vec<i64>,
    },
    /// Its elements are no floating-point numbers.
    Kind {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Type in the file.
        found: Dtype,
    },
    /// No part of the model uses it.
    Extra {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, name) = match self {
            Self::Missing { path, name }
            | Self::Shape { path, name, .. }
            | Self::Kind { path, name, .. }
            | Self::Extra { path, name } => (path.display(), name),
        };
        // A name is the file's word: nothing in it reaches a terminal as it is.
        let shown: String = name
            .chars()
            .take(MAX_NAME)
            .flat_map(char::escape_debug)
            .collect();
        write!(f, "{path}: tensor `{shown}` ")?;
        match self {
            Self::Missing { .. } => write!(f, "is missing"),
            Self::Extra { .. } => write!(f, "belongs to no part of the model"),
            Self::Kind { found, .. } => write!(
                f,
                "is {found} and not floating-point: weights that were quantised elsewhere are not read, give the \
                 original ones"
            ),
            Self::Shape {
                found, expected, ..
            } => {
                write!(f, "has shape {found:?}, config.json calls for {expected:?}")?;
                if name.ends_with("position_embedding.weight") {
                    write!(
                        f,
                        ": the tower was trained on images of another size, and positions are not interpolated"
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// All of a model, as one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatches(pub Vec<Mismatch>);

impl fmt::Display for Mismatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(f, "{only}");
        }
        let n = self.0.len();
        write!(f, "{n} tensors do not fit the configuration:")?;
        for mismatch in self.0.iter().take(MAX_SHOWN) {
            write!(f, "\n  {mismatch}")?;
        }
        if n > MAX_SHOWN {
            write!(f, "\n  … and {} more", n - MAX_SHOWN)?;
        }
        writeln!(f)
    }
}

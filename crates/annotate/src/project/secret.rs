//! Secrets that a project needs of others: in the environment or in a file, never in the project file, which people share.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use candor_data::bounded::{self, Bound};
use candor_recipe::Reader;

use super::Project;
use crate::error::AnnotateError;

/// Largest file of a secret, in bytes.
const MAX_BYTES: u64 = 4096;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A variable of the environment.
    Environment(String),
    /// A file with nothing else in it.
    File(PathBuf),
}

/// A secret, which no message shows.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Secret {
    /// The secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl SecretPlace {
    /// The secret, without white space around it.
    ///
    /// # Errors
    /// [`AnnotateError::Io`] or [`AnnotateError::Data`] if there is none.
    pub fn read(&self, project: &Project) -> Result<Secret, AnnotateError> {
        let (place, text) = match self {
            Self::Environment(name) => {
                let text = std::env::var(name)
                    .map_err(|_| none(name, "it is not set, or no UTF-8".to_owned()))?;
                (name.clone(), text)
            }
            Self::File(file) => {
                let path = project.resolve(file);
                (path.display().to_string(), read(&path)?)
            }
        };
        match text.trim() {
            "" => Err(none(&place, "it is empty".to_owned())),
            text => Ok(Secret(text.to_owned())),
        }
    }
}

fn none(place: &str, reason: String) -> AnnotateError {
    AnnotateError::Io {
        action: "read the secret in",
        place: place.to_owned(),
        remedy: "set it before you serve the project",
        source: io::Error::other(reason),
    }
}

fn read(path: &Path) -> Result<String, AnnotateError> {
    let bound = Bound {
        max_bytes: MAX_BYTES,
        action: "read the secret",
        unreadable: "check the path that the project names, and that you may read it",
        too_large: "name a file with nothing but the secret",
    };
    let bytes = bounded::read(path, &bound)?;
    // The error of the conversion holds the bytes, so it is not passed on.
    String::from_utf8(bytes)
        .map_err(|_| none(&path.display().to_string(), "it is no UTF-8".to_owned()))
}

/// The place of the secret whose keys begin with `key`: `…_env` or `…_file`.
pub(super) fn place(file: &mut Reader, key: &str) -> Option<SecretPlace> {
    let (env_key, file_key) = (format!("{key}_env"), format!("{key}_file"));
    let variable = file
        .string(&env_key, "The variable of the environment with the secret.")
        .optional();
    let path = file
        .path(&file_key, "A file with the secret and nothing else.")
        .optional();
    if variable.is_some() && path.is_some() {
        let problem = format!("{env_key} says it too");
        file.mistake(&file_key, problem, "leave one of them out");
    }
    variable
        .map(SecretPlace::Environment)
        .or(path.map(SecretPlace::File))
}

//! Files of an earlier run in a folder that is written anew: what this run does not write must not stay beside what it does.

use std::io::ErrorKind;
use std::path::Path;

use crate::RewardError;

/// Removes what an earlier run wrote to the folder, if it did.
///
/// # Errors
/// It is there and cannot be removed.
pub(crate) fn remove(path: &Path) -> Result<(), RewardError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(RewardError::Unfit {
            path: path.to_owned(),
            problem: format!("it is of an earlier run and cannot be removed: {error}"),
            remedy: "remove it",
        }),
        _ => Ok(()),
    }
}

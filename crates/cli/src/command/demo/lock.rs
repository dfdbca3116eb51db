//! One demo at a time in a folder: two would write the same files.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use candor_data::Locked;
use candor_run::RunError;

/// Takes a folder, which is made if there is none, until what is returned is dropped or this process ends.
pub fn take(out: &Path) -> anyhow::Result<Locked> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    match candor_run::lock(out) {
        Err(RunError::RunLocked { dir, holder }) => anyhow::bail!(
            "{} is in use by the demo of {holder}; wait until that ends, or give another --out",
            dir.display()
        ),
        taken => Ok(taken?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_is_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("demo");
        let first = take(&out).unwrap();
        let error = take(&out).unwrap_err().to_string();
        let process = std::process::id();
        let expected = format!(
            "{} is in use by the demo of process {process}; wait until that ends, or give another --out",
            out.display()
        );
        assert_eq!(error, expected);
        drop(first);
        take(&out).unwrap();
    }
}

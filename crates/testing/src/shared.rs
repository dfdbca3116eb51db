//! Files of others, beside the checkout.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The photographs that are not ours to publish: JPEG files of the folder `PARITY_PHOTOS`, or of `../shared/data/photos`, in
/// the order of their names. Without any the test that asks is to be skipped, which is said on stderr.
#[must_use]
pub fn photographs() -> Vec<PathBuf> {
    let folder = std::env::var_os("PARITY_PHOTOS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/photos"),
        PathBuf::from,
    );
    let files = std::fs::read_dir(&folder).into_iter().flatten();
    let files = files.filter_map(|entry| Some(entry.ok()?.path()));
    let is_photograph = |path: &PathBuf| path.extension().is_some_and(|end| end == "jpg");
    let mut found: Vec<PathBuf> = files.filter(is_photograph).collect();
    found.sort();
    if found.is_empty() {
        // Written past the test harness, which keeps what a passing test prints to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no photographs in {} (set PARITY_PHOTOS to their folder)",
            folder.display()
        );
    }
    found
}

/// A file or folder of `../shared/data`, as seen from the root of the repository. Without it the test that asks is to be
/// skipped, which is said on stderr.
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    // Written past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: {name} is not in ../shared/data"
    );
    None
}

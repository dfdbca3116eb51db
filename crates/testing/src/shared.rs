//! Files of others, beside the checkout.

use std::io::Write as _;
use std::path::{Path, PathBuf};

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

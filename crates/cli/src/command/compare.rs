//! `candor eval compare`

use std::path::{Path, PathBuf};

use candor_data::atomic;
use candor_judge::compare::{Run, compare};

/// Compares runs, prints the table or JSON, and writes all forms of it.
pub fn run(folders: &[PathBuf], out: Option<&Path>, seed: u64, json: bool) -> anyhow::Result<()> {
    let runs = folders
        .iter()
        .map(|folder| Run::open(folder))
        .collect::<Result<Vec<_>, _>>()?;
    let comparison = compare(&runs, seed);
    let results = serde_json::to_string_pretty(&comparison)? + "\n";
    if let Some(out) = out {
        for (name, text) in [
            ("results.json", &results),
            ("table.csv", &comparison.csv()),
            ("table.md", &comparison.markdown()),
            ("table.tex", &comparison.latex()),
        ] {
            atomic::write(&out.join(name), text.as_bytes())?;
        }
    }
    print!("{}", if json { results } else { comparison.table() });
    Ok(())
}

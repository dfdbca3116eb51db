//! Writes the report of a demo again, without running the demo: `render DEMO_FOLDER`. With several folders the first one is
//! for the report of the others together: `render OUT SEED_0 SEED_1 SEED_2`.

use std::error::Error;
use std::path::PathBuf;

use candor_report::{About, Summary, seeds};

fn main() -> Result<(), Box<dyn Error>> {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (out, demos) = folders
        .split_first()
        .ok_or("usage: render DEMO_FOLDER, or render OUT DEMO_FOLDER DEMO_FOLDER...")?;
    let about = About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: format!("candor demo --out {}", out.display()),
    };
    if demos.is_empty() {
        println!("{}", candor_report::write(out, about)?.display());
        return Ok(());
    }
    let with_seed = |folder: &PathBuf| -> Result<(u64, PathBuf), Box<dyn Error>> {
        let summary = std::fs::read_to_string(folder.join("summary.json"))?;
        let summary: Summary = serde_json::from_str(&summary)?;
        Ok((summary.seed, folder.clone()))
    };
    let demos: Vec<(u64, PathBuf)> = demos.iter().map(with_seed).collect::<Result<_, _>>()?;
    print!("{}", seeds::write(out, &demos, &about)?.table());
    println!("{}", out.join("report.html").display());
    Ok(())
}

//! Writes the report of a demo again, without running the demo: `render DEMO_FOLDER`. With several folders the first one is
//! for the report of the others together: `render OUT SEED_0 SEED_1 SEED_2`.
//!
//! The command on the page is made from the summary, which does not say what `--changes` and `--device` were.

use std::error::Error;
use std::path::{Path, PathBuf};

use candor_report::{About, Summary, seeds};

fn main() -> Result<(), Box<dyn Error>> {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (out, demos) = folders
        .split_first()
        .ok_or("usage: render DEMO_FOLDER, or render OUT DEMO_FOLDER DEMO_FOLDER...")?;
    let about = |command| About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command,
    };
    if demos.is_empty() {
        let about = about(demo_command(out, &summary(out)?));
        println!("{}", candor_report::write(out, about)?.display());
        return Ok(());
    }
    let with_seed = |folder: &PathBuf| -> Result<(u64, PathBuf), Box<dyn Error>> {
        Ok((summary(folder)?.seed, folder.clone()))
    };
    let demos: Vec<(u64, PathBuf)> = demos.iter().map(with_seed).collect::<Result<_, _>>()?;
    let about = about(render_command(&folders));
    print!("{}", seeds::write(out, &demos, &about)?.table());
    println!("{}", out.join("report.html").display());
    Ok(())
}

fn summary(folder: &Path) -> Result<Summary, Box<dyn Error>> {
    let text = std::fs::read_to_string(folder.join("summary.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// The command that makes the same demo.
fn demo_command(out: &Path, summary: &Summary) -> String {
    let flags = [
        (summary.quick, " --quick"),
        (!summary.ablation.is_empty(), " --ablation"),
        (!summary.algorithms.is_empty(), " --algorithms"),
    ];
    let mut command = format!(
        "candor demo --out {} --seed {}",
        out.display(),
        summary.seed
    );
    if !summary.family.is_usual() {
        command.extend([" --family ", summary.family.key()]);
    }
    command.extend(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag));
    command
}

/// The command that pools the same demos.
fn render_command(folders: &[PathBuf]) -> String {
    let mut command = "cargo run --release -p candor-report --example render".to_owned();
    for folder in folders {
        command.push(' ');
        command.push_str(&folder.display().to_string());
    }
    command
}

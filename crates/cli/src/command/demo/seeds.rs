//! `--seeds N`: a demo for each seed, one after the other, and what they found together.

use std::path::PathBuf;

use anyhow::Context as _;
use candor_run::StopSignal;

use super::{Demo, about, command, lock};
use crate::arguments::{DemoArguments, MAX_SEED};

/// Runs what has not been run yet of all seeds, then pools their numbers and prints them.
pub fn run(arguments: &DemoArguments, stop: &StopSignal) -> anyhow::Result<()> {
    let again = command(arguments);
    let last = arguments.seed.checked_add(arguments.seeds - 1);
    let last = last.filter(|last| *last <= MAX_SEED);
    let last =
        last.context("--seed and --seeds go beyond the largest seed; take a smaller --seed")?;
    anyhow::ensure!(
        !arguments.out.join("demo.json").exists(),
        "{} holds a demo of one seed, whose report the page of all seeds would replace; give another --out",
        arguments.out.display()
    );
    let _lock = lock::take(&arguments.out)?;
    let mut folders: Vec<(u64, PathBuf)> = Vec::new();
    for seed in arguments.seed..=last {
        let one = DemoArguments {
            out: arguments.out.join(format!("seed-{seed}")),
            seed,
            seeds: 1,
            ..arguments.clone()
        };
        eprintln!(
            "demo: seed {seed}, {} of {}",
            folders.len() + 1,
            arguments.seeds
        );
        let Some(demo) = Demo::run(&one, &again, stop)? else {
            return Ok(stop.check()?);
        };
        demo.write(&one)?;
        folders.push((seed, one.out));
    }
    let summary = candor_report::seeds::write(&arguments.out, &folders, &about(arguments))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{}", summary.table());
    }
    let page = arguments.out.join("report.html");
    eprintln!("demo: {} seeds; open {}", folders.len(), page.display());
    Ok(())
}

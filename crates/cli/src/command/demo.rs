//! `candor demo`: every stage on the micro-world, resumable as a whole.

mod annotation;
mod changes;
mod done;
mod lock;
mod plan;
mod recipes;
mod results;
mod seeds;
mod side_by_side;
mod stage;
mod variant;

use std::path::PathBuf;
use std::thread;

use candor_data::Locked;
use candor_report::{About, Family};
use candor_run::{Outcome, StopSignal};
use candor_train::DeviceChoice;

use self::done::Done;
use self::plan::{Scope, Stage};
use self::recipes::Folder;
use self::side_by_side::{Conductor, this_program};
use super::device::device;
use super::stage::{program, quoted};
use crate::arguments::DemoArguments;

/// Threads that compute at once where nothing else is said: some stages take most of a gigabyte for each.
const MOST_JOBS: usize = 8;

/// The demo's folder and how far it is.
struct Demo {
    folder: Folder,
    done: Done,
    /// Keeps other demos out of the folder.
    _lock: Locked,
}

/// Runs what has not been run yet, then writes the report and prints the summary.
pub fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    if let (Some(stage), Some(again)) = (&arguments.stage, &arguments.again) {
        return stage::run(arguments, stage, again);
    }
    let stop = StopSignal::install()?;
    device(arguments.device)?;
    if arguments.seeds > 1 {
        return seeds::run(arguments, &stop);
    }
    match Demo::run(arguments, &command(arguments), &stop)? {
        Some(demo) => demo.finish(arguments),
        None => Ok(stop.check()?),
    }
}

impl Demo {
    /// Opens the folder, or starts one, and runs the stages that are not finished; none if it was stopped.
    fn run(
        arguments: &DemoArguments,
        again: &str,
        stop: &StopSignal,
    ) -> anyhow::Result<Option<Self>> {
        let folder = Folder::of(arguments)?;
        anyhow::ensure!(
            !folder.path("seeds.json").exists(),
            "{} holds the page of several seeds, which the report of one seed would replace; give another --out, or --seeds",
            folder.out.display()
        );
        let lock = lock::take(&folder.out)?;
        let mut done = Done::open(&folder)?;
        folder.keep_recipes()?;
        if !folder.family.is_usual() {
            eprintln!("demo: the models are built as {}", folder.family.name());
        }
        if folder.is_quick() {
            eprintln!(
                "demo: quick, everything is small: this shows that all stages run, and no number says anything about the method"
            );
        }
        let stages = Stage::all(Scope {
            ablation: arguments.ablation,
            algorithms: arguments.algorithms,
        });
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let program = this_program()?;
        let mut conductor = Conductor {
            program: &program,
            folder: &folder,
            done: &mut done,
            arguments,
            again,
            stop,
            jobs: arguments
                .jobs
                .map_or_else(|| cores().min(MOST_JOBS), usize::from),
        };
        if conductor.run(&stages)? == Outcome::Stopped {
            eprintln!("demo: stopped; continue with: {again}");
            return Ok(None);
        }
        Ok(Some(Self {
            folder,
            done,
            _lock: lock,
        }))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }
}

/// Which program made a demo, and the command that makes the same one.
fn about(arguments: &DemoArguments) -> About {
    About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: format!("candor {}", words(arguments)),
    }
}

/// The command that continues a demo.
fn command(arguments: &DemoArguments) -> String {
    let jobs = arguments.jobs.map(|jobs| format!(" --jobs {jobs}"));
    let (words, jobs) = (words(arguments), jobs.unwrap_or_default());
    format!("{} {words}{jobs}", program())
}

/// The demo's command without the program, and without what changes no number.
fn words(arguments: &DemoArguments) -> String {
    let path = |path: &PathBuf| quoted(&path.display().to_string());
    let out = path(&arguments.out);
    let mut words = vec![format!("demo --out {out} --seed {}", arguments.seed)];
    if arguments.seeds > 1 {
        words.push(format!("--seeds {}", arguments.seeds));
    }
    let family = Family::from(arguments.family);
    if !family.is_usual() {
        words.push(format!("--family {}", family.key()));
    }
    if arguments.device != DeviceChoice::Auto {
        words.push(format!("--device {}", arguments.device));
    }
    if let Some(changes) = &arguments.changes {
        words.push(format!("--changes {}", path(changes)));
    }
    let flags = [
        (arguments.quick, "--quick"),
        (arguments.ablation, "--ablation"),
        (arguments.algorithms, "--algorithms"),
    ];
    let given = flags.iter().filter(|(on, _)| *on);
    words.extend(given.map(|(_, flag)| (*flag).to_owned()));
    words.join(" ")
}

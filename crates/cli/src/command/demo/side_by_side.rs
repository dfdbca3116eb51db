//! Running the stages, each in a process of its own, those that do not need each other side by side.
//!
//! A process for a stage, because the number of libtorch's threads is the process's, and memory goes back when it ends.
//! Told to stop, this process tells the others, and waits for their checkpoints; killed, it takes them with it, as a kill of
//! theirs would. Either way what was kept is whole, and the demo can be continued.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use candor_run::{Outcome, StopSignal};
use signal_hook::consts::SIGTERM;

use super::done::{Done, Ran, most_at_once, write_json};
use super::plan::Stage;
use super::recipes::Folder;
use super::stage::Cost;
use crate::arguments::DemoArguments;
use crate::command::process::{PAUSE, Process};

/// What runs the stages of a demo.
pub struct Conductor<'a> {
    /// What its stages run, from [`this_program`].
    pub program: &'a Path,
    /// The demo's folder.
    pub folder: &'a Folder,
    /// What was done before, and is done here.
    pub done: &'a mut Done,
    /// What the demo was started with.
    pub arguments: &'a DemoArguments,
    /// The command that continues it.
    pub again: &'a str,
    /// Asks it to stop.
    pub stop: &'a StopSignal,
    /// Threads that may compute at once.
    pub jobs: usize,
}

/// The stages of this start.
struct Start {
    began: Instant,
    /// Of `began`, what `demo.json` has already.
    counted_secs: f64,
    running: BTreeMap<String, Running>,
    ran: Vec<Ran>,
    /// How the first one failed.
    failed: Option<String>,
    told_to_stop: bool,
}

struct Running {
    process: Process,
    n_threads: usize,
    from_secs: f64,
}

impl Conductor<'_> {
    /// Runs the stages that are not finished.
    ///
    /// # Errors
    /// A stage failed; the others have stopped.
    pub fn run(&mut self, stages: &[Stage]) -> anyhow::Result<Outcome> {
        let mut start = Start {
            began: Instant::now(),
            counted_secs: 0.0,
            running: BTreeMap::new(),
            ran: Vec::new(),
            failed: None,
            told_to_stop: false,
        };
        for stage in stages.iter().map(Stage::name) {
            if self.done.finished.contains(&stage) {
                eprintln!("demo: {stage} was finished before");
            }
        }
        loop {
            self.look(&mut start)?;
            let ends = start.failed.is_some() || self.stop.requested();
            if ends && !start.told_to_stop {
                start.told_to_stop = true;
                let signal = match self.stop.signal() {
                    0 => SIGTERM,
                    signal => signal.into(),
                };
                for running in start.running.values() {
                    running.process.hand_on(signal);
                }
            }
            if !ends {
                self.start_what_fits(stages, &mut start);
            }
            if start.running.is_empty() {
                break;
            }
            thread::sleep(PAUSE);
        }
        if let Some(failed) = start.failed {
            anyhow::bail!(
                "{failed}; when that is mended, continue with: {}",
                self.again
            );
        }
        let is_finished = |stage: &Stage| self.done.finished.contains(&stage.name());
        if stages.iter().all(is_finished) {
            return Ok(Outcome::Finished);
        }
        Ok(Outcome::Stopped)
    }

    /// Takes note of what has ended.
    fn look(&mut self, start: &mut Start) -> anyhow::Result<()> {
        let mut ended = Vec::new();
        for (name, running) in &mut start.running {
            if running.process.look()? {
                ended.push(name.clone());
            }
        }
        for name in ended {
            let Some(mut running) = start.running.remove(&name) else {
                continue;
            };
            let now = start.began.elapsed().as_secs_f64();
            let process = &mut running.process;
            process.hear_out();
            let said = process.output();
            let said = said
                .lines()
                .last()
                .and_then(|line| serde_json::from_str::<Cost>(line).ok());
            // A killed process says nothing.
            let cost = said.unwrap_or_default();
            start.ran.push(Ran {
                from_secs: running.from_secs,
                to_secs: now,
                peak_memory_bytes: cost.peak_memory_bytes,
            });
            let secs = now - running.from_secs;
            if process.succeeded() && said.is_some() {
                eprintln!("demo: {name} is finished, after {secs:.0} s");
                self.done.finished.insert(name.clone());
            } else if process.was_stopped() {
                // Somebody asked this process alone: the whole demo then.
                self.stop.hear(process.code() - 128);
            } else if start.failed.is_none() {
                if !start.running.is_empty() {
                    eprintln!("demo: {name} failed; the others stop at their next checkpoint");
                }
                start.failed = Some(if process.succeeded() {
                    format!("{name} ended without saying what it took")
                } else {
                    process.told()
                });
            }
            self.note(name, secs, &cost, start)?;
        }
        Ok(())
    }

    /// Writes down that a stage has run, finished or not.
    fn note(
        &mut self,
        name: String,
        secs: f64,
        cost: &Cost,
        start: &mut Start,
    ) -> anyhow::Result<()> {
        let done = &mut *self.done;
        *done.stage_secs.entry(name.clone()).or_default() += secs;
        *done.processor_secs.entry(name.clone()).or_default() += cost.processor_secs;
        let peak = done.stage_peak_bytes.entry(name).or_default();
        *peak = cost.peak_memory_bytes.max(*peak);
        let most = most_at_once(&start.ran) + candor_torch_ext::peak_memory_bytes();
        done.peak_memory_bytes = done.peak_memory_bytes.max(most);
        let now = start.began.elapsed().as_secs_f64();
        done.wall_secs += now - start.counted_secs;
        start.counted_secs = now;
        write_json(&self.folder.path("demo.json"), done)
    }

    /// Starts what has all it needs, as long as there are threads for it; always one.
    fn start_what_fits(&self, stages: &[Stage], start: &mut Start) {
        for (i, stage) in stages.iter().enumerate() {
            let name = stage.name();
            let finished = &self.done.finished;
            let is_ready = stage.needs().iter().all(|need| finished.contains(need));
            if finished.contains(&name) || start.running.contains_key(&name) || !is_ready {
                continue;
            }
            let n_taken: usize = start.running.values().map(|one| one.n_threads).sum();
            if n_taken > 0 && n_taken + stage.threads() > self.jobs {
                continue;
            }
            eprintln!("demo: {} of {}: {name}", i + 1, stages.len());
            let process = match Process::start(&name, &mut self.command(stage)) {
                Ok(process) => process,
                Err(error) => {
                    start.failed = Some(format!("cannot start {name}: {error}"));
                    return;
                }
            };
            let running = Running {
                process,
                n_threads: stage.threads(),
                from_secs: start.began.elapsed().as_secs_f64(),
            };
            start.running.insert(name, running);
        }
    }

    /// The command of a stage's process.
    fn command(&self, stage: &Stage) -> Command {
        let mut command = Command::new(self.program);
        // Listed under the name that this process has.
        #[cfg(unix)]
        if let Some(called) = std::env::args_os().next() {
            std::os::unix::process::CommandExt::arg0(&mut command, called);
        }
        command
            .args(["demo", "--stage", &stage.name()])
            .args(["--again", self.again, "--out"])
            .arg(&self.folder.out)
            .args(["--seed", &self.folder.seed.to_string()])
            .args(["--family", self.folder.family.key()])
            .args(["--device", &self.arguments.device.to_string()])
            // What decodes and draws beside libtorch has the stage's threads as well.
            .env("RAYON_NUM_THREADS", stage.threads().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.folder.is_quick() {
            // The demo's own copy: another file may have been edited since the demo began.
            let changes = self.folder.path("recipes/changes.toml");
            command.arg("--changes").arg(changes);
        }
        command
    }
}

/// This program as it is now: on Linux also when another file has taken its place, as a build or an upgrade does.
pub fn this_program() -> anyhow::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    Ok(std::env::current_exe()?)
}

//! A process that this one has started: it says what it says with its name before it, and ends with the one that started it.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use candor_run::Stopped;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::SIGINT;

/// Between looks at processes.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Tells a process which one started it.
const PARENT: &str = "CANDOR_PARENT";

/// How often a thread of libgomp looks for another before it sleeps, for some hundred microseconds. Left alone it looks for
/// milliseconds, and takes the core from the thread that it waits for where other programs run beside (docs/performance.md).
const SPINS: [&str; 2] = ["GOMP_SPINCOUNT", "10000"];

/// A process, killed when this is dropped before it has ended.
pub struct Process {
    name: String,
    child: Child,
    /// Reads what it says; ends with the last line.
    said: Option<JoinHandle<()>>,
    /// Reads its stdout all along, so that it never waits for a reader.
    output: Option<JoinHandle<String>>,
    last_line: Arc<Mutex<String>>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts a command, without stdin. Where its stderr is piped, its lines go to ours, each with the name before it unless
    /// it begins with that already.
    pub fn start(name: &str, command: &mut Command) -> io::Result<Self> {
        // A terminal's Ctrl-C would reach it a second time, by its group of processes.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        command.env(PARENT, std::process::id().to_string());
        let [spins, n] = SPINS;
        if [spins, "OMP_WAIT_POLICY"].map(std::env::var_os) == [None, None] {
            command.env(spins, n);
        }
        let mut child = command.stdin(Stdio::null()).spawn()?;
        let last_line = Arc::new(Mutex::new(String::new()));
        let said = child.stderr.take().map(|stderr| {
            let (last_line, mark) = (Arc::clone(&last_line), format!("{name}: "));
            thread::spawn(move || {
                let mut stderr = BufReader::new(stderr);
                let mut line = Vec::new();
                while stderr.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    let mark = if text.starts_with(&mark) { "" } else { &mark };
                    eprintln!("{mark}{text}");
                    *last_line.lock().unwrap_or_else(PoisonError::into_inner) = text;
                    line.clear();
                }
            })
        });
        let output = child.stdout.take().map(|mut stdout| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                // What was read before an error counts.
                let _ = stdout.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        });
        Ok(Self {
            name: name.to_owned(),
            child,
            said,
            output,
            last_line,
            ended: None,
        })
    }

    /// Whether it has ended, as far as is known now.
    pub fn look(&mut self) -> io::Result<bool> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended.is_some())
    }

    /// Whether the last [`Process::look`] found that it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether it did all that it was to do.
    pub fn succeeded(&self) -> bool {
        self.ended.is_some_and(|status| status.success())
    }

    /// Whether it ended as a process that a signal asked to stop. One that has only begun does not hear the signal yet, and
    /// is ended by it.
    pub fn was_stopped(&self) -> bool {
        self.ended.is_some() && Stopped::EXIT_CODES.contains(&self.code())
    }

    /// Whether a signal ended it, and not its own exit.
    pub fn was_ended_by_signal(&self) -> bool {
        self.ended.is_some_and(|status| status.code().is_none())
    }

    /// Sends it SIGINT, or SIGTERM for any other signal, unless it has ended.
    pub fn hand_on(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let signal = if signal == SIGINT {
            Signal::INT
        } else {
            Signal::TERM
        };
        if let (Some(pid), None) = (pid, self.ended) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits until all that it said is passed on, of one that has ended.
    pub fn hear_out(&mut self) {
        if let Some(said) = self.said.take() {
            let _ = said.join();
        }
    }

    /// What it wrote to stdout, of one that has ended; empty where that is not piped.
    pub fn output(&mut self) -> String {
        let output = self.output.take().map(JoinHandle::join);
        output.and_then(Result::ok).unwrap_or_default()
    }

    /// What a shell would report of it.
    pub fn code(&self) -> u8 {
        #[cfg(unix)]
        if let Some(signal) = self
            .ended
            .and_then(|s| std::os::unix::process::ExitStatusExt::signal(&s))
        {
            return 128_u8.saturating_add(signal as u8);
        }
        self.ended
            .and_then(|status| status.code())
            .map_or(1, |code| code as u8)
    }

    /// How it ended, in words.
    pub fn told(&self) -> String {
        let (name, code) = (&self.name, self.code());
        let line = self
            .last_line
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let how = match self.ended.and_then(|status| status.code()) {
            Some(_) => format!("{name} failed with exit code {code}"),
            None => format!("{name} was ended by signal {}", i32::from(code) - 128),
        };
        if line.is_empty() {
            return how;
        }
        format!("{how}, and last said: {line}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Ends this process when the one that started it does, where the system can.
#[cfg(target_os = "linux")]
pub fn end_with_parent() {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // It may have ended before that was asked for; then the parent is another one.
    let started_by = std::env::var(PARENT).ok();
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if started_by.is_some() && started_by != parent {
        std::process::exit(1);
    }
}

/// Here the system cannot end this process when the one that started it does: it ends at the next line it says, with what its
/// last checkpoint has.
#[cfg(not(target_os = "linux"))]
pub fn end_with_parent() {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn ended(script: &str) -> Process {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::start("one", &mut command).unwrap();
        while !process.look().unwrap() {
            thread::sleep(PAUSE);
        }
        process
    }

    #[test]
    fn who_was_stopped_has_heard_the_signal_or_was_ended_by_it() {
        for (script, code, was_stopped, by_signal) in [
            ("exit 0", 0, false, false),
            ("exit 2", 2, false, false),
            ("exit 130", 130, true, false),
            ("exit 143", 143, true, false),
            ("kill -TERM $$", 143, true, true),
            ("kill -KILL $$", 137, false, true),
        ] {
            let process = ended(script);
            assert_eq!(process.code(), code, "{script}");
            assert_eq!(process.was_stopped(), was_stopped, "{script}");
            assert_eq!(process.was_ended_by_signal(), by_signal, "{script}");
        }
    }

    #[test]
    fn more_output_than_a_pipe_holds_keeps_no_process_from_ending() {
        let mut process = ended("head -c 200000 /dev/zero | tr '\\0' a; echo; echo last");
        let output = process.output();
        assert_eq!(output.len(), 200_000 + "\nlast\n".len());
        assert_eq!(output.lines().last(), Some("last"));
    }
}

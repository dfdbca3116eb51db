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

/// A process, killed when this is dropped before it has ended.
pub struct Process {
    name: String,
    child: Child,
    /// Reads what it says; ends with the last line.
    said: Option<JoinHandle<()>>,
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
        Ok(Self {
            name: name.to_owned(),
            child,
            said,
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

    /// Whether it ended as a process that a signal asked to stop.
    pub fn was_stopped(&self) -> bool {
        let code = self.ended.and_then(|status| status.code());
        code.is_some_and(|code| Stopped::EXIT_CODES.contains(&(code as u8)))
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
        let mut text = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            let _ = stdout.read_to_string(&mut text);
        }
        text
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

/// Ends this process when the one that started it does, where the system can.
#[cfg(not(target_os = "linux"))]
pub fn end_with_parent() {}

//! A function that is a process: lines go to its stdin, replies come from its stdout.
//!
//! It is started when it is first needed, and ended by the end of its stdin. A process that fails is killed with all that it
//! started, and the error shows how it ended and what it last wrote to stderr.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process_group};

use super::function::{Fault, Hear};
use super::recipe::CommandRecipe;

/// A longer line is no reply.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// What is shown of stderr.
const MAX_STDERR_BYTES: usize = 600;
/// How long a process may take to end after its stdin did.
const ENDING: Duration = Duration::from_secs(2);

/// How long a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// As long as the run; it answers a line before it reads the end of its stdin.
    Kept,
    /// For the lines of one step; it may read all of them before it answers.
    Batch,
}

/// A command, and the process that is running.
#[derive(Debug)]
pub(super) struct Command {
    words: Vec<String>,
    process: Process,
    timeout: Duration,
    running: Option<Running>,
}

/// A process and its three streams.
#[derive(Debug)]
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Result<String, String>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

impl Command {
    pub(super) fn new(recipe: &CommandRecipe) -> Self {
        Self {
            words: recipe.command.clone(),
            process: recipe.process,
            timeout: Duration::from_secs_f64(recipe.timeout_secs),
            running: None,
        }
    }

    /// Sends the lines and hears the replies.
    pub(super) fn ask(&mut self, lines: &[String], hear: &mut Hear<'_>) -> Result<(), Fault> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => Running::start(&self.words).map_err(Fault::Reply)?,
        };
        let ends = self.process == Process::Batch;
        match running.ask(&lines.concat(), ends, self.timeout, hear) {
            Ok(()) => {
                if !ends {
                    self.running = Some(running);
                }
                Ok(())
            }
            Err(Fault::Reply(problem)) => Err(Fault::Reply(format!(
                "`{}` failed: {problem}{}",
                self.words.join(" "),
                running.last_words()
            ))),
            Err(keeping) => Err(keeping),
        }
    }
}

impl Running {
    fn start(words: &[String]) -> Result<Self, String> {
        let mut command = std::process::Command::new(&words[0]);
        // Ctrl-C is for the run, which ends its step first and the process after it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{}` cannot be started: {error}", words.join(" ")))?;
        let (sender, lines) = channel();
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            let mut stdout = stdout.map(BufReader::new);
            while let Some(line) = stdout.as_mut().and_then(read_line) {
                // Nobody listens any more once a process failed.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stderr: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (said, told) = (child.stderr.take(), Arc::clone(&stderr));
        let listening = std::thread::spawn(move || {
            let mut piece = [0; 512];
            let mut said = said;
            while let Some(Ok(n @ 1..)) = said.as_mut().map(|said| said.read(&mut piece)) {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                told.extend_from_slice(&piece[..n]);
                let excess = told.len().saturating_sub(MAX_STDERR_BYTES);
                told.drain(..excess);
            }
        });
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            lines,
            stderr,
            listening,
        })
    }

    fn ask(
        &mut self,
        text: &str,
        ends: bool,
        timeout: Duration,
        hear: &mut Hear<'_>,
    ) -> Result<(), Fault> {
        let (mut pipe, text) = (self.stdin.take(), text.to_owned());
        // Beside the reading, because a pipe holds only so much in either direction. That a process does not read, or
        // closed its stdin, shows in what it replies.
        let writing = std::thread::spawn(move || {
            if let Some(open) = &mut pipe {
                let _ = open.write_all(text.as_bytes()).and_then(|()| open.flush());
            }
            if ends { None } else { pipe }
        });
        let outcome = listen(&self.lines, ends, timeout, hear);
        if outcome.is_err() {
            // Ends the writing too, which is not waited for: who left the process's group may hold the pipe.
            self.kill();
            return outcome;
        }
        self.stdin = writing.join().unwrap_or_default();
        if ends { self.done(timeout) } else { Ok(()) }
    }

    /// Whether a process that has said all it had to say ends as one does that succeeded.
    fn done(&mut self, timeout: Duration) -> Result<(), Fault> {
        match self.wait(timeout) {
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(Fault::Reply(
                "it gave all rewards, and failed after the last".to_owned(),
            )),
            None => Err(Fault::Reply(format!(
                "it closed its stdout and did not end in {} seconds (timeout_secs)",
                timeout.as_secs_f64()
            ))),
        }
    }

    /// How it ended and what it said last.
    fn last_words(&mut self) -> String {
        drop(self.stdin.take());
        let status = self.end();
        // Whoever it started may hold its stderr open.
        let until = Instant::now() + Duration::from_millis(200);
        while !self.listening.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let said = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said);
        let ended = status.map_or_else(String::new, |status| format!("; it ended with {status}"));
        match said.trim() {
            "" => ended,
            said => format!("{ended}; it wrote to stderr: {said}"),
        }
    }

    /// Waits a little for it to end, then kills it.
    fn end(&mut self) -> Option<ExitStatus> {
        if let Some(status) = self.wait(ENDING) {
            return Some(status);
        }
        self.kill();
        self.child.wait().ok()
    }

    /// How it ended, if it does so in time.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Kills it, and whom it started: a shell's program would work on. It must not have been waited for, because its number
    /// would be free for another group then.
    fn kill(&mut self) {
        #[cfg(unix)]
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.end();
    }
}

/// Hears lines until no more are waited for; a process that `ends` must say no more until it does.
fn listen(
    lines: &Receiver<Result<String, String>>,
    ends: bool,
    timeout: Duration,
    hear: &mut Hear<'_>,
) -> Result<(), Fault> {
    let mut waiting = true;
    while waiting || ends {
        match lines.recv_timeout(timeout) {
            Ok(Ok(line)) => waiting = hear(&line)?,
            Ok(Err(problem)) => return Err(Fault::Reply(problem)),
            Err(RecvTimeoutError::Disconnected) if !waiting => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Fault::Reply("it closed its stdout".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {
                let missing = if waiting { "no line" } else { "no end" };
                return Err(Fault::Reply(format!(
                    "{missing} came in {} seconds (timeout_secs)",
                    timeout.as_secs_f64()
                )));
            }
        }
    }
    Ok(())
}

/// The next line, or what is wrong with it; nothing at the end.
fn read_line(stdout: &mut BufReader<std::process::ChildStdout>) -> Option<Result<String, String>> {
    let mut bytes = Vec::new();
    let read = stdout.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
    match read {
        Ok(0) => None,
        Ok(n) if n as u64 == MAX_LINE_BYTES => {
            Some(Err(format!("a line has more than {MAX_LINE_BYTES} bytes")))
        }
        Ok(_) => Some(String::from_utf8(bytes).map_err(|_| "a line is not UTF-8".to_owned())),
        Err(error) => Some(Err(format!("its stdout cannot be read: {error}"))),
    }
}

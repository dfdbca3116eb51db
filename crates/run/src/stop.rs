//! Stopping on SIGINT and SIGTERM at the end of a step.
//!
//! The first signal only sets a flag, which the loop asks for after every step; it then writes a checkpoint
//! and ends. A second signal ends the process at once, for when a step takes too long. Either way the exit code is the
//! one that a shell reports for a process that the signal ended, 130 or 143: work that is not finished is no success.
//! `timeout` sends its SIGTERM twice, to its command and to their process group, and means it once; so a SIGTERM is a
//! second one only if it comes `SENT_TWICE` after the first.
//! The handlers are the process's and stay for its life, however many stages it runs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::error::RunError;

/// What shells add to the number of the signal that ended a process.
const SIGNALLED: i32 = 128;

/// SIGTERMs closer together than this are one.
const SENT_TWICE: Duration = Duration::from_secs(1);

/// A signal ended the work before it was finished. No error, but no success either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped by {}", if *.signal == SIGTERM { "SIGTERM" } else { "SIGINT" })]
pub struct Stopped {
    signal: i32,
}

impl Stopped {
    /// What a process that was stopped exits with.
    pub const EXIT_CODES: [u8; 2] = [(SIGNALLED + SIGINT) as u8, (SIGNALLED + SIGTERM) as u8];

    /// What the process should exit with: 130 after SIGINT, 143 after SIGTERM.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        // Both signals have small numbers.
        (SIGNALLED + self.signal) as u8
    }
}

/// The flag that asks a loop to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    /// The number of the last signal; 0 is none.
    requested: Arc<AtomicUsize>,
    /// Whether the next signal ends the process.
    at_once: Arc<AtomicBool>,
}

static INSTALLED: Mutex<Option<StopSignal>> = Mutex::new(None);

impl StopSignal {
    /// Installs the handlers, once per process, and returns the flag they set.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn install() -> Result<Self, RunError> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signal) = installed.as_ref() {
            return Ok(signal.clone());
        }
        let stop = Self::default();
        for (signal, name) in [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")] {
            let failed = |source| RunError::Signal {
                signal: name,
                source,
            };
            // Handlers run in this order: the first SIGINT finds `at_once` unset, then sets it.
            let (at_once, number) = (|| Arc::clone(&stop.at_once), signal as usize);
            flag::register_conditional_shutdown(signal, SIGNALLED + signal, at_once())
                .map_err(failed)?;
            if signal == SIGINT {
                flag::register(signal, at_once()).map_err(failed)?;
            } else {
                set_after_first_terminate(at_once()).map_err(failed)?;
            }
            flag::register_usize(signal, Arc::clone(&stop.requested), number).map_err(failed)?;
        }
        *installed = Some(stop.clone());
        Ok(stop)
    }

    /// A flag that only [`StopSignal::request`] sets, for tests and for runs inside another program.
    #[must_use]
    pub fn detached() -> Self {
        Self::default()
    }

    /// Asks the loop to stop, as SIGINT would.
    pub fn request(&self) {
        self.requested.store(SIGINT as usize, Ordering::SeqCst);
    }

    /// The number of the signal that was heard; 0 is none.
    #[must_use]
    pub fn signal(&self) -> u8 {
        // Both signals have small numbers.
        self.requested.load(Ordering::SeqCst) as u8
    }

    /// Asks the loop to stop as this signal would, which another process has heard; 0 asks nothing.
    pub fn hear(&self, signal: u8) {
        if signal != 0 {
            self.requested.store(signal.into(), Ordering::SeqCst);
        }
    }

    /// Whether the loop should checkpoint and end.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.check().is_err()
    }

    /// The signal as an error, for a command that ends unfinished because of it.
    ///
    /// # Errors
    /// The loop was asked to stop.
    pub fn check(&self) -> Result<(), Stopped> {
        match self.requested.load(Ordering::SeqCst) as i32 {
            0 => Ok(()),
            signal => Err(Stopped { signal }),
        }
    }

    /// From here on a signal ends the process at once, because nothing would be lost by it.
    ///
    /// # Errors
    /// There was a signal before.
    pub fn end_at_once(&self) -> Result<(), Stopped> {
        self.at_once.store(true, Ordering::SeqCst);
        self.check()
    }
}

/// Sets the flag [`SENT_TWICE`] after the first SIGTERM, from a thread, because a handler cannot wait.
fn set_after_first_terminate(at_once: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM])?;
    let wait = move || {
        if signals.forever().next().is_some() {
            thread::sleep(SENT_TWICE);
            at_once.store(true, Ordering::SeqCst);
        }
    };
    let named = thread::Builder::new().name("stop".to_owned());
    named.spawn(wait).map(drop)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use signal_hook::low_level::raise;

    use super::*;

    /// Set in the child processes of these tests: signals are the process's, so each test needs its own.
    const CHILD: &str = "CANDOR_TEST_STOP_CHILD";

    fn exit_code_of_child(test: &str) -> Option<i32> {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .status()
            .unwrap();
        status.code()
    }

    #[test]
    fn a_first_signal_only_sets_the_flag() {
        if std::env::var_os(CHILD).is_some() {
            let signal = StopSignal::install().unwrap();
            assert!(!signal.requested());
            raise(SIGTERM).unwrap();
            assert!(signal.requested());
            assert_eq!(signal.check().map_err(Stopped::exit_code), Err(143));
            raise(SIGINT).unwrap();
            assert!(StopSignal::install().unwrap().requested());
            assert_eq!(signal.check().map_err(Stopped::exit_code), Err(130));
            std::process::exit(42);
        }
        let code = exit_code_of_child("stop::tests::a_first_signal_only_sets_the_flag");
        assert_eq!(code, Some(42));
    }

    #[test]
    fn a_signal_ends_work_that_loses_nothing_at_once() {
        if std::env::var_os(CHILD).is_some() {
            let signal = StopSignal::install().unwrap();
            signal.end_at_once().unwrap();
            raise(SIGTERM).unwrap();
            std::process::exit(42);
        }
        let code = exit_code_of_child("stop::tests::a_signal_ends_work_that_loses_nothing_at_once");
        assert_eq!(code, Some(143));
        let before = StopSignal::detached();
        before.request();
        assert_eq!(before.end_at_once().unwrap_err().exit_code(), 130);
    }

    #[test]
    fn a_second_interrupt_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            let _signal = StopSignal::install().unwrap();
            raise(SIGINT).unwrap();
            raise(SIGINT).unwrap();
            std::process::exit(42);
        }
        let code = exit_code_of_child("stop::tests::a_second_interrupt_ends_the_process");
        assert_eq!(code, Some(130));
    }

    #[test]
    fn a_second_terminate_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            let stop = StopSignal::install().unwrap();
            // What `timeout` sends twice is one.
            raise(SIGTERM).unwrap();
            raise(SIGTERM).unwrap();
            assert_eq!(stop.check().map_err(Stopped::exit_code), Err(143));
            println!("first survived");
            for _ in 0..600 {
                thread::sleep(SENT_TWICE / 10);
                raise(SIGTERM).unwrap();
            }
            std::process::exit(42);
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "stop::tests::a_second_terminate_ends_the_process",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(child.status.code(), Some(143));
        assert!(String::from_utf8_lossy(&child.stdout).contains("first survived"));
    }

    #[test]
    fn a_detached_flag_is_its_own() {
        let (one, other) = (StopSignal::detached(), StopSignal::detached());
        one.clone().request();
        assert!(one.requested() && !other.requested());
    }
}

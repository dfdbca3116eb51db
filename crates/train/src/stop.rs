//! Stopping on SIGINT and SIGTERM at the end of a step.
//!
//! The first signal only sets a flag, which the loop asks for after every step; it then writes a checkpoint
//! and ends. A second SIGINT ends the process at once with exit code 130, for when a step takes too long.
//! The handlers are the process's and stay for its life, however many stages it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::TrainError;

/// What a shell reports for a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

/// The flag that asks a loop to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    requested: Arc<AtomicBool>,
}

static INSTALLED: Mutex<Option<StopSignal>> = Mutex::new(None);

impl StopSignal {
    /// Installs the handlers, once per process, and returns the flag they set.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn install() -> Result<Self, TrainError> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signal) = installed.as_ref() {
            return Ok(signal.clone());
        }
        let signal = Self::default();
        let interrupted = Arc::new(AtomicBool::new(false));
        let failed = |signal| move |source| TrainError::Signal { signal, source };
        // Handlers run in this order: the first SIGINT finds `interrupted` unset, then sets it.
        flag::register_conditional_shutdown(SIGINT, EXIT_INTERRUPTED, Arc::clone(&interrupted))
            .map_err(failed("SIGINT"))?;
        flag::register(SIGINT, interrupted).map_err(failed("SIGINT"))?;
        flag::register(SIGINT, Arc::clone(&signal.requested)).map_err(failed("SIGINT"))?;
        flag::register(SIGTERM, Arc::clone(&signal.requested)).map_err(failed("SIGTERM"))?;
        *installed = Some(signal.clone());
        Ok(signal)
    }

    /// A flag that only [`StopSignal::request`] sets, for tests and for runs inside another program.
    #[must_use]
    pub fn detached() -> Self {
        Self::default()
    }

    /// Asks the loop to stop, as a signal would.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }

    /// Whether the loop should checkpoint and end.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
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
            raise(SIGINT).unwrap();
            assert!(StopSignal::install().unwrap().requested());
            std::process::exit(42);
        }
        let code = exit_code_of_child("stop::tests::a_first_signal_only_sets_the_flag");
        assert_eq!(code, Some(42));
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
        assert_eq!(code, Some(EXIT_INTERRUPTED));
    }

    #[test]
    fn a_detached_flag_is_its_own() {
        let (one, other) = (StopSignal::detached(), StopSignal::detached());
        one.clone().request();
        assert!(one.requested() && !other.requested());
    }
}

//! The processes of a run: started here with `--ranks N`, or by torchrun, SLURM or Kubernetes.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use candor_run::{RankPlace, Ranks, Stopped};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::arguments::RankArguments;

/// What a process exits with whose run ended because another rank did.
pub const ANOTHER_RANK: u8 = 75;

/// How long ranks have to end by themselves after the first has failed.
const GRACE: Duration = Duration::from_secs(5);
/// Between looks at the processes.
const PAUSE: Duration = Duration::from_millis(20);
/// Set for the processes that are started here: they end with the one that started them.
const LAUNCHED: &str = "CANDOR_LAUNCHED";

/// The ranks that were started here have ended, and what there is to say was said.
#[derive(Debug)]
pub struct Ended {
    /// What this process exits with.
    pub code: u8,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ranks ended with exit code {}", self.code)
    }
}

impl std::error::Error for Ended {}

/// The ranks of this run, once all are there. None in a process that has started them, when they are done.
///
/// # Errors
/// The ranks do not find each other; or, where they were started here, one failed ([`Ended`]) or a signal stopped them.
pub fn start(arguments: &RankArguments) -> anyhow::Result<Option<Ranks>> {
    let place = RankPlace::of_environment(|name| std::env::var(name).ok())?;
    let Some(place) = place else {
        return match arguments.ranks {
            None | Some(1) => Ok(Some(Ranks::alone())),
            Some(n) => {
                launch(n.into())?;
                Ok(None)
            }
        };
    };
    if let Some(n) = arguments.ranks.filter(|n| usize::from(*n) != place.world) {
        anyhow::bail!(
            "--ranks is {n}, but the environment says that this is rank {} of {}; leave --ranks out under torchrun or srun",
            place.rank,
            place.world
        );
    }
    if were_launched() {
        end_with_parent();
    }
    let timeout = Duration::from_secs(arguments.rank_timeout);
    Ok(Some(candor_train::join(place, timeout)?))
}

/// Whether this process is one of those that `--ranks` starts on one machine.
pub fn were_launched() -> bool {
    std::env::var_os(LAUNCHED).is_some()
}

#[cfg(target_os = "linux")]
fn end_with_parent() {
    // Without it the ranks would only end at their next exchange.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {}

/// A process that was started here.
struct Rank {
    number: usize,
    child: Child,
    /// Reads what it says; ends with the last line.
    said: Option<JoinHandle<()>>,
    last_line: Arc<Mutex<String>>,
    ended: Option<ExitStatus>,
}

/// Starts this command once for each rank and waits for all.
fn launch(n: usize) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut ranks = Vec::with_capacity(n);
    for rank in 0..n {
        match Rank::start(rank, n, port, cores) {
            Ok(started) => ranks.push(started),
            Err(error) => {
                end(&mut ranks);
                return Err(error.into());
            }
        }
    }
    let mut failed: Option<(usize, Instant)> = None;
    while ranks.iter().any(|rank| rank.ended.is_none()) {
        for signal in signals.pending() {
            for rank in &ranks {
                rank.hand_on(signal);
            }
        }
        for rank in &mut ranks {
            rank.look()?;
        }
        let first = ranks.iter().filter_map(Rank::failure).min();
        if let (None, Some((_, rank))) = (failed, first) {
            failed = Some((rank, Instant::now()));
        }
        if failed.is_some_and(|(_, since)| since.elapsed() > GRACE) {
            end(&mut ranks);
        }
        thread::sleep(PAUSE);
    }
    for rank in &mut ranks {
        if let Some(said) = rank.said.take() {
            let _ = said.join();
        }
    }
    // Those that only say that another has ended count last.
    if let Some((_, first)) = ranks.iter().filter_map(Rank::failure).min() {
        let first = failed.map_or(
            first,
            |(rank, _)| if ranks[rank].is_cause() { rank } else { first },
        );
        let rank = &ranks[first];
        eprintln!("candor: {}; all ranks have ended", rank.told());
        return Err(Ended { code: rank.code() }.into());
    }
    match ranks.iter().map(Rank::code).max() {
        None | Some(0) => Ok(()),
        Some(code) => Err(Ended { code }.into()),
    }
}

/// Ends what has not ended yet, at once.
fn end(ranks: &mut [Rank]) {
    for rank in ranks.iter_mut().filter(|rank| rank.ended.is_none()) {
        let _ = rank.child.kill();
    }
}

impl Rank {
    fn start(rank: usize, world: usize, port: u16, cores: usize) -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(std::env::args_os().skip(1))
            .env("RANK", rank.to_string())
            .env("LOCAL_RANK", rank.to_string())
            .env("WORLD_SIZE", world.to_string())
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", port.to_string())
            .env(LAUNCHED, "1");
        if std::env::var_os("OMP_NUM_THREADS").is_none() {
            command.env("OMP_NUM_THREADS", (cores / world).max(1).to_string());
        }
        // A terminal's Ctrl-C would reach the ranks a second time, by its group of processes.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null());
        if rank > 0 {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        let mut child = command.spawn()?;
        let last_line = Arc::new(Mutex::new(String::new()));
        let said = child.stderr.take().map(|stderr| {
            let last_line = Arc::clone(&last_line);
            thread::spawn(move || {
                let mut stderr = BufReader::new(stderr);
                let mut line = Vec::new();
                while stderr.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    eprintln!("rank {rank}: {text}");
                    *last_line.lock().unwrap_or_else(PoisonError::into_inner) = text;
                    line.clear();
                }
            })
        });
        Ok(Self {
            number: rank,
            child,
            said,
            last_line,
            ended: None,
        })
    }

    fn look(&mut self) -> std::io::Result<()> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(())
    }

    fn hand_on(&self, signal: i32) {
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

    /// What a shell would report of it.
    fn code(&self) -> u8 {
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

    /// Whether it ended with an error that is its own.
    fn is_cause(&self) -> bool {
        self.failure().is_some_and(|(is_second, _)| !is_second)
    }

    /// That it failed: whether only because another rank has ended, and which it is.
    fn failure(&self) -> Option<(bool, usize)> {
        let status = self.ended?;
        let stopped = status
            .code()
            .is_some_and(|code| Stopped::EXIT_CODES.contains(&(code as u8)));
        (!status.success() && !stopped).then_some((self.code() == ANOTHER_RANK, self.number))
    }

    /// How it ended, in words.
    fn told(&self) -> String {
        let (rank, code) = (self.number, self.code());
        let line = self
            .last_line
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let how = match self.ended.and_then(|status| status.code()) {
            Some(_) => format!("rank {rank} failed with exit code {code}"),
            None => format!("rank {rank} was ended by signal {}", i32::from(code) - 128),
        };
        if line.is_empty() {
            return how;
        }
        format!("{how}, and last said: {line}")
    }
}

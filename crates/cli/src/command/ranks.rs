//! The processes of a run: started here with `--ranks N`, or by torchrun, SLURM or Kubernetes.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use candor_run::{RankPlace, Ranks};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::process::{self, PAUSE, Process};
use crate::arguments::RankArguments;

/// What a process exits with whose run ended because another rank did.
pub const ANOTHER_RANK: u8 = 75;

/// How long ranks have to end by themselves after the first has failed.
const GRACE: Duration = Duration::from_secs(5);
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
    let variable = |name: &str| std::env::var(name).ok();
    let starts_them =
        arguments.ranks.is_some_and(|n| n > 1) && candor_run::is_script_of_slurm(variable);
    let place = if starts_them {
        None
    } else {
        RankPlace::of_environment(variable)?
    };
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
        // Without it the ranks would only end at their next exchange.
        process::end_with_parent();
    }
    let timeout = Duration::from_secs(arguments.rank_timeout);
    Ok(Some(candor_train::join(place, timeout)?))
}

/// Whether a command that ranks cannot share runs once.
///
/// # Errors
/// A launcher has started several processes of it.
pub fn check_once(command: &str) -> anyhow::Result<()> {
    let n = candor_run::processes_started(|name| std::env::var(name).ok());
    anyhow::ensure!(
        n == 1,
        "`candor {command}` is not shared by ranks, and a launcher has started {n} processes of it: each would do all of the work, in \
         one folder; start it once, outside of torchrun or with `srun --ntasks 1` (docs/many-devices.md)"
    );
    Ok(())
}

/// Whether this process is one of those that `--ranks` starts on one machine.
pub fn were_launched() -> bool {
    std::env::var_os(LAUNCHED).is_some()
}

/// One of the processes that were started here.
struct Rank {
    number: usize,
    process: Process,
}

/// Starts this command once for each rank and waits for all.
fn launch(n: usize) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    // Those that were started end where another cannot be.
    let ranks = (0..n).map(|rank| Rank::start(rank, n, port, cores));
    let mut ranks = ranks.collect::<io::Result<Vec<Rank>>>()?;
    let mut failed: Option<(usize, Instant)> = None;
    while ranks.iter().any(|rank| !rank.process.has_ended()) {
        for signal in signals.pending() {
            for rank in &ranks {
                rank.process.hand_on(signal);
            }
        }
        for rank in &mut ranks {
            rank.process.look()?;
        }
        let first = ranks.iter().filter_map(Rank::failure).min();
        if let (None, Some((_, rank))) = (failed, first) {
            failed = Some((rank, Instant::now()));
        }
        if failed.is_some_and(|(_, since)| since.elapsed() > GRACE) {
            for rank in &mut ranks {
                rank.process.kill();
            }
        }
        thread::sleep(PAUSE);
    }
    for rank in &mut ranks {
        rank.process.hear_out();
    }
    // Those that only say that another has ended count last.
    if let Some((_, first)) = ranks.iter().filter_map(Rank::failure).min() {
        let first = failed.map_or(
            first,
            |(rank, _)| if ranks[rank].is_cause() { rank } else { first },
        );
        let process = &ranks[first].process;
        if !process.was_stopped() {
            eprintln!("candor: {}; all ranks have ended", process.told());
        }
        let code = process.code();
        return Err(Ended { code }.into());
    }
    match ranks.iter().map(|rank| rank.process.code()).max() {
        None | Some(0) => Ok(()),
        Some(code) => Err(Ended { code }.into()),
    }
}

impl Rank {
    fn start(rank: usize, world: usize, port: u16, cores: usize) -> io::Result<Self> {
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
        if rank > 0 {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        Ok(Self {
            number: rank,
            process: Process::start(&format!("rank {rank}"), &mut command)?,
        })
    }

    /// Whether it ended with an error that is its own.
    fn is_cause(&self) -> bool {
        self.failure().is_some_and(|(is_second, _)| !is_second)
    }

    /// That the others wait in vain for it, because it failed, or a signal ended it before it heard signals: whether only
    /// because another rank has ended, and which it is.
    fn failure(&self) -> Option<(bool, usize)> {
        let process = &self.process;
        let agreed = process.was_stopped() && !process.was_ended_by_signal();
        let failed = process.has_ended() && !process.succeeded() && !agreed;
        failed.then_some((process.code() == ANOTHER_RANK, self.number))
    }
}

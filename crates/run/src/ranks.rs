//! Processes that share one run: which of them this is, and what they tell each other.
//!
//! Each process is a *rank*; all ranks make the same calls in the same order. Rank 0, the first, owns the folder of the run and
//! writes everything; the others compute. What is shared out are whole chunks of work, each of which gives the same bits
//! whoever computes it, so that results do not depend on how many ranks there are.

mod same;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RunError;
use crate::stop::StopSignal;

/// How bytes get from one rank to the others: c10d outside of tests, threads in them.
pub trait Exchange: fmt::Debug + Send + Sync {
    /// What every rank gave, in the order of ranks, of any lengths.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    fn all_gather(
        &self,
        mine: &[u8],
    ) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>>;

    /// What every rank has for this one, in the order of ranks; `to` is what this rank has for each, of any lengths.
    ///
    /// # Errors
    /// As [`Exchange::all_gather`].
    fn all_to_all(
        &self,
        to: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>>;

    /// How long a call waits for another rank.
    fn timeout(&self) -> Duration;

    /// Overwrites `data`, of one length on all ranks and at least 1, with what the first rank has there.
    ///
    /// # Errors
    /// As [`Exchange::all_gather`].
    fn take_first(&self, data: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// The processes of a run.
#[derive(Debug, Clone)]
pub struct Ranks {
    rank: usize,
    world: usize,
    local_rank: usize,
    /// None where this process is alone.
    exchange: Option<Arc<dyn Exchange>>,
    /// Nanoseconds in exchanges.
    waited: Arc<AtomicU64>,
}

impl Ranks {
    /// One process that shares its run with nobody.
    #[must_use]
    pub fn alone() -> Self {
        Self {
            rank: 0,
            world: 1,
            local_rank: 0,
            exchange: None,
            waited: Arc::default(),
        }
    }

    /// Rank `rank` of `world` that exchange bytes in this way; `local_rank` is which of them it is on its machine.
    #[must_use]
    pub fn of([rank, world, local_rank]: [usize; 3], exchange: Arc<dyn Exchange>) -> Self {
        Self {
            rank,
            world,
            local_rank,
            exchange: (world > 1).then_some(exchange),
            waited: Arc::default(),
        }
    }

    /// This process, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Processes.
    #[must_use]
    pub fn world(&self) -> usize {
        self.world
    }

    /// This process among those of its machine, from 0.
    #[must_use]
    pub fn local_rank(&self) -> usize {
        self.local_rank
    }

    /// Whether this process owns the folder of the run: it writes, and the others do not.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Whether a chunk of work, by its number, is this rank's.
    #[must_use]
    pub fn takes(&self, chunk: usize) -> bool {
        chunk % self.world == self.rank
    }

    /// How long this rank has spent in exchanges, most of it waiting for others.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// How long an exchange waits for another rank; not at all where this process is alone.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let exchange = self.exchange.as_ref();
        exchange.map_or(Duration::ZERO, |exchange| exchange.timeout())
    }

    /// What every rank gave, in the order of ranks.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, RunError> {
        match &self.exchange {
            None => Ok(vec![mine.to_vec()]),
            Some(exchange) => self.timed(|| exchange.all_gather(mine)),
        }
    }

    /// What every rank has for this one, in the order of ranks; `to` is what this rank has for each of them.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub fn all_to_all(&self, to: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, RunError> {
        match &self.exchange {
            None => Ok(to),
            Some(exchange) => self.timed(|| exchange.all_to_all(&to)),
        }
    }

    /// What every rank has, in the order of ranks. What is infinite or no number must not be in it.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub fn all_of<T: Serialize + DeserializeOwned>(&self, mine: &T) -> Result<Vec<T>, RunError> {
        let all = self.all_gather(&to_bytes(mine)?)?;
        all.iter().map(|bytes| of_bytes(bytes)).collect()
    }

    /// Overwrites `data`, of one length on all ranks, with what the first has there.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub fn take_first(&self, data: &mut [u8]) -> Result<(), RunError> {
        match &self.exchange {
            Some(exchange) if !data.is_empty() => self.timed(|| exchange.take_first(data)),
            _ => Ok(()),
        }
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub fn meet(&self) -> Result<(), RunError> {
        self.all_gather(&[1]).map(drop)
    }

    /// What the first rank made; the others make nothing. If it fails, it ends, and the others fail with it.
    ///
    /// # Errors
    /// `make` failed, or a rank has ended or hangs.
    pub fn made_by_first<T, E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<RunError>,
    {
        if self.exchange.is_none() {
            return make();
        }
        if self.is_first() {
            let value = make()?;
            self.all_gather(&to_bytes(&value)?)?;
            return Ok(value);
        }
        let all = self.all_gather(&[])?;
        Ok(of_bytes(&all[0])?)
    }

    /// Computes `n` chunks of work, each on one rank; all ranks get all results, in order. What is infinite or no number must
    /// not be in them; [`Ranks::share_numbers`] takes any.
    ///
    /// # Errors
    /// A chunk of this rank failed, or another rank has ended or hangs.
    pub fn share<T, E>(
        &self,
        n: usize,
        mut compute: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<Vec<T>, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<RunError>,
    {
        if self.exchange.is_none() {
            return (0..n).map(compute).collect();
        }
        let mine = (0..n).filter(|chunk| self.takes(*chunk));
        let mine: Vec<T> = mine.map(&mut compute).collect::<Result<_, E>>()?;
        let all = self.all_gather(&to_bytes(&mine)?)?;
        let all = all.iter().map(|bytes| of_bytes::<Vec<T>>(bytes));
        Ok(in_turn(all.collect::<Result<_, _>>()?, n)?)
    }

    /// As [`Ranks::share`], of chunks whose results are numbers, whatever these are.
    ///
    /// # Errors
    /// As [`Ranks::share`].
    pub fn share_numbers<E: From<RunError>>(
        &self,
        n: usize,
        mut compute: impl FnMut(usize) -> Result<Vec<f64>, E>,
    ) -> Result<Vec<Vec<f64>>, E> {
        let bits = |chunk| {
            let numbers = compute(chunk)?;
            Ok::<_, E>(numbers.into_iter().map(f64::to_bits).collect::<Vec<u64>>())
        };
        let all = self.share(n, bits)?.into_iter();
        Ok(all
            .map(|bits| bits.into_iter().map(f64::from_bits).collect())
            .collect())
    }

    /// Whether any rank was asked to stop; all are asked then.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub fn should_stop(&self, stop: &StopSignal) -> Result<bool, RunError> {
        Ok(self.stop_and_all_of(stop, ())?.0)
    }

    /// As [`Ranks::should_stop`] and [`Ranks::all_of`], in one exchange.
    ///
    /// What ranks told each other decides, and not the flag after it: a signal that comes to one rank in between would stop that one
    /// alone, and the others' next exchange would meet another one of it. It is heard at the next call.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub fn stop_and_all_of<T: Serialize + DeserializeOwned>(
        &self,
        stop: &StopSignal,
        mine: T,
    ) -> Result<(bool, Vec<T>), RunError> {
        let all = self.all_of(&(stop.signal(), mine))?;
        let (signals, all): (Vec<u8>, Vec<T>) = all.into_iter().unzip();
        let signal = signals.into_iter().max().unwrap_or(0);
        stop.hear(signal);
        Ok((signal != 0, all))
    }

    fn timed<T>(
        &self,
        exchange: impl FnOnce() -> Result<T, Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<T, RunError> {
        let found = self.waiting(exchange);
        found.map_err(|source| RunError::Ranks { source })
    }

    /// Exchanges something with the others in another way, which counts as time in exchanges.
    pub fn waiting<T>(&self, exchange: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let found = exchange();
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(nanos, Ordering::Relaxed);
        found
    }
}

/// What the ranks computed of `n` chunks, in the order of chunks.
fn in_turn<T>(of_ranks: Vec<Vec<T>>, n: usize) -> Result<Vec<T>, RunError> {
    let world = of_ranks.len();
    let mut of_ranks: Vec<_> = of_ranks.into_iter().map(Vec::into_iter).collect();
    let all: Vec<T> = (0..n)
        .filter_map(|chunk| of_ranks[chunk % world].next())
        .collect();
    if all.len() == n {
        return Ok(all);
    }
    let source = format!("{} chunks of work came of {n}", all.len());
    Err(RunError::Ranks {
        source: source.into(),
    })
}

fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>, RunError> {
    serde_json::to_vec(value).map_err(|error| RunError::Ranks {
        source: error.into(),
    })
}

fn of_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RunError> {
    serde_json::from_slice(bytes).map_err(|error| RunError::Ranks {
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    /// Two ranks that say the same; right after they have told each other, this one is asked to stop.
    #[derive(Debug)]
    struct AskedTooLate(StopSignal);

    impl Exchange for AskedTooLate {
        fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, Box<dyn Error + Send + Sync>> {
            self.0.request();
            Ok(vec![mine.to_vec(); 2])
        }

        fn all_to_all(&self, to: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Box<dyn Error + Send + Sync>> {
            Ok(to.to_vec())
        }

        fn timeout(&self) -> Duration {
            Duration::MAX
        }

        fn take_first(&self, _: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
            Ok(())
        }
    }

    #[test]
    fn a_signal_that_the_others_have_not_heard_of_stops_nobody_yet() {
        let stop = StopSignal::detached();
        let ranks = Ranks::of([0, 2, 0], Arc::new(AskedTooLate(stop.clone())));
        assert!(!ranks.should_stop(&stop).unwrap());
        assert!(stop.requested());
        assert!(ranks.should_stop(&stop).unwrap());
    }
}

//! Ranks that are threads of one process, for what does not need processes to be seen.

use std::error::Error;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use candor_run::{Exchange, Ranks};

#[derive(Debug)]
struct Threads {
    rank: usize,
    given: Arc<Mutex<Vec<Vec<u8>>>>,
    all_here: Arc<Barrier>,
}

impl Exchange for Threads {
    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        let given = || self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given()[self.rank] = mine.to_vec();
        self.all_here.wait();
        let all = given().clone();
        // Nobody gives anew before all have read.
        self.all_here.wait();
        Ok(all)
    }

    fn all_to_all(&self, to: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        let mut mine = Vec::new();
        for (rank, bytes) in to.iter().enumerate() {
            let all = self.all_gather(bytes)?;
            if rank == self.rank {
                mine = all;
            }
        }
        Ok(mine)
    }

    fn timeout(&self) -> Duration {
        // Nothing here looks at the clock.
        Duration::MAX
    }

    fn take_first(&self, data: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let all = self.all_gather(data)?;
        data.copy_from_slice(&all[0]);
        Ok(())
    }
}

/// Does something on each of `world` ranks; what each returned, in the order of ranks.
///
/// # Panics
/// A rank does.
pub fn on_threads<T: Send>(world: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let given = Arc::new(Mutex::new(vec![Vec::new(); world]));
    let all_here = Arc::new(Barrier::new(world));
    thread::scope(|scope| {
        let ranks: Vec<_> = (0..world)
            .map(|rank| {
                let exchange = Threads {
                    rank,
                    given: Arc::clone(&given),
                    all_here: Arc::clone(&all_here),
                };
                let ranks = Ranks::of([rank, world, rank], Arc::new(exchange));
                scope.spawn(|| work(ranks))
            })
            .collect();
        let ended = ranks.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(|ended| ended.expect("a rank ended")).collect()
    })
}

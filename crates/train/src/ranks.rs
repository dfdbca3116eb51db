//! Ranks over c10d: what [`candor_run::Ranks`] exchange goes through [`candor_torch_ext::Group`].

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use candor_run::{Exchange, RankPlace, Ranks, RunError};
use candor_torch_ext::{Group, GroupPlace, libtorch};
use tch::Device;

const SAME_PROGRAM: &str =
    "give all ranks one program and machines of one kind: others would compute other bits";

const SAME_THREADS: &str = "give all ranks devices of one kind, and on CPUs the same OMP_NUM_THREADS: others would compute other bits";

#[derive(Debug)]
struct OverGloo(Group);

impl Exchange for OverGloo {
    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.all_gather(mine)?)
    }

    fn all_to_all(&self, to: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.all_to_all(to)?)
    }

    fn timeout(&self) -> Duration {
        self.0.timeout()
    }

    fn take_first(&self, data: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.0.broadcast(data, 0)?)
    }
}

/// Waits for the other ranks and joins them. No exchange waits longer than `timeout` for another rank.
///
/// # Errors
/// The ranks do not find each other, or run different versions of candor.
pub fn join(place: RankPlace, timeout: Duration) -> Result<Ranks, RunError> {
    let (rank, world, local_rank) = (place.rank, place.world, place.local_rank);
    let group = Group::join(GroupPlace {
        rank,
        world,
        host: place.host,
        port: place.port,
        foreign_store: place.agent_prefix,
        interface: place.interface,
        timeout,
    });
    let group = group.map_err(|error| RunError::Ranks {
        source: error.into(),
    })?;
    let ranks = Ranks::of([rank, world, local_rank], Arc::new(OverGloo(group)));
    let versions = [
        ("candor", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", libtorch::version()),
        (
            "the instructions of the processor",
            libtorch::cpu_capability(),
        ),
    ];
    let versions = versions.map(|(name, version)| (name.to_owned(), version));
    ranks.check_same(&versions, SAME_PROGRAM)?;
    Ok(ranks)
}

/// Whether all ranks compute on CPUs with as many threads, on which the bits of sums depend, or none on a CPU.
///
/// # Errors
/// They do not, or a rank has ended or hangs.
pub fn check_threads(ranks: &Ranks, device: Device) -> Result<(), RunError> {
    let computes = match device {
        Device::Cpu => format!("a CPU with threads: {}", tch::get_num_threads()),
        _ => "another device than a CPU".to_owned(),
    };
    ranks.check_same(&[("what computes".to_owned(), computes)], SAME_THREADS)
}

//! Ranks over c10d: what [`candor_run::Ranks`] exchange goes through [`candor_torch_ext::Group`].

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use candor_run::{Exchange, RankPlace, Ranks, RunError};
use candor_torch_ext::{Group, GroupPlace, libtorch};

const SAME_PROGRAM: &str =
    "give all ranks one program and machines of one kind: others would compute other bits";

#[derive(Debug)]
struct OverGloo(Group);

impl Exchange for OverGloo {
    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.all_gather(mine)?)
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

//! The places for connections: who has one, and who gives it up when all are taken.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: HashMap<u64, Holder>,
}

/// A connection that has a place.
#[derive(Debug)]
struct Holder {
    address: IpAddr,
    /// Requests that are being answered.
    n_requests: usize,
    /// Since when it has none.
    idle_since: Instant,
    /// Hears that it must go.
    leave: Arc<Notify>,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    /// Hears that the connection must go, because another needs its place.
    pub leave: Arc<Notify>,
}

/// A request that is being answered, to the last byte of the answer.
#[derive(Debug)]
pub(crate) struct Busy {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    pub(crate) fn new(max: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            per_address,
            taken: Mutex::default(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from an address. Where it, or all together, have no more, the one of theirs that has asked
    /// nothing for longest must go; where all are being answered, there is none.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        let own = |holder: &Holder| holder.address == address;
        if taken
            .by_number
            .values()
            .filter(|holder| own(holder))
            .count()
            >= self.per_address
        {
            taken.evict(own)?;
        } else if taken.by_number.len() >= self.max {
            taken.evict(|_| true)?;
        }
        let number = taken.next;
        taken.next += 1;
        let leave = Arc::new(Notify::new());
        let holder = Holder {
            address,
            n_requests: 0,
            idle_since: Instant::now(),
            leave: Arc::clone(&leave),
        };
        taken.by_number.insert(number, holder);
        Some(Place {
            places: Arc::clone(self),
            number,
            leave,
        })
    }
}

impl Taken {
    /// Sends away the connection that has asked nothing for longest, among those that `may_go`.
    fn evict(&mut self, may_go: impl Fn(&Holder) -> bool) -> Option<()> {
        let idle = self
            .by_number
            .iter()
            .filter(|(_, holder)| holder.n_requests == 0 && may_go(holder));
        let (&number, _) = idle.min_by_key(|(number, holder)| (holder.idle_since, **number))?;
        // Its place is free at once; its task ends when it hears of it.
        let holder = self.by_number.remove(&number)?;
        holder.leave.notify_one();
        Some(())
    }
}

impl Place {
    /// A request has come whole with its head.
    pub(crate) fn busy(&self) -> Busy {
        if let Some(holder) = self.places.taken().by_number.get_mut(&self.number) {
            holder.n_requests += 1;
        }
        Busy {
            places: Arc::clone(&self.places),
            number: self.number,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by_number.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(holder) = self.places.taken().by_number.get_mut(&self.number) {
            holder.n_requests -= 1;
            holder.idle_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn must_leave(place: &Place) -> bool {
        // A permit that was stored by `notify_one` is taken at once.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(std::time::Duration::ZERO, place.leave.notified())
                .await
                .is_ok()
        })
    }

    #[test]
    fn who_asks_nothing_gives_up_the_place_and_who_is_answered_keeps_it() {
        let [a, b] = ["10.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap());
        let places = Places::new(3, 2);
        let first = places.take(a).unwrap();
        let second = places.take(a).unwrap();
        let answered = first.busy();
        // An address has two: its idle one goes, though a third place is free.
        let third = places.take(a).unwrap();
        assert!(must_leave(&second) && !must_leave(&first));
        let also_answered = third.busy();
        assert!(places.take(a).is_none());
        // Others are not concerned.
        let other = places.take(b).unwrap();
        assert_eq!(places.taken().by_number.len(), 3);
        // All places are taken: the idle one goes, whosever it is.
        let fourth = places.take(b).unwrap();
        assert!(must_leave(&other));
        drop(also_answered);
        let busy = fourth.busy();
        let fifth = places.take(b).unwrap();
        assert!(must_leave(&third) && !must_leave(&fourth));
        drop((answered, busy, first, second, third, other, fourth, fifth));
        assert!(places.taken().by_number.is_empty());
    }
}

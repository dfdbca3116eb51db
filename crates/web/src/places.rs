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
    /// Requests whose next step is the server's: those that are read or answered, and do not wait for more of their bodies.
    n_owed: usize,
    /// Answers that are made, and of which bytes are still to be sent.
    n_unsent: usize,
    /// Whether the other end does not take what is sent to it.
    is_stuck: bool,
    /// Since when it waits for the other end, if it does.
    waits_since: Instant,
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

/// A request, from its head until its answer is made. The server owes the answer except while it waits for more of the body.
#[derive(Debug)]
pub(crate) struct Asked {
    places: Arc<Places>,
    number: u64,
    body: Mutex<Waiting>,
}

/// How a request waits for its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Nobody has waited for it: the server may have other things to do first.
    NotYet,
    /// More is to come from the client.
    Now,
    /// What has come is being read.
    Before,
    /// Nobody waits for it any more.
    Never,
}

impl Holder {
    /// Whether the server owes it nothing that it could have now: it asks nothing, not all yet, or does not take the answer.
    fn waits_for_client(&self) -> bool {
        !self.is_owed() || self.is_stuck
    }

    /// Whether something is being answered, or is still to be sent.
    fn is_owed(&self) -> bool {
        self.n_owed + self.n_unsent > 0
    }
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

    /// A place for a connection from an address. Where it, or all together, have no more, the one of theirs that has waited
    /// for its client for longest must go; where all are being answered, there is none.
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
            n_owed: 0,
            n_unsent: 0,
            is_stuck: false,
            waits_since: Instant::now(),
            leave: Arc::clone(&leave),
        };
        taken.by_number.insert(number, holder);
        Some(Place {
            places: Arc::clone(self),
            number,
            leave,
        })
    }

    /// Sends away the connection that has waited for its client for longest, because the system has no file for another.
    pub(crate) fn free_one(&self) {
        let _ = self.taken().evict(|_| true);
    }
}

impl Taken {
    /// Sends away the connection that has waited for its client for longest, among those that `may_go`.
    fn evict(&mut self, may_go: impl Fn(&Holder) -> bool) -> Option<()> {
        let waiting = self
            .by_number
            .iter()
            .filter(|(_, holder)| holder.waits_for_client() && may_go(holder));
        let (&number, _) = waiting.min_by_key(|(number, holder)| (holder.waits_since, **number))?;
        // Its place is free at once; its task ends when it hears of it.
        let holder = self.by_number.remove(&number)?;
        holder.leave.notify_one();
        Some(())
    }
}

impl Place {
    /// The head of a request has come.
    pub(crate) fn asked(&self) -> Asked {
        if let Some(holder) = self.places.taken().by_number.get_mut(&self.number) {
            holder.n_owed += 1;
        }
        Asked {
            places: Arc::clone(&self.places),
            number: self.number,
            body: Mutex::new(Waiting::NotYet),
        }
    }

    /// Whether a request is being answered that does not wait for the rest of its body, or an answer is still to be sent.
    pub(crate) fn is_owed(&self) -> bool {
        let taken = self.places.taken();
        let holder = taken.by_number.get(&self.number);
        holder.is_some_and(Holder::is_owed)
    }

    /// All that was made has been sent.
    pub(crate) fn all_is_sent(&self) {
        if let Some(holder) = self.places.taken().by_number.get_mut(&self.number)
            && holder.n_unsent > 0
        {
            holder.n_unsent = 0;
            holder.waits_since = Instant::now();
        }
    }

    /// The other end does not take what is sent to it, or does again.
    pub(crate) fn set_stuck(&self, is_stuck: bool) {
        if let Some(holder) = self.places.taken().by_number.get_mut(&self.number) {
            holder.is_stuck = is_stuck;
            if is_stuck {
                holder.waits_since = Instant::now();
            }
        }
    }
}

impl Asked {
    /// The server waits for more of the body. Since when is told by the first time: a client that sends it bit by bit has not
    /// begun anew with each.
    pub(crate) fn waits_for_body(&self) {
        self.set(Waiting::Now);
    }

    /// More of the body has come.
    pub(crate) fn has_more(&self) {
        self.set(Waiting::Before);
    }

    /// All of the request has come, or it is answered already: from now on the server owes the answer.
    pub(crate) fn has_come(&self) {
        self.set(Waiting::Never);
    }

    fn set(&self, next: Waiting) {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let last = *body;
        if last == next || last == Waiting::Never {
            return;
        }
        *body = next;
        if let Some(holder) = self.places.taken().by_number.get_mut(&self.number) {
            if next == Waiting::Now {
                holder.n_owed -= 1;
                if last == Waiting::NotYet {
                    holder.waits_since = Instant::now();
                }
            } else if last == Waiting::Now {
                holder.n_owed += 1;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by_number.remove(&self.number);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // Who drops it has made the answer, and the last of it may not be on its way yet.
        self.has_come();
        if let Some(holder) = self.places.taken().by_number.get_mut(&self.number) {
            holder.n_owed -= 1;
            holder.n_unsent += 1;
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

    /// A request that has come whole.
    fn whole(place: &Place) -> Asked {
        let asked = place.asked();
        asked.has_come();
        asked
    }

    #[test]
    fn who_asks_nothing_gives_up_the_place_and_who_is_answered_keeps_it() {
        let [a, b] = ["10.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap());
        let places = Places::new(3, 2);
        let first = places.take(a).unwrap();
        let second = places.take(a).unwrap();
        let answered = whole(&first);
        // An address has two: its idle one goes, though a third place is free.
        let third = places.take(a).unwrap();
        assert!(must_leave(&second) && !must_leave(&first));
        let also_answered = whole(&third);
        assert!(places.take(a).is_none());
        // Others are not concerned.
        let other = places.take(b).unwrap();
        assert_eq!(places.taken().by_number.len(), 3);
        // All places are taken: the idle one goes, whosever it is.
        let fourth = places.take(b).unwrap();
        assert!(must_leave(&other));
        drop(also_answered);
        third.all_is_sent();
        let busy = whole(&fourth);
        let fifth = places.take(b).unwrap();
        assert!(must_leave(&third) && !must_leave(&fourth));
        drop((answered, busy, first, second, third, other, fourth, fifth));
        assert!(places.taken().by_number.is_empty());
    }

    #[test]
    fn a_request_that_is_not_whole_and_an_answer_that_is_not_taken_keep_no_place() {
        let a = "10.0.0.1".parse().unwrap();
        let places = Places::new(1, 1);
        let half = places.take(a).unwrap();
        let asked = half.asked();
        // Its body is not read yet, for reasons of the server's.
        assert!(half.is_owed() && places.take(a).is_none());
        asked.waits_for_body();
        assert!(!half.is_owed());
        // Some of it came, and is being read.
        asked.has_more();
        assert!(half.is_owed() && places.take(a).is_none());
        asked.waits_for_body();
        asked.waits_for_body();
        assert!(!half.is_owed());
        let second = places.take(a).unwrap();
        assert!(must_leave(&half));
        drop((asked, half));
        let answered = whole(&second);
        // What came whole counts once, however often that is said.
        answered.has_come();
        assert!(second.is_owed() && places.take(a).is_none());
        second.set_stuck(true);
        second.set_stuck(false);
        assert!(places.take(a).is_none());
        second.set_stuck(true);
        let third = places.take(a).unwrap();
        assert!(must_leave(&second));
        drop(answered);
        let served = whole(&third);
        drop(served);
        // The answer is made; its last bytes are not sent.
        assert!(third.is_owed() && places.take(a).is_none());
        third.all_is_sent();
        assert!(!third.is_owed());
        places.free_one();
        assert!(must_leave(&third) && places.taken().by_number.is_empty());
    }
}

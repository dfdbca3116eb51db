//! Two clocks: one to write times down, one to run leases by.
//!
//! The time of day can jump: it is set by hand, by NTP, by a virtual machine that wakes up. So nothing is ever decided
//! by it. Leases run by *lease time*, which only the monotonic clocks of serving processes move. It starts at the newest
//! that the database knows ([`LeaseTime::resume`]), so it never runs backwards across a restart either, and while no server
//! runs, no lease expires: nobody could have renewed it. Several servers of one database tell each other through it how far
//! they are, and follow the one that is farthest ([`LeaseTime::follow`]).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 UTC, for the record.
    fn unix_ms(&self) -> i64;
    /// Milliseconds since some fixed moment of this process; never falls.
    fn running_ms(&self) -> i64;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as i64)
    }

    fn running_ms(&self) -> i64 {
        self.started.elapsed().as_millis() as i64
    }
}

/// A clock that is moved by hand, for tests of what time does.
#[derive(Debug, Default)]
pub struct ManualClock {
    unix_ms: AtomicI64,
    running_ms: AtomicI64,
}

impl ManualClock {
    /// A clock at this time of day.
    #[must_use]
    pub fn at(unix_ms: i64) -> Self {
        let clock = Self::default();
        clock.unix_ms.store(unix_ms, Ordering::SeqCst);
        clock
    }

    /// Lets time pass.
    pub fn pass(&self, ms: i64) {
        self.unix_ms.fetch_add(ms, Ordering::SeqCst);
        self.running_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the time of day, while no time passes.
    pub fn jump(&self, unix_ms: i64) {
        self.unix_ms.store(unix_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> i64 {
        self.unix_ms.load(Ordering::SeqCst)
    }

    fn running_ms(&self) -> i64 {
        self.running_ms.load(Ordering::SeqCst)
    }
}

/// Lease time, continued from what the database knows.
#[derive(Debug)]
pub struct LeaseTime {
    base_ms: AtomicI64,
}

impl LeaseTime {
    /// Lease time that stands at `newest_ms`, when the newest lease was given or renewed, as `clock` stands now.
    #[must_use]
    pub fn resume(newest_ms: i64, clock: &dyn Clock) -> Self {
        Self {
            base_ms: AtomicI64::new(newest_ms - clock.running_ms()),
        }
    }

    /// The lease time now.
    #[must_use]
    pub fn now(&self, clock: &dyn Clock) -> i64 {
        self.base_ms.load(Ordering::SeqCst) + clock.running_ms()
    }

    /// Goes on from `newest_ms` if that is later than now: another server is farther.
    pub fn follow(&self, newest_ms: i64, clock: &dyn Clock) {
        self.base_ms
            .fetch_max(newest_ms - clock.running_ms(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_time_ignores_the_time_of_day_and_continues() {
        let clock = ManualClock::at(1_000_000);
        let time = LeaseTime::resume(500, &clock);
        clock.pass(30);
        clock.jump(0);
        assert_eq!(time.now(&clock), 530);
        let restarted = LeaseTime::resume(530, &clock);
        clock.pass(5);
        assert_eq!(restarted.now(&clock), 535);
    }

    #[test]
    fn lease_time_follows_what_is_farther_and_nothing_that_is_behind() {
        let (clock, other) = (ManualClock::default(), ManualClock::default());
        other.pass(70);
        let time = LeaseTime::resume(100, &clock);
        let farther = LeaseTime::resume(400, &other);
        other.pass(20);
        time.follow(farther.now(&other), &clock);
        assert_eq!(time.now(&clock), 420);
        clock.pass(7);
        time.follow(300, &clock);
        assert_eq!(time.now(&clock), 427);
    }
}

//! How fast an endpoint may be asked: requests and tokens in any sixty seconds, and pauses it asks for.
//!
//! A request counts with the most tokens that it can cost until its reply tells how many it did cost.

use std::collections::VecDeque;
use std::time::Duration;

const WINDOW: Duration = Duration::from_mins(1);

/// One request of the last sixty seconds.
#[derive(Debug, Clone, Copy)]
struct Sent {
    ticket: u64,
    at: Duration,
    tokens: u64,
}

/// The requests of the last sixty seconds and what may follow them.
#[derive(Debug, Default)]
pub struct RateLimit {
    requests_per_minute: Option<usize>,
    tokens_per_minute: Option<u64>,
    sent: VecDeque<Sent>,
    not_before: Duration,
    n_tickets: u64,
}

impl RateLimit {
    /// A pace with these limits; `None` is without.
    #[must_use]
    pub fn new(requests_per_minute: Option<usize>, tokens_per_minute: Option<u64>) -> Self {
        Self {
            requests_per_minute,
            tokens_per_minute,
            ..Self::default()
        }
    }

    /// Lets a request of at most `tokens` go at the time `now`, or says how long to wait before asking again.
    /// A request that is larger than the limit goes alone.
    ///
    /// # Errors
    /// The time to wait.
    pub fn admit(&mut self, now: Duration, tokens: u64) -> Result<u64, Duration> {
        if now < self.not_before {
            return Err(self.not_before.saturating_sub(now));
        }
        while self
            .sent
            .front()
            .is_some_and(|first| now >= first.at + WINDOW)
        {
            self.sent.pop_front();
        }
        let full = self
            .requests_per_minute
            .is_some_and(|most| self.sent.len() >= most);
        let taken: u64 = self.sent.iter().map(|sent| sent.tokens).sum();
        let heavy = self
            .tokens_per_minute
            .is_some_and(|most| taken + tokens > most);
        if let Some(first) = self.sent.front().filter(|_| full || heavy) {
            return Err((first.at + WINDOW).saturating_sub(now));
        }
        self.n_tickets += 1;
        self.sent.push_back(Sent {
            ticket: self.n_tickets,
            at: now,
            tokens,
        });
        Ok(self.n_tickets)
    }

    /// Corrects the tokens of an admitted request.
    pub fn settle(&mut self, ticket: u64, tokens: u64) {
        if let Some(sent) = self.sent.iter_mut().find(|sent| sent.ticket == ticket) {
            sent.tokens = tokens;
        }
    }

    /// Lets nothing go before the time `until`.
    pub fn hold(&mut self, until: Duration) {
        self.not_before = self.not_before.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn requests_wait_until_the_minute_has_room() {
        let mut rate_limit = RateLimit::new(Some(2), None);
        assert!(rate_limit.admit(secs(0), 1).is_ok());
        assert!(rate_limit.admit(secs(10), 1).is_ok());
        assert_eq!(rate_limit.admit(secs(20), 1), Err(secs(40)));
        assert!(rate_limit.admit(secs(60), 1).is_ok());
        assert_eq!(rate_limit.admit(secs(60), 1), Err(secs(10)));
    }

    #[test]
    fn tokens_count_as_reserved_until_they_are_known() {
        let mut rate_limit = RateLimit::new(None, Some(100));
        let first = rate_limit.admit(secs(0), 80).unwrap();
        assert_eq!(rate_limit.admit(secs(1), 30), Err(secs(59)));
        rate_limit.settle(first, 70);
        assert!(rate_limit.admit(secs(1), 30).is_ok());
        // Larger than the limit: alone, but not never.
        assert_eq!(rate_limit.admit(secs(2), 500), Err(secs(58)));
        assert!(rate_limit.admit(secs(61), 500).is_ok());
    }

    #[test]
    fn a_pause_holds_everybody() {
        let mut rate_limit = RateLimit::new(None, None);
        rate_limit.hold(secs(30));
        rate_limit.hold(secs(20));
        assert_eq!(rate_limit.admit(secs(5), 1), Err(secs(25)));
        assert!(rate_limit.admit(secs(30), 1).is_ok());
    }
}

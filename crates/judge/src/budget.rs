//! The cap on what judging may cost, in tokens and in money.
//!
//! Before a request goes out, the most it can cost is set aside; so the cap also holds for all requests in
//! flight together. The most is known without a tokenizer: no token is shorter than a byte of text, and the
//! reply ends at its limit. What a reply did cost replaces what was set aside for it.

use serde::{Deserialize, Serialize};

/// Tokens of one request or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens of what was asked.
    pub prompt: u64,
    /// Tokens of what was replied.
    pub completion: u64,
}

impl Tokens {
    /// Both together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.prompt = self.prompt.saturating_add(other.prompt);
        self.completion = self.completion.saturating_add(other.completion);
    }
}

/// Money for a million tokens, in the currency of the cap.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// For what is asked.
    pub prompt: f64,
    /// For what is replied.
    pub completion: f64,
}

impl Prices {
    /// What these tokens cost.
    #[must_use]
    pub fn of(self, tokens: Tokens) -> f64 {
        (tokens.prompt as f64 * self.prompt + tokens.completion as f64 * self.completion) / 1e6
    }
}

/// The most that may be spent; `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cap {
    /// Tokens of prompts and replies together.
    pub tokens: Option<u64>,
    /// Money.
    pub money: Option<f64>,
}

/// Whether a request may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, and what it can cost is set aside.
    Granted,
    /// Not now, but perhaps when a request in flight turns out cheaper than it could have been.
    Wait,
    /// Not any more.
    Refused,
}

/// What is spent and set aside.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    cap: Cap,
    prices: Prices,
    spent: Tokens,
    reserved: Tokens,
}

impl Budget {
    /// A budget of which `spent` is gone already.
    #[must_use]
    pub fn new(cap: Cap, prices: Prices, spent: Tokens) -> Self {
        Self {
            cap,
            prices,
            spent,
            reserved: Tokens::default(),
        }
    }

    /// Sets aside what a request can cost at most.
    pub fn reserve(&mut self, most: Tokens) -> Admission {
        let mut alone = self.spent;
        alone += most;
        let mut together = alone;
        together += self.reserved;
        if self.allows(together) {
            self.reserved += most;
            Admission::Granted
        } else if self.reserved.total() > 0 && self.allows(alone) {
            Admission::Wait
        } else {
            Admission::Refused
        }
    }

    /// Replaces what was set aside by what it did cost.
    pub fn settle(&mut self, reserved: Tokens, cost: Tokens) {
        self.reserved.prompt -= reserved.prompt.min(self.reserved.prompt);
        self.reserved.completion -= reserved.completion.min(self.reserved.completion);
        self.spent += cost;
    }

    /// Tokens spent so far.
    #[must_use]
    pub fn spent(&self) -> Tokens {
        self.spent
    }

    /// What is spent and what may be, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let tokens = self
            .cap
            .tokens
            .map_or_else(String::new, |cap| format!(" of {cap}"));
        let money = self.cap.money.map_or_else(String::new, |cap| {
            format!(", {:.4} of {cap} in money", self.prices.of(self.spent))
        });
        format!("{} tokens are spent{tokens}{money}", self.spent.total())
    }

    fn allows(&self, tokens: Tokens) -> bool {
        self.cap.tokens.is_none_or(|cap| tokens.total() <= cap)
            && self
                .cap
                .money
                .is_none_or(|cap| self.prices.of(tokens) <= cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(prompt: u64, completion: u64) -> Tokens {
        Tokens { prompt, completion }
    }

    #[test]
    fn what_is_in_flight_counts() {
        let cap = Cap {
            tokens: Some(100),
            money: None,
        };
        let mut budget = Budget::new(cap, Prices::default(), tokens(10, 0));
        assert_eq!(budget.reserve(tokens(40, 20)), Admission::Granted);
        // 10 spent, 60 in flight, 40 more: only once the flight turns out cheaper.
        assert_eq!(budget.reserve(tokens(20, 20)), Admission::Wait);
        // Never fits beside what is spent.
        assert_eq!(budget.reserve(tokens(91, 0)), Admission::Refused);
        budget.settle(tokens(40, 20), tokens(30, 10));
        assert_eq!(budget.spent(), tokens(40, 10));
        assert_eq!(budget.reserve(tokens(30, 20)), Admission::Granted);
        assert_eq!(budget.reserve(tokens(1, 0)), Admission::Wait);
        budget.settle(tokens(30, 20), tokens(30, 20));
        assert_eq!(budget.reserve(tokens(1, 0)), Admission::Refused);
    }

    #[test]
    fn money_is_counted_by_the_given_prices() {
        let prices = Prices {
            prompt: 10.0,
            completion: 30.0,
        };
        // 1000 · 10 / 1e6 + 500 · 30 / 1e6
        assert!((prices.of(tokens(1000, 500)) - 0.025).abs() < 1e-12);
        let cap = Cap {
            tokens: None,
            money: Some(0.025),
        };
        let mut budget = Budget::new(cap, prices, Tokens::default());
        assert_eq!(budget.reserve(tokens(1000, 501)), Admission::Refused);
        assert_eq!(budget.reserve(tokens(1000, 500)), Admission::Granted);
    }
}

//! The tokens that end a response.

const MOST: usize = 8;

/// Any of them ends one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends([i64; MOST]);

impl Ends {
    /// So many there may be; no published model has half as many.
    pub const MOST: usize = MOST;

    /// `eos` and the others, in this order; nothing where they are more than [`Ends::MOST`].
    #[must_use]
    pub fn of(eos: i64, others: &[i64]) -> Option<Self> {
        let mut ids = vec![eos];
        for id in others {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        // In the places that are left the first stands once more.
        let place = |at: usize| ids.get(at).copied().unwrap_or(eos);
        (ids.len() <= Self::MOST).then(|| Self(std::array::from_fn(place)))
    }

    /// Whether the token ends a response.
    #[must_use]
    pub fn contains(&self, token: i64) -> bool {
        self.0.contains(&token)
    }

    /// Each of them once.
    #[must_use]
    pub fn ids(&self) -> Vec<i64> {
        let [first, rest @ ..] = self.0;
        let rest = rest.into_iter().filter(|&id| id != first);
        std::iter::once(first).chain(rest).collect()
    }
}

impl From<i64> for Ends {
    fn from(eos: i64) -> Self {
        Self([eos; Self::MOST])
    }
}

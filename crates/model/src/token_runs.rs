//! Token ids that wait in memory until they are used: of a run of equal ones, as the placeholders of an image are, one is kept.

/// Token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRuns {
    /// Ids, and how often each comes. Ids are of 32 bits as in every vocabulary, so that text takes no more than its ids did.
    runs: Box<[(i32, u32)]>,
    len: usize,
}

impl TokenRuns {
    /// These ids.
    #[must_use]
    pub fn of(ids: &[i64]) -> Self {
        let runs = ids.chunk_by(|left, right| left == right);
        Self {
            runs: runs.map(|run| (run[0] as i32, run.len() as u32)).collect(),
            len: ids.len(),
        }
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ids, one for each token.
    #[must_use]
    pub fn to_vec(&self) -> Vec<i64> {
        let mut ids = Vec::with_capacity(self.len);
        for &(id, n) in &self.runs {
            ids.resize(ids.len() + n as usize, i64::from(id));
        }
        ids
    }
}

impl From<Vec<i64>> for TokenRuns {
    fn from(ids: Vec<i64>) -> Self {
        Self::of(&ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_come_back_and_a_run_takes_as_much_as_one() {
        let cases: [(&[i64], usize); 3] = [(&[], 0), (&[5], 1), (&[1, 7, 7, 7, 7, 9, -3, 9, 9], 5)];
        for (ids, n_runs) in cases {
            let kept = TokenRuns::of(ids);
            assert_eq!(kept.to_vec(), ids);
            assert_eq!((kept.len(), kept.runs.len()), (ids.len(), n_runs));
            assert_eq!(kept.is_empty(), ids.is_empty());
            // As much as an id of `ids`.
            assert_eq!(size_of_val(&*kept.runs), n_runs * size_of::<i64>());
        }
    }
}

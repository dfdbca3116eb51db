//! Token ids that wait in memory, or on the disk, until they are used: of a run of equal ones, as the placeholders of an image are, one
//! is kept.

use candor_data::rows::packing::{add, number};

/// In the place of an id: the next two words are an id and how often it comes. No vocabulary has it.
const RUN: u32 = i32::MIN as u32;

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

    /// Adds them to a row's bytes: 4 a token, and 12 a run.
    pub fn pack(&self, bytes: &mut Vec<u8>) {
        add(bytes, self.runs.len() as u32);
        for &(id, n) in &self.runs {
            let id = id as u32;
            if n == 1 && id != RUN {
                add(bytes, id);
            } else {
                for word in [RUN, id, n] {
                    add(bytes, word);
                }
            }
        }
    }

    /// The next ones as [`TokenRuns::pack`] adds them, which `rest` begins after; none where the bytes are no such ones.
    pub fn unpack(rest: &mut &[u8]) -> Option<Self> {
        let n_runs = number(rest)?;
        // No more of them than there are bytes.
        let mut runs = Vec::with_capacity((n_runs as usize).min(rest.len() / 4));
        let mut len = 0_usize;
        for _ in 0..n_runs {
            let (id, n) = match number(rest)? {
                RUN => (number(rest)?, number(rest)?),
                id => (id, 1),
            };
            runs.push((id as i32, n));
            len = len.checked_add(n as usize)?;
        }
        let runs = runs.into_boxed_slice();
        Some(Self { runs, len })
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

    #[test]
    fn bytes_are_four_a_token_and_twelve_a_run_and_what_is_cut_off_is_refused() {
        let odd = i64::from(i32::MIN);
        let cases: [(&[i64], usize); 4] = [
            (&[], 0),
            (&[5, -1], 8),
            (&[1, 7, 7, 7, 7, 9], 4 + 12 + 4),
            (&[odd, 3], 12 + 4),
        ];
        for (ids, n_bytes) in cases {
            let mut bytes = Vec::new();
            TokenRuns::of(ids).pack(&mut bytes);
            assert_eq!(bytes.len(), 4 + n_bytes, "{ids:?}");
            bytes.push(8);
            let mut rest = bytes.as_slice();
            assert_eq!(TokenRuns::unpack(&mut rest), Some(TokenRuns::of(ids)));
            assert_eq!(rest, [8]);
            for n in 0..bytes.len() - 1 {
                assert_eq!(TokenRuns::unpack(&mut &bytes[..n]), None, "{ids:?}, {n}");
            }
        }
    }
}

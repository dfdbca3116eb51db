//! How an update is cut into passes: by rows, and by tokens where a recipe bounds these.

use candor_recipe::Reader;

/// The most that a pass has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassSize {
    /// Rows.
    pub rows: usize,
    /// Tokens, those that pad its rows included; a row that is longer has a pass of its own.
    pub tokens: Option<usize>,
}

impl PassSize {
    /// Reads `data.pass_tokens`, which bounds passes of at most so many rows.
    pub fn read(recipe: &mut Reader, rows: usize) -> Self {
        let meaning = "The most tokens of a pass, those that pad its rows included; a longer row has a pass of its own. Then `data.micro_batch` can be large: a pass has as many rows of nearly one length as fit. Only rows bound passes if absent.";
        let tokens = recipe.usize("data.pass_tokens", meaning);
        Self {
            rows,
            tokens: tokens.positive().optional(),
        }
    }

    /// An update's rows in passes, by the tokens that a pass computes for each. Where tokens are bounded, rows of nearly one
    /// length come together.
    pub fn cut<T: Copy>(self, rows: &[T], n_tokens: impl Fn(T) -> usize) -> Vec<Vec<T>> {
        let Some(most) = self.tokens else {
            return rows.chunks(self.rows).map(<[T]>::to_vec).collect();
        };
        let mut rows = rows.to_vec();
        rows.sort_by_key(|&row| n_tokens(row));
        let mut passes: Vec<Vec<T>> = Vec::new();
        for row in rows {
            // The longest so far, to whose length the others are filled.
            let longest = n_tokens(row);
            match passes.last_mut() {
                Some(pass) if pass.len() < self.rows && (pass.len() + 1) * longest <= most => {
                    pass.push(row);
                }
                _ => passes.push(vec![row]),
            }
        }
        passes
    }

    /// Rows that a pass may have whatever their lengths, which are at most `max_tokens`.
    #[must_use]
    pub fn rows_of(self, max_tokens: usize) -> usize {
        let fitting = |most: usize| (most / max_tokens.max(1)).max(1);
        self.tokens
            .map_or(self.rows, |most| self.rows.min(fitting(most)))
    }

    /// The most tokens that a pass can have, of rows of at most `longest`.
    #[must_use]
    pub fn most_tokens(self, longest: u64) -> u64 {
        let whole = self.rows as u64 * longest;
        self.tokens
            .map_or(whole, |most| whole.min(longest.max(most as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 6] = [5, 3, 8, 2, 9, 1];

    #[test]
    fn passes_have_as_many_rows_as_fit() {
        let of = |tokens| PassSize { rows: 3, tokens }.cut(&LENGTHS, |length| length);
        assert_eq!(of(None), [[5, 3, 8], [2, 9, 1]]);
        // Two of 8, filled to 9, would be 18 tokens.
        let bounded: [&[usize]; 4] = [&[1, 2, 3], &[5], &[8], &[9]];
        assert_eq!(of(Some(12)), bounded);
        let wide: [&[usize]; 3] = [&[1, 2, 3], &[5, 8], &[9]];
        assert_eq!(of(Some(16)), wide);
        assert_eq!(of(Some(1)).len(), LENGTHS.len());
    }

    #[test]
    fn bounds_hold_whatever_the_rows() {
        let size = PassSize {
            rows: 3,
            tokens: Some(12),
        };
        assert_eq!([2, 5, 20].map(|longest| size.rows_of(longest)), [3, 2, 1]);
        let most = [2, 5, 20].map(|longest| size.most_tokens(longest));
        assert_eq!(most, [6, 12, 20]);
        let by_rows = PassSize {
            tokens: None,
            ..size
        };
        assert_eq!((by_rows.rows_of(20), by_rows.most_tokens(20)), (3, 60));
    }
}

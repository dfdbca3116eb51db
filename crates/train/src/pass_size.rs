//! How an update is cut into passes: by rows, and by tokens where a recipe bounds these.

use candor_model::SharedPrefix;
use candor_recipe::Reader;

/// What a row takes of a pass: a beginning and branches after it, each filled to the longest of the pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowShape {
    /// How often the pass has it.
    pub times: usize,
    /// Tokens of the beginning.
    pub beginning: usize,
    /// Branches after it.
    pub n_branches: usize,
    /// Tokens of the longest branch.
    pub branch: usize,
}

impl RowShape {
    /// A sequence of so many tokens, which shares nothing.
    #[must_use]
    pub fn sequence(n_tokens: usize) -> Self {
        Self {
            times: 1,
            beginning: n_tokens,
            n_branches: 0,
            branch: 0,
        }
    }

    /// Sequences with a common beginning, which the pass has so often.
    #[must_use]
    pub fn shared(row: &SharedPrefix, times: usize) -> Self {
        Self {
            times,
            beginning: row.prefix.len(),
            n_branches: row.branches.len(),
            branch: row.branches.iter().map(Vec::len).max().unwrap_or(0),
        }
    }

    /// Tokens of a pass that has nothing else.
    #[must_use]
    pub fn n_tokens(self) -> usize {
        self.times * (self.beginning + self.n_branches * self.branch)
    }

    /// The most tokens that any of the rows of a pass takes there.
    #[must_use]
    pub fn most_of_a_row(rows: impl IntoIterator<Item = Self>) -> usize {
        let most = rows.into_iter().reduce(|all, row| Self {
            times: all.times.max(row.times),
            ..all.and(row)
        });
        most.map_or(0, Self::n_tokens)
    }

    /// A pass of these rows and one more.
    fn and(self, row: Self) -> Self {
        Self {
            times: self.times + row.times,
            beginning: self.beginning.max(row.beginning),
            n_branches: self.n_branches.max(row.n_branches),
            branch: self.branch.max(row.branch),
        }
    }
}

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

    /// An update's rows in passes, by what each takes. Where tokens are bounded, rows of nearly one length come together.
    pub fn cut<T: Copy>(self, rows: &[T], shape: impl Fn(T) -> RowShape) -> Vec<Vec<T>> {
        let Some(most) = self.tokens else {
            return rows.chunks(self.rows).map(<[T]>::to_vec).collect();
        };
        let mut rows = rows.to_vec();
        rows.sort_by_key(|&row| shape(row).n_tokens());
        let mut passes: Vec<(RowShape, Vec<T>)> = Vec::new();
        for row in rows {
            let own = shape(row);
            match passes.last_mut() {
                Some((all, pass)) if pass.len() < self.rows && all.and(own).n_tokens() <= most => {
                    *all = all.and(own);
                    pass.push(row);
                }
                _ => passes.push((own, vec![row])),
            }
        }
        passes.into_iter().map(|(_, pass)| pass).collect()
    }

    /// Rows that a pass may have whatever their lengths, each of which takes at most `max_tokens` there.
    #[must_use]
    pub fn rows_of(self, max_tokens: usize) -> usize {
        let fitting = |most: usize| (most / max_tokens.max(1)).max(1);
        self.tokens
            .map_or(self.rows, |most| self.rows.min(fitting(most)))
    }

    /// The most tokens that a pass can have, of rows that take at most `longest` there.
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
        let of = |tokens| PassSize { rows: 3, tokens }.cut(&LENGTHS, RowShape::sequence);
        assert_eq!(of(None), [[5, 3, 8], [2, 9, 1]]);
        // Two of 8, filled to 9, would be 18 tokens.
        let bounded: [&[usize]; 4] = [&[1, 2, 3], &[5], &[8], &[9]];
        assert_eq!(of(Some(12)), bounded);
        let wide: [&[usize]; 3] = [&[1, 2, 3], &[5, 8], &[9]];
        assert_eq!(of(Some(16)), wide);
        assert_eq!(of(Some(1)).len(), LENGTHS.len());
    }

    /// Two rows of 1000 tokens by themselves, of which each would be filled to 900 and two times 450.
    #[test]
    fn beginnings_and_branches_are_filled_apart() {
        let shape = |[beginning, branch]: [usize; 2]| RowShape {
            times: 1,
            beginning,
            n_branches: 2,
            branch,
        };
        let rows = [[900, 50], [100, 450]];
        let of = |tokens| {
            let tokens = Some(tokens);
            PassSize { rows: 8, tokens }.cut(&rows, shape).len()
        };
        assert_eq!([2000, 3599, 3600].map(of), [2, 2, 1]);
        assert_eq!(RowShape::most_of_a_row(rows.map(shape)), 1800);
        // Each twice, beside a spoilt image.
        let twice = |row| RowShape {
            times: 2,
            ..shape(row)
        };
        let of = |tokens| {
            let tokens = Some(tokens);
            PassSize { rows: 8, tokens }.cut(&rows, twice).len()
        };
        assert_eq!([7199, 7200].map(of), [2, 1]);
        assert_eq!(RowShape::most_of_a_row(rows.map(twice)), 3600);
        let shared = SharedPrefix {
            prefix: vec![1_i64; 5].into(),
            branches: vec![vec![2; 3], vec![2; 4]],
            read: vec![2..3, 3..4],
            image: None,
        };
        // Five, and two times four.
        assert_eq!(RowShape::shared(&shared, 1).n_tokens(), 13);
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

//! The order of an image's tokens in which windows are contiguous.
//!
//! Most blocks of Qwen2.5-VL's tower see windows of the image. Those at the right and lower border are smaller, so windows
//! have up to four sizes; ordered by size, all windows of one size are one batch of attention.

/// Windows of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alike {
    /// How many there are.
    pub n_windows: i64,
    /// Tokens of each.
    pub n_tokens: i64,
}

/// An order of tokens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Windows {
    /// The token, in the order of rows and columns, that stands at each place.
    pub order: Vec<i64>,
    /// The windows as they come.
    pub groups: Vec<Alike>,
}

impl Windows {
    /// Of a grid of `height` × `width` tokens, in windows of `side` × `side`.
    pub(super) fn of([height, width]: [i64; 2], side: i64) -> Self {
        let starts = |len: i64| (0..len).step_by(side.max(1) as usize);
        let mut windows: Vec<Vec<i64>> = Vec::new();
        for top in starts(height) {
            for left in starts(width) {
                let rows = top..(top + side).min(height);
                let columns = left..(left + side).min(width);
                let of_row = |row: i64| columns.clone().map(move |column| row * width + column);
                windows.push(rows.flat_map(of_row).collect());
            }
        }
        windows.sort_by_key(|window| std::cmp::Reverse(window.len()));
        let groups = windows.chunk_by(|left, right| left.len() == right.len());
        Self {
            groups: groups
                .map(|group| Alike {
                    n_windows: group.len() as i64,
                    n_tokens: group[0].len() as i64,
                })
                .collect(),
            order: windows.concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_at_the_border_are_smaller_and_come_last() {
        let windows = Windows::of([3, 5], 2);
        // 0 1 | 2 3 | 4
        // 5 6 | 7 8 | 9
        // ----+-----+--
        // a b | c d | e
        let order = [0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14];
        assert_eq!(windows.order, order);
        let sizes: Vec<_> = windows
            .groups
            .iter()
            .map(|g| (g.n_windows, g.n_tokens))
            .collect();
        assert_eq!(sizes, [(2, 4), (3, 2), (1, 1)]);
    }

    #[test]
    fn an_image_within_one_window_stays_as_it_is() {
        let windows = Windows::of([2, 3], 4);
        assert_eq!(windows.order, [0, 1, 2, 3, 4, 5]);
        assert_eq!(windows.groups.len(), 1);
    }
}

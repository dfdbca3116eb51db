//! How values are spread: counts in bins of one round width, of which zero is an edge.

use serde::{Deserialize, Serialize};

/// The values of one bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// The least value that it can hold.
    pub low: f64,
    /// Its values are below this.
    pub high: f64,
    /// Values in it.
    pub n: usize,
}

/// Counts of the finite ones among `values`, from the first bin that holds one to the last. The width is 1, 2 or 5 times a
/// power of ten, and as small as it can be with at most `most` bins (at least two).
///
/// No bins where no value is finite, or where values are too far apart, or too far from zero, for bins to be told apart.
#[must_use]
pub fn histogram(values: &[f64], most: usize) -> Vec<Bar> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let span = high - low;
    if !span.is_finite() {
        return Vec::new();
    }
    let most = most.max(2);
    let rough = if span > 0.0 { span / most as f64 } else { 1.0 };
    let first = rough.log10().floor() as i32;
    let widths = (first..).flat_map(|exponent| [1, 2, 5].map(|factor| Width { factor, exponent }));
    let farthest = low.abs().max(high.abs());
    let fits = |width: &Width| {
        farthest / width.edge(1) < 1e15 && width.of(high) - width.of(low) < most as i64
    };
    let Some(width) = widths.take(12).find(fits) else {
        return Vec::new();
    };
    let begin = width.of(low);
    let bar = |number| Bar {
        low: width.edge(number),
        high: width.edge(number + 1),
        n: 0,
    };
    let mut bars: Vec<Bar> = (begin..=width.of(high)).map(bar).collect();
    for value in finite() {
        bars[(width.of(value) - begin) as usize].n += 1;
    }
    bars
}

/// `factor · 10^exponent`.
#[derive(Clone, Copy)]
struct Width {
    factor: i64,
    exponent: i32,
}

impl Width {
    /// The lower edge of a bin: the number nearest to the decimal one.
    fn edge(self, number: i64) -> f64 {
        let times = (number * self.factor) as f64;
        match self.exponent {
            below if below < 0 => times / 10_f64.powi(-below),
            exponent => times * 10_f64.powi(exponent),
        }
    }

    /// The bin that holds a value.
    fn of(self, value: f64) -> i64 {
        let near = (value / self.edge(1)).floor() as i64;
        // The division is rounded, the edges decide.
        let below = if value < self.edge(near) { -1 } else { 0 };
        let above = i64::from(value >= self.edge(near + 1));
        near + below + above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[f64], most: usize) -> Vec<(f64, f64, usize)> {
        let bars = histogram(values, most);
        bars.iter().map(|bar| (bar.low, bar.high, bar.n)).collect()
    }

    #[test]
    fn six_values_counted_by_hand() {
        // A width of 0.2 needs 19 bins, one of 0.5 eight.
        let expected = [
            (-1.5, -1.0, 1),
            (-1.0, -0.5, 0),
            (-0.5, 0.0, 1),
            (0.0, 0.5, 2),
            (0.5, 1.0, 1),
            (1.0, 1.5, 0),
            (1.5, 2.0, 0),
            (2.0, 2.5, 1),
        ];
        assert_eq!(told(&[-1.2, -0.3, 0.0, 0.1, 0.5, 2.4], 8), expected);
    }

    #[test]
    fn edges_belong_to_the_bin_above_them_and_are_decimal_numbers() {
        let tenths: Vec<f64> = (0..10).map(|i| f64::from(i) / 10.0).collect();
        let found = told(&tenths, 10);
        assert_eq!(found.len(), 10);
        for (i, (low, high, n)) in found.into_iter().enumerate() {
            let i = i as f64;
            assert_eq!((low, high, n), (i / 10.0, (i + 1.0) / 10.0, 1));
        }
    }

    #[test]
    fn one_value_is_one_bin_and_no_value_none() {
        assert_eq!(told(&[2.5, 2.5], 20), [(2.0, 3.0, 2)]);
        assert_eq!(told(&[-0.25], 20), [(-1.0, 0.0, 1)]);
        for none in [
            &[][..],
            &[f64::NAN, f64::INFINITY],
            &[f64::MAX, f64::MIN],
            &[1e300],
        ] {
            assert!(told(none, 20).is_empty(), "{none:?}");
        }
        // Zero is an edge however far the values are from it.
        assert_eq!(
            told(&[1000.5, 1001.5], 2),
            [(1000.0, 1001.0, 1), (1001.0, 1002.0, 1)]
        );
    }
}

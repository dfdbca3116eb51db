//! How far two rankings of the same things agree: Kendall's tau-b.

use std::cmp::Ordering;

/// Tau-b of two rankings, from −1 to 1: pairs that both order alike less those that they order against each other, over the
/// geometric mean of how many pairs each of them orders. A tie in either counts for neither. `None` where one of them orders no pair.
///
/// # Panics
/// If the two are not of the same length.
#[must_use]
pub fn tau_b<T: Ord>(one: &[T], other: &[T]) -> Option<f64> {
    assert_eq!(one.len(), other.len(), "rankings of the same things");
    let (mut sum, mut n_one, mut n_other) = (0_i64, 0_i64, 0_i64);
    for second in 1..one.len() {
        for first in 0..second {
            let signs = [one, other].map(|ranks| match ranks[first].cmp(&ranks[second]) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            });
            sum += signs[0] * signs[1];
            n_one += i64::from(signs[0] != 0);
            n_other += i64::from(signs[1] != 0);
        }
    }
    let ordered = (n_one as f64 * n_other as f64).sqrt();
    (ordered > 0.0).then(|| sum as f64 / ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        // Of three pairs two are alike and one is not.
        assert_eq!(tau_b(&[1, 2, 3], &[1, 3, 2]), Some(1.0 / 3.0));
        assert_eq!(tau_b(&[1, 2, 3], &[3, 2, 1]), Some(-1.0));
        // Of six pairs the first orders five, the second four. Alike: 0–2, 0–3, 1–2 and 1–3 are ordered by both, all in one sense.
        let found = tau_b(&[1, 2, 3, 3], &[1, 1, 2, 2]).unwrap();
        assert!((found - 4.0 / 20.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_said_of_what_orders_no_pair() {
        assert_eq!(tau_b(&[1, 1, 1], &[1, 2, 3]), None);
        assert_eq!(tau_b::<u8>(&[], &[]), None);
    }
}

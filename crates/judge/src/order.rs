//! How far a judge's verdict depends on which of two answers it reads first.

use serde::{Deserialize, Serialize};

/// Something of each reply, by the order in which the answers were shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InOrders<T> {
    /// The reference first, as the benchmark's script has it.
    pub usual: Vec<T>,
    /// The model's answer first; empty where this was not asked.
    pub exchanged: Vec<T>,
}

impl<T> Default for InOrders<T> {
    fn default() -> Self {
        Self {
            usual: Vec::new(),
            exchanged: Vec::new(),
        }
    }
}

impl<T> InOrders<T> {
    /// Those of both orders, the usual one's first.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.usual.iter().chain(&self.exchanged)
    }
}

/// Marks of reference and answer; `None` where they could not be read.
pub type Marks = InOrders<Option<[f64; 2]>>;

/// What exchanging the answers does to the verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Order {
    /// Share of the verdicts (better, equal, worse) that are another one when the answers are exchanged.
    pub changed: Option<f64>,
    /// Share of the replies with different marks that favour the answer shown first; one half means no leaning.
    pub favours_first: Option<f64>,
    /// Pairs of replies that were read in both orders.
    pub n_pairs: usize,
}

/// Over all items; `None` where no question was asked in both orders.
#[must_use]
pub fn changes(items: &[Marks]) -> Option<Order> {
    if items.iter().all(|item| item.exchanged.is_empty()) {
        return None;
    }
    let (mut n_changed, mut n_pairs, mut n_first, mut n_decided) = (0.0, 0.0, 0.0, 0.0);
    for item in items {
        let [changed, pairs] = of_item(item);
        n_changed += changed;
        n_pairs += pairs;
        for (usual, exchanged) in pairs_of(item) {
            // In the usual order the reference stands first, in the other one the answer.
            for favour in [-usual, exchanged] {
                n_first += f64::from(u8::from(favour > 0));
                n_decided += f64::from(u8::from(favour != 0));
            }
        }
    }
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    Some(Order {
        changed: share(n_changed, n_pairs),
        favours_first: share(n_first, n_decided),
        n_pairs: n_pairs as usize,
    })
}

/// Verdicts of one item that change with the order, and pairs that tell.
#[must_use]
pub fn of_item(item: &Marks) -> [f64; 2] {
    let (mut changed, mut pairs) = (0.0, 0.0);
    for (usual, exchanged) in pairs_of(item) {
        changed += f64::from(u8::from(usual != exchanged));
        pairs += 1.0;
    }
    [changed, pairs]
}

/// The verdicts on the answer in both orders: 1 for better than the reference, 0 for equal, −1 for worse.
fn pairs_of(item: &Marks) -> impl Iterator<Item = (i8, i8)> {
    let verdict =
        |[reference, answer]: [f64; 2]| i8::from(answer > reference) - i8::from(answer < reference);
    let both = item.usual.iter().zip(&item.exchanged);
    both.filter_map(move |(usual, exchanged)| Some((verdict((*usual)?), verdict((*exchanged)?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(usual: &[Option<[f64; 2]>], exchanged: &[Option<[f64; 2]>]) -> Marks {
        InOrders {
            usual: usual.to_vec(),
            exchanged: exchanged.to_vec(),
        }
    }

    #[test]
    fn a_judge_that_always_favours_the_first_place_changes_every_verdict() {
        // First place 8, second 5: reference and answer exchange their marks.
        let items = [
            item(&[Some([8.0, 5.0])], &[Some([5.0, 8.0])]),
            item(&[Some([9.0, 1.0])], &[Some([1.0, 9.0])]),
        ];
        let found = changes(&items).unwrap();
        assert_eq!(
            (found.changed, found.favours_first, found.n_pairs),
            (Some(1.0), Some(1.0), 2)
        );
    }

    #[test]
    fn pairs_are_counted_by_hand() {
        let items = [
            // Worse in both orders.
            item(&[Some([8.0, 5.0])], &[Some([7.0, 6.0])]),
            // Equal, then better; the second sample was read in one order only.
            item(
                &[Some([6.0, 6.0]), Some([1.0, 2.0])],
                &[Some([5.0, 7.0]), None],
            ),
        ];
        let found = changes(&items).unwrap();
        assert_eq!((found.changed, found.n_pairs), (Some(0.5), 2));
        // Replies with a winner: reference (first), reference (second), answer (first).
        assert_eq!(found.favours_first, Some(2.0 / 3.0));
        // Whole numbers, so exact.
        assert_eq!(
            of_item(&items[1]).map(f64::to_bits),
            [1.0_f64; 2].map(f64::to_bits)
        );
    }

    #[test]
    fn one_order_alone_says_nothing() {
        assert_eq!(changes(&[item(&[Some([8.0, 5.0])], &[])]), None);
        let unparsed = changes(&[item(&[None], &[Some([1.0, 2.0])])]).unwrap();
        assert_eq!((unparsed.changed, unparsed.n_pairs), (None, 0));
    }
}

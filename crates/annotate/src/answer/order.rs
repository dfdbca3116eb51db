//! In which order the answers of an item stand on a page: drawn for each item and person, and kept with what was said, so that a
//! liking for places can be measured.

use candor_data::{Side, random};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

/// For each place on the page, from the first, which of the item's outputs stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Order(Vec<usize>);

impl Order {
    /// Of two answers, where that of `left` stands on the left.
    #[must_use]
    pub fn pair(left: Side) -> Self {
        Self(vec![left.index(), left.other().index()])
    }

    /// As the item has its `n` answers.
    #[must_use]
    pub fn as_given(n: usize) -> Self {
        Self((0..n).collect())
    }

    /// Of `n` answers, each order as likely as any other.
    pub(crate) fn drawn(n: usize, seed: u64, address: &[u64]) -> Self {
        let mut outputs: Vec<usize> = (0..n).collect();
        outputs.shuffle(&mut random::stream(seed, "annotate.order", address));
        Self(outputs)
    }

    /// Whether each of `n` answers stands in one place.
    pub(crate) fn is_of(&self, n: usize) -> bool {
        self.0.len() == n && (0..n).all(|output| self.0.contains(&output))
    }

    /// Which of two answers stands on the left; the first of more or fewer, for which nothing is said of sides.
    #[must_use]
    pub fn left(&self) -> Side {
        match self.0[..] {
            [1, 0] => Side::Second,
            _ => Side::First,
        }
    }

    /// The outputs, from the first place to the last.
    #[must_use]
    pub fn outputs(&self) -> &[usize] {
        &self.0
    }

    /// The place of an output, from 0.
    #[must_use]
    pub fn place_of(&self, output: usize) -> Option<usize> {
        self.0.iter().position(|&standing| standing == output)
    }

    /// What is said of each place, as said of each output. A list of another length stays as it is, and is refused for that.
    pub(super) fn of_outputs(&self, said: &[u8]) -> Vec<u8> {
        let mut of_outputs = said.to_vec();
        if said.len() == self.0.len() {
            for (&output, &rank) in self.0.iter().zip(said) {
                if let Some(of_output) = of_outputs.get_mut(output) {
                    *of_output = rank;
                }
            }
        }
        of_outputs
    }

    /// What is said of each output, as said of each place.
    pub(super) fn of_places(&self, said: &[u8]) -> Vec<u8> {
        if said.len() != self.0.len() {
            return said.to_vec();
        }
        let rank = |&output: &usize| said.get(output).copied();
        self.0.iter().filter_map(rank).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_go_to_the_outputs_and_come_back_to_their_places() {
        // The third output stands first, then the first, then the second.
        let order = Order(vec![2, 0, 1]);
        // Said of the places: the first of them is the best, the last the second best.
        let of_outputs = order.of_outputs(&[1, 3, 2]);
        assert_eq!(of_outputs, [3, 2, 1]);
        assert_eq!(order.of_places(&of_outputs), [1, 3, 2]);
        assert_eq!(order.place_of(1), Some(2));
        assert_eq!(order.of_outputs(&[1, 2]), [1, 2]);
    }

    #[test]
    fn every_order_is_drawn_about_as_often() {
        let mut counts = std::collections::BTreeMap::new();
        for i in 0..600 {
            let order = Order::drawn(3, 5, &[i, 1]);
            *counts.entry(order.0).or_insert(0) += 1;
        }
        // Binomial(600, 1/6) has a standard deviation of 9; five of them.
        assert_eq!(counts.len(), 6);
        assert!(
            counts.values().all(|n| (55..=145).contains(n)),
            "{counts:?}"
        );
    }

    #[test]
    fn two_answers_have_sides() {
        assert_eq!(Order::pair(Side::Second).left(), Side::Second);
        assert_eq!(Order::pair(Side::First), Order::as_given(2));
        assert_eq!(Order::as_given(1).left(), Side::First);
    }
}

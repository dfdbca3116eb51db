//! Which prompts form a step, and which rollouts a mini-batch: functions of the seed and of what they are for.

use std::ops::Range;

use candor_data::random::uniform;

/// A permutation of `0..n` at the address `(seed, purpose, indices)`.
#[must_use]
pub fn permutation(seed: u64, purpose: &str, indices: &[u64], n: usize) -> Vec<usize> {
    let mut items: Vec<usize> = (0..n).collect();
    let mut address = indices.to_vec();
    address.push(0);
    for last in (1..n).rev() {
        if let Some(index) = address.last_mut() {
            *index = last as u64;
        }
        let drawn = uniform(seed, purpose, &address);
        items.swap(last, (drawn * (last + 1) as f64) as usize);
    }
    items
}

/// The endless order of prompts: epoch after epoch, each shuffled anew. Steps take consecutive prompts; one that
/// reaches the end of an epoch goes on with the next, so no prompt is left out.
#[derive(Debug)]
pub struct PromptOrder {
    seed: u64,
    n_prompts: usize,
    /// The epoch that was asked for last, because the next step will most likely want it too.
    epoch: Option<(u64, Vec<usize>)>,
}

impl PromptOrder {
    /// An order of `n_prompts` prompts, at least 1.
    #[must_use]
    pub fn new(seed: u64, n_prompts: usize) -> Self {
        Self {
            seed,
            n_prompts,
            epoch: None,
        }
    }

    /// The prompts at these places of the order.
    pub fn take(&mut self, places: Range<u64>) -> impl Iterator<Item = usize> + '_ {
        places.map(move |place| self.at(place))
    }

    fn at(&mut self, place: u64) -> usize {
        let n = self.n_prompts as u64;
        let (epoch, within) = (place / n, (place % n) as usize);
        match &self.epoch {
            Some((known, order)) if *known == epoch => order[within],
            _ => {
                let order = permutation(self.seed, "rl.prompts", &[epoch], self.n_prompts);
                let prompt = order[within];
                self.epoch = Some((epoch, order));
                prompt
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_prompt_once_whatever_the_step() {
        let mut order = PromptOrder::new(3, 10);
        let all: Vec<usize> = (0..5)
            .flat_map(|step| order.take(4 * step..4 * step + 4).collect::<Vec<_>>())
            .collect();
        for epoch in all.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(all[..10], all[10..]);
    }

    #[test]
    fn a_place_does_not_depend_on_what_was_taken_before_it() {
        let mut order = PromptOrder::new(3, 10);
        let in_turn: Vec<usize> = order.take(0..24).collect();
        for first in [20, 8, 12, 0] {
            let places = first..first + 4;
            let fresh: Vec<usize> = PromptOrder::new(3, 10).take(places.clone()).collect();
            assert_eq!(fresh, in_turn[first as usize..][..4]);
            assert!(order.take(places).eq(fresh));
        }
        let other: Vec<usize> = PromptOrder::new(4, 10).take(0..4).collect();
        assert_ne!(other, in_turn[..4]);
    }
}

//! Which prompts form a step, and which rollouts a mini-batch: functions of the seed and of what they are for.

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
    per_step: usize,
    /// The epoch that was asked for last, because the next step will most likely want it too.
    epoch: Option<(u64, Vec<usize>)>,
}

impl PromptOrder {
    /// An order of `n_prompts` prompts, at least 1, of which a step takes `per_step`.
    #[must_use]
    pub fn new(seed: u64, n_prompts: usize, per_step: usize) -> Self {
        Self {
            seed,
            n_prompts,
            per_step,
            epoch: None,
        }
    }

    /// The prompts of a step, by the number of steps done before it.
    pub fn of_step(&mut self, done: u64) -> Vec<usize> {
        let first = done * self.per_step as u64;
        (first..first + self.per_step as u64)
            .map(|at| self.at(at))
            .collect()
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
        let mut order = PromptOrder::new(3, 10, 4);
        let all: Vec<usize> = (0..5).flat_map(|step| order.of_step(step)).collect();
        for epoch in all.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(all[..10], all[10..]);
    }

    #[test]
    fn a_step_does_not_depend_on_the_steps_before_it() {
        let mut order = PromptOrder::new(3, 10, 4);
        let in_turn: Vec<Vec<usize>> = (0..6).map(|step| order.of_step(step)).collect();
        for step in [5, 2, 3, 0] {
            let fresh = PromptOrder::new(3, 10, 4).of_step(step);
            assert_eq!(fresh, in_turn[step as usize]);
            assert_eq!(order.of_step(step), fresh);
        }
        assert_ne!(PromptOrder::new(4, 10, 4).of_step(0), in_turn[0]);
    }
}

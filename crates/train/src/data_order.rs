//! Which samples form a batch, so that little is padded and the order stays random.
//!
//! Samples come in the order of their mixture. Each window of `window_batches` batches is sorted by length,
//! cut into batches, and the batches of the window are shuffled. So the mixture's proportions hold from
//! window to window, a batch holds samples of nearly one length, and no length comes first. A loop that
//! accumulates gradients takes several consecutive batches per step, which mixes lengths within the step.
//!
//! The order is a function of (seed, epoch, lengths): a resumed run computes it again and skips what it has done.

use candor_data::random;

/// How batches are formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    /// The run's seed.
    pub seed: u64,
    /// Samples per batch, at least 1; the last batch of an epoch may have fewer.
    pub batch_size: usize,
    /// Batches per window: more pad less and drift more; 1 keeps the mixture order untouched.
    pub window_batches: usize,
}

/// The batches of one epoch as indices into `lengths`; every index appears exactly once.
///
/// `lengths[i]` is the length (in tokens) of the `i`-th sample in the epoch's mixture order.
#[must_use]
pub fn epoch_batches(lengths: &[usize], config: &BatchConfig, epoch: u64) -> Vec<Vec<usize>> {
    let batch_size = config.batch_size.max(1);
    let window_samples = batch_size.saturating_mul(config.window_batches.max(1));
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    let mut batches = Vec::with_capacity(lengths.len().div_ceil(batch_size));
    for (window, samples) in order.chunks_mut(window_samples).enumerate() {
        if config.window_batches > 1 {
            // Stable: samples of one length stay in mixture order.
            samples.sort_by_key(|&i| lengths[i]);
        }
        let mut in_window: Vec<Vec<usize>> =
            samples.chunks(batch_size).map(<[usize]>::to_vec).collect();
        shuffle(&mut in_window, config.seed, epoch, window as u64);
        batches.extend(in_window);
    }
    batches
}

/// Fisher and Yates, one addressed uniform per swap.
fn shuffle<T>(items: &mut [T], seed: u64, epoch: u64, window: u64) {
    for last in (1..items.len()).rev() {
        let u = random::uniform(seed, "data_order.batch", &[epoch, window, last as u64]);
        items.swap(last, (u * (last + 1) as f64) as usize);
    }
}

//! Which rows are taken: those whose draws are lowest. A draw is a function of the seed, what it is for, and the row's own id,
//! so a row that is added elsewhere changes no other row's draw.

use sha2::{Digest as _, Sha256};

use crate::random;

/// A number for a text, for the address of a draw: the first eight bytes of its SHA-256, the lowest first.
fn index(text: &str) -> u64 {
    let hash = Sha256::digest(text.as_bytes());
    hash[..8]
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The draw for `text`, uniform in `[0, 1)`.
pub(super) fn draw(seed: u64, purpose: &str, text: &str) -> f64 {
    random::uniform(seed, purpose, &[index(text)])
}

/// The positions of the `n` texts with the lowest draws, in order; of equal draws the earlier counts as lower.
pub(super) fn lowest<'a>(
    n: usize,
    seed: u64,
    purpose: &str,
    texts: impl IntoIterator<Item = &'a str>,
) -> Vec<usize> {
    let texts = texts.into_iter().enumerate();
    let mut draws: Vec<(f64, usize)> = texts
        .map(|(position, text)| (draw(seed, purpose, text), position))
        .collect();
    draws.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut taken: Vec<usize> = draws
        .iter()
        .take(n)
        .map(|&(_, position)| position)
        .collect();
    taken.sort_unstable();
    taken
}

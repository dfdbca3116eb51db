//! Which rows are taken: those whose draws are lowest. A draw is a function of the seed, what it is for, and the row's own id,
//! so a row that is added elsewhere changes no other row's draw.

use crate::random;

/// The draw for `text`, uniform in `[0, 1)`.
pub(super) fn draw(seed: u64, purpose: &str, text: &str) -> f64 {
    random::uniform(seed, purpose, &[random::index(text)])
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

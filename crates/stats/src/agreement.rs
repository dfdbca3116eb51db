//! How far people agree beyond chance: pure functions of who said what.
//!
//! All but [`krippendorff_interval`] are for categories without an order (nominal). Where a coefficient is not defined (nothing overlaps, or
//! everybody always says the same, so that chance explains it all) it is `None` and never a number.

mod cohen;
mod fleiss;
mod krippendorff;

pub use self::cohen::cohen;
pub use self::fleiss::fleiss;
pub use self::krippendorff::{krippendorff, krippendorff_interval};

/// What the people said who judged one item, as numbers of categories.
pub type Unit = Vec<usize>;

/// The share of pairs of judgements of one item that are the same, over all items.
#[must_use]
pub fn percent(units: &[&Unit]) -> Option<f64> {
    let (mut same, mut pairs) = (0_usize, 0_usize);
    for unit in units {
        for (i, one) in unit.iter().enumerate() {
            pairs += unit.len() - i - 1;
            same += unit[i + 1..].iter().filter(|other| *other == one).count();
        }
    }
    (pairs > 0).then(|| same as f64 / pairs as f64)
}

/// Chance-corrected agreement, unless chance explains it all.
fn corrected(observed: f64, expected: f64) -> Option<f64> {
    (expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
}

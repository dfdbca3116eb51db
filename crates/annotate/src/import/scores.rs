//! Active selection: what a reward model is least sure about is compared first.
//!
//! A file of scores has a JSON line for each item: `{"id": "p-17", "scores": [1.25, -0.5]}`, the reward model's score
//! of the first and of the second output. The model's probability that the first is better is σ(s₁ − s₂), and an item
//! comes the earlier the closer that is to one half. Items without scores come last, and how many they are is said; scores of none of the
//! items are a mistake.

use std::collections::HashMap;
use std::path::Path;

use candor_data::formats::scores;
use candor_data::{DataError, Place, Spot};

use crate::store::NewItem;

/// Steps of probability that ranks tell apart, from certain to undecided.
const STEPS: f64 = 1e6;
/// The rank of items without scores, later than all others.
pub(super) const LAST: i64 = STEPS as i64;

/// Ranks items by the scores in a file.
pub(super) fn rank(items: &mut [NewItem], path: &Path) -> Result<(), DataError> {
    let rows = scores::read(path)?.into_iter();
    let ranks: HashMap<String, i64> = rows.map(|row| (row.id, rank_of(row.scores))).collect();
    let mut n_unscored = 0;
    let n = items.len();
    for item in items {
        let rank = ranks.get(&item.name).copied();
        n_unscored += usize::from(rank.is_none());
        item.rank = rank.unwrap_or(LAST);
    }
    if n > 0 && n_unscored == n {
        return Err(DataError::Field {
            spot: Spot::new(path, Place::File, "id"),
            found: format!(
                "none of the {n} items to compare is among the {} that have scores",
                ranks.len()
            ),
            remedy: "name the scores of these items, by their ids".into(),
        });
    }
    if n_unscored > 0 {
        tracing::warn!(
            "{}: {n_unscored} of {n} items have no scores and come last",
            path.display()
        );
    }
    Ok(())
}

/// Zero for two equal scores, up to half of [`STEPS`] for a certain winner.
fn rank_of([first, second]: [f64; 2]) -> i64 {
    let probability = 1.0 / (1.0 + (second - first).exp());
    ((probability - 0.5).abs() * STEPS).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closer_to_one_half_the_earlier() {
        assert_eq!(rank_of([2.0, 2.0]), 0);
        // σ(1) = 0.731059.
        assert_eq!(rank_of([1.0, 0.0]), 231_059);
        assert_eq!(rank_of([0.0, 1.0]), 231_059);
        assert_eq!(rank_of([1e9, -1e9]), 500_000);
    }
}

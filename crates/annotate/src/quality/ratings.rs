//! What people say of answers that they rate one by one, and how far they agree.

use candor_data::formats::ratings::hallucinates;
use candor_stats::agreement::{Unit, krippendorff, krippendorff_interval};
use candor_stats::bootstrap::ratio;

use super::{RatingQuality, estimates};
use crate::store::Rated;

/// The ratings of an item, and its image.
struct Row<'a> {
    image: &'a str,
    ratings: Unit,
    /// For each rating, 1 where it says that the answer hallucinates, and 0 elsewhere.
    hallucinated: Unit,
}

/// The figures; none where nothing is rated.
pub(super) fn of_all(items: &[Rated], seed: u64) -> Option<RatingQuality> {
    let rows: Vec<Row<'_>> = items.iter().map(row).collect();
    let n_ratings: usize = rows.iter().map(|row| row.ratings.len()).sum();
    if n_ratings == 0 {
        return None;
    }
    let [mean, hallucinated, alpha, alpha_hallucinated] = estimates(
        &rows,
        seed,
        |row| row.image,
        |rows| {
            let units: Vec<&Unit> = rows.iter().map(|row| &row.ratings).collect();
            let halves: Vec<&Unit> = rows.iter().map(|row| &row.hallucinated).collect();
            [
                mean_of(&units),
                mean_of(&halves),
                krippendorff_interval(&units),
                krippendorff::<2>(&halves),
            ]
        },
    );
    Some(RatingQuality {
        n_items: rows.iter().filter(|row| !row.ratings.is_empty()).count(),
        n_ratings,
        mean,
        hallucinated,
        alpha,
        alpha_hallucinated,
    })
}

fn row(item: &Rated) -> Row<'_> {
    let ratings: Vec<u8> = item
        .answers
        .iter()
        .filter_map(|given| given.answer.rating)
        .collect();
    Row {
        image: item.image.as_deref().unwrap_or(&item.name),
        hallucinated: ratings
            .iter()
            .map(|&rating| usize::from(hallucinates(rating)))
            .collect(),
        ratings: ratings.into_iter().map(usize::from).collect(),
    }
}

/// The mean over all values of all units.
fn mean_of(units: &[&Unit]) -> Option<f64> {
    let values = || units.iter().flat_map(|unit| unit.iter());
    let sum: usize = values().sum();
    ratio(sum as f64, values().count() as f64)
}

//! Ratings of single answers, from 0 to 6 as MMHal-Bench rates ([`candor_data::formats::ratings`]). The words are ours; a
//! project may put its own language in their place.

use candor_data::formats::ratings::MAX_RATING;

use crate::error::Refusal;

/// Refuses what is no rating.
pub(super) fn check_rating(rating: Option<u8>) -> Result<(), Refusal> {
    match rating {
        Some(rating) if rating > MAX_RATING => {
            let found = format!("found {rating}");
            let remedy = "rate the answer from 0 to 6";
            Err(Refusal::invalid("rating", found, remedy))
        }
        _ => Ok(()),
    }
}

//! Whether sequences fit the model.

use std::path::Path;

use crate::TrainError;

/// Asks whether the model of the folder `base`, which has `n_positions`, has one for every token of the longest sequence that
/// the recipe's `data.max_tokens` allows.
///
/// # Errors
/// It has not.
pub fn check_room(base: &Path, max_tokens: usize, n_positions: usize) -> Result<(), TrainError> {
    if max_tokens <= n_positions {
        return Ok(());
    }
    Err(TrainError::NoRoom {
        base: base.to_owned(),
        max_tokens,
        n_positions,
    })
}

//! Stopping at the first number that is not one.
//!
//! A NaN that reaches the weights spoils every later step and every later checkpoint, so a loop checks its
//! loss and its gradient norm before the optimizer step and stops with the step and the samples named.

use crate::error::TrainError;

/// Returns `value` if it is finite.
///
/// `sample_ids` is called only on failure, so a loop need not collect ids it never shows.
///
/// # Errors
/// [`TrainError::NotFinite`] with the step and the sample ids.
pub(crate) fn check_finite(
    quantity: &'static str,
    value: f64,
    step: u64,
    sample_ids: impl FnOnce() -> Vec<String>,
) -> Result<f64, TrainError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(TrainError::NotFinite {
        quantity,
        value,
        step,
        sample_ids: sample_ids(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finite_value_passes_without_asking_for_ids() {
        let value = check_finite("loss", 0.5, 3, || unreachable!("ids are for failures only"));
        assert!((value.unwrap() - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_value_that_is_not_finite_names_step_and_samples() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = check_finite("loss", bad, 17, || vec!["a1".into(), "b2".into()])
                .unwrap_err()
                .to_string();
            assert!(error.contains("step 17"), "{error}");
            assert!(error.contains("a1, b2"), "{error}");
        }
    }
}

//! What an item adds to a number: means over replies, and shares.

pub(super) fn share(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Mean of what could be read, as part and whole: nothing where nothing could.
pub(super) fn mean(values: &[Option<f64>]) -> [f64; 2] {
    let read: Vec<f64> = values.iter().flatten().copied().collect();
    if read.is_empty() {
        return [0.0; 2];
    }
    [read.iter().sum::<f64>() / read.len() as f64, 1.0]
}

/// The mean over all replies, those that could not be read counting as `instead`.
pub(super) fn mean_or(values: &[Option<f64>], instead: f64) -> f64 {
    values
        .iter()
        .map(|value| value.unwrap_or(instead))
        .sum::<f64>()
        / values.len().max(1) as f64
}

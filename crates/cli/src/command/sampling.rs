//! Checks of how tokens are to be chosen, for all commands that have a model talk.

/// Says what cannot be.
pub fn check(temperature: f64, top_p: f64, max_new_tokens: usize) -> anyhow::Result<()> {
    anyhow::ensure!(
        temperature.is_finite() && temperature >= 0.0,
        "--temperature is {temperature}; give 0 or more"
    );
    anyhow::ensure!(
        top_p > 0.0 && top_p <= 1.0,
        "--top-p is {top_p}; give more than 0 and at most 1"
    );
    anyhow::ensure!(max_new_tokens > 0, "--max-new-tokens is 0; give at least 1");
    Ok(())
}

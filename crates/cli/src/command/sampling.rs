//! How tokens are to be chosen, for all commands that have a model talk: what cannot be, and what is not done.

use std::path::Path;

use candor_model::generation_config;

/// Says on stderr what the model's makers ask for and is not done.
pub fn say_what_is_not_applied(folder: &Path) -> anyhow::Result<()> {
    if let Some(sentence) = generation_config::not_applied(folder)? {
        eprintln!("{sentence}");
    }
    Ok(())
}

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

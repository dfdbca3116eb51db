//! How much a run will do, counted from its recipe and data before it does it.

/// The amount of work of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Rows of data.
    pub n_rows: u64,
    /// What a row is, in the plural.
    pub rows: &'static str,
    /// Steps, where the stage counts them.
    pub n_steps: Option<u64>,
    /// Tokens that the model reads and writes over the whole run, image patches included, pads not.
    pub n_tokens: u64,
    /// Whether that is what answers of the full length would make.
    pub tokens_are_a_bound: bool,
    /// The longest sequence.
    pub longest_tokens: u64,
    /// Images whose features are kept.
    pub n_images: u64,
    /// What to know besides: rows that are skipped, or taken more than once.
    pub notes: Vec<String>,
}

impl Workload {
    /// Number of distinct names.
    pub fn count_images(names: impl IntoIterator<Item = String>) -> u64 {
        let distinct: std::collections::HashSet<String> = names.into_iter().collect();
        distinct.len() as u64
    }
}

//! How much a run will do, counted from its recipe and data before it does it.

use std::collections::HashSet;

use candor_data::shown;

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
    /// The longest sequence; of rows of several answers, the most that one takes of its pass.
    pub longest_tokens: u64,
    /// Images whose features are kept.
    pub images: ImageCount,
    /// What to know besides: rows that are skipped, or taken more than once.
    pub notes: Vec<String>,
}

/// How many images the rows of a run show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageCount {
    /// Different ones.
    pub different: u64,
    /// Those of the row that shows most.
    pub of_a_row: u64,
}

impl ImageCount {
    /// Counts what rows show ([`candor_data::shown`]).
    pub fn of(rows: impl IntoIterator<Item = String>) -> Self {
        let (mut different, mut of_a_row) = (HashSet::new(), 0);
        for row in rows {
            different.extend(shown::names(&row).map(str::to_owned));
            of_a_row = of_a_row.max(shown::count(Some(&row)));
        }
        Self {
            different: different.len() as u64,
            of_a_row: of_a_row as u64,
        }
    }
}

//! Many images at once, on as many threads as there are.

use std::path::Path;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{Fitted, ImageLimits, ImageProcessor};
use crate::error::DataError;

/// Decodes and fits images on rayon's threads; [`ImageProcessor::normalise`] does the rest.
///
/// The bytes are the same whatever the number of threads, and so is the error: it is that of the first
/// image, in the order of `paths`, that has one.
///
/// # Errors
/// As [`ImageProcessor::load`].
pub fn load_batch<P: AsRef<Path> + Sync>(
    paths: &[P],
    processor: &ImageProcessor,
    limits: &ImageLimits,
) -> Result<Vec<Fitted>, DataError> {
    let load = |path: &P| processor.load(path.as_ref(), limits);
    let outcomes: Vec<Result<Fitted, DataError>> = paths.par_iter().map(load).collect();
    outcomes.into_iter().collect()
}

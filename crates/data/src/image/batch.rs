//! Many pictures at once, on as many threads as there are.

use std::path::Path;

use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};
use rayon::slice::ParallelSliceMut as _;

use super::{ImageLimits, ImageProcessor, decode};
use crate::error::DataError;

/// Decodes and fits pictures on rayon's threads; [`ImageProcessor::normalise`] does the rest.
///
/// The bytes are the same whatever the number of threads, and so is the error: it is that of the first
/// picture, in the order of `paths`, that has one.
///
/// # Shapes
/// Returns `[paths.len(), 3, size, size]` bytes.
///
/// # Errors
/// As [`decode()`].
pub fn load_batch<P: AsRef<Path> + Sync>(
    paths: &[P],
    processor: &ImageProcessor,
    limits: &ImageLimits,
) -> Result<Vec<u8>, DataError> {
    let n_bytes = processor.n_bytes();
    let mut batch = vec![0; paths.len() * n_bytes];
    let outcomes: Vec<Result<(), DataError>> = paths
        .par_iter()
        .zip(batch.par_chunks_mut(n_bytes))
        .map(|(path, slot)| {
            slot.copy_from_slice(&processor.fit_bytes(&decode(path.as_ref(), limits)?));
            Ok(())
        })
        .collect();
    outcomes.into_iter().collect::<Result<(), DataError>>()?;
    Ok(batch)
}

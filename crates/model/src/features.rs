//! Image features, encoded once per image and kept.
//!
//! While the tower is frozen, the features of an image never change: stages encode every image they will
//! see exactly once, and look features up by file name from then on.
//!
//! They are kept in memory as a whole: `n_images · n_image_tokens · width` numbers. The micro-world needs some
//! 6 kB an image; LLaVA v1.5 in f32 would need 2.4 MB, so stages on many thousand photographs need a store on
//! disk, which does not exist yet.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candor_data::image::{Fitted, ImageLimits, load_batch};
use candor_data::rows::{BadRows, Look, faults};
use tch::Tensor;

use crate::{Bundle, ModelError};

/// Features of a set of images, by file name.
#[derive(Debug)]
pub struct ImageFeatures {
    rows: HashMap<String, i64>,
    /// `[n_images, n_image_tokens, tower width]`.
    features: Tensor,
}

/// Images that are decoded and encoded together; enough to keep the kernels busy, small in memory.
const IMAGES_PER_PASS: usize = 64;

impl ImageFeatures {
    /// Encodes the named images of a folder; names may repeat. `progress` hears how many are done, and of how many.
    ///
    /// # Errors
    /// Images are missing, damaged or over the limits: as many of them as [`BadRows::SHOWN`] are named, and those that are
    /// found together with the last of them.
    pub fn encode(
        bundle: &Bundle,
        folder: &Path,
        names: impl IntoIterator<Item = String>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Self, ModelError> {
        let mut rows = HashMap::new();
        let mut ordered: Vec<String> = Vec::new();
        for name in names {
            if let Entry::Vacant(unseen) = rows.entry(name) {
                ordered.push(unseen.key().clone());
                unseen.insert(ordered.len() as i64 - 1);
            }
        }
        let mut passes = Vec::new();
        let mut bad = BTreeMap::new();
        for chunk in ordered.chunks(IMAGES_PER_PASS) {
            let bad_of_chunk = || faults(folder, chunk.iter().map(String::as_str), Look::Decoded);
            if bad.is_empty() {
                match pixels_in(bundle, folder, chunk) {
                    Ok(pixels) => {
                        passes.push(tch::no_grad(|| bundle.model.image_features(&pixels)));
                        let done = (passes.len() * IMAGES_PER_PASS).min(ordered.len());
                        progress(done, ordered.len());
                    }
                    Err(error) => {
                        bad = bad_of_chunk();
                        if bad.is_empty() {
                            return Err(error);
                        }
                    }
                }
            } else {
                // From the first damaged picture on, the rest is only looked through for others.
                bad.extend(bad_of_chunk());
            }
            if bad.len() >= BadRows::SHOWN {
                break;
            }
        }
        if !bad.is_empty() {
            return Err(ModelError::Pictures(bad));
        }
        let features = if passes.is_empty() {
            Tensor::new()
        } else {
            Tensor::cat(&passes, 0)
        };
        Ok(Self { rows, features })
    }

    /// Features of the given images, in this order.
    ///
    /// # Shapes
    /// `[n_images, n_image_tokens, tower width]`; `None` without images or when one was never encoded.
    #[must_use]
    pub fn of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<Tensor> {
        let rows: Option<Vec<i64>> = names
            .into_iter()
            .map(|name| self.rows.get(name).copied())
            .collect();
        let rows = rows.filter(|rows| !rows.is_empty())?;
        Some(self.features.index_select(
            0,
            &Tensor::from_slice(&rows).to_device(self.features.device()),
        ))
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The path of a named image, which must not leave its folder.
///
/// # Errors
/// The name is empty, absolute or climbs out with `..`.
pub fn path_in(folder: &Path, name: &str) -> Result<PathBuf, ModelError> {
    candor_data::formats::images::path_in(folder, name).ok_or_else(|| ModelError::Prompt {
        sample: name.to_owned(),
        problem: format!("the image name leads out of {}", folder.display()),
        remedy: "name the image relative to the image folder, without `..`",
    })
}

/// [`pixels`] of the named images of a folder.
fn pixels_in(bundle: &Bundle, folder: &Path, names: &[String]) -> Result<Tensor, ModelError> {
    let paths: Result<Vec<PathBuf>, ModelError> =
        names.iter().map(|name| path_in(folder, name)).collect();
    pixels(bundle, &paths?)
}

/// Decoded, resized and normalised images.
///
/// # Shapes
/// `[n_images, 3, side, side]` f32, on the model's device.
///
/// # Errors
/// An image is missing, damaged or over the limits.
pub fn pixels(bundle: &Bundle, paths: &[PathBuf]) -> Result<Tensor, ModelError> {
    let fitted = load_batch(paths, &bundle.processor, &ImageLimits::default())?;
    Ok(pixels_of(bundle, &fitted))
}

/// Pictures that the bundle's processor has fitted, normalised.
///
/// # Shapes
/// Pictures of one size → `[n_images, 3, side, side]` f32, on the model's device.
pub fn pixels_of(bundle: &Bundle, fitted: &[Fitted]) -> Tensor {
    let normalise = |picture: &Fitted| {
        let (height, width) = (picture.size.height, picture.size.width);
        Tensor::from_slice(&bundle.processor.normalise(picture)).reshape([
            3,
            i64::from(height),
            i64::from(width),
        ])
    };
    let pictures: Vec<Tensor> = fitted.iter().map(normalise).collect();
    Tensor::stack(&pictures, 0).to_device(bundle.model.device())
}

//! Whether the images that a data set names are there, and whether they can be decoded; and images that are inside a data
//! set's file.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::atomic;
use crate::error::{DataError, Place, Spot};
use crate::file_kind::FileKind;
use crate::image::{ImageLimits, decode};
use crate::sha256;
use crate::shown;

/// What becomes of an image that is inside a file: it is given the bytes and returns the name that the row has it under.
pub type Embedded<'a> = &'a mut dyn FnMut(&[u8]) -> Result<String, DataError>;

/// The name of an image that is inside a file: SHA-256 of its content, so that the same image is there once. What the
/// file calls it is never trusted with a place on the disk.
#[must_use]
pub fn content_name(bytes: &[u8]) -> String {
    let ending = match FileKind::of(bytes).and_then(FileKind::media_type) {
        Some("image/jpeg") => "jpg",
        Some("image/webp") => "webp",
        _ => "png",
    };
    format!("{}.{ending}", sha256::of(bytes))
}

/// Writes an image that is inside a file into `folder`, under its [`content_name`], and returns that name.
///
/// # Errors
/// The image cannot be written.
pub fn keep(folder: &Path, bytes: &[u8]) -> Result<String, DataError> {
    let name = content_name(bytes);
    let target = folder.join(&name);
    if !target.exists() {
        atomic::write(&target, bytes)?;
    }
    Ok(name)
}

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// The path of `image` in `folder`, unless the name would leave the folder.
#[must_use]
pub fn path_in(folder: &Path, image: &str) -> Option<PathBuf> {
    let relative = Path::new(image);
    let stays = !image.is_empty()
        && relative
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    stays.then(|| folder.join(relative))
}

/// Each image once, with the first row that shows it.
fn distinct<'a>(
    images: impl IntoIterator<Item = Option<&'a str>>,
) -> impl Iterator<Item = (usize, &'a str)> {
    let mut seen = HashSet::new();
    let named = images.into_iter().enumerate();
    named
        .filter_map(|(row, shown)| Some((row, shown?)))
        .flat_map(|(row, shown)| shown::names(shown).map(move |name| (row, name)))
        .filter(move |(_, image)| seen.insert(*image))
}

fn place(row: usize) -> Place {
    Place::Row {
        list: None,
        row,
        line: None,
    }
}

/// Decodes every image, each once, on rayon's threads; returns how many there are. `images` gives what the rows show
/// ([`shown`]) in the order of the file `path`, none for rows without images; `progress` is told every two seconds how many are done, of how
/// many.
///
/// # Errors
/// [`DataError::Images`] with all that cannot be used; [`DataError::MissingImage`] for the first one where none at all is
/// in the folder.
pub fn decode_all<'a>(
    path: &Path,
    images: impl IntoIterator<Item = Option<&'a str>>,
    folder: &Path,
    limits: &ImageLimits,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<usize, DataError> {
    let images: Vec<(usize, &str)> = distinct(images).collect();
    let is_there = |image: &str| path_in(folder, image).is_some_and(|file| file.is_file());
    if let [(row, image), _, ..] = images[..]
        && !images.iter().any(|(_, image)| is_there(image))
    {
        return Err(DataError::MissingImage {
            spot: Spot::new(path, place(row), ""),
            image: image.to_owned(),
            folder: folder.to_path_buf(),
            remedy: format!(
                "give the right image folder: none of the {} images is in this one",
                images.len()
            )
            .into(),
        });
    }
    let n_done = AtomicUsize::new(0);
    let told = Mutex::new(Instant::now());
    let faults = images.par_iter().map(|&(row, image)| {
        let fault = fault(image, folder, limits);
        let n_done = n_done.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            progress(n_done, images.len());
        }
        fault.map(|found| format!("{}: image {image:?} {found}", place(row)))
    });
    let faults: Vec<Option<String>> = faults.collect();
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    if faults.is_empty() {
        return Ok(images.len());
    }
    Err(DataError::Images {
        path: path.to_path_buf(),
        n_images: images.len(),
        faults,
    })
}

/// What is wrong with an image, if anything is.
fn fault(image: &str, folder: &Path, limits: &ImageLimits) -> Option<String> {
    let Some(file) = path_in(folder, image) else {
        return Some("is not a file name inside the image folder".into());
    };
    if !file.is_file() {
        return Some(format!("is not in {}", folder.display()));
    }
    match decode(&file, limits) {
        Ok(_) => None,
        Err(DataError::Image { found, .. }) => Some(format!("is {found}")),
        Err(DataError::TooLarge { bytes, limit, .. }) => {
            Some(format!("has {bytes} bytes, more than the limit of {limit}"))
        }
        Err(DataError::Io { source, .. }) => Some(format!("cannot be read: {source}")),
        Err(other) => Some(other.to_string()),
    }
}

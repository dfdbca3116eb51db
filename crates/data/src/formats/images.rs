//! Whether the images that a data set names are there.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use crate::error::{DataError, Place, Spot};

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

/// Checks that every image exists in `folder`.
///
/// `images` gives the rows' images in the order of the file, none for text-only rows; `path` and `field`
/// name the file and its field in messages.
///
/// # Errors
/// [`DataError::MissingImage`] for the first that is missing, [`DataError::Field`] for a name that leads
/// out of the folder.
pub fn check<'a>(
    path: &Path,
    field: &str,
    images: impl IntoIterator<Item = Option<&'a str>>,
    folder: &Path,
) -> Result<(), DataError> {
    let mut seen = HashSet::new();
    for (row, image) in images.into_iter().enumerate() {
        let Some(image) = image.filter(|image| seen.insert(*image)) else {
            continue;
        };
        let place = Place::Row {
            list: None,
            row,
            line: None,
        };
        let Some(file) = path_in(folder, image) else {
            return Err(DataError::Field {
                spot: Spot::new(path, place, field),
                found: format!("found {image:?}, which is not a file name inside the image folder"),
                remedy: "name the image relative to the image folder, without `..`".into(),
            });
        };
        if !file.is_file() {
            return Err(DataError::MissingImage {
                spot: Spot::new(path, place, field),
                image: image.to_owned(),
                folder: folder.to_path_buf(),
                remedy: "put the image there, give the right image folder, or remove the row"
                    .into(),
            });
        }
    }
    Ok(())
}

//! The images of an import: in one folder, whole, before anybody is asked about them.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use candor_data::formats::images::{self, path_in};
use candor_data::{DataError, Place, Spot, shown};

use super::{Comparisons, remote};
use crate::error::AnnotateError;
use crate::project::{Import, Project};
use crate::store::NewItem;

/// The folder of an import's images.
pub(super) fn folder(project: &Project, import: &Import) -> Option<PathBuf> {
    let folder = import.image_folder()?;
    Some(project.resolve(Path::new(&folder)))
}

/// Writes an image that is inside the imported file to the folder of images, and returns its name there.
pub(super) fn keep(file: &Path, folder: Option<&Path>, bytes: &[u8]) -> Result<String, DataError> {
    let Some(folder) = folder else {
        return Err(no_folder(file, "an image inside the file"));
    };
    images::keep(folder, bytes)
}

fn no_folder(file: &Path, found: &str) -> DataError {
    DataError::Field {
        spot: Spot::new(file, Place::File, "image"),
        found: format!("found {found}, and the import has no folder of images"),
        remedy: "give the import `images`, a folder or a URL".into(),
    }
}

/// Sees to it that every image is there and can be shown before anybody is asked about it. Those of items whose names
/// are `known` were decoded when these came.
///
/// # Errors
/// [`AnnotateError::NotThere`] or [`AnnotateError::Io`] if one cannot be fetched, [`AnnotateError::Data`] if there is no folder, and for all at once that
/// are missing, have a name that leads out of the folder or cannot be decoded.
pub async fn provide(
    project: &Project,
    import: &Import,
    file: &Path,
    read: &Comparisons,
    known: &HashSet<String, impl BuildHasher>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(), AnnotateError> {
    let Some(folder) = folder(project, import) else {
        return match read.items.iter().find_map(|item| item.image.as_ref()) {
            None => Ok(()),
            Some(image) => Err(no_folder(file, &format!("{image:?}")).into()),
        };
    };
    if let Some(url) = import.image_url() {
        let names = read.items.iter();
        let names = names.filter_map(|item| item.image.as_deref());
        let names = names.flat_map(shown::names);
        remote::fetch(url, &folder, names).await?;
    }
    let is_there = |image: &str| path_in(&folder, image).is_some_and(|path| path.is_file());
    let was_decoded =
        |item: &NewItem, image| known.contains(&item.name) && shown::names(image).all(is_there);
    // What each row shows, by the rows of the file, of which some may have been left out.
    let mut unseen: Vec<Option<&str>> = vec![None; read.rows.last().map_or(0, |last| last + 1)];
    for (&row, item) in read.rows.iter().zip(&read.items) {
        let image = item.image.as_deref();
        unseen[row] = image.filter(|image| !was_decoded(item, image));
    }
    images::decode_all(file, unseen, &folder, &project.image_limits(), progress)?;
    Ok(())
}

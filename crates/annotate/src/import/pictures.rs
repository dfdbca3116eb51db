//! The pictures of an import: in one folder, whole, before anybody is asked about them.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use candor_data::formats::images;
use candor_data::{DataError, Place, Spot};

use super::remote;
use crate::error::AnnotateError;
use crate::project::{Import, Project};
use crate::store::NewItem;

/// The folder of an import's pictures.
pub(super) fn folder(project: &Project, import: &Import) -> Option<PathBuf> {
    let folder = import.image_folder()?;
    Some(project.resolve(Path::new(&folder)))
}

/// Writes a picture that is inside the imported file to the folder of pictures, and returns its name there.
pub(super) fn keep(file: &Path, folder: Option<&Path>, bytes: &[u8]) -> Result<String, DataError> {
    let Some(folder) = folder else {
        return Err(no_folder(file, "a picture inside the file"));
    };
    images::keep(folder, bytes)
}

fn no_folder(file: &Path, found: &str) -> DataError {
    DataError::Field {
        spot: Spot::new(file, Place::File, "image"),
        found: format!("found {found}, and the import has no folder of pictures"),
        remedy: "give the import `images`, a folder or a URL".into(),
    }
}

/// Sees to it that every picture is there and can be shown before anybody is asked about it. Those of items whose names
/// are `known` were decoded when these came.
///
/// # Errors
/// [`AnnotateError::Io`] if one cannot be fetched, [`AnnotateError::Data`] if one is missing, has a name that leads out of
/// the folder, or there is no folder, and for all that cannot be decoded at once.
pub async fn provide(
    project: &Project,
    import: &Import,
    file: &Path,
    items: &[NewItem],
    known: &HashSet<String, impl BuildHasher>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(), AnnotateError> {
    let Some(folder) = folder(project, import) else {
        return match items.iter().find_map(|item| item.image.as_ref()) {
            None => Ok(()),
            Some(image) => Err(no_folder(file, &format!("{image:?}")).into()),
        };
    };
    if let Some(url) = import.image_url() {
        let names = items.iter().filter_map(|item| item.image.as_deref());
        remote::fetch(url, &folder, names).await?;
    }
    let names = || items.iter().map(|item| item.image.as_deref());
    images::check(file, "image", names(), &folder)?;
    let new = items.iter().map(|item| {
        let is_new = !known.contains(&item.name);
        item.image.as_deref().filter(|_| is_new)
    });
    images::decode_all(file, new, &folder, &project.image_limits(), progress)?;
    Ok(())
}

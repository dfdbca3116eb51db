//! Whether the images of rows can be shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{BadRow, BadRows, OnBadRow, Reason, RowFault, RowName};
use crate::error::DataError;
use crate::formats::images::path_in;
use crate::image::{ImageLimits, decode};

/// How closely the images are looked at before anything else is done with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not at all.
    Not,
    /// Whether the files are there. Whoever decodes them later names those that are damaged, all at once.
    There,
    /// Whether they can be decoded, which decides about the rows.
    Decoded,
}

impl Look {
    /// As a run must look.
    #[must_use]
    pub fn of_run(on_bad_row: OnBadRow) -> Self {
        match on_bad_row {
            OnBadRow::Stop => Self::There,
            OnBadRow::Skip => Self::Decoded,
        }
    }

    /// As a plan of the run must look to count the rows that the run will have; images that are not there yet are no
    /// reason not to plan.
    #[must_use]
    pub fn of_plan(on_bad_row: OnBadRow, folder: &Path) -> Self {
        match on_bad_row {
            OnBadRow::Skip if folder.is_dir() => Self::Decoded,
            _ => Self::Not,
        }
    }
}

/// What is wrong with those of the named images of a folder that cannot be shown, by name.
#[must_use]
pub fn faults<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
    look: Look,
) -> BTreeMap<String, RowFault> {
    if look == Look::Not {
        return BTreeMap::new();
    }
    let names: BTreeSet<&str> = names.into_iter().collect();
    let names: Vec<&str> = names.into_iter().collect();
    let bad = names.into_par_iter().filter_map(|name| {
        let fault = fault(folder, name, look)?;
        Some((name.to_owned(), fault))
    });
    bad.collect()
}

fn fault(folder: &Path, name: &str, look: Look) -> Option<RowFault> {
    let missing = |found, remedy: &'static str| {
        let fault = RowFault::new(Reason::MissingImage, "image", found, remedy);
        Some(fault)
    };
    let Some(path) = path_in(folder, name) else {
        return missing(
            format!("the image name {name:?} leads out of {}", folder.display()),
            "name the image relative to the image folder, without `..`",
        );
    };
    if !path.is_file() {
        return missing(
            format!("there is no image {name:?} in {}", folder.display()),
            "put the image there, give the right image folder, or remove the row",
        );
    }
    if look == Look::There {
        return None;
    }
    decode(&path, &ImageLimits::default())
        .err()
        .map(|error| RowFault::unreadable(&error))
}

/// Which rows show which images, so that an image that turns out to be damaged is told with its rows.
#[derive(Debug, Clone, Default)]
pub struct ImageRows {
    shown: Vec<(RowName, String)>,
    /// As [`super::Sieve::remedy`].
    remedy: Option<&'static str>,
}

impl ImageRows {
    /// These rows and the images they show, with what can be done about bad ones besides mending them, if anything.
    #[must_use]
    pub fn new(
        shown: impl IntoIterator<Item = (RowName, String)>,
        remedy: Option<&'static str>,
    ) -> Self {
        Self {
            shown: shown.into_iter().collect(),
            remedy,
        }
    }

    /// The refusal of the rows that show them, given what is wrong with images.
    #[must_use]
    pub fn refusal(&self, faults: &BTreeMap<String, RowFault>) -> DataError {
        let bad = self.shown.iter().filter_map(|(name, image)| {
            let (name, fault) = (name.clone(), faults.get(image)?.clone());
            Some(BadRow { name, fault })
        });
        DataError::BadRows {
            rows: BadRows(bad.collect()),
            remedy: self.remedy,
        }
    }
}

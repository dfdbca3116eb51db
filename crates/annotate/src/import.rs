//! Items come in: from the files that a project names into its database.
//!
//! Importing again adds what is new and leaves what is there; an item whose content changed is an error, because
//! answers to the old one would be taken for answers to the new.

mod known;

use std::path::Path;

use candor_data::DataError;
use candor_data::formats::{candidates, images, preference, preference_log};

use crate::error::AnnotateError;
use crate::project::{Import, ImportFormat, Project};
use crate::store::{NewItem, Store};

/// Imports all files of a project; returns the number of new items.
///
/// # Errors
/// [`AnnotateError::Data`] if a file cannot be read or a picture is missing, [`AnnotateError::Changed`].
pub async fn all(project: &Project, store: &Store) -> Result<usize, AnnotateError> {
    let mut n_new = 0;
    for import in &project.imports {
        let file = project.resolve(&import.file);
        let items = read(project, import, &file)?;
        n_new += store.import(&file, items).await?;
    }
    Ok(n_new)
}

/// The items of one file.
///
/// # Errors
/// As [`all`].
pub fn read(
    project: &Project,
    import: &Import,
    file: &Path,
) -> Result<Vec<NewItem>, AnnotateError> {
    let items = match import.format {
        ImportFormat::Candidates => candidates::read(file)?
            .into_iter()
            .filter(|pair| !pair.is_identical())
            .map(|pair| from_candidate(import, pair))
            .collect(),
        ImportFormat::PreferenceLog => {
            known::with_explanations(import, file, preference_log::read(file)?)?
        }
        ImportFormat::Llava => {
            let rows = preference::read(file)?;
            rows.into_iter()
                .map(|row| known::from_preference(import, row))
                .collect()
        }
        ImportFormat::TrlJsonl | ImportFormat::TrlParquet => Vec::new(),
    };
    check_pictures(project, import, file, &items)?;
    Ok(items)
}

/// Every picture must be there before anybody is asked about it.
fn check_pictures(
    project: &Project,
    import: &Import,
    file: &Path,
    items: &[NewItem],
) -> Result<(), DataError> {
    let Some(folder) = &import.images else {
        return Ok(());
    };
    let names = items.iter().map(|item| item.image.as_deref());
    images::check(file, "image", names, &project.resolve(Path::new(folder)))
}

fn from_candidate(import: &Import, pair: candidates::Candidate) -> NewItem {
    let model = match pair.sampling.adapter {
        Some(adapter) => format!("{} + {adapter}", pair.sampling.model),
        None => pair.sampling.model,
    };
    NewItem {
        kind: import.kind,
        name: pair.id,
        image: pair.image,
        image_folder: import.images.clone(),
        turns: pair.turns,
        outputs: pair.outputs,
        original_answer: pair.original_answer,
        known: None,
        question_type: None,
        models: Some([model.clone(), model]),
        rank: 0,
    }
}

//! Items come in: from the files that a project names into its database.
//!
//! Importing again adds what is new and leaves what is there; an item whose content changed is an error, because
//! answers to the old one would be taken for answers to the new. Two equal answers are nothing to compare: such rows
//! are left out.

mod known;
mod llava;
mod parquet;
mod question_type;
mod remote;
mod scores;
mod trl;

use std::path::{Path, PathBuf};

use candor_data::formats::{candidates, images, preference, preference_log};
use candor_data::{DataError, Place, Spot, Turn};

use crate::error::AnnotateError;
use crate::project::{Import, ImportFormat, Kind, Project};
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
        provide_pictures(project, import, &file, &items).await?;
        n_new += store.import(&file, items).await?;
    }
    Ok(n_new)
}

/// The items of one file; their pictures may not be there yet ([`provide_pictures`]).
///
/// # Errors
/// [`AnnotateError::Data`] if the file cannot be read.
pub fn read(
    project: &Project,
    import: &Import,
    file: &Path,
) -> Result<Vec<NewItem>, AnnotateError> {
    let folder = image_folder(project, import);
    let mut items = match (import.format, import.kind) {
        (ImportFormat::Candidates, _) => candidates::read(file)?
            .into_iter()
            .map(|pair| from_candidate(import, pair))
            .collect(),
        (ImportFormat::PreferenceLog, _) => {
            known::with_explanations(import, file, preference_log::read(file)?)?
        }
        (ImportFormat::Llava, Kind::Work) => comparisons(import, llava::read(file)?),
        (ImportFormat::Llava, _) => preference::read(file)?
            .into_iter()
            .map(|row| known::from_preference(import, row))
            .collect(),
        (ImportFormat::TrlJsonl, _) => comparisons(import, trl::read(file)?),
        (ImportFormat::TrlParquet, _) => {
            comparisons(import, parquet::read(file, folder.as_deref())?)
        }
    };
    items.retain(|item| item.outputs[0] != item.outputs[1]);
    if let Some(scores) = &import.scores {
        scores::rank(&mut items, &project.resolve(scores))?;
    }
    Ok(items)
}

fn image_folder(project: &Project, import: &Import) -> Option<PathBuf> {
    let folder = import.image_folder()?;
    Some(project.resolve(Path::new(&folder)))
}

/// Sees to it that every picture is there before anybody is asked about it.
///
/// # Errors
/// [`AnnotateError::Io`] if one cannot be fetched, [`AnnotateError::Data`] if one is missing, has a name that leads out of
/// the folder, or there is no folder.
pub async fn provide_pictures(
    project: &Project,
    import: &Import,
    file: &Path,
    items: &[NewItem],
) -> Result<(), AnnotateError> {
    let Some(folder) = image_folder(project, import) else {
        return match items.iter().find_map(|item| item.image.as_ref()) {
            None => Ok(()),
            Some(image) => Err(DataError::Field {
                spot: Spot::new(file, Place::File, "image"),
                found: format!("found {image:?}, and the import has no folder of pictures"),
                remedy: "give the import `images`, a folder or a URL".into(),
            }
            .into()),
        };
    };
    if let Some(url) = import.image_url() {
        let names = items.iter().filter_map(|item| item.image.as_deref());
        remote::fetch(url, &folder, names).await?;
    }
    let names = items.iter().map(|item| item.image.as_deref());
    Ok(images::check(file, "image", names, &folder)?)
}

/// Two answers to compare, from a format that says little else.
#[derive(Debug, Clone, PartialEq)]
struct Comparison {
    id: String,
    image: Option<String>,
    turns: Vec<Turn>,
    outputs: [String; 2],
    original_answer: Option<String>,
    models: Option<[String; 2]>,
}

fn comparisons(import: &Import, rows: Vec<Comparison>) -> Vec<NewItem> {
    rows.into_iter()
        .map(|row| from_comparison(import, row))
        .collect()
}

fn from_comparison(import: &Import, row: Comparison) -> NewItem {
    NewItem {
        kind: import.kind,
        name: row.id,
        image_folder: row.image.is_some().then(|| import.image_folder()).flatten(),
        image: row.image,
        question_type: row
            .turns
            .last()
            .map(|turn| question_type::of(&turn.value).to_owned()),
        turns: row.turns,
        outputs: row.outputs,
        original_answer: row.original_answer,
        known: None,
        models: row.models,
        rank: 0,
    }
}

fn from_candidate(import: &Import, pair: candidates::Candidate) -> NewItem {
    let model = match pair.sampling.adapter {
        Some(adapter) => format!("{} + {adapter}", pair.sampling.model),
        None => pair.sampling.model,
    };
    let row = Comparison {
        id: pair.id,
        image: pair.image,
        turns: pair.turns,
        outputs: pair.outputs,
        original_answer: pair.original_answer,
        models: Some([model.clone(), model]),
    };
    from_comparison(import, row)
}

//! Items come in: from the files that a project names into its database.
//!
//! Importing again adds what is new and leaves what is there; an item whose content changed is an error, because
//! answers to the old one would be taken for answers to the new. Two equal answers are nothing to compare: such rows
//! are left out and counted. What could not be trained on later is refused now, and no picture is handed out before it was
//! decoded once.

mod known;
mod llava;
mod pictures;
mod question_type;
mod remote;
mod scores;

use std::path::Path;

use candor_data::formats::{candidates, preference, preference_log, trl};
use candor_data::preference::placeholder_fault;
use candor_data::{DataError, Place, Spot, Turn};

pub use self::pictures::provide as provide_pictures;
use crate::error::AnnotateError;
use crate::project::{Import, ImportFormat, Kind, Project};
use crate::store::{NewItem, Store};

/// What an import came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Items that were not there before.
    pub n_new: usize,
    /// Rows of two equal answers, which are left out.
    pub n_equal: usize,
}

/// The rows of a file that are left to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparisons {
    /// Them.
    pub items: Vec<NewItem>,
    /// The row of the file that each of them is.
    pub rows: Vec<usize>,
    /// Rows of two equal answers, which are not among them.
    pub n_equal: usize,
}

/// Imports all files of a project. `progress` is told now and then how many pictures are decoded, of how many.
///
/// # Errors
/// [`AnnotateError::Data`] if a file cannot be read, a row could not be trained on, or a picture is missing or damaged;
/// [`AnnotateError::Changed`].
pub async fn all(
    project: &Project,
    store: &Store,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Imported, AnnotateError> {
    let mut imported = Imported::default();
    for import in &project.imports {
        let file = project.resolve(&import.file);
        let read = read(project, import, &file)?;
        let known = store.item_names(import.kind).await?;
        provide_pictures(project, import, &file, &read, &known, progress).await?;
        imported.n_new += store.import(&file, read.items).await?;
        imported.n_equal += read.n_equal;
    }
    Ok(imported)
}

/// The comparisons of one file; their pictures may not be there yet ([`provide_pictures`]).
///
/// # Errors
/// [`AnnotateError::Data`] if the file cannot be read or a row could not be trained on.
pub fn read(project: &Project, import: &Import, file: &Path) -> Result<Comparisons, AnnotateError> {
    let folder = pictures::folder(project, import);
    let items: Vec<NewItem> = match (import.format, import.kind) {
        (ImportFormat::Candidates, _) => candidates::read(file)?
            .into_iter()
            .map(|pair| from_candidate(import, pair))
            .collect(),
        (ImportFormat::PreferenceLog, _) => {
            known::with_explanations(import, file, preference_log::read(file)?)?
        }
        (ImportFormat::Llava, Kind::Work) => llava::read(file)?
            .into_iter()
            .map(|row| from_comparison(import, row))
            .collect(),
        (ImportFormat::Llava, _) => preference::read(file)?
            .into_iter()
            .map(|row| known::from_preference(import, row))
            .collect(),
        (ImportFormat::Trl, _) => {
            let mut keep = |bytes: &[u8]| pictures::keep(file, folder.as_deref(), bytes);
            let pairs = trl::read(file, &mut keep)?.into_iter();
            pairs.map(|pair| from_pair(import, pair)).collect()
        }
    };
    check_placeholders(file, &items)?;
    let n_rows = items.len();
    // As the reward stage tells equal answers.
    let differ = |item: &NewItem| item.outputs[0].trim() != item.outputs[1].trim();
    let kept = items.into_iter().enumerate();
    let (rows, mut items): (Vec<usize>, Vec<NewItem>) =
        kept.filter(|(_, item)| differ(item)).unzip();
    let n_equal = n_rows - items.len();
    if let Some(scores) = &import.scores {
        scores::rank(&mut items, &project.resolve(scores))?;
    }
    Ok(Comparisons {
        items,
        rows,
        n_equal,
    })
}

/// Refuses what nobody could be asked sensibly or the reward stage would refuse: a question about a picture without one,
/// and a picture without its place in the question. The latter is no matter where nothing is trained on the answers.
fn check_placeholders(file: &Path, items: &[NewItem]) -> Result<(), DataError> {
    let trained = |item: &NewItem| item.kind == Kind::Work || item.image.is_none();
    for (row, item) in items.iter().enumerate().filter(|(_, item)| trained(item)) {
        let [first, second] = &item.outputs;
        let image = item.image.as_deref();
        if let Some((field, found)) = placeholder_fault(&item.turns, image, [first, second]) {
            let place = Place::Row {
                list: None,
                row,
                line: None,
            };
            return Err(DataError::Field {
                spot: Spot::new(file, place, field),
                found: format!("item {:?}: {found}", item.name),
                remedy: "name the picture in the row, and write <image> once in the first question of a row with one"
                    .into(),
            });
        }
    }
    Ok(())
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

/// Which of the two was preferred there is not what people are asked here: both become outputs to compare.
fn from_pair(import: &Import, pair: trl::Pair) -> NewItem {
    let row = Comparison {
        id: pair.id,
        image: pair.image,
        turns: pair.turns,
        outputs: [pair.chosen, pair.rejected],
        original_answer: None,
        models: None,
    };
    from_comparison(import, row)
}

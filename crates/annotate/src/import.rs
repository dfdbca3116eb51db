//! Items come in: from the files that a project names into its database.
//!
//! Importing again adds what is new and leaves what is there; an item whose content changed is an error, because
//! answers to the old one would be taken for answers to the new. Two equal answers are nothing to compare: such rows
//! are left out and counted. What could not be trained on later is refused now, and no image is handed out before it was
//! decoded once.

mod answer_sets;
mod answers;
mod images;
mod question_type;
mod remote;
mod scores;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use candor_data::formats::candidates;
use candor_data::formats::images::{Embedded, content_name};
use candor_data::formats::tools::{Taken, argilla, label_studio};
use candor_data::image::decode_bytes;
use candor_data::preference::placeholder_fault;
use candor_data::{Comparison, ComparisonFormat, DataError, Judgement, Place, Spot, shown};

pub(crate) use self::answer_sets::{check_set, differing};
pub use self::images::provide as provide_images;
use crate::answer::Pick;
use crate::error::{AnnotateError, Refusal};
use crate::project::{Import, ImportFormat, Kind, Project};
use crate::store::{Known, NewItem, Store};
use crate::task::Expected;

/// Images that a page shows beside two answers, at most.
const MAX_IMAGES: usize = 20;
/// Rows of a file that is added while people work: their changes wait while its rows are written.
const MAX_ADDED: usize = 2000;

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Items that were not there before.
    pub n_new: usize,
    /// Rows of which too few answers differ, which are left out.
    pub n_equal: usize,
    /// What of another tool's file was left behind, in words. Of several files together the log alone says it.
    pub left_behind: Option<String>,
}

/// The rows of a file that are left to judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparisons {
    /// Them.
    pub items: Vec<NewItem>,
    /// The row of the file that each of them is.
    pub rows: Vec<usize>,
    /// Rows of which too few answers differ, which are not among them.
    pub n_equal: usize,
    /// What of another tool's file was left behind, in words.
    pub left_behind: Option<String>,
}

/// Imports all files of a project. `progress` is told now and then how many images are decoded, of how many.
///
/// # Errors
/// [`AnnotateError::Data`] if a file cannot be read, a row could not be trained on, or an image is missing or damaged;
/// [`AnnotateError::NotThere`] and [`AnnotateError::Io`] if one cannot be fetched; [`AnnotateError::Changed`].
pub async fn all(
    project: &Project,
    store: &Store,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Imported, AnnotateError> {
    let mut imported = Imported::default();
    for import in &project.imports {
        let file = project.resolve(&import.file);
        let one = one(project, store, import, &file, progress).await?;
        imported.n_new += one.n_new;
        imported.n_equal += one.n_equal;
    }
    Ok(imported)
}

/// Imports `file` by the rules of an import of the project.
///
/// # Errors
/// As [`all`].
pub async fn one(
    project: &Project,
    store: &Store,
    import: &Import,
    file: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Imported, AnnotateError> {
    let read = read(project, import, file)?;
    let known = store.item_names(import.kind).await?;
    provide_images(project, import, file, &read, &known, progress).await?;
    Ok(Imported {
        n_new: store.import(file, read.items).await?,
        n_equal: read.n_equal,
        left_behind: read.left_behind,
    })
}

/// Imports `file`, which is none of the project's, by the rules of an import of the project. That one's scores are of the rows in its
/// own file: where it has some, new items come after all that have one. Items that are there keep their places. Where it is refused, no
/// image that was inside it is left.
///
/// # Errors
/// As [`all`]; [`Refusal::Invalid`] for more than 2000 rows, [`AnnotateError::NotThere`] for an image that is not at the URL of the import.
pub async fn added(
    project: &Project,
    store: &Store,
    import: &Import,
    file: &Path,
) -> Result<Imported, AnnotateError> {
    let mut written = Vec::new();
    let added = add(project, store, import, file, &mut written).await;
    if added.is_err() {
        for image in written {
            drop(std::fs::remove_file(image));
        }
    }
    added
}

/// [`added`]; `written` are the images that were inside the file and are in the folder because of it.
async fn add(
    project: &Project,
    store: &Store,
    import: &Import,
    file: &Path,
    written: &mut Vec<PathBuf>,
) -> Result<Imported, AnnotateError> {
    let folder = images::folder(project, import);
    let limits = project.image_limits();
    let mut keep = |bytes: &[u8]| {
        let name = content_name(bytes);
        decode_bytes(Path::new(&name), bytes, &limits)?;
        let path = folder.as_ref().map(|folder| folder.join(name));
        written.extend(path.filter(|path| !path.exists()));
        images::keep(file, folder.as_deref(), bytes)
    };
    let unscored = Import {
        scores: None,
        ..import.clone()
    };
    let mut read = comparisons(project, &unscored, file, &mut keep)?;
    let n_rows = read.items.len();
    if n_rows > MAX_ADDED {
        let remedy = "send at most 2000 at a time, so that nobody who answers waits for it";
        return Err(Refusal::invalid("body", format!("found {n_rows} rows"), remedy).into());
    }
    let ranks = store.item_ranks(import.kind).await?;
    let last = if import.scores.is_some() {
        scores::LAST
    } else {
        0
    };
    for item in &mut read.items {
        item.rank = ranks.get(&item.name).copied().unwrap_or(last);
    }
    let known: HashSet<String> = ranks.into_keys().collect();
    provide_images(project, import, file, &read, &known, &|_, _| {}).await?;
    Ok(Imported {
        n_new: store.import(file, read.items).await?,
        n_equal: read.n_equal,
        left_behind: read.left_behind,
    })
}

/// The comparisons of one file; their images may not be there yet ([`provide_images`]).
///
/// # Errors
/// [`AnnotateError::Data`] if the file cannot be read or a row could not be trained on.
pub fn read(project: &Project, import: &Import, file: &Path) -> Result<Comparisons, AnnotateError> {
    let folder = images::folder(project, import);
    let mut keep = |bytes: &[u8]| images::keep(file, folder.as_deref(), bytes);
    comparisons(project, import, file, &mut keep)
}

/// [`read`], where `keep` is what becomes of an image inside the file.
fn comparisons(
    project: &Project,
    import: &Import,
    file: &Path,
    keep: Embedded<'_>,
) -> Result<Comparisons, AnnotateError> {
    if import.format == ImportFormat::Comparisons(ComparisonFormat::Candidates)
        && let Some(cut) = candidates::cut_in_words(file)?
    {
        tracing::warn!("{}: {cut}", file.display());
    }
    let (all, left_behind) = match import.format {
        ImportFormat::Comparisons(format) => (format.read(file, keep)?, None),
        ImportFormat::Answers => return Ok(answers::read(import, file)?),
        ImportFormat::AnswerSets => return Ok(answer_sets::read(import, file)?),
        ImportFormat::ArgillaSets => {
            let taken = argilla::read_sets(file)?;
            let left_behind = told(file, taken.left_behind_in_words());
            return Ok(Comparisons {
                left_behind,
                ..answer_sets::items(import, file, taken.rows)?
            });
        }
        ImportFormat::LabelStudio => taken(import.kind, file, label_studio::read(file)?)?,
        ImportFormat::Argilla => taken(import.kind, file, argilla::read(file)?)?,
    };
    check_placeholders(import.kind, file, &all)?;
    let n_rows = all.len();
    let differing = all
        .into_iter()
        .enumerate()
        .filter(|(_, row)| !row.is_equal());
    let (mut rows, mut items) = (Vec::new(), Vec::new());
    for (i, row) in differing {
        rows.push(i);
        items.push(item(import, file, i, row)?);
    }
    let n_equal = n_rows - items.len();
    if let Some(scores) = &import.scores {
        scores::rank(&mut items, &project.resolve(scores))?;
    }
    Ok(Comparisons {
        items,
        rows,
        n_equal,
        left_behind,
    })
}

/// The comparisons of another tool's file, and what of it was left behind. People are asked two questions, so that their answers are
/// measured by a judgement that says which of them decided, and by no other.
fn taken(
    kind: Kind,
    file: &Path,
    taken: Taken,
) -> Result<(Vec<Comparison>, Option<String>), DataError> {
    if let Some(&row) = taken.bare.first().filter(|_| kind != Kind::Work) {
        return Err(DataError::Field {
            spot: Spot::new(file, place(row), ""),
            found: format!(
                "item {:?}: the judgements of this {} item do not all rest on the same one of the two questions",
                taken.rows[row].id,
                kind.name()
            ),
            remedy: "answer `first`, and `second` after a tie, in the task; or import it as work"
                .into(),
        });
    }
    let left_behind = told(file, taken.left_behind_in_words());
    Ok((taken.rows, left_behind))
}

/// What was left behind of a file, after it is in the log.
fn told(file: &Path, left_behind: Option<String>) -> Option<String> {
    if let Some(left_behind) = &left_behind {
        tracing::warn!("{}: {left_behind}", file.display());
    }
    left_behind
}

/// Refuses what nobody could be asked sensibly or the reward stage would refuse: more images than a page shows, a question about
/// an image without one, and an image without its place in the question. The latter is no matter where nothing is trained on the answers.
fn check_placeholders(kind: Kind, file: &Path, rows: &[Comparison]) -> Result<(), DataError> {
    for (i, row) in rows.iter().enumerate() {
        check_images(file, i, &row.id, row.image.as_deref())?;
    }
    let trained = |row: &Comparison| kind == Kind::Work || row.image.is_none();
    for (i, row) in rows.iter().enumerate().filter(|(_, row)| trained(row)) {
        let [first, second] = &row.outputs;
        let image = row.image.as_deref();
        if let Some((field, found)) = placeholder_fault(&row.turns, image, [first, second]) {
            return Err(DataError::Field {
                spot: Spot::new(file, place(i), field),
                found: format!("item {:?}: {found}", row.id),
                remedy: "name the images in the row, and write <image> once for each of them in its first question"
                    .into(),
            });
        }
    }
    Ok(())
}

/// Refuses more images than a page shows.
fn check_images(file: &Path, row: usize, id: &str, image: Option<&str>) -> Result<(), DataError> {
    let n_images = shown::count(image);
    if n_images <= MAX_IMAGES {
        return Ok(());
    }
    Err(DataError::Field {
        spot: Spot::new(file, place(row), "image"),
        found: format!("item {id:?}: found {n_images} images"),
        remedy: format!("leave the row out: people are shown {MAX_IMAGES} at most").into(),
    })
}

fn place(row: usize) -> Place {
    Place::Row {
        list: None,
        row,
        line: None,
    }
}

/// The item of row `i`. Which of its answers was preferred elsewhere is not what people are asked here: it is kept only
/// where it is the right answer that they are measured by.
fn item(import: &Import, file: &Path, i: usize, row: Comparison) -> Result<NewItem, DataError> {
    let known = match (import.kind, row.judgement) {
        (Kind::Work, _) => None,
        (_, Some(judgement)) => Some(known(judgement)),
        (kind, None) => {
            return Err(DataError::Field {
                spot: Spot::new(file, place(i), ""),
                found: format!("the right answer of this {} item is not given", kind.name()),
                remedy: "say in the row which output is better, or import it as work".into(),
            });
        }
    };
    let question = row.turns.last();
    let question_type = question.map(|turn| question_type::of(&turn.value).to_owned());
    Ok(NewItem {
        kind: import.kind,
        name: row.id,
        image_folder: row.image.is_some().then(|| import.image_folder()).flatten(),
        image: row.image,
        question_type,
        turns: row.turns,
        outputs: row.outputs.into(),
        original_answer: row.original_answer,
        known,
        models: row.models,
        rank: 0,
    })
}

/// A second answer counts only where the first question left it open.
fn known(judgement: Judgement) -> Known {
    let first = judgement.fewer_hallucinations.side();
    let second = match first {
        None => judgement.more_helpful.map(Pick::of),
        Some(_) => None,
    };
    Known {
        expected: Expected {
            first: first.map_or(Pick::Tie, Pick::of),
            second,
        },
        explanation: judgement.explanation,
    }
}

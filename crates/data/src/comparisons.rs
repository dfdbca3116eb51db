//! Comparisons, and rated answers, on their way into a stage that learns from them: read, rows that say nothing left out, bad rows
//! found, split by image. What a stage makes of a row is its own; so the reward model and whatever else learns from comparisons
//! read, refuse, skip and split alike.
//!
//! Facts are no part of this: only a reward model is shown them.

mod format;
mod split;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

pub use self::format::ComparisonFormat;
use self::split::{Split, by_image};
use crate::comparison::Comparison;
use crate::error::{DataError, Place, Spot};
use crate::formats::folder;
use crate::formats::images::{self, Embedded};
use crate::preference::Side;
use crate::rated::RatedFile;
use crate::rows::{
    ImageRows, LEAVE_OUT, Look, OnBadRow, Row, RowFault, RowName, Sieve, Skipped, SourceFile,
};
use crate::shown;

/// A file of rows that a stage learns from.
pub trait RowFile: Sized {
    /// What a stage makes something of.
    type Row: Send;

    /// What messages call its rows.
    const ROWS: &'static str;

    /// Where it is; a folder is one of several such files ([`folder::files`]).
    fn path(&self) -> &Path;

    /// Another file that is as this one.
    #[must_use]
    fn at(&self, path: PathBuf) -> Self;

    /// Its rows. `embedded` is what becomes of an image that is inside the file.
    ///
    /// # Errors
    /// The file is missing, damaged or not judged.
    fn rows(&self, embedded: Embedded<'_>) -> Result<Vec<FileRow<Self::Row>>, DataError>;
}

/// A row of a file.
#[derive(Debug)]
pub struct FileRow<R> {
    /// Its name.
    pub id: String,
    /// What it shows, if anything ([`shown`]).
    pub image: Option<String>,
    /// What it says; none where both answers are the same.
    pub row: Option<R>,
}

/// A file of comparisons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparisonFile {
    /// The file.
    pub path: PathBuf,
    /// Its format; told by its content if none.
    pub format: Option<ComparisonFormat>,
}

impl RowFile for ComparisonFile {
    /// A comparison, and the side that is preferred.
    type Row = (Comparison, Side);

    const ROWS: &'static str = "comparisons of different answers";

    fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, path: PathBuf) -> Self {
        Self {
            path,
            format: self.format,
        }
    }

    fn rows(&self, embedded: Embedded<'_>) -> Result<Vec<FileRow<Self::Row>>, DataError> {
        let format = match self.format {
            Some(format) => format,
            None => ComparisonFormat::of(&self.path)?,
        };
        let rows = format.read(&self.path, embedded)?.into_iter().enumerate();
        let judged = rows.map(|(number, row)| {
            let preferred = row
                .preferred()
                .ok_or_else(|| unjudged(&self.path, number))?;
            Ok::<_, DataError>(FileRow {
                id: row.id.clone(),
                image: row.image.clone(),
                row: (!row.is_equal()).then_some((row, preferred)),
            })
        });
        judged.collect()
    }
}

/// The rows that a stage learns from, and what each part of them is for.
#[derive(Debug, Clone)]
pub struct RowSet<F> {
    /// Where they are.
    pub files: Vec<F>,
    /// Image folder. Images that are inside the files are written there.
    pub images: PathBuf,
    /// What follows from a row that the stage cannot use.
    pub on_bad_row: OnBadRow,
    /// Decides the split.
    pub seed: u64,
    /// Rows that choose the best step, at least.
    pub n_validation: usize,
    /// Rows that are measured at the end, at least.
    pub n_held_out: usize,
    /// Rows that are trained on, at most.
    pub n_train: Option<usize>,
}

/// Comparisons that a stage learns from.
pub type ComparisonSet = RowSet<ComparisonFile>;

/// Rated answers that a stage learns from.
pub type RatedSet = RowSet<RatedFile>;

/// What rows are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A run. Images that are inside files are kept in the image folder.
    Run,
    /// A plan of the run, which writes nothing; images that are inside files are taken to be whole.
    Plan,
}

impl Purpose {
    /// The name of an image that is inside a file. A run writes it to `folder`; a plan notes it as one that is `inside` alone.
    ///
    /// # Errors
    /// The image cannot be written.
    pub fn embedded(
        self,
        folder: &Path,
        inside: &mut BTreeSet<String>,
        bytes: &[u8],
    ) -> Result<String, DataError> {
        match self {
            Self::Run => images::keep(folder, bytes),
            Self::Plan => {
                let name = images::content_name(bytes);
                inside.insert(name.clone());
                Ok(name)
            }
        }
    }

    /// How closely images that are not inside files are looked at.
    #[must_use]
    pub fn look(self, on_bad_row: OnBadRow, folder: &Path) -> Look {
        match self {
            Self::Run => Look::of_run(on_bad_row),
            Self::Plan => Look::of_plan(on_bad_row, folder),
        }
    }
}

/// What a stage made of comparisons, by what they are for.
#[derive(Debug)]
pub struct Parts<T> {
    /// Trained on.
    pub train: Vec<T>,
    /// Choose the best step.
    pub validation: Vec<T>,
    /// Measured at the end.
    pub held_out: Vec<T>,
    /// Rows that were left out because both answers are the same: no judge can tell them apart.
    pub n_equal: usize,
    /// Rows that were left out because the stage cannot use them; none where these stop the run.
    pub skipped: Option<Skipped>,
    /// Which rows show which images.
    pub images: ImageRows,
}

impl<T> Parts<T> {
    /// Those of all parts: trained on, validation, held out.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        let parts = [&self.train, &self.validation, &self.held_out];
        parts.into_iter().flatten()
    }
}

/// A row as read.
struct Read<R> {
    row: R,
    image: Option<String>,
    /// Its number among all that are read.
    number: usize,
}

/// All rows that are read.
struct Rows<R> {
    read: Vec<Row<Read<R>>>,
    /// What each row shares with others: its image, or nothing.
    groups: Vec<String>,
    n_equal: usize,
    /// Images that are inside the files and are not in the image folder.
    inside: BTreeSet<String>,
}

/// What was made of a row.
struct Made<T> {
    number: usize,
    image: Option<String>,
    result: T,
}

impl<F: RowFile> RowSet<F> {
    /// Reads all files, lets `make` make something of every row, and splits by image.
    ///
    /// # Errors
    /// A file is missing, damaged or not judged, there are too few rows, or nothing can be made of rows and the set
    /// does not skip them. Rows that the run has no use for cannot stop it.
    pub fn read<T: Send>(
        &self,
        purpose: Purpose,
        make: impl Fn(F::Row) -> Result<T, RowFault> + Sync,
    ) -> Result<Parts<T>, DataError> {
        let Rows {
            read: rows,
            groups,
            n_equal,
            inside,
        } = self.rows(purpose)?;
        let (rows, whole) = match self.on_bad_row {
            OnBadRow::Skip => (rows, None),
            OnBadRow::Stop => {
                let all: Vec<usize> = (0..rows.len()).collect();
                let split = self.split(&groups, &all)?;
                let used: HashSet<usize> = split.rows().collect();
                let rows = rows.into_iter().zip(all);
                let rows = rows.filter_map(|(row, number)| used.contains(&number).then_some(row));
                (rows.collect(), Some(split))
            }
        };
        // All rows before bad ones are looked for, so that these are the same on any number of threads.
        let rows: Vec<Row<Made<T>>> = rows
            .into_par_iter()
            .map(|row| {
                row.and_then(|read| {
                    Ok(Made {
                        number: read.number,
                        image: read.image,
                        result: make(read.row)?,
                    })
                })
            })
            .collect();
        let sieve = Sieve {
            on_bad_row: self.on_bad_row,
            look: purpose.look(self.on_bad_row, &self.images),
            images: &self.images,
            remedy: Some(LEAVE_OUT),
        };
        let sifted = sieve.sift(rows, |row| row.image.as_deref(), inside)?;
        let good = sifted.rows.into_iter();
        let mut good: BTreeMap<usize, T> = good.map(|(_, row)| (row.number, row.result)).collect();
        let split = if let Some(split) = whole {
            split
        } else {
            let left: Vec<usize> = good.keys().copied().collect();
            self.split(&groups, &left)?
        };
        let mut part = |rows: Vec<usize>| rows.iter().filter_map(|row| good.remove(row)).collect();
        Ok(Parts {
            train: part(split.train),
            validation: part(split.validation),
            held_out: part(split.held_out),
            n_equal,
            skipped: sifted.skipped,
            images: sifted.images,
        })
    }

    /// The rows of all files, but for those that say nothing, which are counted.
    fn rows(&self, purpose: Purpose) -> Result<Rows<F::Row>, DataError> {
        let mut all = Rows {
            read: Vec::new(),
            groups: Vec::new(),
            n_equal: 0,
            inside: BTreeSet::new(),
        };
        let mut files = Vec::new();
        for file in &self.files {
            let paths = folder::files(file.path())?.into_iter();
            files.extend(paths.map(|path| file.at(path)));
        }
        for file in &files {
            let mut embedded =
                |bytes: &[u8]| purpose.embedded(&self.images, &mut all.inside, bytes);
            let rows = file.rows(&mut embedded)?;
            let path = file.path();
            let source = SourceFile::new(path);
            for (number, FileRow { id, image, row }) in rows.into_iter().enumerate() {
                let Some(row) = row else {
                    all.n_equal += 1;
                    continue;
                };
                // A row without an image shares nothing with others, so it is an image of its own; its place names it,
                // and no image is named like a place.
                let place = || {
                    let place = format!("{}: row {number} ({id})", path.display());
                    place.replace('\n', " ")
                };
                all.groups.push(image.clone().unwrap_or_else(place));
                let made = Ok(Read {
                    row,
                    image,
                    number: all.read.len(),
                });
                let name = RowName::numbered(&source, number, id);
                all.read.push(Row { name, made });
            }
        }
        all.groups = shown::connected(&all.groups);
        Ok(all)
    }

    /// Splits the rows of these numbers by what they share.
    fn split(&self, groups: &[String], numbers: &[usize]) -> Result<Split, DataError> {
        let names: Vec<&str> = numbers.iter().map(|&row| groups[row].as_str()).collect();
        let (n_validation, n_held_out) = (self.n_validation, self.n_held_out);
        let split = by_image(&names, self.seed, n_validation, n_held_out, self.n_train);
        if split.train.is_empty() {
            let first = self.files.first().map(RowFile::path);
            let path = first.unwrap_or(Path::new("data.preferences"));
            return Err(DataError::Field {
                spot: Spot::new(path, Place::File, ""),
                found: format!(
                    "{} {} leave none to train on after {n_held_out} held out and {n_validation} for validation",
                    numbers.len(),
                    F::ROWS
                ),
                remedy: "collect more, or lower data.n_held_out and data.n_validation".into(),
            });
        }
        let numbered = |part: Vec<usize>| part.into_iter().map(|row| numbers[row]).collect();
        Ok(Split {
            train: numbered(split.train),
            validation: numbered(split.validation),
            held_out: numbered(split.held_out),
        })
    }
}

fn unjudged(path: &Path, row: usize) -> DataError {
    let place = Place::Row {
        list: None,
        row,
        line: None,
    };
    DataError::Field {
        spot: Spot::new(path, place, ""),
        found: "nobody has said which of the two answers is better".into(),
        remedy: "have the answers compared (docs/annotate.md), or leave the file out of data.preferences".into(),
    }
}

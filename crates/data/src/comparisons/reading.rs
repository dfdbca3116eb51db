//! Reading comparisons and rated answers: part by part, so that no more than a part of the rows is in memory, and then what is known
//! of all of them split by image.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::parts::{Held, KeptRow, NOTHING, Parts};
use super::split::{Split, by_image};
use super::{FileRow, Purpose, RowFile, RowSet};
use crate::error::{DataError, Place, Spot};
use crate::formats::folder;
use crate::formats::images::{self, Embedded};
use crate::rows::{
    ImageRows, KeptRowsWriter, LEAVE_OUT, OnBadRow, Row, RowFault, RowName, Sieve, Sifting,
    SourceFile,
};
use crate::shown;

/// Rows that are in memory together while something is made of them.
const PART: usize = 1024;

/// A row as read.
struct Read<R> {
    row: R,
    image: Option<String>,
    /// Its number among all that are read and say something.
    number: usize,
}

/// What was made of a row.
struct Made<H> {
    number: usize,
    image: Option<String>,
    held: H,
    /// Nothing where rows are only counted.
    packed: Vec<u8>,
}

/// What rows share with others: their images, or nothing.
#[derive(Default)]
struct Groups {
    /// By what is shown, or by the place of a row that shows nothing; with whether it is shown.
    known: HashMap<String, (u32, bool)>,
    /// Of each row.
    of_row: Vec<u32>,
}

impl Groups {
    fn add(&mut self, text: String, is_shown: bool) {
        let next = self.known.len() as u32;
        let index = match self.known.entry(text) {
            Entry::Occupied(known) => known.get().0,
            Entry::Vacant(new) => new.insert((next, is_shown)).0,
        };
        self.of_row.push(index);
    }

    /// The texts by their indices; with whether each is shown.
    fn into_texts(self) -> (Vec<String>, Vec<bool>, Vec<u32>) {
        let mut texts = vec![String::new(); self.known.len()];
        let mut are_shown = vec![false; self.known.len()];
        for (text, (index, is_shown)) in self.known {
            texts[index as usize] = text;
            are_shown[index as usize] = is_shown;
        }
        (texts, are_shown, self.of_row)
    }
}

/// Rows that are being read.
struct Reading<'a, H> {
    sifting: Sifting<'a>,
    kept: Option<KeptRowsWriter>,
    /// Of each row; none of a bad one.
    held: Vec<Option<H>>,
    /// The numbers of the bad rows.
    bad: Vec<usize>,
}

impl<H: Send + Copy> Reading<'_, H> {
    /// The next rows.
    fn add<R: Send, T: KeptRow<Held = H>>(
        &mut self,
        rows: Vec<Row<Read<R>>>,
        make: impl Fn(R) -> Result<T, RowFault> + Sync,
    ) -> Result<(), DataError> {
        let keeps = self.kept.is_some();
        let n_rows = rows.len();
        // All rows before bad ones are looked for, so that these are the same on any number of threads.
        let rows: Vec<Row<Made<H>>> = rows
            .into_par_iter()
            .map(|row| {
                row.and_then(|read| {
                    let row = make(read.row)?;
                    Ok(Made {
                        number: read.number,
                        image: read.image,
                        held: row.held(),
                        packed: if keeps { row.packed() } else { Vec::new() },
                    })
                })
            })
            .collect();
        let first = self.held.len();
        self.held.resize(first + n_rows, None);
        let mut packed = vec![Vec::new(); n_rows];
        for (_, made) in self.sifting.add(rows, |made| made.image.as_deref()) {
            self.held[made.number] = Some(made.held);
            packed[made.number - first] = made.packed;
        }
        let bad = (first..self.held.len()).filter(|&row| self.held[row].is_none());
        self.bad.extend(bad);
        if let Some(kept) = &mut self.kept {
            // Of a bad row nothing, so that each has the place of its number.
            packed.iter().try_for_each(|row| kept.add(row))?;
        }
        Ok(())
    }
}

impl<F: RowFile> RowSet<F> {
    /// Reads all files, lets `make` make something of every row, and splits by image. What was made is kept in a file on the disk of
    /// the folder `keep`; a plan has none, counts the rows and writes nothing.
    ///
    /// # Errors
    /// A file is missing, damaged or not judged, there are too few rows, the disk is full, or nothing can be made of rows and the set
    /// does not skip them. Rows that the run has no use for cannot stop it.
    pub fn read<T: KeptRow>(
        &self,
        keep: Option<&Path>,
        make: impl Fn(F::Row) -> Result<T, RowFault> + Sync,
    ) -> Result<Parts<T>, DataError> {
        let purpose = keep.map_or(Purpose::Plan, |_| Purpose::Run);
        // Images inside files that are taken to be whole, because nothing is written.
        let inside = RefCell::new(BTreeSet::new());
        let mut embedded =
            |bytes: &[u8]| purpose.embedded(&self.images, &mut inside.borrow_mut(), bytes);
        let mut reading = Reading {
            sifting: Sifting::new(Sieve {
                on_bad_row: self.on_bad_row,
                look: purpose.look(self.on_bad_row, &self.images),
                images: &self.images,
                remedy: Some(LEAVE_OUT),
            }),
            kept: keep.map(KeptRowsWriter::on_disk_of).transpose()?,
            held: Vec::new(),
            bad: Vec::new(),
        };
        let (mut groups, mut n_equal) = (Groups::default(), 0);
        let mut part = Vec::with_capacity(PART);
        self.each(&mut embedded, |name, image, row| {
            let Some(row) = row else {
                n_equal += 1;
                return Ok(());
            };
            let number = groups.of_row.len();
            let is_shown = image.is_some();
            // A row without an image shares nothing with others, so it is an image of its own; its place in its file names it, and no
            // image is named like a place. The folder is not part of it, so that copies of a file are split alike.
            groups.add(image.clone().unwrap_or_else(|| place(&name)), is_shown);
            part.push(Row {
                name,
                made: Ok(Read { row, image, number }),
            });
            if part.len() < PART {
                return Ok(());
            }
            reading.sifting.take_for_good(inside.take());
            reading.add(std::mem::take(&mut part), &make)
        })?;
        reading.sifting.take_for_good(inside.take());
        reading.add(part, &make)?;
        self.parts(reading, groups, n_equal)
    }

    /// The rows that were read, by what they are for.
    fn parts<T: KeptRow>(
        &self,
        reading: Reading<'_, T::Held>,
        groups: Groups,
        n_equal: usize,
    ) -> Result<Parts<T>, DataError> {
        let Reading {
            sifting,
            kept,
            held,
            bad,
        } = reading;
        let (mut texts, are_shown, of_row) = groups.into_texts();
        let left: Vec<usize> = match self.on_bad_row {
            OnBadRow::Stop => (0..held.len()).collect(),
            OnBadRow::Skip => (0..held.len()).filter(|&row| held[row].is_some()).collect(),
        };
        let split = {
            let connected = shown::connected(&texts);
            let group = |row: &usize| connected[of_row[*row] as usize].as_str();
            let names: Vec<&str> = left.iter().map(group).collect();
            self.split(&names, &left)?
        };
        let mut is_used = vec![false; held.len()];
        for row in split.rows() {
            is_used[row] = true;
        }
        let skips = self.on_bad_row == OnBadRow::Skip;
        let (_, skipped) = sifting.end_of(|nth| skips || is_used[bad[nth]])?;
        let ends = [
            split.train.len(),
            split.train.len() + split.validation.len(),
        ];
        let mut all = Held {
            sizes: Vec::with_capacity(held.len()),
            places: Vec::with_capacity(held.len()),
            shown: Vec::with_capacity(held.len()),
            names: Vec::new(),
        };
        // Of what is shown only what rows of the parts show, each once.
        let mut renamed = vec![NOTHING; texts.len()];
        for row in split.rows() {
            let Some(size) = held[row] else {
                unreachable!("bad rows are in no part")
            };
            let group = of_row[row] as usize;
            if are_shown[group] && renamed[group] == NOTHING {
                renamed[group] = all.names.len() as u32;
                all.names.push(std::mem::take(&mut texts[group]));
            }
            all.sizes.push(size);
            all.places.push(row as u32);
            all.shown.push(renamed[group]);
        }
        all.sizes.shrink_to_fit();
        all.places.shrink_to_fit();
        all.shown.shrink_to_fit();
        Ok(Parts {
            kept: kept.map(KeptRowsWriter::finish).transpose()?,
            held: all,
            ends,
            n_equal,
            skipped,
        })
    }

    /// Which rows of the parts show the images that have faults; the files are read again for it.
    ///
    /// # Errors
    /// A file cannot be read any more.
    pub fn showing<T: KeptRow>(
        &self,
        faults: &BTreeMap<String, RowFault>,
        parts: &Parts<T>,
    ) -> Result<ImageRows, DataError> {
        let used: HashSet<u32> = parts.held.places.iter().copied().collect();
        let (mut number, mut showing) = (0, Vec::new());
        let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
        self.each(&mut named, |name, image, row| {
            if row.is_none() {
                return Ok(());
            }
            number += 1;
            if used.contains(&(number - 1)) {
                let shown = image.iter().flat_map(|image| shown::names(image));
                let bad = shown.filter(|image| faults.contains_key(*image));
                showing.extend(bad.map(|image| (name.clone(), image.to_owned())));
            }
            Ok(())
        })?;
        Ok(ImageRows::new(showing, Some(LEAVE_OUT)))
    }

    /// Hands out the rows of all files with what they show.
    fn each(
        &self,
        embedded: Embedded<'_>,
        mut take: impl FnMut(RowName, Option<String>, Option<F::Row>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut files = Vec::new();
        for file in &self.files {
            let paths = folder::files(file.path())?.into_iter();
            files.extend(paths.map(|path| file.at(path)));
        }
        for file in &files {
            let source = SourceFile::new(file.path());
            let mut number = 0;
            file.each(embedded, &mut |FileRow { id, image, row }| {
                number += 1;
                take(RowName::numbered(&source, number - 1, id), image, row)
            })?;
        }
        Ok(())
    }

    /// Splits the rows of these numbers by the names of what they share.
    fn split(&self, names: &[&str], numbers: &[usize]) -> Result<Split, DataError> {
        let (n_validation, n_held_out) = (self.n_validation, self.n_held_out);
        let split = by_image(names, self.seed, n_validation, n_held_out, self.n_train);
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

/// What a row is called that shows nothing: its place, in one line.
fn place(RowName { file, place, id }: &RowName) -> String {
    let Place::Row { row, .. } = place else {
        unreachable!("rows of files are numbered")
    };
    let file = file.path.file_name().unwrap_or_default();
    format!("{}: row {row} ({id})", file.display()).replace('\n', " ")
}

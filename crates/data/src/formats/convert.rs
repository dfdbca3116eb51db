//! Rows of one format into another: conversations into conversations, comparisons into comparisons, one after the other, so that
//! the file need not fit into the memory.
//!
//! What a row has and the other format cannot hold is counted by field, once a row whatever becomes of it, and rows or pairs of
//! answers that it cannot hold at all by reason. The file is whole or as it was.

mod distinct;
mod sink;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod unread;
mod untaken;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::distinct::Distinct;
use self::sink::{Container, Sink};
use self::source::{At, Item};
pub use self::source::{Holds, SourceFormat};
pub use self::target::TargetFormat;
use self::untaken::untaken;
use super::{images, parquet, rows};
use crate::error::{DataError, Place, Remedy, Spot};
use crate::file_kind::FileKind;
use crate::image::ImageLimits;
use crate::{atomic, bounded};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What is to be converted into what.
#[derive(Debug, Clone, Copy)]
pub struct Conversion<'a> {
    /// The file: JSON lines, a JSON list, or parquet, whatever its name.
    pub input: &'a Path,
    /// Its format.
    pub from: SourceFormat,
    /// The file to write, whose name ends in `.json`, `.jsonl` or `.parquet`.
    pub output: &'a Path,
    /// Its format.
    pub to: TargetFormat,
    /// Folder that pictures are read from which are to be put into the file, and written to which are inside `input`.
    pub images: Option<&'a Path>,
    /// Whether the pictures are put into the file.
    pub embed: bool,
    /// Whether anything that cannot be carried over is an error.
    pub strict: bool,
}

/// What a conversion came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Converted {
    /// Rows of the file that was read.
    pub rows_read: usize,
    /// Rows of the file that was written; of a row with several answers there are several.
    pub rows_written: usize,
    /// Fields that were not carried over, with the rows of the file that was read that had them.
    pub lost: BTreeMap<String, usize>,
    /// Rows that were not carried over at all, by reason.
    pub left_out: BTreeMap<&'static str, usize>,
    /// Pairs of answers that were not carried over, of rows that have several answers, by reason.
    pub pairs_left_out: BTreeMap<&'static str, usize>,
}

impl Converted {
    fn lose(&mut self, fields: BTreeSet<String>) {
        for field in fields {
            *self.lost.entry(field).or_default() += 1;
        }
    }

    fn leave_out(&mut self, reason: &'static str) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    fn leave_out_pairs(&mut self, reason: &'static str, n: usize) {
        *self.pairs_left_out.entry(reason).or_default() += n;
    }

    /// What was not carried over, a line each; none where all was.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        let fields = self.lost.iter();
        let fields = fields.map(|(field, n)| format!("field {field} of {n} rows"));
        let rows = self.left_out.iter();
        let rows = rows.map(|(reason, n)| format!("{n} rows: {reason}"));
        let pairs = self.pairs_left_out.iter();
        let pairs = pairs.map(|(reason, n)| format!("{n} pairs: {reason}"));
        fields.chain(rows).chain(pairs).collect()
    }
}

/// Converts a file. `progress` is told now and then how many rows have been read, and which share of the file they are.
///
/// # Errors
/// The formats do not hold the same, a row is damaged, an image is missing, nothing would be written, something cannot be
/// carried over and that is an error, or the file cannot be written.
pub fn convert(
    conversion: &Conversion<'_>,
    progress: &dyn Fn(usize, f64),
) -> Result<Converted, DataError> {
    let container = conversion.container()?;
    let mut outcome = Ok(Converted::default());
    let written = atomic::write_with(conversion.output, |file| {
        outcome = conversion.run(container, file, progress);
        match &outcome {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("the rows are refused")),
        }
    });
    let converted = outcome?;
    written.map(|()| converted)
}

fn refused(found: String, remedy: impl Into<Remedy>) -> DataError {
    DataError::Build {
        found,
        remedy: remedy.into(),
    }
}

impl Conversion<'_> {
    /// What the rows are written into, if all that is wanted can be.
    fn container(&self) -> Result<Container, DataError> {
        let output = self.output.display();
        let (from, to) = (self.from.name(), self.to.name());
        if self.from.holds() != self.to.holds() {
            let wanted = self.from.holds().name();
            return Err(refused(
                format!("{from} holds {wanted} and {to} does not"),
                format!("name a format of {wanted}"),
            ));
        }
        let Some(container) = Container::of(self.output) else {
            return Err(refused(
                format!("{output}: what is to be written is not told by its name"),
                "let it end in .json, .jsonl or .parquet",
            ));
        };
        let is_parquet = container == Container::Parquet;
        if is_parquet && self.to.columns().is_none() {
            return Err(refused(
                format!("{output}: {to} is not written as parquet"),
                "let the name end in .json or .jsonl, or name another format",
            ));
        }
        if container != Container::Lines && self.to == TargetFormat::PreferenceLog {
            return Err(refused(
                format!("{output}: {to} is a file of JSON lines"),
                "let the name end in .jsonl",
            ));
        }
        if self.embed && !is_parquet {
            return Err(refused(
                format!("{output}: pictures are put into parquet files alone"),
                "let the name end in .parquet, or leave the pictures where they are",
            ));
        }
        Ok(container)
    }

    fn run(
        &self,
        container: Container,
        file: &mut File,
        progress: &dyn Fn(usize, f64),
    ) -> Result<Converted, DataError> {
        let known = self.from.known();
        let inside = RefCell::new(BTreeMap::new());
        let mut embedded = |bytes: &[u8]| self.keep(bytes, &inside);
        let mut sink = Sink::new(self.output, container, self.to.columns(), file)?;
        let mut ids = HashSet::new();
        let mut converted = Converted::default();
        let (mut told, share) = (Instant::now(), Cell::new(0.0));
        let mut take = |place: Place, row: Value| -> Result<(), DataError> {
            let at = At {
                path: self.input,
                place,
                index: converted.rows_read,
            };
            converted.rows_read += 1;
            let mut lost = BTreeSet::new();
            known.unread(&row, &mut lost);
            untaken(self.from, &row, &mut lost);
            for mut item in self.from.items(&at, row, &mut lost, &mut converted)? {
                self.to.note(&item, &mut lost);
                if let Some(reason) = self.to.refusal(&item) {
                    if self.from.has_pairs() {
                        converted.leave_out_pairs(reason, 1);
                    } else {
                        converted.leave_out(reason);
                    }
                    continue;
                }
                if self.to == TargetFormat::PreferenceLog {
                    make_unique(&mut item, &at, &mut ids, &mut lost);
                }
                if let Some(row) = self.to.row(item) {
                    sink.add(&row, &mut |name| self.picture(name, &at, &inside))?;
                    converted.rows_written += 1;
                }
            }
            converted.lose(lost);
            inside.borrow_mut().clear();
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                progress(converted.rows_read, share.get());
            }
            Ok(())
        };
        let format = self.from.format();
        if FileKind::at(self.input) == Some(FileKind::Parquet) {
            let mut take = |i, row| take(parquet::place_of(i), row);
            parquet::each(self.input, format, None, &mut embedded, &share, &mut take)?;
        } else {
            let take = |place, Distinct(row)| take(place, row);
            rows::each_of_any(self.input, format, &share, take)?;
        }
        if converted.rows_written == 0 {
            return Err(refused(
                format!(
                    "{}: none of {} rows can be carried over ({})",
                    self.input.display(),
                    converted.rows_read,
                    converted.losses().join("; ")
                ),
                "name another format",
            ));
        }
        let losses = converted.losses();
        if self.strict && !losses.is_empty() {
            return Err(refused(
                format!(
                    "{}: {} cannot hold {}",
                    self.input.display(),
                    self.to.name(),
                    losses.join("; ")
                ),
                "name another format, or go on without them by leaving --strict out",
            ));
        }
        sink.end()?;
        Ok(converted)
    }

    /// What becomes of a picture that is inside the file that is read.
    fn keep(
        &self,
        bytes: &[u8],
        inside: &RefCell<BTreeMap<String, Vec<u8>>>,
    ) -> Result<String, DataError> {
        if self.embed {
            let name = images::content_name(bytes);
            inside.borrow_mut().insert(name.clone(), bytes.to_vec());
            return Ok(name);
        }
        let Some(folder) = self.images else {
            return Err(refused(
                format!("{} has pictures inside", self.input.display()),
                "name a folder that they are written to with --images, or put them into a parquet file with --embed",
            ));
        };
        images::keep(folder, bytes)
    }

    /// The bytes of a picture that is to be put into the file; none where its name is enough.
    fn picture(
        &self,
        name: &str,
        at: &At<'_>,
        inside: &RefCell<BTreeMap<String, Vec<u8>>>,
    ) -> Result<Option<Vec<u8>>, DataError> {
        if !self.embed {
            return Ok(None);
        }
        if let Some(bytes) = inside.borrow().get(name) {
            return Ok(Some(bytes.clone()));
        }
        let folder = self.images.unwrap_or(Path::new("."));
        let file = images::path_in(folder, name).filter(|file| file.is_file());
        let Some(file) = file else {
            return Err(DataError::MissingImage {
                spot: Spot::new(at.path, at.place.clone(), "image"),
                image: name.to_owned(),
                folder: folder.to_path_buf(),
                remedy: "name the folder of the pictures with --images".into(),
            });
        };
        bounded::read(&file, &ImageLimits::default().bound()).map(Some)
    }
}

/// Gives a comparison whose id an earlier one has another id. Of each id sixteen bytes of its hash are kept.
fn make_unique(
    item: &mut Item,
    at: &At<'_>,
    ids: &mut HashSet<[u8; 16]>,
    lost: &mut BTreeSet<String>,
) {
    let Item::Comparison(comparison) = item else {
        return;
    };
    let mut is_new = |id: &str| {
        let mut hash = [0; 16];
        hash.copy_from_slice(&Sha256::digest(id.as_bytes())[..16]);
        ids.insert(hash)
    };
    if is_new(&comparison.id) {
        return;
    }
    lost.insert("id".to_owned());
    comparison.id = format!("{}-row-{}", comparison.id, at.index);
    while !is_new(&comparison.id) {
        comparison.id.push('-');
    }
}

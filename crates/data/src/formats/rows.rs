//! Rows of a JSON list, of the lists inside a JSON object, of a JSON object by key, and of JSON lines.
//!
//! Rows are deserialised one at a time while serde tracks the path, so an error names the row and the field
//! even where the file is cut off in the middle, and no untyped copy of the file is held. Of a list that is too large for
//! the memory, rows are handed out as they are read ([`each`]).

mod streamed;

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write};
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserializer, Serialize};
use serde_path_to_error::Track;

pub(super) use self::streamed::each_of_any;
use super::text::{self, Format, empty, fault};
use crate::error::{DataError, Place, Spot};

/// How far reading came: what an error is put at.
#[derive(Default)]
struct Progress {
    /// Rows read so far.
    rows: usize,
    /// The key being read, of an object of rows.
    key: Option<String>,
    /// Whether reading is inside the list in question.
    inside: bool,
    /// Path of the field inside the row that failed.
    field: String,
    /// Why whoever takes the rows refused one.
    refused: Option<DataError>,
}

/// One row, with the path tracked.
struct Row<'p, T>(&'p mut Progress, PhantomData<T>);

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Row<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        let mut track = Track::new();
        T::deserialize(serde_path_to_error::Deserializer::new(
            deserializer,
            &mut track,
        ))
        .inspect_err(|_| self.0.field = track.path().to_string())
    }
}

/// A JSON list of rows, each of which is handed to whoever takes them.
struct List<'p, T, F>(&'p mut Progress, F, PhantomData<T>);

impl<'de, T, F> DeserializeSeed<'de> for List<'_, T, F>
where
    T: DeserializeOwned,
    F: FnMut(T) -> Result<(), DataError>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T, F> Visitor<'de> for List<'_, T, F>
where
    T: DeserializeOwned,
    F: FnMut(T) -> Result<(), DataError>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.0.inside = true;
        while let Some(row) = list.next_element_seed(Row(self.0, PhantomData))? {
            if let Err(refused) = (self.1)(row) {
                self.0.refused = Some(refused);
                return Err(A::Error::custom("the row is refused"));
            }
            self.0.rows += 1;
        }
        self.0.inside = false;
        Ok(())
    }
}

/// One named list of a JSON object; everything else in the object is skipped. Says whether it was there.
struct NamedList<'p, T, F>(&'p mut Progress, &'static str, F, PhantomData<T>);

impl<'de, T, F> Visitor<'de> for NamedList<'_, T, F>
where
    T: DeserializeOwned,
    F: FnMut(T) -> Result<(), DataError>,
{
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the list `{}`", self.1)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = object.next_key::<String>()? {
            if key == self.1 {
                self.0.field.clone_from(&key);
                object.next_value_seed(List(self.0, &mut self.2, PhantomData))?;
                self.0.field.clear();
                found = true;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A JSON object whose values are the rows.
struct Keyed<'p, T>(&'p mut Progress, PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for Keyed<'_, T> {
    type Value = Vec<(String, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of rows by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(key) = object.next_key::<String>()? {
            self.0.key = Some(key.clone());
            let row = object.next_value_seed(Row(self.0, PhantomData))?;
            rows.push((key, row));
        }
        self.0.key = None;
        Ok(rows)
    }
}

/// Hands out the rows of a JSON list, or of the list `name` of a JSON object.
fn taken<'de, R: serde_json::de::Read<'de>, T: DeserializeOwned>(
    path: &Path,
    mut json: serde_json::Deserializer<R>,
    format: &Format,
    name: Option<&'static str>,
    take: impl FnMut(T) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut progress = Progress::default();
    let outcome = match name {
        None => List(&mut progress, take, PhantomData)
            .deserialize(&mut json)
            .map(|()| true),
        Some(name) => {
            (&mut json).deserialize_map(NamedList(&mut progress, name, take, PhantomData))
        }
    };
    let outcome = outcome.and_then(|found| json.end().map(|()| found));
    if let Some(refused) = progress.refused.take() {
        return Err(refused);
    }
    let found = outcome.map_err(|error| located(path, &progress, name, &error, format))?;
    if !found {
        return Err(DataError::Field {
            spot: Spot::new(path, Place::File, name.unwrap_or_default()),
            found: "missing".into(),
            remedy: format.remedy().into(),
        });
    }
    if progress.rows == 0 {
        return Err(empty(path, Place::File, name.unwrap_or_default(), format));
    }
    Ok(())
}

/// The rows of a file that is one JSON list.
pub(super) fn list<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    format: &Format,
) -> Result<Vec<T>, DataError> {
    collected(path, text, format, None)
}

/// The rows of the list `name` of a file that is an object of lists.
pub(super) fn named_list<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    format: &Format,
    name: &'static str,
) -> Result<Vec<T>, DataError> {
    collected(path, text, format, Some(name))
}

fn collected<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    format: &Format,
    name: Option<&'static str>,
) -> Result<Vec<T>, DataError> {
    let mut rows = Vec::new();
    let json = serde_json::Deserializer::from_str(text);
    taken(path, json, format, name, |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// Hands out the rows of a JSON list, or of the list `name` of a JSON object, as they are read from the file: never more than
/// one is in memory. The first that `take` refuses ends it.
pub(super) fn each<T: DeserializeOwned>(
    path: &Path,
    format: &Format,
    name: Option<&'static str>,
    take: impl FnMut(T) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut file = BufReader::with_capacity(1 << 20, text::open(path, format)?);
    let begins = file
        .fill_buf()
        .map_err(|source| text::unread(path, source))?;
    if begins.starts_with(b"\xEF\xBB\xBF") {
        file.consume(3);
    }
    let json = serde_json::Deserializer::from_reader(file);
    taken(path, json, format, name, take)
}

/// The rows of a file that is an object of rows by key; a repeated key is an error.
pub(super) fn keyed<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    format: &Format,
) -> Result<Vec<(String, T)>, DataError> {
    let mut progress = Progress::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let outcome = (&mut json)
        .deserialize_map(Keyed(&mut progress, PhantomData))
        .and_then(|rows| json.end().map(|()| rows));
    let rows = outcome.map_err(|error| located(path, &progress, None, &error, format))?;
    if rows.is_empty() {
        return Err(empty(path, Place::File, "", format));
    }
    Ok(rows)
}

fn located(
    path: &Path,
    progress: &Progress,
    list: Option<&'static str>,
    error: &serde_json::Error,
    format: &Format,
) -> DataError {
    let line = error.line().max(1);
    let place = match &progress.key {
        Some(key) => Place::Key(key.clone()),
        None if progress.inside => Place::Row {
            list,
            row: progress.rows,
            line: Some(line),
        },
        None => Place::Line(line),
    };
    // Inside a list the name of the list is already in the place.
    let field = match list {
        Some(name) if progress.inside && progress.field == name => "",
        _ => progress.field.as_str(),
    };
    fault(path, place, field, error, format)
}

/// The rows of a file of JSON lines, each with its line number. Blank lines are skipped.
pub(super) fn lines<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    format: &Format,
) -> Result<(Vec<T>, Vec<usize>), DataError> {
    let mut rows = Vec::new();
    let mut numbers = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        rows.push(line_row(path, i + 1, line, format)?);
        numbers.push(i + 1);
    }
    if rows.is_empty() {
        return Err(empty(path, Place::File, "", format));
    }
    Ok((rows, numbers))
}

/// The row on a line of JSON lines.
fn line_row<T: DeserializeOwned>(
    path: &Path,
    number: usize,
    line: &str,
    format: &Format,
) -> Result<T, DataError> {
    let mut progress = Progress::default();
    let mut json = serde_json::Deserializer::from_str(line);
    Row(&mut progress, PhantomData)
        .deserialize(&mut json)
        .and_then(|row| json.end().map(|()| row))
        .map_err(|error| fault(path, Place::Line(number), &progress.field, &error, format))
}

/// A row as one line of JSON.
///
/// # Panics
/// Never for the row types of this crate: they have string keys only, and no fallible serialiser.
pub(super) fn row_json<T: Serialize>(row: &T) -> String {
    serde_json::to_string(row).expect("rows have string keys only")
}

/// A row as JSON that more can be done with.
///
/// # Panics
/// As [`row_json`].
pub(super) fn row_value<T: Serialize>(row: &T) -> serde_json::Value {
    serde_json::to_value(row).expect("rows have string keys only")
}

/// Writes a JSON list row by row, in the bytes of [`list_json`] and a line's end.
pub(crate) struct ListWriter<W> {
    out: W,
    n_rows: usize,
}

impl<W: Write> ListWriter<W> {
    /// A list without rows.
    pub(crate) fn new(out: W) -> Self {
        Self { out, n_rows: 0 }
    }

    /// Adds a row.
    pub(crate) fn add<T: Serialize>(&mut self, row: &T) -> io::Result<()> {
        let before = if self.n_rows == 0 { "[\n" } else { ",\n" };
        self.n_rows += 1;
        write!(self.out, "{before}{}", row_json(row))
    }

    /// Rows so far.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Ends the list, which has at least one row.
    pub(crate) fn end(mut self) -> io::Result<W> {
        self.out.write_all(b"\n]\n")?;
        Ok(self.out)
    }
}

/// A JSON list with one row on each line, so that row n stands on line n + 2.
pub(super) fn list_json<T: Serialize>(rows: &[T]) -> String {
    let rows: Vec<String> = rows.iter().map(row_json).collect();
    format!("[\n{}\n]", rows.join(",\n"))
}

/// JSON lines.
pub(super) fn lines_json<T: Serialize>(rows: &[T]) -> String {
    rows.iter().map(|row| row_json(row) + "\n").collect()
}

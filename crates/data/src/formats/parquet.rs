//! Rows of parquet files, as the Hugging Face hub has them. Images may be inside.

pub(super) mod write;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row as Columns};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::images::Embedded;
use super::text::{Format, MAX_FILE_BYTES, empty, fault};
use crate::error::{DataError, Place, Spot};

/// The rows of a file, made of those of its columns that are `wanted`. A column `image` or `images` becomes the names of
/// images; one that is inside the file gets its name from `embedded`.
pub(super) fn rows<T: DeserializeOwned>(
    path: &Path,
    format: &Format,
    wanted: &[&str],
    embedded: Embedded<'_>,
) -> Result<Vec<T>, DataError> {
    let mut rows = Vec::new();
    each_typed(path, format, wanted, embedded, &Cell::new(0.0), |_, row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// Hands out the rows as [`rows`] reads them, with their indices, one after the other. `share` is as in [`each`].
pub(super) fn each_typed<T: DeserializeOwned>(
    path: &Path,
    format: &Format,
    wanted: &[&str],
    embedded: Embedded<'_>,
    share: &Cell<f64>,
    mut take: impl FnMut(usize, T) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut typed = |i, row: Value| {
        let row = serde_path_to_error::deserialize(row).map_err(|error| {
            let column = error.path().to_string();
            fault(path, place_of(i), &column, &error.into_inner(), format)
        })?;
        take(i, row)
    };
    each(path, format, Some(wanted), embedded, share, &mut typed)
}

/// What is done with a row and its index.
pub(super) type Take<'a> = &'a mut dyn FnMut(usize, Value) -> Result<(), DataError>;

/// Hands out the rows of a file as [`rows`] reads them, one after the other, so that the file need not fit into the memory;
/// all columns where none are `wanted`. `share` is that of the rows that have been read.
pub(super) fn each(
    path: &Path,
    format: &Format,
    wanted: Option<&[&str]>,
    embedded: Embedded<'_>,
    share: &Cell<f64>,
    take: Take<'_>,
) -> Result<(), DataError> {
    let reader = guarded(path, 0, || open(path))?;
    let n_promised = reader.metadata().file_metadata().num_rows();
    let mut columns = guarded(path, 0, || {
        let columns = reader.get_row_iter(None);
        columns.map_err(|error| damaged(path, 0, &error))
    })?;
    let mut n_rows: u32 = 0;
    for i in 0.. {
        // Whoever takes the rows is outside the guard: what goes wrong there says nothing of the file.
        let next = guarded(path, i, || {
            let next = columns.next().transpose();
            next.map_err(|error| damaged(path, i, &error))
        })?;
        let Some(next) = next else {
            break;
        };
        n_rows += 1;
        share.set(f64::from(n_rows) / n_promised.max(1) as f64);
        take(i, object(path, i, &next, wanted, embedded)?)?;
    }
    if n_rows == 0 {
        return Err(empty(path, Place::File, "", format));
    }
    Ok(())
}

/// The names of a file's columns.
///
/// # Errors
/// The file cannot be read, or is damaged.
pub(crate) fn columns(path: &Path) -> Result<BTreeSet<String>, DataError> {
    guarded(path, 0, || {
        let reader = open(path)?;
        let schema = reader.metadata().file_metadata().schema();
        Ok(schema
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect())
    })
}

/// A damaged file must end in an error whatever the decoder makes of it.
fn guarded<T>(
    path: &Path,
    row: usize,
    read: impl FnOnce() -> Result<T, DataError>,
) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(damaged(path, row, &"the decoder gave up")))
}

/// How a row is named in messages.
pub(super) fn place_of(row: usize) -> Place {
    Place::Row {
        list: None,
        row,
        line: None,
    }
}

fn damaged(path: &Path, row: usize, found: &impl ToString) -> DataError {
    DataError::Syntax {
        spot: Spot::new(path, place_of(row), ""),
        found: found.to_string(),
        remedy: "fetch or write the parquet file again".into(),
    }
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let unreadable = |source| DataError::Io {
        action: "read",
        path: path.to_owned(),
        remedy: "check the path and that you may read it".into(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(DataError::TooLarge {
            path: path.to_owned(),
            bytes,
            limit: MAX_FILE_BYTES,
            remedy: "split the file".into(),
        });
    }
    SerializedFileReader::new(file).map_err(|error| damaged(path, 0, &error))
}

/// A row as the JSON that its line would have been; columns that are no part of the format are left out.
fn object(
    path: &Path,
    row: usize,
    columns: &Columns,
    wanted: Option<&[&str]>,
    embedded: Embedded<'_>,
) -> Result<Value, DataError> {
    let mut object = Map::new();
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.contains(&name));
    let columns = columns.get_column_iter();
    for (name, field) in columns.filter(|(name, _)| is_wanted(name)) {
        let value = match (name.as_str(), field) {
            (_, Field::Null) => continue,
            (column @ ("image" | "images"), field) => {
                let refuse = |found: String| DataError::Field {
                    spot: Spot::new(path, place_of(row), column),
                    found,
                    remedy: "write the name or the `bytes` of an image, or a list of such".into(),
                };
                let mut image = |field| image(field, embedded, &refuse);
                if let Field::ListInternal(list) = field {
                    let names = list.elements().iter().map(image);
                    json!(names.collect::<Result<Vec<_>, _>>()?)
                } else {
                    json!(image(field)?)
                }
            }
            (_, field) => {
                let value = guarded(path, row, || Ok(field.to_json_value()))?;
                without_nulls(value)
            }
        };
        object.insert(name.clone(), value);
    }
    Ok(Value::Object(object))
}

/// Columns hold a null where a line leaves a field out.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                kept.map(|(name, value)| (name, without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(values) => Value::Array(values.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// The name of an image; one that is inside the file gets it from `embedded`. What names none is for `refuse`, but a null.
fn image(
    field: &Field,
    embedded: Embedded<'_>,
    refuse: &dyn Fn(String) -> DataError,
) -> Result<Option<String>, DataError> {
    let group = match field {
        Field::Null => return Ok(None),
        Field::Str(name) => return Ok(Some(name.clone())),
        Field::Bytes(bytes) => return embedded(bytes.data()).map(Some),
        Field::Group(group) => group,
        Field::ListInternal(_) | Field::MapInternal(_) => {
            return Err(refuse("found a list in the place of an image".into()));
        }
        other => return Err(refuse(format!("found {other} in the place of an image"))),
    };
    let (mut bytes, mut name, mut address) = (None, None, None);
    for (key, value) in group.get_column_iter() {
        match value {
            Field::Bytes(value) if key == "bytes" => bytes = Some(value.data()),
            Field::Str(value) if key == "path" => name = Some(value),
            Field::Str(value) if key == "url" => address = Some(value),
            _ => {}
        }
    }
    match (bytes, name.or(address)) {
        (Some(bytes), _) => embedded(bytes).map(Some),
        (None, Some(name)) => Ok(Some(name.clone())),
        (None, None) => Err(refuse(
            "found an image without `bytes`, `path` and `url`".into(),
        )),
    }
}

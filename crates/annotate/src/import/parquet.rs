//! TRL's preference format as parquet, as the Hugging Face hub has it. Pictures may be inside.
//!
//! A picture that is inside the file (`{"bytes": …, "path": …}`) is written to the import's folder of pictures, under
//! the name of its content, so that the same picture is there once.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candor_data::{DataError, Place, Spot, atomic};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value, json};

use super::{Comparison, trl};
use crate::token;

/// Larger files are refused before they are read.
const MAX_BYTES: u64 = 4 << 30;

/// The rows of a file; pictures inside it go to `folder`.
pub(super) fn read(path: &Path, folder: Option<&Path>) -> Result<Vec<Comparison>, DataError> {
    // A damaged file must end in an error whatever the decoder makes of it.
    catch_unwind(AssertUnwindSafe(|| read_rows(path, folder)))
        .unwrap_or_else(|_| Err(damaged(path, 0, "the decoder gave up")))
}

fn damaged(path: &Path, row: usize, found: &str) -> DataError {
    let place = Place::Row {
        list: None,
        row,
        line: None,
    };
    DataError::Syntax {
        spot: Spot::new(path, place, ""),
        found: found.to_owned(),
        remedy: "fetch or write the parquet file again".into(),
    }
}

fn read_rows(path: &Path, folder: Option<&Path>) -> Result<Vec<Comparison>, DataError> {
    let unreadable = |source| DataError::Io {
        action: "read",
        path: path.to_owned(),
        remedy: "check the path and that you may read it".into(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes > MAX_BYTES {
        return Err(DataError::TooLarge {
            path: path.to_owned(),
            bytes,
            limit: MAX_BYTES,
            remedy: "split the file".into(),
        });
    }
    let reader =
        SerializedFileReader::new(file).map_err(|error| damaged(path, 0, &error.to_string()))?;
    let rows = reader
        .get_row_iter(None)
        .map_err(|error| damaged(path, 0, &error.to_string()))?;
    let mut comparisons = Vec::new();
    for (i, row) in rows.enumerate() {
        let row = row.map_err(|error| damaged(path, i, &error.to_string()))?;
        let row = object(&row, folder)?;
        let row: trl::Row =
            serde_json::from_value(row).map_err(|error| damaged(path, i, &error.to_string()))?;
        comparisons.push(trl::comparison(path, i, row)?);
    }
    Ok(comparisons)
}

/// A row as the JSON that its line would have been; columns that are no part of the format are left out.
fn object(row: &Row, folder: Option<&Path>) -> Result<Value, DataError> {
    let mut object = Map::new();
    for (name, field) in row.get_column_iter() {
        match name.as_str() {
            "prompt" | "chosen" | "rejected" | "id" => {
                object.insert(name.clone(), without_nulls(field.to_json_value()));
            }
            "image" => {
                object.insert(name.clone(), json!(picture(field, folder)?));
            }
            "images" => {
                if let Field::ListInternal(list) = field {
                    let names = list
                        .elements()
                        .iter()
                        .map(|element| picture(element, folder));
                    object.insert(name.clone(), json!(names.collect::<Result<Vec<_>, _>>()?));
                }
            }
            _ => {}
        }
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

/// The name of a picture; what is inside the file is written out first.
fn picture(field: &Field, folder: Option<&Path>) -> Result<Option<String>, DataError> {
    let (bytes, name) = match field {
        Field::Str(name) => return Ok(Some(name.clone())),
        Field::Group(group) => {
            let (mut bytes, mut name) = (None, None);
            for (key, value) in group.get_column_iter() {
                match value {
                    Field::Bytes(value) if key == "bytes" => bytes = Some(value.data()),
                    Field::Str(value) if key == "path" => name = Some(value.clone()),
                    _ => {}
                }
            }
            (bytes, name)
        }
        _ => return Ok(None),
    };
    let (Some(bytes), Some(folder)) = (bytes, folder) else {
        return Ok(name);
    };
    let digest = token::digest(bytes);
    let ending = if bytes.starts_with(&[0xFF, 0xD8]) {
        "jpg"
    } else {
        "png"
    };
    let name = format!("{digest}.{ending}");
    let target = folder.join(&name);
    if !target.exists() {
        atomic::write(&target, bytes)?;
    }
    Ok(Some(name))
}

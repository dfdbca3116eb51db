//! The header of a safetensors file: names, types, shapes and offsets.
//!
//! The header is parsed here and not by the `safetensors` crate, because that one keeps the last of two entries
//! with one name and does not say which tensor is wrong.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::entry::{MAX_RANK, MAX_TENSORS};
use crate::error::REPLACE;
use crate::quote::{printable, quote};
use crate::{CheckpointError, Dtype, Entry};

/// The format's own bound on its header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The header's length field.
const LENGTH_BYTES: u64 = 8;
/// The one entry of the header that is no tensor.
const METADATA: &str = "__metadata__";

/// The tensors of the safetensors file at `path`.
pub(crate) fn entries(path: &Path, file: &File) -> Result<Vec<(String, Entry)>, CheckpointError> {
    let n_file = file
        .metadata()
        .map_err(CheckpointError::io("inspect", path))?
        .len();
    let header = read_header(path, file, n_file)?;
    let data_at = LENGTH_BYTES + header.len() as u64;
    let Header(mut tensors) = serde_json::from_slice(&header).map_err(|error| {
        let problem = format!("unreadable header: {}", printable(&error.to_string()));
        CheckpointError::file(path, problem, REPLACE)
    })?;
    let mut names = HashSet::new();
    if let Some((name, _)) = tensors
        .iter()
        .find(|(name, _)| !names.insert(name.as_str()))
    {
        return Err(CheckpointError::tensor(
            path,
            name,
            "is in the header twice",
            REPLACE,
        ));
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut entries = Vec::with_capacity(tensors.len());
    let mut position = 0;
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        let refuse = |problem| CheckpointError::tensor(path, &name, problem, REPLACE);
        if start != position {
            let problem = format!(
                "starts at byte {start} of the data, where byte {position} is the next without \
                 a hole or an overlap"
            );
            return Err(refuse(problem));
        }
        let entry = info.into_entry(path, &name, data_at)?;
        if end.checked_sub(start) != Some(entry.n_bytes()) {
            let problem = format!(
                "takes {} bytes by its type {} and shape {:?}, but its offsets are {start} and {end}",
                entry.n_bytes(),
                entry.dtype(),
                entry.shape()
            );
            return Err(refuse(problem));
        }
        position = end;
        entries.push((name, entry));
    }
    let n_data = n_file - data_at;
    if position != n_data {
        let problem =
            format!("the header promises {position} bytes of tensors, the file has {n_data}");
        return Err(CheckpointError::file(path, problem, REPLACE));
    }
    Ok(entries)
}

fn read_header(path: &Path, file: &File, n_file: u64) -> Result<Vec<u8>, CheckpointError> {
    let mut length = [0; LENGTH_BYTES as usize];
    if n_file < LENGTH_BYTES {
        let problem = format!("only {n_file} bytes long");
        return Err(CheckpointError::file(path, problem, REPLACE));
    }
    file.read_exact_at(&mut length, 0)
        .map_err(CheckpointError::io("read", path))?;
    let n_header = u64::from_le_bytes(length);
    if n_header > MAX_HEADER_BYTES || n_header > n_file - LENGTH_BYTES {
        let problem = format!("claims a header of {n_header} bytes, the file has {n_file}");
        return Err(CheckpointError::file(path, problem, REPLACE));
    }
    let mut header = vec![0; n_header as usize];
    file.read_exact_at(&mut header, LENGTH_BYTES)
        .map_err(CheckpointError::io("read", path))?;
    Ok(header)
}

/// What the header says of one tensor.
#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Shape,
    /// First byte and the byte after the last, from the end of the header.
    data_offsets: (u64, u64),
}

impl Info {
    fn into_entry(self, path: &Path, name: &str, data_at: u64) -> Result<Entry, CheckpointError> {
        let dtype = Dtype::of_safetensors(&self.dtype).ok_or_else(|| {
            let problem = format!("is {}, which is not supported", quote(&self.dtype));
            CheckpointError::tensor(path, name, problem, "convert it to F32 or BF16")
        })?;
        let shape = format!("{:?}", self.shape.0);
        self.data_offsets
            .0
            .checked_add(data_at)
            .and_then(|offset| Entry::contiguous(dtype, self.shape.0, offset))
            .ok_or_else(|| {
                let problem = format!("has the impossible shape {shape}");
                CheckpointError::tensor(path, name, problem, REPLACE)
            })
    }
}

/// A list of sizes that is not longer than a tensor can have dimensions.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX_RANK} sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = list.next_element()? {
                    if sizes.len() == MAX_RANK {
                        return Err(de::Error::invalid_length(MAX_RANK + 1, &self));
                    }
                    sizes.push(size);
                }
                Ok(Shape(sizes))
            }
        }
        deserializer.deserialize_seq(Sizes)
    }
}

/// The tensors of a header in the order of the file, two of one name not yet found out.
struct Header(Vec<(String, Info)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if tensors.len() == MAX_TENSORS {
                        let problem = format!("more than {MAX_TENSORS} tensors");
                        return Err(de::Error::custom(problem));
                    }
                    let info = map.next_value().map_err(|error| {
                        de::Error::custom(format!("tensor {}: {error}", quote(&name)))
                    })?;
                    tensors.push((name, info));
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

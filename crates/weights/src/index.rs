//! The index of a sharded checkpoint: which tensor is in which file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path};

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::CheckpointError;
use crate::quote::{printable, quote};

/// How the name of an index ends.
pub(crate) const SUFFIX: &str = ".index.json";
/// An index has about 100 bytes a tensor.
const MAX_BYTES: u64 = 64 << 20;
/// Several times as many as the largest models have.
const MAX_TENSORS: usize = 1 << 20;
/// Every shard stays open, and systems allow 1024 files.
const MAX_SHARDS: usize = 512;
const REPLACE: &str = "the index is damaged; download or export the checkpoint again";

/// The file in which each tensor is, by its plain name in the index's own folder.
pub(crate) struct Index {
    /// Shard by tensor.
    pub(crate) weight_map: BTreeMap<String, String>,
}

/// Reads the index at `path`.
pub(crate) fn read(path: &Path) -> Result<Index, CheckpointError> {
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(CheckpointError::io("open", path))?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(CheckpointError::io("read", path))?;
    if bytes.len() as u64 > MAX_BYTES {
        let problem = format!("an index of more than {MAX_BYTES} bytes");
        return Err(CheckpointError::file(path, problem, REPLACE));
    }
    let raw: Raw = serde_json::from_slice(&bytes).map_err(|error| {
        let problem = format!("unreadable index: {}", printable(&error.to_string()));
        CheckpointError::file(path, problem, REPLACE)
    })?;
    let WeightMap(weight_map) = raw.weight_map;
    let mut shards: Vec<_> = weight_map.values().collect();
    shards.sort_unstable();
    shards.dedup();
    if let Some((name, shard)) = weight_map.iter().find(|(_, shard)| !is_plain(shard)) {
        let problem = format!(
            "should be in {}, which is no plain name of a file in the same folder",
            quote(shard)
        );
        return Err(CheckpointError::tensor(path, name, problem, REPLACE));
    }
    if shards.is_empty() || shards.len() > MAX_SHARDS {
        let problem = format!(
            "names {} shards, 1 to {MAX_SHARDS} are allowed",
            shards.len()
        );
        return Err(CheckpointError::file(path, problem, REPLACE));
    }
    Ok(Index { weight_map })
}

/// Whether `name` is one file in whatever folder it is looked for in, on any system.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let one = matches!(components.next(), Some(Component::Normal(part)) if part == name);
    one && components.next().is_none() && !name.contains(['/', '\\', ':', '\0'])
}

#[derive(Deserialize)]
struct Raw {
    weight_map: WeightMap,
}

/// A map that does not keep the last of two entries with one name.
struct WeightMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shards;
        impl<'de> Visitor<'de> for Shards {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object that names a file for each tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let mut shards = BTreeMap::new();
                while let Some((name, shard)) = map.next_entry::<String, String>()? {
                    if shards.len() == MAX_TENSORS {
                        let problem = format!("more than {MAX_TENSORS} tensors");
                        return Err(de::Error::custom(problem));
                    }
                    let shown = quote(&name);
                    if shards.insert(name, shard).is_some() {
                        let problem = format!("tensor {shown} is listed twice");
                        return Err(de::Error::custom(problem));
                    }
                }
                Ok(WeightMap(shards))
            }
        }
        deserializer.deserialize_map(Shards)
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_a_file_of_the_same_folder_is_plain() {
        assert!(is_plain("model-00001-of-00002.safetensors"));
        assert!(is_plain("..model"));
        for name in [
            "",
            ".",
            "..",
            "../m",
            "a/b",
            "/etc/passwd",
            "./m",
            "m/",
            "..\\m",
            "C:m",
            "m\0",
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}

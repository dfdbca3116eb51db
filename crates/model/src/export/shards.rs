//! Weights in as many files as they need, with the index that transformers expects beside several.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use tch::Tensor;

use super::Exported;
use crate::ModelError;
use crate::tensor_file::{self, Promise};

/// Tensors of one file take at most this many bytes, unless a single one takes more.
const MAX_BYTES: u64 = 5_000_000_000;

/// Writes `model.safetensors`, or shards and `model.safetensors.index.json`.
pub(super) fn write(
    folder: &Path,
    promises: Vec<Promise>,
    make: impl FnMut(&str) -> Result<Tensor, ModelError>,
) -> Result<Exported, ModelError> {
    write_at_most(MAX_BYTES, folder, promises, make)
}

fn write_at_most(
    max_bytes: u64,
    folder: &Path,
    promises: Vec<Promise>,
    mut make: impl FnMut(&str) -> Result<Tensor, ModelError>,
) -> Result<Exported, ModelError> {
    std::fs::create_dir_all(folder).map_err(ModelError::io("create", folder))?;
    let exported = Exported {
        n_tensors: promises.len(),
        n_files: 0,
        n_bytes: promises.iter().map(n_bytes).sum(),
        difference: None,
    };
    let shards = split(max_bytes, promises);
    let n = shards.len();
    let mut weight_map = BTreeMap::new();
    for (i, shard) in shards.iter().enumerate() {
        let file = match n {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        tensor_file::write_made(&folder.join(&file), shard, Some(metadata), &mut make)?;
        let names = shard.iter().map(|promise| promise.name.clone());
        weight_map.extend(names.map(|name| (name, file.clone())));
    }
    if n > 1 {
        let index = json!({"metadata": {"total_size": exported.n_bytes}, "weight_map": weight_map});
        let path = folder.join("model.safetensors.index.json");
        let text = format!("{index:#}\n");
        std::fs::write(&path, text).map_err(ModelError::io("write", &path))?;
    }
    Ok(Exported {
        n_files: n,
        ..exported
    })
}

fn split(max_bytes: u64, promises: Vec<Promise>) -> Vec<Vec<Promise>> {
    let (mut shards, mut room) = (vec![Vec::new()], max_bytes);
    for promise in promises {
        let n = n_bytes(&promise);
        if n > room && shards.last().is_some_and(|shard| !shard.is_empty()) {
            shards.push(Vec::new());
            room = max_bytes;
        }
        room = room.saturating_sub(n);
        if let Some(shard) = shards.last_mut() {
            shard.push(promise);
        }
    }
    shards
}

fn n_bytes(promise: &Promise) -> u64 {
    let n: i64 = promise.size.iter().product();
    n as u64 * promise.kind.elt_size_in_bytes() as u64
}

#[cfg(test)]
mod tests {
    use candor_weights::Checkpoint;
    use tch::Kind;

    use super::*;

    fn promise(name: &str, n: i64) -> Promise {
        Promise {
            name: name.to_owned(),
            kind: Kind::Float,
            size: vec![n],
        }
    }

    #[test]
    fn shards_have_an_index_that_opens() {
        let dir = tempfile::tempdir().unwrap();
        // Of 40, 80, 8 and 4 bytes: the second is larger than a file should be.
        let promises = [("a", 10), ("b", 20), ("c", 2), ("d", 1)].map(|(name, n)| promise(name, n));
        let make = |name: &str| {
            let n = ["a", "b", "c", "d"]
                .iter()
                .position(|&other| other == name)
                .unwrap();
            let size = [10, 20, 2, 1][n];
            Ok(Tensor::full(
                [size],
                n as f64,
                (Kind::Float, tch::Device::Cpu),
            ))
        };
        let exported = write_at_most(44, dir.path(), promises.to_vec(), make).unwrap();
        assert_eq!(
            (exported.n_files, exported.n_tensors, exported.n_bytes),
            (3, 4, 132)
        );
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let file = |name: &str| {
            checkpoint
                .file_of(name)
                .unwrap()
                .file_name()
                .unwrap()
                .to_owned()
        };
        assert_eq!(file("a"), "model-00001-of-00003.safetensors");
        assert_eq!(file("b"), "model-00002-of-00003.safetensors");
        assert_eq!(file("c"), file("d"));
        let mut bytes = Vec::new();
        checkpoint.read("c", &mut bytes).unwrap();
        assert_eq!(bytes, [2_f32.to_le_bytes(), 2_f32.to_le_bytes()].concat());
    }

    #[test]
    fn what_fits_one_file_has_no_index() {
        let dir = tempfile::tempdir().unwrap();
        let make = |_: &str| Ok(Tensor::zeros([3], (Kind::Float, tch::Device::Cpu)));
        write(dir.path(), vec![promise("a", 3)], make).unwrap();
        let names = dir
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["model.safetensors"]);
    }
}

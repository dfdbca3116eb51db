//! A file of `torch.save`: a zip archive with a pickle that describes tensors, and a member for each storage.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::archive::{self, Members};
use crate::entry::{MAX_TENSORS, last_element, n_elements};
use crate::error::REPLACE;
use crate::pickle::{self, Tensor};
use crate::quote::quote;
use crate::{CheckpointError, Entry, state_dict};

/// Enough for the most tensors that are allowed; a file of 700 tensors has about 100 kB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// The pickle's name in the archive's one folder.
const PICKLE: &str = "/data.pkl";
const STATE_DICT: &str = "save the model's state_dict() itself";

/// The tensors of the torch file at `path`.
pub(crate) fn entries(path: &Path, file: &File) -> Result<Vec<(String, Entry)>, CheckpointError> {
    let members = archive::members(path, file)?;
    let folder = folder(path, &members)?;
    check_byte_order(path, file, &members, folder)?;
    let name = format!("{folder}{PICKLE}");
    let bytes = read_member(path, file, &members, &name, MAX_PICKLE_BYTES)?;
    let (values, root) = pickle::read(&bytes).map_err(|refusal| CheckpointError::Pickle {
        path: path.to_path_buf(),
        position: refusal.position,
        problem: refusal.problem,
        remedy: refusal.remedy,
    })?;
    let tensors = state_dict::tensors(&values, root)
        .map_err(|problem| CheckpointError::file(path, problem, STATE_DICT))?;
    if tensors.len() > MAX_TENSORS {
        let problem = format!("{} tensors, {MAX_TENSORS} are allowed", tensors.len());
        return Err(CheckpointError::file(
            path,
            problem,
            "split them over shards",
        ));
    }
    let mut names = HashSet::new();
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let refuse = |problem, remedy| CheckpointError::tensor(path, name, problem, remedy);
        if !names.insert(name) {
            return Err(refuse("is in the file twice".to_owned(), REPLACE));
        }
        let entry = place(tensor, &members, folder)
            .map_err(|Mismatch { problem, remedy }| refuse(problem, remedy))?;
        entries.push((name.to_owned(), entry));
    }
    Ok(entries)
}

/// The one folder in which everything is.
fn folder<'a>(path: &Path, members: &'a Members) -> Result<&'a str, CheckpointError> {
    let mut folders = members.keys().filter_map(|name| {
        let folder = name.strip_suffix(PICKLE)?;
        (!folder.contains('/')).then_some(folder)
    });
    let (Some(folder), None) = (folders.next(), folders.next()) else {
        let problem = "a zip archive without exactly one data.pkl, so not of torch.save";
        return Err(CheckpointError::file(
            path,
            problem,
            "give the safetensors or torch file itself",
        ));
    };
    let script = format!("{folder}/constants.pkl");
    if members.contains_key(&script) {
        let problem = "a TorchScript archive, which is a program and not only tensors";
        return Err(CheckpointError::file(path, problem, STATE_DICT));
    }
    Ok(folder)
}

/// Torch notes the order since 2.1, and has always written the machine's own, which is little-endian.
fn check_byte_order(
    path: &Path,
    file: &File,
    members: &Members,
    folder: &str,
) -> Result<(), CheckpointError> {
    let name = format!("{folder}/byteorder");
    if !members.contains_key(&name) {
        return Ok(());
    }
    let order = read_member(path, file, members, &name, 16)?;
    if order != b"little" {
        let problem = format!(
            "byte order {}, only `little` can be read",
            quote(&String::from_utf8_lossy(&order))
        );
        let remedy = "save it again on a little-endian machine";
        return Err(CheckpointError::file(path, problem, remedy));
    }
    Ok(())
}

/// All bytes of the member `name`, if there are no more than `limit`.
fn read_member(
    path: &Path,
    file: &File,
    members: &Members,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, CheckpointError> {
    let member = members[name];
    if member.n_bytes > limit {
        let problem = format!(
            "member {} has {} bytes, {limit} are allowed",
            quote(name),
            member.n_bytes
        );
        return Err(CheckpointError::file(path, problem, STATE_DICT));
    }
    let mut bytes = vec![0; member.n_bytes as usize];
    file.read_exact_at(&mut bytes, member.offset)
        .map_err(CheckpointError::io("read", path))?;
    Ok(bytes)
}

/// Why a tensor has no place in its storage; the sentence's subject is the tensor.
struct Mismatch {
    problem: String,
    remedy: &'static str,
}

/// Finds the tensor's bytes in the file and checks that its storage has them.
fn place(tensor: &Tensor<'_>, members: &Members, folder: &str) -> Result<Entry, Mismatch> {
    let mismatch = |problem| Mismatch {
        problem,
        remedy: REPLACE,
    };
    let storage = &tensor.storage;
    let shown = quote(storage.key);
    let member = members
        .get(&format!("{folder}/data/{}", storage.key))
        .ok_or_else(|| mismatch(format!("is in storage {shown}, which the archive lacks")))?;
    let width = storage.dtype.n_bytes();
    if storage.n_elements.checked_mul(width) != Some(member.n_bytes) {
        return Err(mismatch(format!(
            "is in storage {shown} of {} elements of {}, but that has {} bytes",
            storage.n_elements, storage.dtype, member.n_bytes
        )));
    }
    let outside = || {
        mismatch(format!(
            "reaches beyond its storage {shown} of {} elements: shape {:?}, strides {:?}, offset {}",
            storage.n_elements, tensor.shape, tensor.strides, tensor.offset
        ))
    };
    let n = n_elements(&tensor.shape).ok_or_else(outside)?;
    let end = match n {
        0 => Some(tensor.offset),
        _ => last_element(&tensor.shape, &tensor.strides)
            .and_then(|last| tensor.offset.checked_add(last)?.checked_add(1)),
    };
    if end.is_none_or(|end| end > storage.n_elements) {
        return Err(outside());
    }
    if n > storage.n_elements {
        return Err(Mismatch {
            problem: format!(
                "has {n} elements of only {} that are stored, so it repeats some",
                storage.n_elements
            ),
            remedy: "save tensor.contiguous() instead of an expanded view",
        });
    }
    // The checks above keep this within the file.
    let offset = member.offset + tensor.offset * width;
    let (shape, strides) = (tensor.shape.clone(), tensor.strides.clone());
    Entry::strided(storage.dtype, shape, strides, offset).ok_or_else(outside)
}

//! Named tensors in safetensors files, streamed one tensor at a time.
//!
//! The same tensors give the same bytes: entries are sorted by element width, then name, and the metadata
//! block by key, which the `safetensors` crate's own writer leaves to the hash map's order. Sizes are checked
//! against the file's length before anything is allocated. Neither direction holds the whole file in memory,
//! so a file costs one tensor's worth of extra memory rather than a second model.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use candor_weights::NonFinite;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use tch::{Device, Kind, Tensor};

use crate::ModelError;

/// The format's own bound on its JSON header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The header's length field.
const LENGTH_BYTES: u64 = 8;
/// The one entry of the header that is no tensor.
const METADATA: &str = "__metadata__";
const REPLACE: &str = "the file is damaged or not safetensors; restore it or export it again";

/// The element types of both sides; libtorch's others and the format's others cannot be exchanged.
const KINDS: [(Dtype, Kind); 10] = [
    (Dtype::BOOL, Kind::Bool),
    (Dtype::U8, Kind::Uint8),
    (Dtype::I8, Kind::Int8),
    (Dtype::I16, Kind::Int16),
    (Dtype::I32, Kind::Int),
    (Dtype::I64, Kind::Int64),
    (Dtype::F16, Kind::Half),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F32, Kind::Float),
    (Dtype::F64, Kind::Double),
];

/// Reads every tensor of a safetensors file to the CPU, by name.
///
/// # Errors
/// The file is not well-formed safetensors (the header's sizes must add up to the file's length exactly),
/// or holds an element type that libtorch lacks.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    read_if(path, |_, _, _| Ok(()))
}

/// [`read()`] of weights, which must be finite.
///
/// # Errors
/// As [`read()`], or a value is infinite or no number.
pub fn read_finite(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    read_if(path, |name, kind, bytes| {
        let dtype = match kind {
            Kind::Double => candor_weights::Dtype::F64,
            Kind::Float => candor_weights::Dtype::F32,
            Kind::Half => candor_weights::Dtype::F16,
            Kind::BFloat16 => candor_weights::Dtype::BF16,
            _ => return Ok(()),
        };
        let found = NonFinite::count(dtype, bytes);
        if found.is_none() {
            return Ok(());
        }
        Err(ModelError::NotFinite {
            path: path.to_path_buf(),
            name: name.to_owned(),
            found,
            n_values: bytes.len() as u64 / dtype.n_bytes(),
        })
    })
}

fn read_if(
    path: &Path,
    check: impl Fn(&str, Kind, &[u8]) -> Result<(), ModelError>,
) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let mut file = File::open(path).map_err(ModelError::io("open", path))?;
    let header = read_header(path, &mut file)?;
    let mut tensors = BTreeMap::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else {
            continue;
        };
        let kind = kind(path, &name, info.dtype)?;
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        file.read_exact(&mut bytes)
            .map_err(ModelError::io("read", path))?;
        check(&name, kind, &bytes)?;
        let size: Vec<i64> = info.shape.iter().map(|&n| n as i64).collect();
        let tensor = Tensor::f_from_data_size(&bytes, &size, kind)
            .map_err(|error| unusable(path, format!("tensor `{name}`: {error}"), REPLACE))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Writes tensors, from whatever device they are on, to a safetensors file, atomically. In the `metadata` of
/// a model belongs `format: pt`, as transformers writes it.
///
/// # Errors
/// A name appears twice, a kind has no safetensors equivalent, or the file cannot be written.
pub fn write<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: Option<BTreeMap<String, String>>,
) -> Result<(), ModelError> {
    let (layout, tensors) = Layout::of_tensors(path, tensors, metadata)?;
    Ok(candor_data::atomic::write_with(path, |file| {
        layout.write_to(file, |name| Ok(tensors[name].shallow_clone()))
    })?)
}

/// [`write()`] straight into its place, neither synced nor renamed: for files of a folder that becomes
/// durable as a whole.
///
/// # Errors
/// As [`write()`].
pub fn write_unsynced<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: Option<BTreeMap<String, String>>,
) -> Result<(), ModelError> {
    let (layout, tensors) = Layout::of_tensors(path, tensors, metadata)?;
    let mut file = File::create(path).map_err(ModelError::io("create", path))?;
    layout
        .write_to(&mut file, |name| Ok(tensors[name].shallow_clone()))
        .map_err(ModelError::io("write", path))
}

/// What a tensor will be that is not in memory yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Its name in the file.
    pub name: String,
    /// The kind of its numbers.
    pub kind: Kind,
    /// Its shape.
    pub size: Vec<i64>,
}

/// [`write_unsynced()`] of tensors that are made one by one, each when its turn to be written has come.
///
/// # Errors
/// As [`write()`], or `make` failed.
///
/// # Panics
/// A tensor is not what was promised.
pub fn write_made<E: From<ModelError>>(
    path: &Path,
    promises: &[Promise],
    metadata: Option<BTreeMap<String, String>>,
    mut make: impl FnMut(&str) -> Result<Tensor, E>,
) -> Result<(), E> {
    let layout = Layout::new(path, promises.to_vec(), metadata)?;
    let mut file = File::create(path).map_err(ModelError::io("create", path))?;
    let mut failed = None;
    let written = layout.write_to(&mut file, |name| {
        make(name).map_err(|error| {
            failed = Some(error);
            io::Error::other("a tensor could not be made")
        })
    });
    match (written, failed) {
        (_, Some(error)) => Err(error),
        (written, None) => Ok(written.map_err(ModelError::io("write", path))?),
    }
}

/// What a file will hold, found possible before the file is touched.
struct Layout {
    header: Vec<u8>,
    /// In the order of the file.
    promises: Vec<Promise>,
}

impl Layout {
    fn of_tensors<'a>(
        path: &Path,
        named: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
        metadata: Option<BTreeMap<String, String>>,
    ) -> Result<(Self, BTreeMap<&'a str, &'a Tensor>), ModelError> {
        let (mut promises, mut tensors) = (Vec::new(), BTreeMap::new());
        for (name, tensor) in named {
            promises.push(Promise {
                name: name.to_owned(),
                kind: tensor.kind(),
                size: tensor.size(),
            });
            tensors.insert(name, tensor);
        }
        Ok((Self::new(path, promises, metadata)?, tensors))
    }

    fn new(
        path: &Path,
        promises: Vec<Promise>,
        metadata: Option<BTreeMap<String, String>>,
    ) -> Result<Self, ModelError> {
        let mut typed = Vec::new();
        let mut seen = HashSet::new();
        for promise in promises {
            let name = &promise.name;
            if name == METADATA {
                let problem = format!("a tensor is named `{name}`, which the format reserves");
                return Err(unusable(path, problem, "rename it"));
            }
            if !seen.insert(name.clone()) {
                let problem = format!("two tensors are named `{name}`");
                return Err(unusable(path, problem, "rename one"));
            }
            typed.push((dtype(path, name, promise.kind)?, promise));
        }
        typed.sort_by(|(left, left_promise), (right, right_promise)| {
            right
                .cmp(left)
                .then_with(|| left_promise.name.cmp(&right_promise.name))
        });
        let mut header = header(&typed, metadata)
            .map_err(|error| unusable(path, error.to_string(), "report this"))?;
        // Readers that map the file expect the data to start on an 8-byte boundary.
        header.resize(header.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
        if header.len() as u64 > MAX_HEADER_BYTES {
            let problem = "the header exceeds 100 MB".to_owned();
            return Err(unusable(path, problem, "split the tensors over files"));
        }
        let promises = typed.into_iter().map(|(_, promise)| promise).collect();
        Ok(Self { header, promises })
    }

    fn write_to(
        &self,
        file: &mut File,
        mut tensor: impl FnMut(&str) -> io::Result<Tensor>,
    ) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&(self.header.len() as u64).to_le_bytes())?;
        file.write_all(&self.header)?;
        for promise in &self.promises {
            let tensor = tensor(&promise.name)?;
            let kept = (tensor.kind(), tensor.size()) == (promise.kind, promise.size.clone());
            assert!(kept, "`{}` is not what was promised", promise.name);
            let bytes = tensor_bytes(&tensor)
                .map_err(|error| io::Error::other(format!("tensor `{}`: {error}", promise.name)))?;
            file.write_all(&bytes)?;
        }
        file.flush()
    }
}

fn header(
    typed: &[(Dtype, Promise)],
    metadata: Option<BTreeMap<String, String>>,
) -> Result<Vec<u8>, serde_json::Error> {
    // This map keeps the order of insertion.
    let mut entries = serde_json::Map::new();
    if let Some(metadata) = metadata {
        entries.insert(METADATA.to_owned(), serde_json::to_value(metadata)?);
    }
    let mut offset = 0;
    for (dtype, promise) in typed {
        let shape: Vec<usize> = promise.size.iter().map(|&n| n as usize).collect();
        let end = offset + shape.iter().product::<usize>() * (dtype.bitsize() / 8);
        let info = TensorInfo {
            dtype: *dtype,
            shape,
            data_offsets: (offset, end),
        };
        entries.insert(promise.name.clone(), serde_json::to_value(info)?);
        offset = end;
    }
    serde_json::to_vec(&entries)
}

/// The header of a safetensors file, which is read to where the tensors begin.
///
/// # Errors
/// The file is not well-formed.
pub(crate) fn read_header(path: &Path, file: &mut File) -> Result<Metadata, ModelError> {
    let file_bytes = file
        .metadata()
        .map_err(ModelError::io("inspect", path))?
        .len();
    if file_bytes < LENGTH_BYTES {
        let problem = format!("only {file_bytes} bytes long");
        return Err(unusable(path, problem, REPLACE));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length)
        .map_err(ModelError::io("read", path))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || header_bytes > file_bytes - LENGTH_BYTES {
        let problem = format!("claims a header of {header_bytes} bytes, the file has {file_bytes}");
        return Err(unusable(path, problem, REPLACE));
    }
    let mut header = vec![0; header_bytes as usize];
    file.read_exact(&mut header)
        .map_err(ModelError::io("read", path))?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|error| unusable(path, format!("unreadable header: {error}"), REPLACE))?;
    let data_bytes = file_bytes - LENGTH_BYTES - header_bytes;
    if header.data_len() as u64 != data_bytes {
        let problem = format!(
            "the header promises {} bytes of tensors, the file has {data_bytes}",
            header.data_len()
        );
        return Err(unusable(path, problem, REPLACE));
    }
    file.seek(SeekFrom::Start(LENGTH_BYTES + header_bytes))
        .map_err(ModelError::io("read", path))?;
    Ok(header)
}

/// The bytes of a tensor, copied to the host.
pub(crate) fn tensor_bytes(tensor: &Tensor) -> Result<Vec<u8>, tch::TchError> {
    tch::no_grad(|| {
        let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Ok(bytes)
    })
}

fn dtype(path: &Path, name: &str, kind: Kind) -> Result<Dtype, ModelError> {
    let pair = KINDS.iter().find(|(_, ours)| *ours == kind);
    pair.map(|(dtype, _)| *dtype).ok_or_else(|| {
        let problem = format!("tensor `{name}` is {kind:?}, which safetensors lacks");
        unusable(path, problem, "convert it first")
    })
}

/// The kind of a tensor of a file.
///
/// # Errors
/// libtorch lacks it.
pub(crate) fn kind(path: &Path, name: &str, dtype: Dtype) -> Result<Kind, ModelError> {
    let pair = KINDS.iter().find(|(theirs, _)| *theirs == dtype);
    pair.map(|(_, kind)| *kind).ok_or_else(|| {
        let problem = format!("tensor `{name}` is {dtype:?}, which is not supported");
        unusable(path, problem, "convert it to f32 or bf16")
    })
}

/// That a file cannot be used.
pub(crate) fn unusable(path: &Path, problem: String, remedy: &'static str) -> ModelError {
    ModelError::TensorFile {
        path: path.to_path_buf(),
        problem,
        remedy,
    }
}

//! Named tensors in safetensors files, streamed one tensor at a time.
//!
//! The same tensors give the same bytes: entries are sorted by element width, then name, and there is no
//! metadata block, whose order would be arbitrary. Sizes are checked against the file's length before
//! anything is allocated. Neither direction holds the whole file in memory, so a checkpoint costs one
//! tensor's worth of extra memory rather than a second model.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use tch::{Device, Kind, Tensor};

use crate::error::TrainError;

/// The format's own bound on its JSON header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The header's length field.
const LENGTH_BYTES: u64 = 8;

/// Writes `tensors` to `path`, from whatever device they are on.
///
/// The file is neither synced nor renamed: [`crate::checkpoint`] does that for the whole folder.
///
/// # Errors
/// A name appears twice, a kind has no safetensors equivalent, or the file cannot be written.
pub fn write_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), TrainError> {
    let mut order = Vec::with_capacity(tensors.len());
    let mut names = HashSet::new();
    for (name, tensor) in tensors {
        if !names.insert(name) {
            return Err(unusable(
                path,
                format!("two tensors are named `{name}`"),
                "rename one",
            ));
        }
        order.push((dtype(path, name, tensor.kind())?, name, tensor));
    }
    order.sort_by(|(left, left_name, _), (right, right_name, _)| {
        right.cmp(left).then_with(|| left_name.cmp(right_name))
    });

    let header = header(path, &order)?;
    let file = File::create(path).map_err(TrainError::io("create", path))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    file.write_all(&(header.len() as u64).to_le_bytes())
        .and_then(|()| file.write_all(&header))
        .map_err(TrainError::io("write", path))?;
    for (_, name, tensor) in order {
        let bytes = tensor_bytes(tensor)
            .map_err(|error| unusable(path, format!("tensor `{name}`: {error}"), "report this"))?;
        file.write_all(&bytes)
            .map_err(TrainError::io("write", path))?;
    }
    file.flush().map_err(TrainError::io("write", path))
}

/// Reads all tensors of `path` to the CPU, in the file's order.
///
/// # Errors
/// The file is not well-formed safetensors (the header's sizes must add up to the file's length exactly),
/// or holds an element type that libtorch lacks.
pub fn read_tensors(path: &Path) -> Result<Vec<(String, Tensor)>, TrainError> {
    let mut file = File::open(path).map_err(TrainError::io("open", path))?;
    let metadata = read_header(path, &mut file)?;
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else {
            continue;
        };
        let kind = kind(path, &name, info.dtype)?;
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        file.read_exact(&mut bytes)
            .map_err(TrainError::io("read", path))?;
        let size: Vec<i64> = info.shape.iter().map(|&n| n as i64).collect();
        let tensor = Tensor::f_from_data_size(&bytes, &size, kind)
            .map_err(|error| unusable(path, format!("tensor `{name}`: {error}"), REPLACE))?;
        tensors.push((name, tensor));
    }
    Ok(tensors)
}

const REPLACE: &str = "the file is damaged or not safetensors; restore it or use an earlier one";

fn header(path: &Path, order: &[(Dtype, &String, &Tensor)]) -> Result<Vec<u8>, TrainError> {
    let mut offset = 0;
    let mut infos = Vec::with_capacity(order.len());
    for (dtype, name, tensor) in order {
        let end = offset + tensor.numel() * (dtype.bitsize() / 8);
        let info = TensorInfo {
            dtype: *dtype,
            shape: tensor.size().iter().map(|&n| n as usize).collect(),
            data_offsets: (offset, end),
        };
        infos.push(((*name).clone(), info));
        offset = end;
    }
    let mut header = Metadata::new(None, infos)
        .map_err(|error| error.to_string())
        .and_then(|metadata| serde_json::to_vec(&metadata).map_err(|error| error.to_string()))
        .map_err(|problem| unusable(path, problem, "report this"))?;
    // Readers that map the file expect the data to start on an 8-byte boundary.
    header.resize(header.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
    if header.len() as u64 > MAX_HEADER_BYTES {
        return Err(unusable(
            path,
            "the header exceeds 100 MB",
            "split the tensors over files",
        ));
    }
    Ok(header)
}

fn read_header(path: &Path, file: &mut File) -> Result<Metadata, TrainError> {
    let file_bytes = file
        .metadata()
        .map_err(TrainError::io("inspect", path))?
        .len();
    if file_bytes < LENGTH_BYTES {
        return Err(unusable(
            path,
            format!("only {file_bytes} bytes long"),
            REPLACE,
        ));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length)
        .map_err(TrainError::io("read", path))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || header_bytes > file_bytes - LENGTH_BYTES {
        let problem = format!("claims a header of {header_bytes} bytes, the file has {file_bytes}");
        return Err(unusable(path, problem, REPLACE));
    }
    let mut header = vec![0; header_bytes as usize];
    file.read_exact(&mut header)
        .map_err(TrainError::io("read", path))?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| unusable(path, format!("unreadable header: {error}"), REPLACE))?;
    let data_bytes = file_bytes - LENGTH_BYTES - header_bytes;
    if metadata.data_len() as u64 != data_bytes {
        let problem = format!(
            "the header promises {} bytes of tensors, the file has {data_bytes}",
            metadata.data_len()
        );
        return Err(unusable(path, problem, REPLACE));
    }
    file.seek(SeekFrom::Start(LENGTH_BYTES + header_bytes))
        .map_err(TrainError::io("read", path))?;
    Ok(metadata)
}

fn tensor_bytes(tensor: &Tensor) -> Result<Vec<u8>, tch::TchError> {
    tch::no_grad(|| {
        let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Ok(bytes)
    })
}

fn dtype(path: &Path, name: &str, kind: Kind) -> Result<Dtype, TrainError> {
    Ok(match kind {
        Kind::Bool => Dtype::BOOL,
        Kind::Uint8 => Dtype::U8,
        Kind::Int8 => Dtype::I8,
        Kind::Int16 => Dtype::I16,
        Kind::Int => Dtype::I32,
        Kind::Int64 => Dtype::I64,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        other => {
            let problem = format!("tensor `{name}` is {other:?}, which safetensors lacks");
            return Err(unusable(path, problem, "convert it first"));
        }
    })
}

fn kind(path: &Path, name: &str, dtype: Dtype) -> Result<Kind, TrainError> {
    Ok(match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::Uint8,
        Dtype::I8 => Kind::Int8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        other => {
            let problem = format!("tensor `{name}` is {other:?}, which is not supported");
            return Err(unusable(path, problem, "convert it to f32 or bf16"));
        }
    })
}

fn unusable(path: &Path, problem: impl Into<String>, remedy: &'static str) -> TrainError {
    TrainError::TensorFile {
        path: path.to_path_buf(),
        problem: problem.into(),
        remedy,
    }
}

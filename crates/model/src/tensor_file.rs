//! Tensors to and from safetensors files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::{Dtype, SafeTensors, View};
use tch::{Kind, Tensor};

use crate::ModelError;

/// Reads every tensor of a safetensors file, by name.
///
/// # Errors
/// The file cannot be read, its header is damaged or its sizes do not add up, or it holds a dtype that
/// candor does not know.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let bytes = std::fs::read(path).map_err(ModelError::reading(path))?;
    decode(&bytes, path)
}

/// [`read`] from memory; `path` only names the origin in errors.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let damaged = |problem: String| ModelError::TensorFile {
        path: path.to_owned(),
        problem,
    };
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let kind = kind_of(view.dtype()).ok_or_else(|| {
            damaged(format!(
                "tensor `{name}` has the unsupported dtype {:?}",
                view.dtype()
            ))
        })?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
            .map_err(|e| damaged(format!("tensor `{name}`: {e}")))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Writes tensors to a safetensors file, atomically and with the same bytes for the same tensors.
///
/// # Errors
/// The file cannot be written, or a tensor has a dtype that the format lacks.
pub fn write<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<(), ModelError> {
    Ok(candor_data::atomic::write(
        path,
        &encode(path, tensors, metadata)?,
    )?)
}

/// The bytes that [`write()`] writes; `path` only names the destination in errors.
///
/// # Errors
/// A tensor has a dtype that the format lacks.
pub fn encode<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>, ModelError> {
    let damaged = |problem: String| ModelError::TensorFile {
        path: path.to_owned(),
        problem,
    };
    let mut blobs = BTreeMap::new();
    for (name, tensor) in tensors {
        blobs.insert(
            name,
            Blob::new(tensor).map_err(|e| damaged(format!("tensor `{name}`: {e}")))?,
        );
    }
    safetensors::serialize(blobs, metadata).map_err(|e| damaged(e.to_string()))
}

/// A tensor's bytes on the host.
struct Blob {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(tensor: &Tensor) -> Result<Self, String> {
        let dtype = dtype_of(tensor.kind())
            .ok_or_else(|| format!("dtype {:?} cannot be stored", tensor.kind()))?;
        let host = tensor.detach().to_device(tch::Device::Cpu).contiguous();
        let mut bytes = vec![0; host.numel() * host.kind().elt_size_in_bytes()];
        host.f_copy_data_u8(&mut bytes, host.numel())
            .map_err(|e| e.to_string())?;
        Ok(Self {
            dtype,
            shape: tensor.size().iter().map(|&n| n as usize).collect(),
            bytes,
        })
    }
}

impl View for Blob {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The dtypes candor stores, beside libtorch's name for them.
const KINDS: [(Dtype, Kind); 7] = [
    (Dtype::F32, Kind::Float),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F16, Kind::Half),
    (Dtype::F64, Kind::Double),
    (Dtype::I64, Kind::Int64),
    (Dtype::I32, Kind::Int),
    (Dtype::BOOL, Kind::Bool),
];

fn kind_of(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(d, _)| *d == dtype).map(|(_, k)| *k)
}

fn dtype_of(kind: Kind) -> Option<Dtype> {
    KINDS.iter().find(|(_, k)| *k == kind).map(|(d, _)| *d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_survive_the_round_trip() {
        let whole = Tensor::from_slice(&[1.5_f32, -2.0, 0.25, 8.0, 3.0, 0.0]).reshape([2, 3]);
        let transposed = whole.transpose(0, 1);
        let half = whole.to_kind(Kind::BFloat16);
        let ids = Tensor::from_slice(&[7_i64, -1]);
        let named = [("a", &transposed), ("b", &half), ("c", &ids)];
        let path = Path::new("test.safetensors");
        let bytes = encode(path, named, None).unwrap();
        let back = decode(&bytes, path).unwrap();
        for (name, tensor) in named {
            assert_eq!(&back[name], tensor, "{name}");
            assert_eq!(back[name].kind(), tensor.kind());
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let path = Path::new("somewhere/model.safetensors");
        let bytes = encode(path, [("a", &Tensor::from_slice(&[1_f32; 100]))], None).unwrap();
        for damaged in [
            &bytes[..bytes.len() - 1],
            &bytes[..20],
            &[][..],
            &[255_u8; 64][..],
        ] {
            let message = decode(damaged, path).unwrap_err().to_string();
            assert!(message.contains("somewhere/model.safetensors"), "{message}");
        }
    }
}

//! Fingerprints of the models that a run reads, so that a resume with others is noticed.
//!
//! All are [SHA-256](candor_data::sha256). Tensors are hashed with their borders: moving a byte from one to the next
//! changes the fingerprint.

use std::collections::BTreeMap;
use std::path::Path;

use candor_data::sha256;
use candor_model::{Adapter, Bundle, READING_FILES};
use candor_run::{Progress, RunError};
use tch::{Device, Tensor};

/// Of named tensors in this order: names, kinds, shapes and values. One tensor at a time is copied to the host.
#[must_use]
pub fn of_tensors<'a>(tensors: impl Iterator<Item = (&'a String, &'a Tensor)>) -> String {
    of_tensors_telling(tensors, |_| ())
}

/// [`of_tensors`] of a model's tensors, which takes minutes for a large one and is shown; `what` is what they are.
#[must_use]
pub fn of_many_tensors(
    what: &str,
    tensors: &BTreeMap<String, Tensor>,
    progress: &mut Progress,
) -> String {
    const MEGABYTE: usize = 1 << 20;
    let size = |tensor: &Tensor| tensor.numel() * tensor.kind().elt_size_in_bytes();
    let n_bytes: usize = tensors.values().map(size).sum();
    let mut counter = progress.counter(&format!("hashing the {what}, in megabytes"));
    of_tensors_telling(tensors.iter(), |done| {
        counter(done / MEGABYTE, n_bytes.div_ceil(MEGABYTE));
    })
}

/// `progress` hears how many bytes are done.
fn of_tensors_telling<'a>(
    tensors: impl Iterator<Item = (&'a String, &'a Tensor)>,
    mut progress: impl FnMut(usize),
) -> String {
    let mut n_bytes = 0;
    sha256::of_bytes(tensors.flat_map(|(name, tensor)| {
        // Before this one: it is hashed after this returns.
        progress(n_bytes);
        let host = tensor.detach().to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; host.numel() * host.kind().elt_size_in_bytes()];
        host.copy_data_u8(&mut bytes, host.numel());
        n_bytes += bytes.len();
        let form = format!("{:?} {:?}", host.kind(), host.size());
        [name.clone().into_bytes(), form.into_bytes(), bytes]
    }))
}

/// Of a model that was read from `folder`: weights, and the files that decide what it reads and sees.
///
/// # Errors
/// A file cannot be read.
pub fn of_model(
    bundle: &Bundle,
    folder: &Path,
    progress: &mut Progress,
) -> Result<String, RunError> {
    let mut files = READING_FILES.to_vec();
    files.retain(|name| folder.join(name).exists());
    let weights = of_many_tensors("model", bundle.model.parameters(), progress);
    with_files(weights, folder, &files)
}

/// Of an adapter that was read from `folder`.
///
/// # Errors
/// A file cannot be read.
pub fn of_adapter(adapter: &Adapter, folder: &Path) -> Result<String, RunError> {
    let weights = of_tensors(adapter.parameters().iter());
    with_files(weights, folder, &["adapter_config.json"])
}

/// Of tensors by their fingerprint, together with files of their folder.
fn with_files(weights: String, folder: &Path, names: &[&str]) -> Result<String, RunError> {
    let mut parts = vec![weights.into_bytes()];
    for name in names {
        parts.push(sha256::of_file(&folder.join(name))?.into_bytes());
    }
    Ok(sha256::of_bytes(parts))
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn name_kind_shape_and_value_of_a_tensor_count() {
        let of =
            |name: &str, tensor: &Tensor| of_tensors(std::iter::once((&name.to_owned(), tensor)));
        let zeros = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let one = of("w", &zeros);
        assert_eq!(one, of("w", &zeros.copy()));
        // The same bytes in other clothes.
        assert_ne!(one, of("v", &zeros));
        assert_ne!(one, of("w", &zeros.reshape([3, 2])));
        assert_ne!(
            one,
            of("w", &Tensor::zeros([2, 3], (Kind::Int, Device::Cpu)))
        );
        assert_ne!(one, of("w", &(&zeros + 1e-30)));
        // A view hashes as what it shows.
        let square = Tensor::arange(4, (Kind::Float, Device::Cpu)).reshape([2, 2]);
        assert_eq!(
            of("w", &square.tr()),
            of(
                "w",
                &Tensor::from_slice(&[0_f32, 2.0, 1.0, 3.0]).reshape([2, 2])
            )
        );
    }
}

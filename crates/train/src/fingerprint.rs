//! Fingerprints of the models that a run reads, so that a resume with others is noticed.
//!
//! All are [SHA-256](candor_data::sha256). Tensors are hashed with their borders: moving a byte from one to the next
//! changes the fingerprint. Each has a hash of its own, so that several are hashed at once while the next one comes from its
//! device: at each start all weights of a 7B and a 13B are 40 GB.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};

use candor_data::sha256;
use candor_model::{Adapter, Bundle, READING_FILES};
use candor_run::{Progress, RunError};
use tch::{Device, Tensor};

/// Tensors whose bytes are hashed at once, and are on the host for that.
const AT_ONCE: usize = 4;
/// A tensor of fewer bytes is hashed sooner than a thread is there.
const LARGE_BYTES: usize = 1 << 20;

/// Of named tensors in this order: names, kinds, shapes and values. A few tensors at a time are copied to the host.
#[must_use]
pub fn of_tensors<'a>(tensors: impl Iterator<Item = (&'a String, &'a Tensor)>) -> String {
    of_tensors_telling(tensors, |_| ())
}

/// Of a few small tensors in this order, whose values are hashed themselves and not their hashes: reward models have it of their
/// bases, and those from before tensors had hashes of their own are to open.
#[must_use]
pub fn of_values<'a>(tensors: impl Iterator<Item = (&'a String, &'a Tensor)>) -> String {
    sha256::of_bytes(tensors.flat_map(|(name, tensor)| {
        let (form, bytes) = form_and_bytes(tensor);
        [name.clone().into_bytes(), form, bytes]
    }))
}

/// A tensor's kind and shape, and its values on the host.
fn form_and_bytes(tensor: &Tensor) -> (Vec<u8>, Vec<u8>) {
    let host = tensor.detach().to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0; host.numel() * host.kind().elt_size_in_bytes()];
    host.copy_data_u8(&mut bytes, host.numel());
    let form = format!("{:?} {:?}", host.kind(), host.size());
    (form.into_bytes(), bytes)
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
    let mut parts: Vec<Vec<u8>> = Vec::new();
    thread::scope(|scope| {
        // With the place of the hash among the parts.
        let mut hashing: VecDeque<(usize, ScopedJoinHandle<'_, String>)> = VecDeque::new();
        for (name, tensor) in tensors {
            progress(n_bytes);
            if hashing.len() == AT_ONCE
                && let Some((place, first)) = hashing.pop_front()
            {
                parts[place] = finished(first).into_bytes();
            }
            let (form, bytes) = form_and_bytes(tensor);
            n_bytes += bytes.len();
            parts.extend([name.clone().into_bytes(), form, Vec::new()]);
            let place = parts.len() - 1;
            if bytes.len() < LARGE_BYTES {
                parts[place] = sha256::of(&bytes).into_bytes();
            } else {
                hashing.push_back((place, scope.spawn(move || sha256::of(&bytes))));
            }
        }
        for (place, last) in hashing {
            parts[place] = finished(last).into_bytes();
        }
    });
    sha256::of_bytes(parts)
}

fn finished(hashing: ScopedJoinHandle<'_, String>) -> String {
    let hash = hashing.join();
    hash.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
        // Large ones, which are hashed on threads of their own, more of them than are hashed at once: the order counts, and so does
        // the last byte of each.
        let large = |n: i64| Tensor::full([300_000], n, (Kind::Float, Device::Cpu));
        let all = |numbers: &[i64]| {
            let name = "w".to_owned();
            let tensors: Vec<Tensor> = numbers.iter().map(|n| large(*n)).collect();
            of_tensors(tensors.iter().map(|tensor| (&name, tensor)))
        };
        let six = all(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(six, all(&[1, 2, 3, 4, 5, 6]));
        assert_ne!(six, all(&[1, 2, 3, 4, 6, 5]));
        assert_ne!(six, all(&[1, 2, 3, 4, 5]));
        let mut last = large(1);
        let whole = of("w", &last);
        let _ = last.narrow(0, 299_999, 1).fill_(2.0);
        assert_ne!(whole, of("w", &last));
        let _ = last.fill_(1.0);
        assert_eq!(whole, of("w", &last));
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

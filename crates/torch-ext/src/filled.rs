//! A tensor whose bytes come from somewhere else, such as a file, without a buffer between.
//!
//! tch makes tensors from slices by copying them, so a checkpoint would pass through memory twice.

use std::slice;

use tch::{Device, Kind, TchError, Tensor};

/// A contiguous tensor on the CPU with the bytes that `fill` writes; they are zero before.
///
/// # Errors
/// libtorch has no memory for the tensor, or `fill` failed.
///
/// # Panics
/// `kind` is `Kind::Bool`, of which not every byte is a value.
pub fn filled<E>(
    shape: &[i64],
    kind: Kind,
    fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
) -> Result<Result<Tensor, E>, TchError> {
    assert_ne!(kind, Kind::Bool, "numbers only");
    let tensor = Tensor::f_zeros(shape, (kind, Device::Cpu))?;
    let n_bytes = tensor.numel() * kind.elt_size_in_bytes();
    if n_bytes == 0 {
        // Its pointer may be null.
        return Ok(fill(&mut []).map(|()| tensor));
    }
    assert!(tensor.is_contiguous());
    // SAFETY: the tensor is contiguous, on the CPU and was written in full, so from its pointer on there are `n_bytes`
    // initialised bytes. It was made here and nobody else has it, so that nothing else reads or writes them while the
    // slice lives. Every pattern of bits is a value of libtorch's number types.
    let bytes = unsafe { slice::from_raw_parts_mut(tensor.data_ptr().cast::<u8>(), n_bytes) };
    Ok(fill(bytes).map(|()| tensor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_numbers() {
        let written = filled(&[2, 2], Kind::Int16, |bytes| {
            assert_eq!(*bytes, [0; 8]);
            bytes.copy_from_slice(&[1, 0, 2, 0, 0, 1, 255, 255]);
            Ok::<_, ()>(())
        });
        let tensor = written.unwrap().unwrap();
        assert_eq!(tensor, Tensor::from_slice2(&[[1_i16, 2], [256, -1]]));
        let empty = filled(&[0, 3], Kind::Float, |bytes| {
            assert!(bytes.is_empty());
            Ok::<_, ()>(())
        });
        assert_eq!(empty.unwrap().unwrap().size(), [0, 3]);
    }

    #[test]
    fn failures_are_handed_on() {
        let failed = filled(&[1], Kind::Float, |_| Err("no file"));
        assert_eq!(failed.unwrap().unwrap_err(), "no file");
        assert!(filled(&[1 << 40, 1 << 20], Kind::Float, |_| Ok::<_, ()>(())).is_err());
    }
}

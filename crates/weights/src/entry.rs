//! Where a tensor lies in its file, and how its bytes get from there into row-major order.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::Dtype;

/// Tensors of one file; the largest language models have fewer than 100 000 in more than 100 files.
pub(crate) const MAX_TENSORS: usize = 1 << 16;
/// More dimensions than any tensor has; bounds what a shape can cost.
pub(crate) const MAX_RANK: usize = 16;

/// One tensor of a checkpoint: what it is, checked to lie within its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    dtype: Dtype,
    shape: Vec<u64>,
    n_bytes: u64,
    /// Of the first element, in bytes from the start of the file.
    offset: u64,
    /// In elements, where the file does not hold the tensor in row-major order.
    strides: Option<Vec<u64>>,
}

impl Entry {
    /// A tensor in row-major order at `offset`; nothing if its size overflows.
    pub(crate) fn contiguous(dtype: Dtype, shape: Vec<u64>, offset: u64) -> Option<Self> {
        let n_bytes = n_elements(&shape)?.checked_mul(dtype.n_bytes())?;
        Some(Self {
            dtype,
            shape,
            n_bytes,
            offset,
            strides: None,
        })
    }

    /// A tensor at `offset` whose neighbours along dimension `d` are `strides[d]` elements apart.
    pub(crate) fn strided(
        dtype: Dtype,
        shape: Vec<u64>,
        strides: Vec<u64>,
        offset: u64,
    ) -> Option<Self> {
        let row_major = is_row_major(&shape, &strides);
        let entry = Self::contiguous(dtype, shape, offset)?;
        Some(Self {
            strides: (!row_major).then_some(strides),
            ..entry
        })
    }

    /// The type of the elements.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The size of each dimension; empty for a scalar.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Bytes of the whole tensor.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Fills `out`, which has [`Entry::n_bytes`] bytes, with the elements in row-major order. A tensor that is
    /// stored otherwise costs a buffer from its first to its last element in addition.
    pub(crate) fn read_from(&self, file: &File, out: &mut [u8]) -> io::Result<()> {
        let Some(strides) = &self.strides else {
            return file.read_exact_at(out, self.offset);
        };
        let width = self.dtype.n_bytes();
        let n_span = last_element(&self.shape, strides)
            .and_then(|last| last.checked_add(1)?.checked_mul(width))
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let mut span = Vec::new();
        span.try_reserve_exact(n_span)?;
        span.resize(n_span, 0);
        file.read_exact_at(&mut span, self.offset)?;
        gather(&span, width as usize, &self.shape, strides, out);
        Ok(())
    }
}

/// How many elements a tensor of `shape` has.
pub(crate) fn n_elements(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1_u64, |n, &size| n.checked_mul(size))
}

/// The index of the last element, counted from the first one; 0 if there is none at all.
pub(crate) fn last_element(shape: &[u64], strides: &[u64]) -> Option<u64> {
    shape
        .iter()
        .zip(strides)
        .try_fold(0_u64, |last, (&size, &stride)| {
            last.checked_add(size.saturating_sub(1).checked_mul(stride)?)
        })
}

/// Whether `strides` are those of row-major order. The stride of a dimension of size 1 is never used, and torch
/// writes what it likes there.
fn is_row_major(shape: &[u64], strides: &[u64]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut expected = Some(1_u64);
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size != 1 && expected != Some(stride) {
            return false;
        }
        expected = expected.and_then(|stride| stride.checked_mul(size));
    }
    true
}

/// Copies elements of `width` bytes from where `strides` say to where row-major order has them.
fn gather(span: &[u8], width: usize, shape: &[u64], strides: &[u64], out: &mut [u8]) {
    let mut index = vec![0; shape.len()];
    let mut position = 0;
    for element in out.chunks_exact_mut(width) {
        let from = position as usize * width;
        element.copy_from_slice(&span[from..from + width]);
        // Like the wheels of an odometer: the last dimension turns fastest.
        for dimension in (0..shape.len()).rev() {
            index[dimension] += 1;
            position += strides[dimension];
            if index[dimension] < shape[dimension] {
                break;
            }
            index[dimension] = 0;
            position -= shape[dimension] * strides[dimension];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_overflow_are_nothing() {
        assert_eq!(n_elements(&[]), Some(1));
        assert_eq!(n_elements(&[3, 0, 5]), Some(0));
        assert_eq!(n_elements(&[1 << 32, 1 << 32]), None);
        assert_eq!(
            Entry::contiguous(Dtype::F32, vec![1 << 31, 1 << 31], 0),
            None
        );
        assert_eq!(last_element(&[2, 1 << 33], &[1, 1 << 33]), None);
    }

    #[test]
    fn the_stride_of_a_single_row_does_not_matter() {
        assert!(is_row_major(&[1, 3], &[7, 1]));
        assert!(is_row_major(&[2, 1, 3], &[3, 99, 1]));
        assert!(is_row_major(&[], &[]));
        assert!(!is_row_major(&[2, 3], &[1, 2]));
        assert!(!is_row_major(&[2, 3], &[4, 1]));
    }

    #[test]
    fn gathering_a_transposed_matrix_turns_it() {
        // Stored as [[0, 1, 2], [3, 4, 5]] and seen as its transpose, two bytes an element.
        let span = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5];
        let mut out = [0; 12];
        gather(&span, 2, &[3, 2], &[1, 3], &mut out);
        assert_eq!(out, [0, 0, 3, 3, 1, 1, 4, 4, 2, 2, 5, 5]);
    }
}

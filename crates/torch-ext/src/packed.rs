//! Frozen linear layers whose weight stays packed in 4 or 8 bits.
//!
//! A forward pass unpacks the weight into the kind of its input, multiplies and lets go of it; the backward pass
//! unpacks it again for the gradient of the input. Between the two nothing is kept in full, which is what
//! needs an autograd function of our own (`packed.cpp`): libtorch's would save the unpacked weight. The weight itself
//! never has a gradient. How a weight is packed is the business of whoever packs it; here it is only undone.
//!
//! On the CPU one loop over the bytes unpacks NF4; on other devices tensor operations do, to the same bits.

use std::ffi::c_char;
use std::ptr;

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::returned::returned;

/// The weight `[n_out, n_in]` of a linear layer, packed.
#[derive(Debug)]
pub enum PackedWeight {
    /// One byte a weight: `weight = codes · scales`.
    Int8 {
        /// `[n_out, n_in]` i8.
        codes: Tensor,
        /// `[n_out, 1]` f32.
        scales: Tensor,
    },
    /// Four bits a weight: `weight = levels[code] · scale`, with one scale for a block of consecutive weights, which
    /// is stored in 8 bits itself: `scale = scale_levels[scale_code] · scale_scale + offset`.
    Nf4(Nf4),
}

/// The parts of an NF4 weight of `n` weights in row-major order.
#[derive(Debug)]
pub struct Nf4 {
    /// `[n_out, n_in]`.
    pub shape: [i64; 2],
    /// Consecutive weights that share a scale; even.
    pub block: i64,
    /// Consecutive blocks that share a scale of their scales.
    pub superblock: i64,
    /// `[⌈n / 2⌉]` u8, two weights a byte, the first in the high half.
    pub codes: Tensor,
    /// `[n_blocks]` u8, with `n_blocks = ⌈n / block⌉`.
    pub scale_codes: Tensor,
    /// `[⌈n_blocks / superblock⌉]` f32.
    pub scale_scales: Tensor,
    /// `[1]` f32.
    pub offset: Tensor,
    /// The code book, `[16]` f32; all weights may share one.
    pub levels: Tensor,
    /// The code book of the scales, `[256]` f32; all weights may share one.
    pub scale_levels: Tensor,
}

impl PackedWeight {
    /// The tensors that this weight has for itself, by what they are; code books are not among them.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::Int8 { codes, scales } => vec![("codes", codes), ("scales", scales)],
            Self::Nf4(nf4) => vec![
                ("codes", &nf4.codes),
                ("scale_codes", &nf4.scale_codes),
                ("scale_scales", &nf4.scale_scales),
                ("offset", &nf4.offset),
            ],
        }
    }

    /// Bytes of all [`PackedWeight::parts`].
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        let parts = self.parts().into_iter();
        parts
            .map(|(_, part)| part.numel() * part.kind().elt_size_in_bytes())
            .sum()
    }

    /// The layer: `x Wᵀ`, with a gradient for `x` and none for the weight.
    ///
    /// # Shapes
    /// `x`: `[.., n_in]` of a floating kind → `[.., n_out]` of the same.
    ///
    /// # Panics
    /// With libtorch's message where `x` has another width or device than the weight, or where the parts do not
    /// have the shapes and kinds that they should.
    pub fn linear(&self, x: &Tensor) -> Tensor {
        self.call(x, candor_packed_linear)
    }

    /// The weight in full.
    ///
    /// # Shapes
    /// → `[n_out, n_in]`.
    ///
    /// # Panics
    /// As [`PackedWeight::linear`], or where `kind` is not f16, bf16, f32 or f64.
    pub fn unpack(&self, kind: Kind) -> Tensor {
        self.call(&of_kind(kind), candor_packed_unpack)
    }

    /// [`PackedWeight::unpack`] as a GPU does it, on any device: what a test without a GPU can hold against the loop
    /// of the CPU.
    ///
    /// # Panics
    /// As [`PackedWeight::unpack`].
    pub fn unpack_by_operations(&self, kind: Kind) -> Tensor {
        self.call(&of_kind(kind), candor_packed_unpack_by_operations)
    }

    fn call(&self, tensor: &Tensor, function: Function) -> Tensor {
        let weight = self.in_c();
        // SAFETY: `weight` holds pointers to tensors that `self` keeps alive for the call, as many as it says, and
        // `tensor` lives as long. The function only reads them, checks kinds, devices and sizes before it reads memory of
        // theirs, and catches its exceptions.
        returned(|error| unsafe { function(&raw const weight, tensor.as_ptr(), error) })
    }

    fn in_c(&self) -> CPackedWeight {
        let (shape, [block, superblock], parts) = match self {
            Self::Int8 { codes, scales } => {
                let size = codes.size();
                let [n_out, n_in] = size[..] else {
                    panic!(
                        "the codes of an int8 weight have the shape {size:?} instead of [n_out, n_in]"
                    )
                };
                ([n_out, n_in], [0, 0], vec![codes, scales])
            }
            Self::Nf4(nf4) => {
                let mut parts: Vec<&Tensor> =
                    self.parts().into_iter().map(|(_, part)| part).collect();
                parts.extend([&nf4.levels, &nf4.scale_levels]);
                (nf4.shape, [nf4.block, nf4.superblock], parts)
            }
        };
        let mut pointers = [ptr::null(); MAX_PARTS];
        for (pointer, part) in pointers.iter_mut().zip(&parts) {
            *pointer = part.as_ptr();
        }
        CPackedWeight {
            n_out: shape[0],
            n_in: shape[1],
            block,
            superblock,
            n_parts: parts.len(),
            parts: pointers,
        }
    }
}

/// An empty tensor: how a kind is told to libtorch without repeating its numbers.
fn of_kind(kind: Kind) -> Tensor {
    Tensor::empty([0], (kind, Device::Cpu))
}

/// The most parts that a weight has, code books included.
const MAX_PARTS: usize = 6;

/// `candor_packed_weight` of `packed.cpp`.
#[repr(C)]
struct CPackedWeight {
    n_out: i64,
    n_in: i64,
    block: i64,
    superblock: i64,
    n_parts: usize,
    parts: [*const C_tensor; MAX_PARTS],
}

type Function =
    unsafe extern "C" fn(*const CPackedWeight, *const C_tensor, *mut *mut c_char) -> *mut C_tensor;

// SAFETY: these are the signatures of `packed.cpp`.
unsafe extern "C" {
    fn candor_packed_linear(
        weight: *const CPackedWeight,
        x: *const C_tensor,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
    fn candor_packed_unpack(
        weight: *const CPackedWeight,
        like: *const C_tensor,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
    fn candor_packed_unpack_by_operations(
        weight: *const CPackedWeight,
        like: *const C_tensor,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
}

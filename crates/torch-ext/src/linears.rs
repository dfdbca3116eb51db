//! Linear layers of one input, each with a low-rank term of an adapter or without.
//!
//! A term costs two small products; the second is added where the layer's result is. The gradients that several layers
//! have for their one input are added in one place too (`linears.cpp`): libtorch would make a tensor of each, and read all of
//! them again to add them.

use std::ffi::c_char;
use std::ptr;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::returned::{check, owned, returned};

/// One layer: `x Wᵀ + bias + scale · (x Aᵀ) Bᵀ`.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// `[n_out, n_in]`.
    pub weight: &'a Tensor,
    /// `[n_out]`.
    pub bias: Option<&'a Tensor>,
    /// What an adapter adds.
    pub term: Option<Term<'a>>,
}

/// A low-rank term, computed in the kind of the input whatever it is kept in.
#[derive(Debug, Clone, Copy)]
pub struct Term<'a> {
    /// `[r, n_in]`.
    pub a: &'a Tensor,
    /// `[n_out, r]`.
    pub b: &'a Tensor,
    /// What it is multiplied by.
    pub scale: f64,
}

/// What some layers make of one input, in their order.
///
/// # Shapes
/// `x`: `[.., n_in]` → `[.., n_out]` each.
///
/// # Panics
/// With libtorch's message where shapes, kinds or devices do not fit.
pub fn linears<const N: usize>(x: &Tensor, layers: [Layer<'_>; N]) -> [Tensor; N] {
    let in_c = layers.map(|layer| {
        let [a, b] = match layer.term {
            Some(term) => [term.a.as_ptr(), term.b.as_ptr()],
            None => [ptr::null(); 2],
        };
        let bias = layer.bias.map_or(ptr::null(), Tensor::as_ptr);
        CLinear {
            tensors: [layer.weight.as_ptr(), bias, a, b],
            scale: layer.term.map_or(0.0, |term| term.scale),
        }
    });
    let mut results = [ptr::null_mut(); N];
    // SAFETY: the tensors that `in_c` points to live for the call, there are `N` layers and as many results, and the
    // function catches its exceptions.
    check(unsafe { candor_linears(x.as_ptr(), in_c.as_ptr(), N, results.as_mut_ptr()) });
    results.map(owned)
}

/// `base` and a term for the input `x`, where the base was computed in another way.
///
/// # Shapes
/// `base`: `[.., n_out]`; `x`: `[.., n_in]` → as `base`.
///
/// # Panics
/// With libtorch's message where shapes, kinds or devices do not fit.
pub fn with_term(base: &Tensor, x: &Tensor, term: Term<'_>) -> Tensor {
    let [base, x, a, b] = [base, x, term.a, term.b].map(Tensor::as_ptr);
    // SAFETY: the tensors live for the call, and the function catches its exceptions.
    returned(|error| unsafe { candor_with_term(base, x, a, b, term.scale, error) })
}

/// `candor_linear` of `linears.cpp`: weight, bias, A and B, null where there is none.
#[repr(C)]
struct CLinear {
    tensors: [*const C_tensor; 4],
    scale: f64,
}

// SAFETY: these are the signatures of `linears.cpp`.
unsafe extern "C" {
    fn candor_linears(
        x: *const C_tensor,
        layers: *const CLinear,
        n: usize,
        results: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn candor_with_term(
        base: *const C_tensor,
        x: *const C_tensor,
        a: *const C_tensor,
        b: *const C_tensor,
        scale: f64,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
}

//! Operations of a decoder's block in one pass over memory each way.
//!
//! libtorch makes a norm of six operations, rotary positions of five, SwiGLU of two, each reading and writing all its
//! numbers, and keeps most of them for the way back. On the CPU, in f32 and bf16, these are one loop forward and one
//! backward (`fused.cpp`, `fused.h`). On other devices, and in other kinds, they are the fewest of libtorch's operations.
//!
//! Results do not depend on the number of threads, nor on the length of the processor's vectors; the last bits of SwiGLU depend on
//! whether it has FMA, which rounds a product and a sum once. In bf16 the loops round where
//! transformers' formulas round on the way forward; a GPU's norm rounds once, at its end.

use std::ffi::c_char;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::returned::returned;

/// Root-mean-square norm over the last dimension: `weight · x / √(mean(x²) + eps)`, the mean in f32.
///
/// # Shapes
/// `x`: `[.., width]`; `weight`: `[width]` → as `x`.
///
/// # Panics
/// With libtorch's message where shapes or devices do not fit.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    // SAFETY: both tensors live for the call; the function checks kinds and sizes before it reads memory of theirs, and
    // catches its exceptions.
    returned(|error| unsafe { candor_fused_rms_norm(x.as_ptr(), weight.as_ptr(), eps, error) })
}

/// Turns heads to their positions: `x · cos + (second half of x, first half) · sin`. The first half of `sin` carries the
/// minus sign of the rotation. The tables get no gradient.
///
/// # Shapes
/// `x`: `[batch, heads, len, head_dim]`; `cos`, `sin`: `[batch or 1, 1, len, head_dim]` → as `x`.
///
/// # Panics
/// With libtorch's message where shapes or devices do not fit.
pub fn rotary(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    // SAFETY: as in `rms_norm`.
    returned(|error| unsafe { candor_fused_rotary(x.as_ptr(), cos.as_ptr(), sin.as_ptr(), error) })
}

/// `silu(gate) · up`, element by element.
///
/// # Shapes
/// `gate`, `up`: the same → the same.
///
/// # Panics
/// With libtorch's message where shapes or devices do not fit.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Tensor {
    // SAFETY: as in `rms_norm`.
    returned(|error| unsafe { candor_fused_swiglu(gate.as_ptr(), up.as_ptr(), error) })
}

/// Whether the CPU has its loops, which it has from the start. Without them it computes as other devices do: what a test
/// needs that compares the two bit by bit, and a benchmark of the loops.
pub fn in_one_pass(on: bool) {
    // SAFETY: the function sets a flag.
    unsafe { candor_fused_in_one_pass(on) }
}

// SAFETY: these are the signatures of `fused.cpp`.
unsafe extern "C" {
    fn candor_fused_in_one_pass(on: bool);
    fn candor_fused_rms_norm(
        x: *const C_tensor,
        weight: *const C_tensor,
        eps: f64,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
    fn candor_fused_rotary(
        x: *const C_tensor,
        cos: *const C_tensor,
        sin: *const C_tensor,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
    fn candor_fused_swiglu(
        gate: *const C_tensor,
        up: *const C_tensor,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
}

//! Gradients that are given back.

use tch::Tensor;
use torch_sys::C_tensor;

/// Takes a leaf's gradient away, so that it has none, as before its first backward pass: the memory is given back unless somebody
/// else has the tensor of it. tch can set a gradient to zero only.
pub fn forget_gradient(leaf: &Tensor) {
    // SAFETY: the tensor lives for the call, and its gradient, if it has one, is a tensor that libtorch counts the owners of.
    unsafe { candor_forget_gradient(leaf.as_ptr()) }
}

// SAFETY: this is the signature of `gradient.cpp`.
unsafe extern "C" {
    fn candor_forget_gradient(tensor: *const C_tensor);
}

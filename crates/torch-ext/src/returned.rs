//! How a tensor that C++ computes reaches Rust: `guarded.h` is the other half.

use std::ffi::{CStr, c_char};
use std::ptr;

use tch::Tensor;
use torch_sys::C_tensor;

/// Calls a function of C++ that gives a new tensor, or null and a message.
///
/// # Panics
/// With the message, which is libtorch's.
pub(crate) fn returned(call: impl FnOnce(*mut *mut c_char) -> *mut C_tensor) -> Tensor {
    let mut error = ptr::null_mut();
    let result = call(&raw mut error);
    check(error);
    owned(result)
}

/// Passes on what a function of C++ says went wrong; nothing did if that is null.
///
/// # Panics
/// With the message, which is libtorch's.
pub(crate) fn check(error: *mut c_char) {
    if let Some(message) = taken(error) {
        panic!("libtorch: {message}");
    }
}

/// The message of an exception, whose memory is freed; nothing if that is null.
pub(crate) fn taken(error: *mut c_char) -> Option<String> {
    if error.is_null() {
        return None;
    }
    // SAFETY: a message that is not null is a zero-terminated string of the C allocator, which is ours now.
    let message = unsafe { CStr::from_ptr(error) }
        .to_string_lossy()
        .into_owned();
    // SAFETY: as above, and it is not used again.
    unsafe { libc::free(error.cast()) };
    Some(message)
}

/// A new tensor of C++, which nobody else has.
///
/// # Panics
/// There is none, because there was no memory even for a message.
pub(crate) fn owned(result: *mut C_tensor) -> Tensor {
    assert!(!result.is_null(), "libtorch: out of memory");
    // SAFETY: the caller has it from a function that gives new tensors.
    unsafe { Tensor::from_ptr(result) }
}

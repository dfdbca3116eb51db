//! What tch does not bind, and the only place in candor for `unsafe` code.
//!
//! Today that is two things libtorch wants from a process before its first tensor, which [`init`] does, the peak
//! memory of the process and of a stretch of its work, [`filled()`]: tensors read straight into their memory, and
//! [`PackedWeight`]: linear layers in 4 or 8 bits, an autograd function in C++. Process groups come here when a stage
//! needs them.
//!
//! Every `unsafe` block carries a `SAFETY` comment; the lints of this crate refuse one that does not.

#![warn(unreachable_pub)]

mod allocator;
mod cuda;
mod filled;
mod memory;
mod packed;

use std::sync::OnceLock;

pub use allocator::give_back_freed;
pub use cuda::CudaLibrary;
pub use filled::filled;
pub use memory::{peak_memory_bytes, recent_peak_bytes, restart_peak};
pub use packed::{Nf4, PackedWeight};

/// What [`init`] found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// Whether the C allocator was told to keep memory instead of handing it back; `false` where the
    /// allocator is not glibc's.
    pub allocator_tuned: bool,
    /// Whether libtorch can reach a CUDA device.
    pub cuda: CudaLibrary,
}

/// Prepares the process for libtorch: tunes the allocator and loads libtorch's CUDA half when it is there.
///
/// Call it first in `main`, before another thread starts and before the first tensor. Only the first call
/// acts; every call returns what the first one found. Nothing here is fatal: a process without CUDA, or
/// with another allocator, computes the same numbers.
pub fn init() -> &'static Startup {
    static STARTUP: OnceLock<Startup> = OnceLock::new();
    STARTUP.get_or_init(|| Startup {
        allocator_tuned: allocator::keep_memory(),
        cuda: cuda::load_beside_libtorch(),
    })
}

//! What tch does not bind, and the only place in candor for `unsafe` code.
//!
//! Today that is what libtorch wants from a process before its first tensor, which [`init`] does; what NVIDIA's
//! [`driver()`] and libtorch say of themselves ([`libtorch`]); the processor time and peak memory of the process, and the latter of a
//! stretch of its work; [`filled()`]: tensors read straight into their memory; and, in C++, [`PackedWeight`]: linear layers in 4 or 8 bits,
//! [`linears`]: those of one input with an adapter's terms, [`fused`]: operations of a decoder's block in one pass,
//! [`Counting`]: what a stretch of work asks of a GPU, and [`Group`]: processes that compute together, with [`Cards`] where these
//! have GPUs.
//!
//! Every `unsafe` block carries a `SAFETY` comment; the lints of this crate refuse one that does not.

#![warn(unreachable_pub)]

mod allocator;
mod counted;
mod cuda;
mod driver;
mod filled;
pub mod fused;
mod gradient;
mod group;
#[cfg(target_os = "linux")]
mod library;
pub mod libtorch;
pub mod linears;
mod nccl;
mod packed;
mod returned;
mod usage;

use std::sync::OnceLock;

pub use allocator::give_back_freed;
pub use counted::{Counted, Counting, device_peak_bytes, restart_device_peak};
pub use cuda::{CudaLibrary, folder as libtorch_folder};
pub use driver::{Card, Driver, driver};
pub use filled::filled;
pub use gradient::forget_gradient;
pub use group::{Group, GroupError, GroupPlace};
pub use nccl::{Cards, CardsError};
pub use packed::{Nf4, PackedWeight};
pub use usage::{peak_memory_bytes, processor_secs, recent_peak_bytes, restart_peak};

/// What [`init`] found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// Whether the C allocator was told to keep memory instead of handing it back; `false` where the
    /// allocator is not glibc's.
    pub allocator_tuned: bool,
    /// Whether libtorch can reach a CUDA device.
    pub cuda: CudaLibrary,
}

/// Prepares the process for libtorch: tunes the allocator, loads libtorch's CUDA half when it is there, and makes the
/// settings of [`libtorch`] that no recipe decides.
///
/// Call it first in `main`, before another thread starts and before the first tensor. Only the first call
/// acts; every call returns what the first one found. Nothing here is fatal: a process without CUDA, or
/// with another allocator, computes the same numbers.
pub fn init() -> &'static Startup {
    static STARTUP: OnceLock<Startup> = OnceLock::new();
    STARTUP.get_or_init(|| {
        let allocator_tuned = allocator::keep_memory();
        cuda::set_environment();
        let cuda = cuda::load_beside_libtorch();
        libtorch::settle();
        Startup {
            allocator_tuned,
            cuda,
        }
    })
}

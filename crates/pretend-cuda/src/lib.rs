//! Two devices that libtorch takes for `cuda:0` and `cuda:1` and whose memory is the host's: what tests place models on
//! where there is no GPU. It is only ever a dev-dependency.
//!
//! What it finds is what goes wrong between devices: an operation on tensors of two devices fails with CUDA's words,
//! memory of a device that the host touches ends the process, and copies and bytes are counted. What it cannot find is
//! everything that is a kernel's: kinds that CUDA does not compute in, the choice of attention, speed, the order of
//! sums. The CPU computes, so results are the CPU's, but for operations that have a second way on the CPU alone: attention,
//! and candor's operations in one pass. Once the devices are there, the CPU has the plain ones too.
//!
//! Nothing can be drawn on these devices: there is no generator.

#![warn(unreachable_pub)]

use std::ffi::{CStr, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tch::Device;
// What these functions stand on is linked by it.
use torch_sys as _;

/// The first of the devices.
pub const FIRST: Device = Device::Cuda(0);

/// The second.
pub const SECOND: Device = Device::Cuda(1);

/// Copies of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// How many.
    pub n: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// What was copied between memories. A value that the host waits for, as `double_value` does, is a copy to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// From the host to a device.
    pub to_device: Copies,
    /// From a device to the host.
    pub to_host: Copies,
    /// From one device to the other.
    pub between: Copies,
}

/// Bytes of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What tensors hold now.
    pub now: u64,
    /// The most they held since the counts began.
    pub peak: u64,
}

/// The devices, and the right to count on them: one test at a time has it, the others wait.
#[derive(Debug)]
pub struct PretendCuda(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl std::ops::Sub for Traffic {
    type Output = Self;

    /// What was copied after `earlier`.
    fn sub(self, earlier: Self) -> Self {
        let after = |now: Copies, then: Copies| Copies {
            n: now.n - then.n,
            bytes: now.bytes - then.bytes,
        };
        Self {
            to_device: after(self.to_device, earlier.to_device),
            to_host: after(self.to_host, earlier.to_host),
            between: after(self.between, earlier.between),
        }
    }
}

impl PretendCuda {
    /// Makes the devices, which stay for the life of the process, and begins to count. This thread and those that go back
    /// through a graph compute with one thread from here on, and the CPU without operations of its own
    /// (`candor_torch_ext::fused`), so that sums have one order everywhere.
    ///
    /// # Panics
    /// libtorch was asked for CUDA before.
    #[must_use]
    pub fn take() -> Self {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        tch::set_num_threads(1);
        candor_torch_ext::fused::in_one_pass(false);
        // SAFETY: the function takes nothing, may be called often and catches its exceptions.
        let error = unsafe { candor_pretend_cuda_install() };
        if !error.is_null() {
            // SAFETY: a message that is not null is a zero-terminated string, and is never freed.
            let message = unsafe { CStr::from_ptr(error) };
            panic!("no pretend device: {}", message.to_string_lossy());
        }
        let taken = Self(turn);
        taken.restart();
        taken
    }

    /// Begins to count anew; peaks begin at what is held now.
    pub fn restart(&self) {
        // SAFETY: the function takes nothing and writes to atomics.
        unsafe { candor_pretend_cuda_restart() }
    }

    /// What was copied since the counts began.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let numbers = self.numbers();
        let of = |direction: usize| Copies {
            n: numbers[2 * direction],
            bytes: numbers[2 * direction + 1],
        };
        Traffic {
            to_device: of(0),
            to_host: of(1),
            between: of(2),
        }
    }

    /// Operations since the counts began that a GPU would launch a kernel for: none for looking at memory in another way, and
    /// copies between memories are counted by [`Self::traffic`]. What has one kernel on a GPU and none here is counted by
    /// its parts: attention, and norms.
    #[must_use]
    pub fn n_operations(&self) -> u64 {
        self.numbers()[N_NUMBERS - 1]
    }

    /// Bytes of a device, [`FIRST`] or [`SECOND`].
    ///
    /// # Panics
    /// It is neither.
    #[must_use]
    pub fn held(&self, device: Device) -> Held {
        let Device::Cuda(index @ 0..2) = device else {
            panic!("{device:?} is no pretend device");
        };
        let numbers = self.numbers();
        Held {
            now: numbers[6 + 2 * index],
            peak: numbers[7 + 2 * index],
        }
    }

    #[expect(clippy::unused_self, reason = "only who has the devices may count")]
    fn numbers(&self) -> [u64; N_NUMBERS] {
        let mut numbers = [0; N_NUMBERS];
        // SAFETY: the function writes as many numbers as the array has.
        unsafe { candor_pretend_cuda_counts(numbers.as_mut_ptr()) }
        numbers
    }
}

/// Copies and bytes of three directions, current and peak bytes of two devices, operations.
const N_NUMBERS: usize = 11;

// SAFETY: these are the signatures of `pretend_cuda.cpp`.
unsafe extern "C" {
    fn candor_pretend_cuda_install() -> *mut c_char;
    fn candor_pretend_cuda_counts(numbers: *mut u64);
    fn candor_pretend_cuda_restart();
}

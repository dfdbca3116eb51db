//! What a stretch of work asks of a GPU, and the most bytes that tensors held there.

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Cuda, Device};

use crate::returned::taken;

/// Whether a stretch is being counted.
static IS_COUNTING: AtomicBool = AtomicBool::new(false);

/// What was asked of a GPU. On the CPU, which has no kernels, operations of libtorch are counted in their place, those that others
/// are made of too, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Kernels that were launched.
    pub n_kernels: u64,
    /// Copies between memories, or within the GPU's.
    pub n_copies: u64,
    /// Times that the host waited for the GPU: for a value, for a copy from or to memory that is not pinned.
    pub n_waits: u64,
}

/// A stretch of work that is being counted, on one device by one thread; there is one at a time in a process. It makes work slower.
#[derive(Debug)]
#[must_use = "counting goes on until it is ended"]
pub struct Counting {
    gpu: Option<usize>,
}

impl Counting {
    /// Begins to count.
    ///
    /// # Errors
    /// Something is being counted already, or libtorch's profiler does not start; its message.
    pub fn begin(device: Device) -> Result<Self, String> {
        if IS_COUNTING.swap(true, Ordering::AcqRel) {
            return Err("another stretch of work is being counted".to_owned());
        }
        let gpu = gpu(device);
        if let Some(index) = gpu {
            // What was asked for before is not of this stretch.
            Cuda::synchronize(index as i64);
        }
        // SAFETY: the function catches its exceptions.
        let error = taken(unsafe { candor_counting_begin(gpu.is_some()) });
        IS_COUNTING.store(error.is_none(), Ordering::Release);
        error.map_or(Ok(Self { gpu }), Err)
    }

    /// Ends it once the GPU has done what it was asked for, and says what that was.
    ///
    /// # Errors
    /// libtorch's profiler fails; its message.
    pub fn end(self) -> Result<Counted, String> {
        if let Some(index) = self.gpu {
            Cuda::synchronize(index as i64);
        }
        let mut numbers = [0_u64; 3];
        // SAFETY: the function catches its exceptions, and counts up three numbers.
        let error = taken(unsafe { candor_counting_end(self.gpu.is_some(), numbers.as_mut_ptr()) });
        IS_COUNTING.store(false, Ordering::Release);
        let [n_kernels, n_copies, n_waits] = numbers;
        let counted = Counted {
            n_kernels,
            n_copies,
            n_waits,
        };
        error.map_or(Ok(counted), Err)
    }
}

/// The most bytes that tensors held on a GPU since the last [`restart_device_peak`]; none of the CPU, nor where nobody counts.
#[must_use]
pub fn device_peak_bytes(device: Device) -> Option<u64> {
    let index = gpu(device)?;
    // SAFETY: the function takes a number and catches its exceptions.
    let peak = unsafe { candor_device_peak(index as c_int) };
    u64::try_from(peak).ok()
}

/// Begins to measure [`device_peak_bytes`] anew, from what is held now.
pub fn restart_device_peak(device: Device) {
    if let Some(index) = gpu(device) {
        // SAFETY: the function takes a number and catches its exceptions.
        unsafe { candor_restart_device_peak(index as c_int) }
    }
}

fn gpu(device: Device) -> Option<usize> {
    match device {
        Device::Cuda(index) => Some(index),
        _ => None,
    }
}

// SAFETY: these are the signatures of `counted.cpp`.
unsafe extern "C" {
    fn candor_counting_begin(gpu: bool) -> *mut c_char;
    fn candor_counting_end(gpu: bool, numbers: *mut u64) -> *mut c_char;
    fn candor_device_peak(index: c_int) -> i64;
    fn candor_restart_device_peak(index: c_int);
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    /// An operation may be made of others, so that its count is no number to write down; that of several is so many times it.
    #[test]
    fn operations_are_counted_from_begin_to_end_and_at_no_other_time() {
        let ones = Tensor::ones([3], (Kind::Float, Device::Cpu));
        let of = |n: usize| {
            let counting = Counting::begin(Device::Cpu).unwrap();
            assert!(Counting::begin(Device::Cpu).is_err(), "one at a time");
            for _ in 0..n {
                let _ = ones.neg();
            }
            counting.end().unwrap()
        };
        assert_eq!(of(0), Counted::default());
        let (two, five) = (of(2), of(5));
        assert!(two.n_kernels > 0, "{two:?}");
        assert_eq!(5 * two.n_kernels, 2 * five.n_kernels);
        let _ = ones.neg();
        assert_eq!(of(2), two);
    }

    #[test]
    fn the_cpu_has_no_bytes_of_a_device() {
        restart_device_peak(Device::Cpu);
        assert_eq!(device_peak_bytes(Device::Cpu), None);
        // Where there is no such device, or nothing was asked of it, nobody counts.
        assert_eq!(device_peak_bytes(Device::Cuda(99)), None);
    }
}

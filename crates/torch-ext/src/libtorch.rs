//! Settings of libtorch that tch does not bind, and what libtorch says of itself.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

/// The kinds of attention that libtorch chooses from, the first that serves being taken.
pub const ATTENTION: [&str; 4] = ["flash", "memory-efficient", "cuDNN", "plain"];

/// Makes the settings that no recipe decides. cuDNN's attention is off: it makes a plan for every new length, and an answer
/// has a new length at every token. TF32 is off, which libtorch has on for convolutions.
pub(crate) fn settle() {
    // SAFETY: the function takes nothing and sets flags.
    unsafe { candor_libtorch_settle() }
}

/// What [`set_tf32`] was last told.
static TF32: AtomicBool = AtomicBool::new(false);

/// Whether products of f32 matrices and convolutions on a GPU may be rounded to TF32, 10 bits of mantissa instead of 23:
/// several times faster, and no longer f32. Off from [`init`](crate::init) on, until it is set.
pub fn set_tf32(on: bool) {
    TF32.store(on, Ordering::Relaxed);
    // SAFETY: the function sets flags.
    unsafe { candor_libtorch_set_tf32(on) }
}

/// Whether products of f32 matrices on a GPU are rounded to TF32, as [`set_tf32`] has it.
#[must_use]
pub fn tf32() -> bool {
    TF32.load(Ordering::Relaxed)
}

/// Whether [`deterministically`] does anything.
static DETERMINISTIC: AtomicBool = AtomicBool::new(false);

/// Whether what runs [`deterministically`] must compute the same bits each time on a GPU, as it does on a CPU. Off until it
/// is set.
pub fn set_deterministic(on: bool) {
    DETERMINISTIC.store(on, Ordering::Relaxed);
}

/// Computes something of which the same bits are wanted each time, where [`set_deterministic`] asks for that: on a GPU
/// libtorch then takes slower operations, and an operation that has none fails. Not for sampling, whose running sums have
/// none on a GPU.
pub fn deterministically<T>(compute: impl FnOnce() -> T) -> T {
    /// Sets the flag, and takes it back even if `compute` panics.
    struct Flag;

    impl Drop for Flag {
        fn drop(&mut self) {
            // SAFETY: the function sets a flag.
            unsafe { candor_libtorch_set_deterministic(false) }
        }
    }

    if !DETERMINISTIC.load(Ordering::Relaxed) {
        return compute();
    }
    // SAFETY: the function sets a flag.
    unsafe { candor_libtorch_set_deterministic(true) }
    let _flag = Flag;
    compute()
}

/// Computes without gradients, and so that no tensor of it can have one later: the host has less to do at each operation than
/// [`tch::no_grad`] leaves it. What leaves `compute` is for reading alone; it must not become a part of a graph, nor be
/// changed in place.
pub fn inference<T>(compute: impl FnOnce() -> T) -> T {
    /// Ends the mode, even if `compute` panics. It cannot leave its thread.
    struct Guard(*mut c_void);

    impl Drop for Guard {
        fn drop(&mut self) {
            // SAFETY: it was given on this thread by what begins the mode, or is null, and ends once.
            unsafe { candor_libtorch_end_inference(self.0) }
        }
    }

    // SAFETY: the function takes nothing, and what it gives is ended by the guard alone.
    let _guard = Guard(unsafe { candor_libtorch_begin_inference() });
    tch::no_grad(compute)
}

/// The kinds of attention that are not switched off.
#[must_use]
pub fn attention() -> Vec<&'static str> {
    let kinds = (0..).zip(ATTENTION);
    // SAFETY: the function reads a flag, whatever the number is.
    let is_on = |kind: c_int| unsafe { candor_libtorch_attention(kind) };
    kinds
        .filter_map(|(kind, name)| is_on(kind).then_some(name))
        .collect()
}

/// The version of the headers that candor was compiled with.
#[must_use]
pub fn version() -> String {
    text(0)
}

/// The instructions of the processor that libtorch uses, such as `AVX2`.
#[must_use]
pub fn cpu_capability() -> String {
    text(1)
}

/// What libtorch's CUDA half says of its versions and libraries, in lines; empty without it.
#[must_use]
pub fn cuda_configuration() -> String {
    text(2)
}

fn text(what: c_int) -> String {
    // SAFETY: the function catches its exceptions.
    let found = unsafe { candor_libtorch_text(what) };
    if found.is_null() {
        return String::new();
    }
    // SAFETY: what is not null is a zero-terminated string of the C allocator, which is ours now.
    let text = unsafe { CStr::from_ptr(found) }
        .to_string_lossy()
        .into_owned();
    // SAFETY: as above, and it is not used again.
    unsafe { libc::free(found.cast()) };
    text
}

// SAFETY: these are the signatures of `libtorch.cpp`.
unsafe extern "C" {
    fn candor_libtorch_settle();
    fn candor_libtorch_set_tf32(on: bool);
    fn candor_libtorch_set_deterministic(on: bool);
    fn candor_libtorch_begin_inference() -> *mut c_void;
    fn candor_libtorch_end_inference(guard: *mut c_void);
    #[cfg(test)]
    fn candor_libtorch_is_tf32() -> bool;
    #[cfg(test)]
    fn candor_libtorch_is_deterministic() -> bool;
    fn candor_libtorch_attention(backend: c_int) -> bool;
    fn candor_libtorch_text(what: c_int) -> *mut c_char;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_is_the_one_that_candor_is_written_for_and_says_what_it_runs_on() {
        assert!(version().starts_with("2.11."), "{}", version());
        assert!(!cpu_capability().is_empty());
        assert!(cuda_configuration().is_empty() || tch::Cuda::is_available());
    }

    #[test]
    fn what_is_computed_deterministically_is_so_only_where_it_is_asked_for() {
        // SAFETY: the function reads a flag.
        let is_on = || unsafe { candor_libtorch_is_deterministic() };
        assert!(!deterministically(is_on));
        set_deterministic(true);
        assert!(deterministically(is_on));
        assert!(!is_on());
        let failed = std::panic::catch_unwind(|| deterministically(|| panic!("on purpose")));
        assert!(failed.is_err() && !is_on());
        set_deterministic(false);
    }

    #[test]
    fn tensors_of_inference_are_so_and_none_after_it() {
        let ones = || tch::Tensor::ones([2], (tch::Kind::Float, tch::Device::Cpu));
        assert!(inference(ones).is_inference());
        assert!(!ones().is_inference());
        let leaf = ones().set_requires_grad(true);
        assert!(!inference(|| &leaf * 2.0).requires_grad());
        assert!((&leaf * 2.0).requires_grad());
        let failed = std::panic::catch_unwind(|| inference(|| panic!("on purpose")));
        assert!(failed.is_err() && !ones().is_inference());
    }

    #[test]
    fn cudnns_attention_is_switched_off_and_no_other_and_f32_is_f32() {
        // SAFETY: the function reads flags.
        let is_tf32 = || unsafe { candor_libtorch_is_tf32() };
        assert_eq!(attention(), ATTENTION);
        assert!(is_tf32(), "libtorch rounds convolutions by itself");
        settle();
        assert_eq!(attention(), ["flash", "memory-efficient", "plain"]);
        assert!(!is_tf32());
        set_tf32(true);
        assert!(is_tf32());
        set_tf32(false);
        assert!(!is_tf32());
    }
}

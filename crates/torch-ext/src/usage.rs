//! What the process has taken of the machine: memory and processor time.

use std::sync::atomic::{AtomicU64, Ordering};

/// The highest peak before the last [`restart_peak`].
static EARLIER_PEAK_BYTES: AtomicU64 = AtomicU64::new(0);

/// The most physical memory this process has had resident so far, in bytes, libtorch's tensors on the CPU
/// included. Memory of a GPU is not counted.
#[must_use]
pub fn peak_memory_bytes() -> u64 {
    recent_peak_bytes().max(EARLIER_PEAK_BYTES.load(Ordering::Relaxed))
}

/// Begins to measure [`recent_peak_bytes`] anew, from what is resident now. Only Linux can; elsewhere nothing
/// happens.
pub fn restart_peak() {
    EARLIER_PEAK_BYTES.fetch_max(recent_peak_bytes(), Ordering::Relaxed);
    // `5` resets the mark of the largest resident size (proc(5)). Where that is refused, the mark stays what it is.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most physical memory since the last [`restart_peak`], in bytes; [`peak_memory_bytes`] if there was none.
#[must_use]
pub fn recent_peak_bytes() -> u64 {
    // The kernel of macOS counts bytes, Linux and the BSDs count kilobytes.
    const UNIT_BYTES: u64 = if cfg!(target_vendor = "apple") {
        1
    } else {
        1024
    };

    u64::try_from(usage().ru_maxrss).unwrap_or(0) * UNIT_BYTES
}

/// The processor seconds that all threads of this process have taken so far.
#[must_use]
pub fn processor_secs() -> f64 {
    let usage = usage();
    let secs = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    secs(usage.ru_utime) + secs(usage.ru_stime)
}

fn usage() -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a `rusage` that we own and that the call fills.
    let status = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // It can only fail for a bad pointer or an unknown `who`, and we pass neither.
    debug_assert_eq!(status, 0, "getrusage refused RUSAGE_SELF");
    // SAFETY: `rusage` is made of integers, so the zeros it was born with are a valid value already.
    unsafe { usage.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_counts_bytes_and_outlives_the_memory() {
        const BLOCK_BYTES: usize = 256 << 20;
        drop(std::hint::black_box(vec![1_u8; BLOCK_BYTES]));
        let peak = peak_memory_bytes();
        assert!(peak >= BLOCK_BYTES as u64, "{peak}");
        // A count of kilobytes read as bytes, or the other way round, is off by a factor of 1024.
        assert!(peak < 64 * BLOCK_BYTES as u64, "{peak}");
        restart_peak();
        assert!(peak_memory_bytes() >= peak);
        // Blocks of this size go back to the system when they are freed.
        #[cfg(target_os = "linux")]
        assert!(recent_peak_bytes() < peak, "{}", recent_peak_bytes());
        drop(std::hint::black_box(vec![1_u8; BLOCK_BYTES]));
        assert!(recent_peak_bytes() >= BLOCK_BYTES as u64);
    }

    #[test]
    fn processor_time_is_that_of_all_threads() {
        let before = processor_secs();
        let work = move || {
            let mut sum = 0_u64;
            while processor_secs() - before < 0.2 && sum < u64::MAX / 2 {
                sum = std::hint::black_box(sum + 1);
            }
        };
        std::thread::spawn(work).join().unwrap();
        // Counted here as well, where nothing was done.
        assert!(processor_secs() - before >= 0.2);
    }
}

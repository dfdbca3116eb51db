//! The C allocator, told to keep what it has.
//!
//! A model step allocates and frees the same large tensors over and over. glibc's default serves each from
//! a fresh `mmap`, which the kernel must zero page by page, and gives the top of the heap back whenever it
//! is free. Keeping both took a vision tower's forward pass from 0.82 to 1.0 of `PyTorch`'s speed (docs/adr/0001-engine.md).
//!
//! It does not know threads: glibc serves large blocks of any thread but the main one from `mmap` whatever
//! these settings say, so tensors are best made on the main thread.

/// glibc's own variables for the same settings. Whoever sets one of them knows what they want, for instance to see
/// what each phase of a step needs (`bench/phases --help`).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_SETTINGS: [&str; 3] = [
    "GLIBC_TUNABLES",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
];

/// Keeps freed memory in the process, unless the environment has settings for the allocator. Returns whether the
/// allocator took every setting.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_memory() -> bool {
    const KEEP_BYTES: libc::c_int = 1 << 30;
    const TOP_PAD_BYTES: libc::c_int = 64 << 20;
    // Older versions of glibc refuse a threshold above half of a thread's largest heap, which is this.
    const OLD_LIMIT_BYTES: libc::c_int = 32 << 20;

    OWN_SETTINGS
        .iter()
        .all(|name| std::env::var_os(name).is_none())
        && set(libc::M_TRIM_THRESHOLD, KEEP_BYTES)
        && set(libc::M_TOP_PAD, TOP_PAD_BYTES)
        && (set(libc::M_MMAP_THRESHOLD, KEEP_BYTES) || set(libc::M_MMAP_THRESHOLD, OLD_LIMIT_BYTES))
}

/// Only glibc has these settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_memory() -> bool {
    false
}

/// Gives the system back what was freed, wherever it lies. Worth its milliseconds after tensors of a size that does not
/// come again, as when a model is loaded: kept, the holes that they leave are never filled.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back_freed() {
    // SAFETY: `malloc_trim` takes a number and no pointer, locks the allocator itself, and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Only glibc keeps so much that it has to be asked.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back_freed() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn set(parameter: libc::c_int, value: libc::c_int) -> bool {
    // SAFETY: `mallopt` takes two integers and no pointer, locks the allocator itself, and answers an
    // unknown parameter or a refused value with 0.
    unsafe { libc::mallopt(parameter, value) == 1 }
}

//! What `init` does to the allocator, seen from outside: freed memory stays in the process.
//!
//! It runs without the test harness, because glibc treats the main thread apart and the harness runs
//! tests on others.

use candor_torch_ext::init;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn main() {
    const BLOCK_BYTES: u64 = 128 << 20;

    let before = resident_bytes();
    touch_and_free(BLOCK_BYTES);
    assert!(
        resident_bytes() < before + BLOCK_BYTES / 2,
        "the default allocator already keeps freed memory, so this test can show nothing"
    );

    let startup = init();
    assert!(startup.allocator_tuned, "glibc refused a setting");

    touch_and_free(BLOCK_BYTES);
    let kept = resident_bytes();
    // The kernel counts pages thread by thread, so its sum may lag by a few.
    assert!(
        kept >= before + BLOCK_BYTES - (1 << 20),
        "freed memory was handed back: {before} bytes resident before, {kept} after"
    );
    assert!(
        std::ptr::eq(startup, init()),
        "a second call must return what the first found"
    );
    println!("test freed memory stays in the process after init ... ok");
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {
    assert!(!init().allocator_tuned);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn touch_and_free(bytes: u64) {
    let bytes = usize::try_from(bytes).expect("a size that fits the machine");
    drop(std::hint::black_box(vec![1_u8; bytes]));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel's account of us");
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .expect("a line VmRSS");
    kilobytes.trim().parse::<u64>().expect("a number") * 1024
}

//! A file of an adapter's folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    candor_fuzz::adapter::open(input);
});

//! The bytes of a safetensors file.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    candor_fuzz::weights::open_and_read(content);
});

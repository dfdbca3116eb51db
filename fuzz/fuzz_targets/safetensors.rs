//! The bytes of a safetensors file.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| candor_fuzz::open_and_read(content));

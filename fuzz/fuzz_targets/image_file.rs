//! The bytes of a JPEG, PNG or WebP.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| candor_fuzz::image_file::decode(content));

//! The bytes of a JPEG, PNG or WebP.
#![no_main]

// The JPEG decoder says what is wrong by unwinding, which candor catches.
libfuzzer_sys::fuzz_target!(init: candor_fuzz::let_panics_be_caught(), |content: &[u8]| {
    candor_fuzz::image_file::decode(content);
});

//! A model, the size of an image, and bounds on its pixels.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    candor_fuzz::image_tokens::count(input);
});

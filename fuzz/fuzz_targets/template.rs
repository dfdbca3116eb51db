//! The Jinja of a chat template.
#![no_main]

libfuzzer_sys::fuzz_target!(|source: &[u8]| {
    candor_fuzz::template::render(source);
});

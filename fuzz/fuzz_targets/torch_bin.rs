//! The bytes of a file of `torch.save`, beginning as a zip archive does.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    // Other formats have targets of their own.
    if content.starts_with(b"PK\x03\x04") {
        candor_fuzz::open_and_read(content);
    }
});

//! The bytes of a file of `torch.save`, beginning as a zip archive does.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    candor_fuzz::weights::torch_bin(content);
});

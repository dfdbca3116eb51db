//! The pickle inside a file of `torch.save` that is in order otherwise.
#![no_main]

libfuzzer_sys::fuzz_target!(|pickle: &[u8]| {
    candor_fuzz::weights::torch_pickle(pickle);
});

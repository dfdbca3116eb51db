//! The JSON and text files of a model folder: the first byte says which file has the rest as its content.
#![no_main]

libfuzzer_sys::fuzz_target!(init: candor_fuzz::let_panics_be_caught(), |input: &[u8]| {
    candor_fuzz::folder::open(input);
});

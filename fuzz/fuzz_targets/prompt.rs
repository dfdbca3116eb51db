//! A model and a conversation about images.
#![no_main]

libfuzzer_sys::fuzz_target!(init: candor_fuzz::let_panics_be_caught(), |input: &[u8]| {
    candor_fuzz::prompt::tokenise(input);
});

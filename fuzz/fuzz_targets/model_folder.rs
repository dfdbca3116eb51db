//! The JSON and text files of a model folder: the first byte says which file has the rest as its content.
#![no_main]

libfuzzer_sys::fuzz_target!(init: candor_fuzz::folder::let_panics_be_caught(), |input: &[u8]| {
    if let Some((which, content)) = input.split_first() {
        candor_fuzz::folder::open_with(usize::from(*which), content);
    }
});

//! What the fuzz targets do with their input, and what each of them holds.
//!
//! None may panic, take 10 seconds, or take 1 GiB of memory, whatever the input; what else must be true of what was
//! read is said by the function of the target. Each function tells whether it took the input: of what is refused little is held.

pub mod adapter;
pub mod folder;
#[path = "../../crates/weights/tests/forge/mod.rs"]
pub mod forge;
mod golden;
pub mod image_file;
pub mod image_tokens;
pub mod prompt;
pub mod template;
pub mod weights;

/// What is fuzzed.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Whether an input is taken.
    pub run: fn(&[u8]) -> bool,
    /// How many files or models there are where an input begins with the number of one.
    pub n_numbers: Option<usize>,
}

/// All targets in the order of their names.
#[must_use]
pub fn targets() -> [Target; 9] {
    [
        target("adapter", adapter::open, Some(adapter::n_files())),
        target("image_file", image_file::decode, None),
        target(
            "image_tokens",
            image_tokens::count,
            Some(image_tokens::MODELS.len()),
        ),
        target("model_folder", folder::open, Some(folder::n_files())),
        target("prompt", prompt::tokenise, Some(prompt::MODELS.len())),
        target("safetensors", weights::open_and_read, None),
        target("template", template::render, None),
        target("torch_bin", weights::torch_bin, None),
        target("torch_pickle", weights::torch_pickle, None),
    ]
}

fn target(name: &'static str, run: fn(&[u8]) -> bool, n_numbers: Option<usize>) -> Target {
    Target {
        name,
        run,
        n_numbers,
    }
}

/// libFuzzer's hook ends the program at every panic, also at those of the tokenizer library that candor catches.
/// Without the hook what nobody catches still ends it.
pub fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}

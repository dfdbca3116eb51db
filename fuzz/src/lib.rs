//! What the fuzz targets do with their input, and what each of them holds.
//!
//! None may panic, take 10 seconds, or take 1 GiB of memory, whatever the input; what else must be true of what was
//! read is said by the function of the target.

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

/// All targets by their names.
pub const TARGETS: [(&str, fn(&[u8])); 9] = [
    ("adapter", adapter::open),
    ("image_file", image_file::decode),
    ("image_tokens", image_tokens::count),
    ("model_folder", folder::open),
    ("prompt", prompt::tokenise),
    ("safetensors", weights::open_and_read),
    ("template", template::render),
    ("torch_bin", weights::torch_bin),
    ("torch_pickle", weights::torch_pickle),
];

/// libFuzzer's hook ends the program at every panic, also at those of the tokenizer library that candor catches.
/// Without the hook what nobody catches still ends it.
pub fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}

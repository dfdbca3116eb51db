//! A model folder of which one file is replaced.

use std::fs;
use std::path::Path;

use candor_data::image::ImageSize;
use candor_weights::Checkpoint;
use candor_model::{ModelFolder, Template, Tokenizer};
use tempfile::TempDir;

const FOLDERS: [(&str, &[&str]); 6] = [
    (
        "dialects/hf_current_224",
        &[
            "config.json",
            "processor_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "model.safetensors.index.json",
        ],
    ),
    (
        "dialects/original_linear_224",
        &["config.json", "tokenizer.model", "added_tokens.json", "special_tokens_map.json"],
    ),
    ("qwen/folders/published", &["config.json", "preprocessor_config.json", "chat_template.json"]),
    ("qwen/folders/deep", &["config.json"]),
    ("tiled/folders/vicuna", &["config.json", "preprocessor_config.json"]),
    (
        "tiled/folders/onevision",
        &["config.json", "preprocessor_config.json", "processor_config.json"],
    ),
];

/// What stands beside the original's folder.
const TOWER: &str = "dialects/clip-vit-tiny-patch14";

/// Sizes of images that are usual, thin, tiny and large.
const SIZES: [[u32; 2]; 4] = [[640, 480], [4000, 30], [1, 1], [9000, 9000]];

thread_local! {
    /// The folders as transformers wrote them, copied once.
    static COPIES: TempDir = copies();
}

fn copies() -> TempDir {
    let copies = tempfile::tempdir().expect("a temporary folder");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/golden");
    for name in FOLDERS.iter().map(|(folder, _)| *folder).chain([TOWER]) {
        let to = copies.path().join(name);
        fs::create_dir_all(&to).expect("a folder");
        for file in fs::read_dir(golden.join(name)).expect("a golden folder") {
            let file = file.expect("a file");
            fs::copy(file.path(), to.join(file.file_name())).expect("copied");
        }
    }
    copies
}

/// libFuzzer's hook ends the program at every panic, also at those of the tokenizer library that candor catches.
/// Without the hook what nobody catches still ends it.
pub fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}

/// Puts the content in place of a file and opens everything that is small; the file is put back afterwards.
///
/// # Panics
/// A temporary file cannot be written.
pub fn open_with(which: usize, content: &[u8]) {
    let files: Vec<_> = FOLDERS
        .iter()
        .flat_map(|(folder, files)| files.iter().map(move |file| (*folder, *file)))
        .collect();
    let (folder, file) = files[which % files.len()];
    COPIES.with(|copies| {
        let folder = copies.path().join(folder);
        let whole = fs::read(folder.join(file)).expect("read");
        fs::write(folder.join(file), content).expect("written");
        if let Ok(model) = ModelFolder::find(&folder) {
            let _ = model.processor();
            for [width, height] in SIZES {
                let _ = model.config().n_image_tokens(ImageSize { width, height });
            }
        }
        let _ = Tokenizer::open_folder(&folder);
        let _ = Template::of_folder(&folder);
        let _ = Checkpoint::open(&folder);
        fs::write(folder.join(file), whole).expect("put back");
    });
}

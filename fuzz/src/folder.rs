//! A model folder of which one file is replaced: configurations, tokenizers, templates and what prepares images. The first
//! byte says which file has the rest as its content.
//!
//! Where all is said to fit together, every size of image that is taken has tokens, and rows with no, one and two images
//! are tokenised or refused.

use std::collections::HashMap;
use std::path::Path;

use candor_data::image::ImageSize;
use candor_data::{Conversation, Turn};
use candor_model::preflight;
use candor_model::sample::Sample;
use candor_model::{ImageSource, ModelFolder, Reading, Template, Tokenizer};
use candor_weights::Checkpoint;

use crate::golden::{Copies, chosen, n_files as n_files_of};

/// `fuzz/seeds` has them in the same order.
const FOLDERS: [(&str, &[&str]); 9] = [
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
        &[
            "config.json",
            "tokenizer.model",
            "added_tokens.json",
            "special_tokens_map.json",
        ],
    ),
    (
        "qwen/folders/published",
        &[
            "config.json",
            "preprocessor_config.json",
            "chat_template.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ],
    ),
    (
        "qwen/folders/current",
        &[
            "config.json",
            "processor_config.json",
            "chat_template.jinja",
        ],
    ),
    (
        "qwen/folders/deep",
        &[
            "config.json",
            "preprocessor_config.json",
            "chat_template.json",
        ],
    ),
    (
        "tiled/folders/vicuna",
        &[
            "config.json",
            "preprocessor_config.json",
            "processor_config.json",
            "chat_template.json",
            "tokenizer.model",
        ],
    ),
    (
        "tiled/folders/mistral",
        &[
            "config.json",
            "processor_config.json",
            "chat_template.jinja",
        ],
    ),
    ("tiled/folders/llama3", &["config.json", "tokenizer.json"]),
    (
        "tiled/folders/onevision",
        &[
            "config.json",
            "preprocessor_config.json",
            "processor_config.json",
            "tokenizer.json",
        ],
    ),
];

/// What stands beside the original's folder.
const TOWER: &str = "dialects/clip-vit-tiny-patch14";

/// Sizes of images that are usual, thin, tiny and large.
const SIZES: [[u32; 2]; 4] = [[640, 480], [4000, 30], [1, 1], [9000, 9000]];

thread_local! {
    /// The folders as transformers wrote them, copied once.
    static COPIES: Copies = Copies::of(FOLDERS.iter().map(|&(folder, _)| folder).chain([TOWER]));
}

/// How many files an input may stand for.
#[must_use]
pub fn n_files() -> usize {
    n_files_of(&FOLDERS)
}

/// Puts the content in place of a file and opens everything that is small; the file is put back afterwards.
///
/// # Panics
/// A temporary file cannot be written, or an image is said to fit and to take no tokens.
pub fn open(input: &[u8]) -> bool {
    let Some((folder, file, content)) = chosen(&FOLDERS, input) else {
        return false;
    };
    COPIES.with(|copies| copies.with(folder, file, content, open_all))
}

fn open_all(folder: &Path) -> bool {
    if let Ok(model) = ModelFolder::find(folder) {
        let _ = model.processor();
        for [width, height] in SIZES {
            let _ = model.config().n_image_tokens(ImageSize { width, height });
        }
    }
    let _ = Tokenizer::open_folder(folder);
    let _ = Template::of_folder(folder);
    let _ = Checkpoint::open(folder);
    let Ok(reading) = Reading::open(folder) else {
        return false;
    };
    let fits = preflight::check(&reading).is_ok();
    for [width, height] in SIZES {
        if let Ok(fitted) = reading.processor.size_of(ImageSize { width, height })
            && fits
        {
            let n_tokens = reading.config().n_image_tokens(fitted);
            assert!(n_tokens > 0, "{width} x {height} pixels take no tokens");
        }
    }
    let n_tokens: HashMap<String, usize> = ["a", "b"]
        .into_iter()
        .map(|name| (name.to_owned(), 3))
        .collect();
    let rules = reading.rules(1 << 16, ImageSource::Encoded(&n_tokens));
    for (image, asked) in [
        (None, "Is the dog red?"),
        (Some("a"), "<image>\nIs the dog red?"),
        (Some("a\nb"), "<image>\n<image>\nWhich dog is red?"),
    ] {
        let row = Conversation {
            id: "row".to_owned(),
            image: image.map(str::to_owned),
            turns: vec![Turn::human(asked), Turn::gpt("Yes, it is.")],
        };
        let _ = Sample::new(&row, rules);
    }
    true
}

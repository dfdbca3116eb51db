//! Whole folders: conversations about images, saving and exporting, and what is refused.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use candor_data::image::{ImageLimits, decode};
use candor_data::{Conversation, Turn};
use candor_model::export::Export;
use candor_model::image_features::encode;
use candor_model::sample::Sample;
use candor_model::{
    Bundle, CheckpointFormat, Decoding, Features, ModelFolder, Query, Reading, generate,
};
use serde_json::Value;
use tch::{Device, Kind};

/// As in the fixtures.
const N_NEW_TOKENS: usize = 8;

pub fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/golden/images")
}

pub fn conversation(image: &str, said: &[String]) -> Conversation {
    let turn = |(i, words): (usize, &String)| match i % 2 {
        0 => Turn::human(words.as_str()),
        _ => Turn::gpt(words.as_str()),
    };
    Conversation {
        id: "golden".to_owned(),
        image: Some(image.to_owned()),
        turns: said.iter().enumerate().map(turn).collect(),
    }
}

pub fn greedy(bundle: &Bundle) -> Decoding {
    Decoding {
        max_new_tokens: N_NEW_TOKENS,
        temperature: 0.0,
        top_p: 1.0,
        ends: bundle.tokenizer.ends,
    }
}

/// Features of images that are shown in one conversation.
fn shown_together(bundle: &Bundle, shown: &[String]) -> Features {
    let fitted = shown.iter().map(|name| {
        let image = decode(&images().join(name), &ImageLimits::default()).unwrap();
        let among = bundle
            .processor
            .fit_among(&image)
            .filter(|_| shown.len() > 1);
        among.unwrap_or_else(|| bundle.processor.fit(&image).unwrap())
    });
    let fitted: Vec<_> = fitted.collect();
    Features::cat(&tch::no_grad(|| encode(bundle, &fitted))).expect("an image")
}

/// The answer to turns as a whole by [`generate`], which is compared with transformers.
pub fn at_once(bundle: &Bundle, turns: &[Turn], shown: &[String]) -> Vec<i64> {
    let conversation = Conversation {
        id: "x".to_owned(),
        image: Some("x".to_owned()),
        turns: turns.to_vec(),
    };
    let features = shown_together(bundle, shown);
    let text = bundle.template.render(&conversation).unwrap().text;
    let mut images = (0..features.n_images()).map(|at| features.image(at).n_tokens());
    let mut ids = Vec::new();
    for id in bundle.tokenizer.encode(&text).unwrap().ids {
        let image = (id == bundle.tokenizer.image)
            .then(|| images.next().expect("an image for each placeholder"));
        ids.extend(std::iter::repeat_n(id, image.unwrap_or(1)));
    }
    let queries = [Query {
        ids,
        features: Some(features),
        image: None,
    }];
    let decoding = greedy(bundle);
    let answers = generate(&bundle.model, None, &queries, 1, 1, decoding, |_, _| 0.0);
    answers.unwrap()[0].ids.clone()
}

fn export(folder: &Path, checkpoint_format: CheckpointFormat) -> Export {
    Export {
        model: ModelFolder::find(folder).unwrap(),
        adapter: None,
        checkpoint_format,
        kind: None,
    }
}

/// What candor writes, by saving and by exporting, has the bits of what it read, and opens again.
pub fn same_after_saving_and_exporting(folder: &Path) {
    let out = tempfile::tempdir().unwrap();
    let bundle = Bundle::open(folder, Device::Cpu, Kind::BFloat16).unwrap();
    let saved = out.path().join("saved");
    fs::create_dir(&saved).unwrap();
    bundle.save(&saved).unwrap();
    let exported = out.path().join("exported");
    let export = export(folder, CheckpointFormat::HuggingFace);
    export.write(&exported, Device::Cpu).unwrap();
    for made in [&saved, &exported] {
        let again = Bundle::open(made, Device::Cpu, Kind::BFloat16).unwrap();
        let (found, expected) = (again.model.parameters(), bundle.model.parameters());
        assert_eq!(found, expected, "{}", made.display());
        assert_eq!(again.tokenizer.eos, bundle.tokenizer.eos);
        assert_eq!(again.tokenizer.ends, bundle.tokenizer.ends);
        assert_eq!(again.processor, bundle.processor);
    }
}

/// What is said where a folder is to be exported in the original format.
pub fn refusal_of_the_original_dialect(folder: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    let export = export(folder, CheckpointFormat::Original);
    let refused = export.write(&out.path().join("llava"), Device::Cpu);
    refused.unwrap_err().to_string()
}

/// What is said of a copy of a folder after a change, before any weight is read.
pub fn refusal(folder: &Path, change: impl FnOnce(&Path)) -> String {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    change(copy.path());
    let opened = Reading::open(copy.path()).and_then(|r| candor_model::preflight::check(&r));
    opened.unwrap_err().to_string()
}

/// Gives a field that is there another value.
pub fn edit(path: &Path, field: &str, value: &Value) {
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let found = json.pointer_mut(field);
    *found.unwrap_or_else(|| panic!("{field}")) = value.clone();
    fs::write(path, json.to_string()).unwrap();
}

/// Gives a tensor of a folder of shards a name that nothing knows, in the index and in its shard.
pub fn rename_tensor(folder: &Path, name: &str) {
    let index = folder.join("model.safetensors.index.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let other = format!("{}x", &name[..name.len() - 1]);
    let files = json["weight_map"].as_object_mut().unwrap();
    let file = files.remove(name).expect("it is there");
    files.insert(other.clone(), file.clone());
    fs::write(&index, json.to_string()).unwrap();
    let shard = folder.join(file.as_str().unwrap());
    let bytes = fs::read(&shard).unwrap();
    let (from, to) = (format!("\"{name}\""), format!("\"{other}\""));
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes());
    let at = at.expect("the header names it");
    let changed = [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat();
    fs::write(&shard, changed).unwrap();
}

/// Puts the tokenizer of a folder in the place of another's.
pub fn take_tokenizer(from: &Path, to: &Path) {
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// A row of one image is taken with as many tokens as it has, and with one less refused in words that say how many the image
/// takes.
pub fn images_are_never_cut(folder: &Path, image: &str) {
    let reading = Reading::open(folder).unwrap();
    let row = conversation(
        image,
        &["<image>\nWhat is this?".to_owned(), "A dog.".to_owned()],
    );
    let folder_of_images = images();
    let of_length = |n| Sample::new(&row, reading.rules(n, folder_of_images.as_path()));
    let whole = of_length(usize::MAX).unwrap();
    let n = whole.ids.len();
    let placeholder = reading.tokenizer.image;
    let of_image = whole.ids.iter().filter(|&&id| id == placeholder).count();
    assert!(of_image > 1 && of_image < n);
    assert_eq!(of_length(n).unwrap(), whole);
    for shorter in [n - 1, of_image, 1] {
        let message = of_length(shorter).unwrap_err().to_string();
        let words =
            format!("{n} tokens ({of_image} of them its image) are more than the {shorter}");
        assert!(message.contains(&words), "{words}: {message}");
    }
}

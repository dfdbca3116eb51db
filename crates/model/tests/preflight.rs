//! Parts of a model folder that do not fit together, each refused before weights are loaded, with the file, what was
//! found and what to do.

use std::fs;
use std::path::Path;

use candor_model::preflight::{check, check_answers_end};
use candor_model::{Bundle, Reading, Tokenizer, tensor_file};
use candor_testing::model::{open, write};
use serde_json::{Value, json};
use tch::{Device, Kind};

/// A fresh folder.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    folder
}

/// Replaces the value at `pointer` of a JSON file.
fn set(folder: &Path, file: &str, pointer: &str, value: Value) {
    let path = folder.join(file);
    let mut json: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    match json.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => json[&pointer[1..]] = value,
    }
    fs::write(path, json.to_string()).unwrap();
}

/// The message with which the folder is refused.
fn refusal(folder: &Path) -> String {
    let bundle = Bundle::open(folder, Device::Cpu, Kind::Float);
    bundle.map(|_| "nothing").unwrap_err().to_string()
}

fn assert_refused(folder: &Path, words: &[&str]) {
    let message = refusal(folder);
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn parts_of_one_model_fit() {
    let folder = folder();
    let front = Reading::open(folder.path()).unwrap();
    check(&front).unwrap();
    check_answers_end(folder.path(), &front.template, &front.tokenizer).unwrap();
    drop(open(folder.path()));
}

#[test]
fn the_vocabulary_is_the_embeddings() {
    let folder = folder();
    let path = folder.path();
    let words: Vec<String> = (0..400).map(|i| format!("word{i} ")).collect();
    let text = words.concat();
    let other = Tokenizer::train((0..20).map(|_| text.clone()), 900).unwrap();
    let rows = Reading::open(path)
        .unwrap()
        .config()
        .decoder_sizes()
        .n_words;
    assert!(other.vocab_size() as i64 > rows);
    other.save_folder(path).unwrap();
    let ids = format!(
        "{} token ids, but the embedding has {rows} rows",
        other.vocab_size()
    );
    assert_refused(
        path,
        &[
            "tokenizer.json",
            &ids,
            "use the tokenizer of the same model",
        ],
    );
}

#[test]
fn the_image_has_one_id() {
    let folder = folder();
    set(folder.path(), "config.json", "/image_token_index", json!(9));
    assert_refused(
        folder.path(),
        &[
            "config.json",
            "image_token_index is 9, but the tokenizer's `<image>` is 3",
        ],
    );
}

/// transformers writes the one name or the other, by its version; some files have both.
#[test]
fn two_names_of_the_images_id_say_the_same() {
    let folder = folder();
    let path = folder.path();
    let id = Reading::open(path).unwrap().config().image_token();
    set(path, "config.json", "/image_token_id", json!(id));
    assert_eq!(Reading::open(path).unwrap().config().image_token(), id);
    set(path, "config.json", "/image_token_id", json!(id + 1));
    let found = format!(
        "`image_token_index` is {id} and `image_token_id` is {}",
        id + 1
    );
    let message = Reading::open(path).unwrap_err().to_string();
    let named = message.contains("config.json") && message.contains(&found);
    assert!(named, "{message}");
}

/// LLaVA's formats begin with a token that Qwen's vocabularies lack.
#[test]
fn a_token_at_the_beginning_is_in_the_vocabulary() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiled/folders/onevision");
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden).unwrap() {
        let file = entry.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let template = |kind: &str| {
        let text = json!({"kind": kind, "system": "Be kind."}).to_string();
        fs::write(folder.path().join("template.json"), text).unwrap();
    };
    template("chatml");
    let found = "begins a text with `<s>`, which the vocabulary lacks";
    assert_refused(folder.path(), &[found]);
    template("qwen");
    candor_model::preflight::check(&Reading::open(folder.path()).unwrap()).unwrap();
}

#[test]
fn images_have_the_towers_size() {
    let folder = folder();
    let path = folder.path();
    candor_data::image::ImageProcessor::clip(24)
        .write(&path.join("preprocessor_config.json"))
        .unwrap();
    assert_refused(
        path,
        &[
            "preprocessor_config.json",
            "images of 24 pixels, but the tower takes 16",
        ],
    );
    let own_sizes = json!({"image_processor_type": "Qwen2VLImageProcessor"}).to_string();
    fs::write(path.join("preprocessor_config.json"), own_sizes).unwrap();
    assert_refused(
        path,
        &[
            "preprocessor_config.json",
            "images near their own size, but the tower takes 16",
        ],
    );
}

#[test]
fn everybody_counts_the_same_placeholders() {
    let folder = folder();
    let path = folder.path();
    let tower = "but the tower makes 4 of it (16 pixels in patches of 8, without the class token)";
    set(path, "config.json", "/image_seq_length", json!(5));
    assert_refused(
        path,
        &[
            "config.json: image_seq_length says an image takes 5 tokens",
            tower,
        ],
    );
    set(path, "config.json", "/image_seq_length", json!(4));
    // As transformers counts: a patch side too small, a class token too many.
    let processor =
        |value: Value| fs::write(path.join("processor_config.json"), value.to_string()).unwrap();
    processor(json!({"patch_size": 4}));
    assert_refused(
        path,
        &[
            "processor_config.json: counts 16 tokens for an image (patch_size 4)",
            tower,
        ],
    );
    processor(
        json!({"patch_size": 8, "vision_feature_select_strategy": "full", "num_additional_image_tokens": 1}),
    );
    assert_refused(path, &["counts 5 tokens for an image", tower]);
    processor(
        json!({"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}),
    );
    drop(open(path));
    processor(json!({"patch_size": 8}));
    drop(open(path));
}

#[test]
fn a_template_shows_an_image_once_and_begins_once() {
    let folder = folder();
    let path = folder.path();
    let template = |text: &str| {
        let jinja = json!({"kind": "jinja", "template": text, "special_tokens": {"bos_token": "<s>"}, "add_bos": true});
        fs::write(path.join("template.json"), jinja.to_string()).unwrap();
    };
    template("{{ '<s><s>' }}{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}");
    assert_refused(path, &["the template begins a text twice", "template.json"]);
    fs::write(
        path.join("template.json"),
        r#"{"kind": "vicuna_v1", "system": "Look at the <image>."}"#,
    )
    .unwrap();
    assert_refused(path, &["about one image 2 places for images"]);
}

#[test]
fn a_template_that_never_ends_an_answer_is_not_learned_from() {
    let folder = folder();
    let path = folder.path();
    // As the template of llava-hf/llava-1.5-7b-hf has it.
    let template = "{% for m in messages %}{{ m.role | upper }}: {{ m.content }} {% endfor %}\
                    {% if add_generation_prompt %}ASSISTANT:{% endif %}";
    let jinja = json!({"kind": "jinja", "template": template, "special_tokens": {"bos_token": "<s>", "eos_token": "</s>"}, "add_bos": true});
    fs::write(path.join("template.json"), jinja.to_string()).unwrap();
    let front = Reading::open(path).unwrap();
    check(&front).unwrap();
    let message = check_answers_end(path, &front.template, &front.tokenizer)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("would never stop") && message.contains("template.json"),
        "{message}"
    );
}

#[test]
fn the_decoder_has_room_for_an_image() {
    let folder = folder();
    set(
        folder.path(),
        "config.json",
        "/text_config/max_position_embeddings",
        json!(16),
    );
    assert_refused(
        folder.path(),
        &["config.json: the decoder has 16 positions, but an image and two short questions take"],
    );
}

#[test]
fn the_weights_are_those_of_the_configuration() {
    let folder = folder();
    let path = folder.path();
    // A tower for larger images has more positions, and a decoder of another width another projector.
    set(path, "config.json", "/vision_config/image_size", json!(24));
    let positions = "tensor `vision_tower.vision_model.embeddings.position_embedding.weight` has shape [5, 16], \
                     config.json calls for [10, 16]: the tower was trained on images of another size";
    let pixels = "preprocessor_config.json: images of 16 pixels, but the tower takes 24";
    assert_refused(path, &["model.safetensors", positions, pixels]);
    set(path, "config.json", "/vision_config/image_size", json!(16));
    set(path, "config.json", "/vision_config/hidden_size", json!(32));
    let projector = "tensor `multi_modal_projector.linear_1.weight` has shape [24, 16], config.json calls for [24, 32]";
    assert_refused(path, &[projector, "do not fit the configuration"]);
    set(path, "config.json", "/vision_config/hidden_size", json!(16));

    let weights = path.join("model.safetensors");
    let mut tensors = tensor_file::read(&weights).unwrap();
    let removed = tensors.remove("multi_modal_projector.linear_2.bias");
    assert!(removed.is_some());
    let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    tensor_file::write(&weights, named, None).unwrap();
    assert_refused(
        path,
        &[
            "model.safetensors: tensor `multi_modal_projector.linear_2.bias` is missing",
            "same export",
        ],
    );
}

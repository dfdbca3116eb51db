//! Whole folders of Qwen-VL, from the text and the image file to the logits and what is written.
//!
//! `parity/fixtures/qwen_folders.py` wrote the folders as they are on the hub and as transformers 5 writes them, and what
//! transformers gives.

mod against;
mod whole;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use against::{Golden, assert_absolute, golden_folder, rows};
use candor_data::Turn;
use candor_data::image::PixelBounds;
use candor_model::sample::Sample;
use candor_model::{
    Bundle, Dialogue, ImageFeatures, ModelFolder, Query, Tokenizer, generate, tensor_file,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tch::{Device, Kind};
use whole::{
    at_once, conversation, edit, greedy, images, images_are_never_cut, refusal,
    refusal_of_the_original_dialect, rename_tensor, same_after_saving_and_exporting,
    take_tokenizer,
};

/// As in the fixture: words whose logits were kept.
const EVERY_WORD: i64 = 6;

#[derive(Deserialize)]
struct Prompts {
    #[serde(rename = "picture")]
    image: String,
    said: Vec<String>,
    text: BTreeMap<String, String>,
}

fn folder(case: &str) -> PathBuf {
    golden_folder("qwen/folders").join(case)
}

fn prompts() -> Prompts {
    let bytes = fs::read(folder("prompts.json")).expect("a golden file");
    serde_json::from_slice(&bytes).expect("JSON of this form")
}

/// What the fixture asks.
fn asked(bundle: &Bundle, prompts: &Prompts) -> Query {
    let conversation = conversation(&prompts.image, &prompts.said);
    // Counted by the header, before anything is decoded.
    let folder_of_images = images();
    let rules = bundle.rules(usize::MAX, folder_of_images.as_path());
    let sample = Sample::new(&conversation, rules).unwrap();
    let names = [prompts.image.clone()];
    let encoded = ImageFeatures::encode(bundle, &images(), names, |_, _| ()).unwrap();
    Query {
        ids: sample.ids,
        features: encoded.of([prompts.image.as_str()]),
        image: None,
    }
}

fn check(case: &str) {
    let golden = Golden::open(
        &golden_folder("qwen/folders"),
        &format!("{case}.safetensors"),
    );
    let bundle = Bundle::open(&folder(case), Device::Cpu, Kind::Float).expect("it opens");
    let prompts = prompts();
    let conversation = conversation(&prompts.image, &prompts.said);
    let text = bundle.template.render(&conversation).unwrap().text;
    assert_eq!(text, prompts.text[case], "{case}");

    let query = asked(&bundle, &prompts);
    assert_eq!(query.ids, rows(golden.get("ids"))[0], "{case}");
    let ids = golden.get("ids");
    let (spliced, logits) = tch::no_grad(|| {
        let embedded = bundle.model.embed(ids, query.features.as_ref(), None);
        let image = ids.eq(bundle.tokenizer.image).unsqueeze(-1);
        let spliced = embedded.x.masked_select(&image);
        let hidden = bundle.model.hidden(&embedded, None);
        (spliced, bundle.model.decoder().logits(&hidden))
    });
    let expected = golden.get("image_features");
    assert_absolute(
        case,
        "image_features",
        &spliced.reshape(expected.size()),
        expected,
    );
    let logits = logits.slice(1, None, None, EVERY_WORD);
    assert_absolute(case, "logits", &logits, golden.get("logits"));

    let mut decoding = greedy(&bundle);
    decoding.ends = against::NEVER.into();
    let written = generate(&bundle.model, None, &[query], 1, 1, decoding, |_, _| 0.0).unwrap();
    assert_eq!(written[0].ids, rows(golden.get("new_ids"))[0], "{case}");
}

#[test]
fn qwen2_5_vl_as_the_hub_has_it() {
    check("published");
}

#[test]
fn qwen2_vl_as_transformers_5_writes_it() {
    check("current");
}

#[test]
fn qwen3_vl_as_the_hub_has_it() {
    check("deep");
}

/// The settings name two tokens that end an answer. Here the second of them is the third that the model writes, as
/// transformers says in the golden file.
#[test]
fn each_of_the_tokens_that_the_settings_name_ends_an_answer() {
    let published = Tokenizer::open_folder(&folder("published")).unwrap();
    assert_eq!(published.ends.ids(), [292, 290]);
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder("published")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let settings = copy.path().join("generation_config.json");
    edit(&settings, "/eos_token_id/1", &json!(117));
    let bundle = Bundle::open(copy.path(), Device::Cpu, Kind::Float).unwrap();
    let query = asked(&bundle, &prompts());
    let decoding = greedy(&bundle);
    let written = generate(&bundle.model, None, &[query], 1, 1, decoding, |_, _| 0.0).unwrap();
    assert_eq!(written[0].ids, [106, 234, 117]);
    assert!(written[0].finished);
    assert_eq!(written[0].n_tokens(), 2);
}

/// A chat keeps the rows and columns of its images in its cache: the second answer, about another image of another
/// size, is what the whole conversation gives.
#[test]
fn a_second_turn_is_answered_as_if_asked_at_once() {
    for case in ["published", "current", "deep"] {
        let bundle = Bundle::open(&folder(case), Device::Cpu, Kind::Float).unwrap();
        let shown = [prompts().image, "rgb_portrait.png".to_owned()];
        let mut chat = Dialogue::new(&bundle, None, None).unwrap();
        let mut ask = |image: &str, question: &str| {
            chat.show(&images().join(image)).unwrap();
            chat.ask(question, greedy(&bundle), 0, |_| true).unwrap()
        };
        let first = ask(&shown[0], "What is this?");
        let mut turns = vec![Turn::human("<image>\nWhat is this?")];
        assert_eq!(first.ids, at_once(&bundle, &turns, &shown[..1]), "{case}");

        let second = ask(&shown[1], "And this?");
        assert!(second.n_kept >= first.n_read, "{case}: {second:?}");
        turns.extend([Turn::gpt(first.text), Turn::human("<image>\nAnd this?")]);
        assert_eq!(second.ids, at_once(&bundle, &turns, &shown), "{case}");
    }
}

/// What candor writes, by saving and by exporting, has the bits of what it read, and opens again.
#[test]
fn saved_and_exported_folders_have_the_same_tensors() {
    for case in ["published", "current", "deep"] {
        same_after_saving_and_exporting(&folder(case));
        let message = refusal_of_the_original_dialect(&folder(case));
        assert!(
            message.contains("which is no LLaVA") && message.contains("--format"),
            "{message}"
        );
    }
}

/// Without a merger no image would come to the decoder: every tensor of one that the configuration calls for is named.
#[test]
fn a_missing_merger_is_named() {
    for (case, merger, parts) in [
        (
            "deep",
            "model.visual.deepstack_merger_list.1.",
            ["norm", "linear_fc1", "linear_fc2"],
        ),
        (
            "deep",
            "model.visual.merger.",
            ["norm", "linear_fc1", "linear_fc2"],
        ),
        ("current", "visual.merger.", ["ln_q", "mlp.0", "mlp.2"]),
    ] {
        let message = refusal(&folder(case), |copy| {
            let file = copy.join("model.safetensors");
            let mut tensors = tensor_file::read(&file).unwrap();
            let n = tensors.len();
            tensors.retain(|name, _| !name.starts_with(merger));
            assert!(tensors.len() < n);
            let rest = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
            tensor_file::write(&file, rest, None).unwrap();
        });
        for part in parts {
            // The names of today where none of the older ones is there.
            let name = format!("{merger}{part}.weight` is missing");
            assert!(message.contains(&name), "{name}: {message}");
        }
    }
    let name = "visual.merger.mlp.0.weight";
    let message = refusal(&folder("published"), |copy| rename_tensor(copy, name));
    let words = format!("{name}` is missing");
    assert!(message.contains(&words), "{message}");
}

/// transformers 5 writes what a processor was given into one file, and leaves an older one as it was.
#[test]
fn the_file_of_the_whole_processor_counts_before_one_for_images() {
    let copy = tempfile::tempdir().unwrap();
    for name in [CONFIG, IMAGES] {
        fs::copy(folder("published").join(name), copy.path().join(name)).unwrap();
    }
    let most = || {
        let folder = ModelFolder::find(copy.path()).unwrap();
        PixelBounds::of(&folder.processor().unwrap()).max
    };
    assert_eq!(most(), Some(12_845_056));
    let whole = |image_processor: Value| {
        let whole =
            json!({"processor_class": "Qwen2_5_VLProcessor", "image_processor": image_processor});
        fs::write(copy.path().join(PROCESSOR), whole.to_string()).unwrap();
    };
    whole(json!({
        "image_processor_type": "Qwen2VLImageProcessor",
        "size": {"shortest_edge": 3136, "longest_edge": 50_176},
    }));
    assert_eq!(most(), Some(50_176));
    // Before version 5 the file said nothing of images.
    whole(Value::Null);
    assert_eq!(most(), Some(12_845_056));
}

/// A folder, a file of it, a field, what it is given, and words that must be said then.
type Mismatch = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";
const IMAGES: &str = "preprocessor_config.json";
const PROCESSOR: &str = "processor_config.json";
#[rustfmt::skip] // A table, a case a line.
const MISFITS: [Mismatch; 21] = [
    ("published", CONFIG, "/vision_config/patch_size", "16", &["patches of 14 pixels", "takes 16"]),
    ("published", CONFIG, "/vision_config/out_hidden_size", "32", &["width 32", "24"]),
    ("published", CONFIG, "/vision_config/window_size", "14", &["window_size", "14", "less than a token's side"]),
    ("published", CONFIG, "/rope_scaling/mrope_section", "[1, 1]", &["mrope_section"]),
    ("published", CONFIG, "/rope_scaling/type", "\"yarn\"", &["yarn"]),
    ("published", CONFIG, "/image_token_id", "7", &["image_token_id is 7", "<|image_pad|>"]),
    ("published", CONFIG, "/vision_end_token_id", "9", &["vision_end_token_id is 9", "token 300 beside an image"]),
    ("published", GENERATION, "/eos_token_id/1", "5000", &[GENERATION, "token 5000 is to end an answer"]),
    ("published", IMAGES, "/merge_size", "4", &["4 to a token's side"]),
    ("published", IMAGES, "/temporal_patch_size", "1", &["and 1 one after another", "takes 14, 2 and 2"]),
    ("current", CONFIG, "/vision_config/spatial_merge_size", "4", &["takes 14, 4 and 2", "mlp.0.weight"]),
    ("current", CONFIG, "/text_config/rope_parameters/mrope_section", "[1, 1, 3]", &["adds up to 5"]),
    ("current", CONFIG, "/vision_start_token_id", "9", &["vision_start_token_id is 9", "token 299 beside an image"]),
    ("current", PROCESSOR, "/image_processor/patch_size", "16", &["/processor_config.json: patches of 16 pixels", "takes 14, 2 and 2"]),
    ("deep", CONFIG, "/vision_config/num_position_embeddings", "25", &["pos_embed.weight", "[36, 16]", "[25, 16]"]),
    ("deep", CONFIG, "/vision_config/deepstack_visual_indexes", "[0, 9]", &["deepstack_visual_indexes", "[0, 9]"]),
    ("deep", CONFIG, "/vision_config/deepstack_visual_indexes", "[1]", &["deepstack_merger_list.1", "belongs to no part"]),
    ("deep", CONFIG, "/vision_start_token_id", "9", &["vision_start_token_id is 9", "token 299 beside an image"]),
    ("deep", CONFIG, "/image_token_id", "303", &["image_token_id is 303", "`<|image_pad|>` is 302"]),
    ("deep", CONFIG, "/model_type", "\"qwen3_vl_moe\"", &["experts (qwen3_vl_moe)", "use a dense Qwen3-VL"]),
    ("deep", IMAGES, "/patch_size", "14", &["patches of 14 pixels", "takes 16, 2 and 2"]),
];

/// Parts that do not belong together are named before any weight is read.
#[test]
fn what_does_not_fit_is_named() {
    for (case, file, field, value, expected) in MISFITS {
        let value = serde_json::from_str(value).expect("JSON");
        let message = refusal(&folder(case), |copy| edit(&copy.join(file), field, &value));
        for words in expected {
            assert!(message.contains(words), "{case}, {field}: {message}");
        }
    }
}

/// The words of another family have other ids, and another token for an image.
#[test]
fn a_tokenizer_of_another_family_is_named() {
    let llava = golden_folder("tiled/folders/onevision");
    for case in ["published", "current", "deep"] {
        let message = refusal(&folder(case), |copy| take_tokenizer(&llava, copy));
        for words in [
            "image_token_id is 302, but the tokenizer's `<image>` is 284",
            "use the tokenizer of the same model",
        ] {
            assert!(message.contains(words), "{case}: {message}");
        }
    }
}

/// A template that ends an image's span too early, or begins it late, makes prompts that the model never saw.
#[test]
fn a_span_that_a_template_cuts_is_named() {
    for (case, whole, cut, words) in [
        (
            "current",
            "<|image_pad|><|vision_end|>",
            "<|image_pad|>",
            "vision_end_token_id is 300",
        ),
        (
            "current",
            "<|vision_start|><|image_pad|>",
            "<|image_pad|>",
            "vision_start_token_id is 299",
        ),
        (
            "current",
            "<|image_pad|>",
            "<|image_pad|><|image_pad|>",
            "places for images",
        ),
    ] {
        let message = refusal(&folder(case), |copy| {
            let file = copy.join("chat_template.jinja");
            let template = fs::read_to_string(&file).unwrap();
            assert!(template.contains(whole), "{template}");
            fs::write(&file, template.replace(whole, cut)).unwrap();
        });
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// An image is read whole or its row is refused, with the tokens that it takes.
#[test]
fn the_tokens_of_an_image_are_never_cut() {
    for case in ["published", "current", "deep"] {
        images_are_never_cut(&folder(case), &prompts().image);
    }
}

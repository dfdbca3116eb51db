//! Whole folders of LLaVA-NeXT and LLaVA-OneVision, from the text and the image file to the logits and what is written.
//!
//! `parity/fixtures/tiled_folders.py` wrote the folders as they are on the hub and as transformers 5 writes them, and what
//! transformers gives.

mod against;
mod whole;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use against::{Golden, NEVER, assert_absolute, golden_folder, rows};
use candor_data::Turn;
use candor_model::sample::Sample;
use candor_model::{Bundle, Decoding, Dialogue, ImageFeatures, Query, generate};
use serde::Deserialize;
use tch::{Device, Kind};
use whole::{
    at_once, conversation, edit, greedy, images, images_are_never_cut, refusal,
    refusal_of_the_original_dialect, rename_tensor, same_after_saving_and_exporting,
    take_tokenizer,
};

/// As in the fixture: words whose logits, and rows whose features were kept.
const EVERY_WORD: i64 = 24;
const EVERY_ROW: i64 = 5;
const FOLDERS: [&str; 4] = ["vicuna", "mistral", "llama3", "onevision"];

#[derive(Deserialize)]
struct Prompts {
    #[serde(rename = "picture")]
    image: String,
    said: Vec<String>,
    text: BTreeMap<String, String>,
    second: String,
    two: String,
    text_of_two: BTreeMap<String, String>,
}

fn folder(case: &str) -> PathBuf {
    golden_folder("tiled/folders").join(case)
}

fn prompts() -> Prompts {
    let bytes = fs::read(folder("prompts.json")).expect("a golden file");
    serde_json::from_slice(&bytes).expect("JSON of this form")
}

fn open(case: &str) -> Bundle {
    Bundle::open(&folder(case), Device::Cpu, Kind::Float).expect("it opens")
}

fn golden(case: &str) -> Golden {
    let file = format!("{case}.safetensors");
    Golden::open(&golden_folder("tiled/folders"), &file)
}

fn check(case: &str) {
    let (golden, bundle, prompts) = (golden(case), open(case), prompts());
    let conversation = conversation(&prompts.image, &prompts.said);
    let text = bundle.template.render(&conversation).unwrap().text;
    assert_eq!(text, prompts.text[case], "{case}");

    // Counted by the header, before anything is decoded.
    let folder_of_images = images();
    let rules = bundle.rules(usize::MAX, folder_of_images.as_path());
    let sample = Sample::new(&conversation, rules).unwrap();
    assert_eq!(sample.ids, rows(golden.get("ids"))[0], "{case}");

    let names = [prompts.image.clone()];
    let encoded = ImageFeatures::encode(&bundle, &images(), names, |_, _| ()).unwrap();
    let features = encoded.of([prompts.image.as_str()]).expect("it is there");
    let ids = golden.get("ids");
    let (spliced, logits) = tch::no_grad(|| {
        let embedded = bundle.model.embed(ids, Some(&features), None);
        let image = ids.eq(bundle.tokenizer.image).unsqueeze(-1);
        let spliced = embedded.x.masked_select(&image);
        let hidden = bundle.model.hidden(&embedded, None);
        (spliced, bundle.model.decoder().logits(&hidden))
    });
    let spliced = spliced.reshape([-1, bundle.model.width()]);
    let spliced = spliced.slice(0, None, None, EVERY_ROW);
    assert_absolute(
        case,
        "image_features",
        &spliced,
        golden.get("image_features"),
    );
    let logits = logits.slice(1, None, None, EVERY_WORD);
    assert_absolute(case, "logits", &logits, golden.get("logits"));

    let query = Query {
        ids: sample.ids,
        features: Some(features),
        image: None,
    };
    let written = generate(
        &bundle.model,
        None,
        &[query],
        1,
        1,
        endless(&bundle),
        |_, _| 0.0,
    );
    assert_eq!(
        written.unwrap()[0].ids,
        rows(golden.get("new_ids"))[0],
        "{case}"
    );
}

/// As the fixture writes: nothing ends an answer before its length does.
fn endless(bundle: &Bundle) -> Decoding {
    Decoding {
        ends: NEVER.into(),
        ..greedy(bundle)
    }
}

#[test]
fn next_on_vicuna_as_the_hub_has_it() {
    check("vicuna");
}

#[test]
fn next_on_mistral_as_transformers_5_writes_it() {
    check("mistral");
}

#[test]
fn next_on_llama_3_as_the_hub_has_it() {
    check("llama3");
}

#[test]
fn onevision_as_the_hub_has_it() {
    check("onevision");
}

/// A question about two images, which LLaVA-OneVision sees in one view each and LLaVA-NeXT in tiles.
#[test]
fn two_images_are_seen_as_transformers_sees_them() {
    let prompts = prompts();
    for case in FOLDERS {
        let (golden, bundle) = (golden(case), open(case));
        let about = conversation(&prompts.image, std::slice::from_ref(&prompts.two));
        let text = bundle.template.render(&about).unwrap().text;
        assert_eq!(text, prompts.text_of_two[case], "{case}");

        let mut chat = Dialogue::new(&bundle, None, None).unwrap();
        for image in [&prompts.image, &prompts.second] {
            chat.show(&images().join(image)).unwrap();
        }
        let question = prompts.two.replace("<image>", "");
        let answer = chat.ask(&question, endless(&bundle), 0, |_| true).unwrap();
        assert_eq!(
            answer.n_read,
            rows(golden.get("two.ids"))[0].len(),
            "{case}"
        );
        assert_eq!(answer.ids, rows(golden.get("two.new_ids"))[0], "{case}");
    }
}

/// The second answer of a chat, about another image of another size, is what the whole conversation gives. LLaVA-OneVision
/// sees the first image otherwise from then on, and reads it again.
#[test]
fn a_second_turn_is_answered_as_if_asked_at_once() {
    let prompts = prompts();
    for case in FOLDERS {
        let bundle = open(case);
        let shown = [prompts.image.clone(), prompts.second.clone()];
        let mut chat = Dialogue::new(&bundle, None, None).unwrap();
        let mut ask = |image: &str, question: &str| {
            chat.show(&images().join(image)).unwrap();
            chat.ask(question, greedy(&bundle), 0, |_| true).unwrap()
        };
        let first = ask(&shown[0], "What is this?");
        let mut turns = vec![Turn::human("<image>\nWhat is this?")];
        assert_eq!(first.ids, at_once(&bundle, &turns, &shown[..1]), "{case}");

        let second = ask(&shown[1], "And this?");
        if case == "onevision" {
            assert_eq!(second.n_kept, 0);
        } else {
            assert!(second.n_kept > first.n_read / 2, "{case}: {second:?}");
        }
        turns.extend([Turn::gpt(first.text), Turn::human("<image>\nAnd this?")]);
        assert_eq!(second.ids, at_once(&bundle, &turns, &shown), "{case}");
    }
}

#[test]
fn saved_and_exported_folders_have_the_same_tensors() {
    for (case, what) in [
        ("vicuna", "is a LLaVA-NeXT"),
        ("mistral", "is a LLaVA-NeXT"),
        ("llama3", "is a LLaVA-NeXT"),
        ("onevision", "is a LLaVA-OneVision"),
    ] {
        same_after_saving_and_exporting(&folder(case));
        let message = refusal_of_the_original_dialect(&folder(case));
        for words in [what, "--format hf"] {
            assert!(message.contains(words), "{case}: {message}");
        }
    }
}

/// A word that stands for a video would be read without one.
#[test]
fn videos_are_refused_by_name() {
    let bundle = open("onevision");
    let mut chat = Dialogue::new(&bundle, None, None).unwrap();
    let asked = chat.ask("<video>\nWhat happens?", greedy(&bundle), 0, |_| true);
    let said = ["<video>\nWhat happens?".to_owned(), "A dog.".to_owned()];
    let mut row = conversation("x.png", &said);
    row.image = None;
    let rules = bundle.rules(usize::MAX, Path::new(""));
    let read = Sample::new(&row, rules);
    for message in [
        asked.unwrap_err().to_string(),
        read.unwrap_err().to_string(),
    ] {
        assert!(
            message.contains("`<video>`, and videos are not shown"),
            "{message}"
        );
    }
    // To another vocabulary it is a word.
    let bundle = open("vicuna");
    let rules = bundle.rules(usize::MAX, Path::new(""));
    assert!(Sample::new(&row, rules).is_ok());
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
const IMAGES: &str = "preprocessor_config.json";
const COUNTS: &str = "processor_config.json";
#[rustfmt::skip] // A table, a case a line.
const MISFITS: [Mismatch; 17] = [
    ("vicuna", CONFIG, "/image_grid_pinpoints", "[[336, 672]]", &[IMAGES, "others than those of config.json"]),
    ("vicuna", CONFIG, "/image_grid_pinpoints", "[[336, 600]]", &["[336, 600]", "336"]),
    ("vicuna", IMAGES, "/image_grid_pinpoints", "[[336, 672]]", &[IMAGES, "others than those of config.json"]),
    ("vicuna", IMAGES, "/image_grid_pinpoints/0", "[336, 700]", &["[336, 700]"]),
    ("vicuna", COUNTS, "/patch_size", "16", &[COUNTS, "441", "576"]),
    ("vicuna", CONFIG, "/architectures/0", "\"LlavaForConditionalGeneratio\"", &["llava_next"]),
    ("vicuna", CONFIG, "/vision_feature_select_strategy", "\"full\"", &["class tokens"]),
    ("vicuna", CONFIG, "/vision_feature_layer", "[]", &["vision_feature_layer", "empty"]),
    ("vicuna", CONFIG, "/vision_feature_layer", "[-2, 9]", &["vision_feature_layer", "9"]),
    ("mistral", CONFIG, "/text_config/sliding_window", "2048", &["sliding_window", "2048", "4096"]),
    ("mistral", CONFIG, "/text_config/model_type", "\"mixtral\"", &["text_config/model_type", "mixtral"]),
    ("llama3", CONFIG, "/text_config/rope_scaling/rope_type", "\"yarn\"", &["yarn", "llama3"]),
    ("llama3", CONFIG, "/text_config/rope_scaling/low_freq_factor", "4.0", &["low_freq_factor"]),
    ("onevision", CONFIG, "/text_config/model_type", "\"qwen2_moe\"", &["text_config/model_type", "qwen2_moe"]),
    ("onevision", CONFIG, "/vision_aspect_ratio", "\"anyres\"", &["vision_aspect_ratio", "anyres_max_"]),
    ("onevision", CONFIG, "/vision_aspect_ratio", "\"anyres_max_9000000000000000\"", &["vision_aspect_ratio", "anyres_max_"]),
    ("onevision", CONFIG, "/vision_config/vision_use_head", "true", &["vision_use_head"]),
];

/// Parts that do not belong together are named before any weight is read.
#[test]
fn what_does_not_fit_is_named() {
    for (case, file, field, value, expected) in MISFITS {
        let value = serde_json::from_str(value).expect("JSON");
        let message = refusal(&folder(case), |copy| edit(&copy.join(file), field, &value));
        for words in expected {
            assert!(message.contains(words), "{field}: {message}");
        }
    }
    let message = refusal(&folder("onevision"), |copy| {
        edit(&copy.join(COUNTS), "/num_image_tokens", &576.into());
    });
    assert!(
        message.contains(COUNTS) && message.contains("729"),
        "{message}"
    );
}

/// A folder without the token that ends lines, or without a projector, is refused by the tensor's name.
#[test]
fn missing_tensors_are_named_before_weights_are_read() {
    for case in ["vicuna", "llama3", "onevision"] {
        for (name, what) in [
            ("image_newline", "image_newline"),
            ("multi_modal_projector.linear_1.weight", "linear_1.weight"),
            ("multi_modal_projector.linear_2.bias", "linear_2.bias"),
        ] {
            let message = refusal(&folder(case), |copy| rename_tensor(copy, name));
            for words in [what, "is missing"] {
                assert!(message.contains(words), "{case}, {name}: {message}");
            }
        }
    }
}

/// The words of another family have other ids, and another token for an image.
#[test]
fn a_tokenizer_of_another_family_is_named() {
    let qwen = golden_folder("qwen/folders/published");
    let message = refusal(&folder("onevision"), |copy| take_tokenizer(&qwen, copy));
    for words in [
        "312 token ids, but the embedding has 285 rows",
        "image_token_index is 284, but the tokenizer's `<|image_pad|>` is 302",
        "use the tokenizer of the same model",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// An image is read whole or its row is refused, with the tokens that it takes.
#[test]
fn the_tokens_of_an_image_are_never_cut() {
    for case in FOLDERS {
        images_are_never_cut(&folder(case), &prompts().image);
    }
}

//! Whole folders of Qwen-VL, from the text and the image file to the logits and what is written.
//!
//! `parity/fixtures/qwen_folders.py` wrote the folders as they are on the hub and as transformers 5 writes them, and what
//! transformers gives.

mod against;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use against::{Golden, assert_absolute, golden_folder, rows};
use candor_data::{Conversation, Turn};
use candor_model::export::Export;
use candor_model::sample::Sample;
use candor_model::{
    Bundle, CheckpointFormat, Decoding, Dialogue, ImageFeatures, ModelFolder, Query, Reading,
    generate,
};
use serde::Deserialize;
use tch::{Device, Kind};

/// As in the fixture: words whose logits were kept.
const EVERY_WORD: i64 = 6;
const N_NEW_TOKENS: usize = 8;

#[derive(Deserialize)]
struct Prompts {
    image: String,
    said: Vec<String>,
    text: BTreeMap<String, String>,
}

fn folder(case: &str) -> PathBuf {
    golden_folder("qwen/folders").join(case)
}

fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/golden/images")
}

fn prompts() -> Prompts {
    let bytes = fs::read(folder("prompts.json")).expect("a golden file");
    serde_json::from_slice(&bytes).expect("JSON of this form")
}

fn conversation(prompts: &Prompts) -> Conversation {
    let turn = |(i, words): (usize, &String)| match i % 2 {
        0 => Turn::human(words.as_str()),
        _ => Turn::gpt(words.as_str()),
    };
    Conversation {
        id: "golden".to_owned(),
        image: Some(prompts.image.clone()),
        turns: prompts.said.iter().enumerate().map(turn).collect(),
    }
}

fn greedy(bundle: &Bundle) -> Decoding {
    Decoding {
        max_new_tokens: N_NEW_TOKENS,
        temperature: 0.0,
        top_p: 1.0,
        eos: bundle.tokenizer.eos,
    }
}

fn check(case: &str) {
    let golden = Golden::open(
        &golden_folder("qwen/folders"),
        &format!("{case}.safetensors"),
    );
    let bundle = Bundle::open(&folder(case), Device::Cpu, Kind::Float).expect("it opens");
    let prompts = prompts();
    let conversation = conversation(&prompts);
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
        let embedded = bundle.model.embed(ids, Some(&features));
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

    let query = Query {
        ids: sample.ids,
        features: Some(features),
        image: None,
    };
    let mut decoding = greedy(&bundle);
    decoding.eos = against::NEVER;
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

/// The answer to turns as a whole by [`generate`], which is compared with transformers above.
fn at_once(bundle: &Bundle, turns: &[Turn], shown: &[String]) -> Vec<i64> {
    let conversation = Conversation {
        id: "x".to_owned(),
        image: Some("x".to_owned()),
        turns: turns.to_vec(),
    };
    let names = shown.iter().cloned();
    let encoded = ImageFeatures::encode(bundle, &images(), names, |_, _| ()).unwrap();
    let features = encoded
        .of(shown.iter().map(String::as_str))
        .expect("it is there");
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
        let out = tempfile::tempdir().unwrap();
        let bundle = Bundle::open(&folder(case), Device::Cpu, Kind::BFloat16).unwrap();
        let saved = out.path().join("saved");
        fs::create_dir(&saved).unwrap();
        bundle.save(&saved).unwrap();
        let exported = out.path().join("exported");
        let export = Export {
            model: ModelFolder::find(&folder(case)).unwrap(),
            adapter: None,
            checkpoint_format: CheckpointFormat::HuggingFace,
            kind: None,
        };
        export.write(&exported, Device::Cpu).unwrap();
        for made in [&saved, &exported] {
            let again = Bundle::open(made, Device::Cpu, Kind::BFloat16).unwrap();
            assert_eq!(
                again.model.parameters(),
                bundle.model.parameters(),
                "{case}"
            );
            assert_eq!(again.tokenizer.eos, bundle.tokenizer.eos);
            assert_eq!(again.processor, bundle.processor);
        }
        let refused = Export {
            model: ModelFolder::find(&folder(case)).unwrap(),
            adapter: None,
            checkpoint_format: CheckpointFormat::Original,
            kind: None,
        };
        let error = refused
            .write(&out.path().join("llava"), Device::Cpu)
            .unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("which is no LLaVA") && message.contains("--format"),
            "{message}"
        );
    }
}

/// Parts that do not belong together are named before any weight is read.
#[test]
fn what_does_not_fit_is_named() {
    let cases: [(&str, &str, &str, serde_json::Value, &[&str]); 6] = [
        (
            "published",
            "config.json",
            "/vision_config/patch_size",
            16.into(),
            &["patch"],
        ),
        (
            "published",
            "config.json",
            "/vision_config/out_hidden_size",
            32.into(),
            &["width 32", "24"],
        ),
        (
            "published",
            "config.json",
            "/rope_scaling/mrope_section",
            serde_json::json!([1, 1]),
            &["mrope_section"],
        ),
        (
            "published",
            "config.json",
            "/rope_scaling/type",
            "yarn".into(),
            &["yarn"],
        ),
        (
            "published",
            "config.json",
            "/image_token_id",
            7.into(),
            &["7", "<|image_pad|>"],
        ),
        (
            "published",
            "preprocessor_config.json",
            "/merge_size",
            4.into(),
            &["4 to a token's side"],
        ),
    ];
    for (case, file, field, value, expected) in cases {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(folder(case)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let path = copy.path().join(file);
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        *json.pointer_mut(field).unwrap_or_else(|| panic!("{field}")) = value;
        fs::write(&path, json.to_string()).unwrap();
        let opened = Reading::open(copy.path()).and_then(|r| candor_model::preflight::check(&r));
        let message = opened.unwrap_err().to_string();
        for words in expected {
            assert!(message.contains(words), "{field}: {message}");
        }
    }
}

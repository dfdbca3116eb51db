//! Whole folders of Qwen-VL against transformers: from a prompt and a picture file to features, logits and greedy ids.
//!
//! `parity/fixtures/qwen_folders.py` wrote the folders as they are found in the wild, and what transformers gives.

mod against;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use against::{Golden, NEVER, assert_absolute, golden_folder, greedy};
use candor_data::{Conversation, Turn};
use candor_model::sample::Sample;
use candor_model::{Bundle, Decoding, Dialogue, Features, ImageFeatures, Query, generate};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

/// As in the fixture: words that were kept.
const EVERY_WORD: i64 = 6;
/// Another picture, of another size.
const SECOND: &str = "rgb_portrait.png";

#[derive(Deserialize)]
struct Prompts {
    picture: String,
    said: Vec<String>,
    text: HashMap<String, String>,
}

fn folders() -> PathBuf {
    golden_folder("qwen").join("folders")
}

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/golden/images")
}

fn open(case: &str) -> (Bundle, Prompts) {
    let bundle = Bundle::open(&folders().join(case), Device::Cpu, Kind::Float);
    let prompts = fs::read(folders().join("prompts.json")).expect("a golden file");
    let prompts = serde_json::from_slice(&prompts).expect("JSON of this form");
    (bundle.expect("the folder opens"), prompts)
}

fn conversation(said: &[&str]) -> Conversation {
    let turn = |(i, &words): (usize, &&str)| match i % 2 {
        0 => Turn::human(words),
        _ => Turn::gpt(words),
    };
    Conversation {
        id: "golden".to_owned(),
        image: Some("golden".to_owned()),
        turns: said.iter().enumerate().map(turn).collect(),
    }
}

fn features(bundle: &Bundle, names: &[&str]) -> Features {
    let all = names.iter().map(|&name| name.to_owned());
    let encoded = ImageFeatures::encode(bundle, &pictures(), all, |_, _| ());
    let features = encoded.expect("pictures").of(names.iter().copied());
    features.expect("all of them")
}

fn check(case: &str) {
    let (bundle, prompts) = open(case);
    let golden = Golden::open(&folders(), &format!("{case}.safetensors"));
    let said: Vec<&str> = prompts.said.iter().map(String::as_str).collect();
    let conversation = Conversation {
        image: Some(prompts.picture.clone()),
        ..conversation(&said)
    };
    let text = bundle.template.render(&conversation).unwrap().text;
    assert_eq!(text, prompts.text[case], "{case}");
    let pictures = pictures();
    let rules = bundle.rules(usize::MAX, pictures.as_path());
    let ids = Sample::new(&conversation, rules).unwrap().ids;
    assert_eq!(ids, against::rows(golden.get("ids"))[0], "{case}");

    let features = features(&bundle, &[&prompts.picture]);
    let batch = Tensor::from_slice(&ids).unsqueeze(0);
    let (projected, logits) = tch::no_grad(|| {
        let embedded = bundle.model.embed(&batch, Some(&features));
        let places = batch.eq(bundle.tokenizer.image).unsqueeze(-1);
        let projected = embedded.x.masked_select(&places);
        let hidden = bundle.model.hidden(&embedded, None);
        (projected, bundle.model.decoder().logits(&hidden))
    });
    let expected = golden.get("image_features");
    let projected = projected.reshape(expected.size());
    assert_absolute(case, "image_features", &projected, expected);
    let kept = logits.slice(1, None, None, EVERY_WORD);
    assert_absolute(case, "logits", &kept, golden.get("logits"));

    let query = Query {
        ids,
        features: Some(features),
        image: None,
    };
    let said = greedy(&bundle.model, None, &[query], 1, NEVER);
    let expected = &against::rows(golden.get("new_ids"))[0];
    assert_eq!(said[0].ids[..expected.len()], expected[..], "{case}");
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
fn at_once(bundle: &Bundle, said: &[&str], features: Features, decoding: Decoding) -> Vec<i64> {
    let text = bundle.template.render(&conversation(said)).unwrap().text;
    let mut images = (0..features.n_images()).map(|at| features.image(at).n_tokens());
    let n = |id| {
        let placeholder = id == bundle.tokenizer.image;
        let image = placeholder.then(|| images.next().expect("an image for each placeholder"));
        image.unwrap_or(1)
    };
    let encoded = bundle.tokenizer.encode(&text).unwrap().ids;
    let n_each: Vec<usize> = encoded.iter().copied().map(n).collect();
    let ids = encoded.iter().zip(n_each);
    let query = Query {
        ids: ids
            .flat_map(|(&id, n)| std::iter::repeat_n(id, n))
            .collect(),
        features: Some(features),
        image: None,
    };
    let queries = [query];
    let answers = generate(&bundle.model, None, &queries, 1, 1, decoding, |_, _| 0.0);
    answers.unwrap()[0].ids.clone()
}

#[test]
fn every_turn_with_pictures_is_answered_as_if_asked_at_once() {
    for case in ["published", "current", "deep"] {
        let (bundle, prompts) = open(case);
        let decoding = Decoding {
            max_new_tokens: 12,
            temperature: 0.0,
            top_p: 1.0,
            eos: bundle.tokenizer.eos,
        };
        let first_picture = prompts.picture.as_str();
        let mut dialogue = Dialogue::new(&bundle, None, None).unwrap();
        let mut ask = |picture: &str, question: &str| {
            dialogue.show(&pictures().join(picture)).unwrap();
            dialogue.ask(question, decoding, 0, |_| true).unwrap()
        };
        let first = ask(first_picture, "What is it?");
        let mut said = vec!["<image>\nWhat is it?"];
        let expected = at_once(
            &bundle,
            &said,
            features(&bundle, &[first_picture]),
            decoding,
        );
        assert_eq!(first.ids, expected, "{case}");

        let second = ask(SECOND, "And here?");
        said.extend([first.text.as_str(), "<image>\nAnd here?"]);
        let both = features(&bundle, &[first_picture, SECOND]);
        let expected = at_once(&bundle, &said, both, decoding);
        assert_eq!(second.ids, expected, "{case}");
        assert!(second.n_kept >= first.n_read, "{case}: {second:?}");
    }
}

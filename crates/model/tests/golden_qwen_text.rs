//! Text, ids and trained tokens in the manner of Qwen2.5-VL against transformers.
//!
//! `parity/fixtures/qwen_text.py` wrote the folders, as transformers 5 and as the hub have them, and the expected values.

mod against;

use std::fs;
use std::path::PathBuf;

use against::golden_folder;
use candor_data::image::ImageProcessor;
use candor_data::{Conversation, Turn};
use candor_model::sample::{IGNORE, Sample, SampleRules};
use candor_model::{Encoded, IMAGE, ImageTokens, Template, Tokenizer};
use serde::Deserialize;

const FOLDERS: [&str; 2] = ["published", "current"];
// As the script numbers them.
const PAD: i64 = 290;
const END: i64 = 292;
const VISION_START: i64 = 299;
const VISION_END: i64 = 300;
const IMAGE_PAD: i64 = 302;

#[derive(Deserialize)]
struct Texts {
    tokens: Vec<TokenRow>,
    chats: Vec<ChatRow>,
}

#[derive(Deserialize)]
struct TokenRow {
    text: String,
    ids: Vec<i64>,
    decoded: String,
}

#[derive(Deserialize)]
struct ChatRow {
    system: Option<String>,
    said: Vec<String>,
    text: String,
    ids: Vec<i64>,
    trained: Vec<i64>,
}

fn folder(name: &str) -> PathBuf {
    golden_folder("qwen").join("text").join(name)
}

fn texts() -> Texts {
    let bytes = fs::read(folder("texts.json")).expect("a golden file");
    serde_json::from_slice(&bytes).expect("JSON of this form")
}

fn open(name: &str) -> (Tokenizer, Template) {
    let folder = folder(name);
    let tokenizer = Tokenizer::open_folder(&folder).expect("a tokenizer");
    (tokenizer, Template::of_folder(&folder).expect("a template"))
}

fn conversation(said: &[&str]) -> Conversation {
    let turn = |(i, words): (usize, &&str)| match i % 2 {
        0 => Turn::human(*words),
        _ => Turn::gpt(*words),
    };
    let has_image = said.iter().any(|words| words.contains(IMAGE));
    Conversation {
        id: "golden".to_owned(),
        image: has_image.then(|| "a.png".to_owned()),
        turns: said.iter().enumerate().map(turn).collect(),
    }
}

fn check_tokens(name: &str, tokenizer: &Tokenizer, rows: &[TokenRow]) {
    for row in rows {
        let place = format!("{name}: {:?}", row.text);
        let encoded = tokenizer.encode(&row.text).unwrap();
        assert_eq!(encoded.ids, row.ids, "{place}");
        assert_eq!(tokenizer.decode(&row.ids).unwrap(), row.decoded, "{place}");
        let ordered = encoded.spans.windows(2).all(|w| w[0].0 <= w[1].0);
        let ends = encoded.spans.iter().all(|&(_, to)| to <= row.text.len());
        assert!(ordered && ends, "{place}: {:?}", encoded.spans);
    }
}

#[test]
fn ids_are_those_of_transformers() {
    let texts = texts();
    for name in FOLDERS {
        let (tokenizer, _) = open(name);
        assert_eq!(tokenizer.bos, None, "{name}");
        assert_eq!(
            (tokenizer.eos, tokenizer.pad, tokenizer.image),
            (END, PAD, IMAGE_PAD),
            "{name}"
        );
        assert_eq!(tokenizer.placeholder(), "<|image_pad|>");
        assert_eq!((tokenizer.vocab_size(), tokenizer.n_embedded()), (312, 312));
        check_tokens(name, &tokenizer, &texts.tokens);
        let saved = tempfile::tempdir().unwrap();
        tokenizer.save_folder(saved.path()).unwrap();
        let again = Tokenizer::open_folder(saved.path()).unwrap();
        assert!(again.same_as(&tokenizer), "{name}");
        check_tokens(name, &again, &texts.tokens);
    }
    println!(
        "parity: qwen/text ids equal in {} texts",
        texts.tokens.len()
    );
}

/// The ids among those of a rendered text that the assistant says.
fn trained(encoded: &Encoded, ranges: &[(usize, usize)]) -> Vec<i64> {
    let within = |&(start, end): &(usize, usize)| {
        let mut ranges = ranges.iter();
        ranges.any(|&(from, to)| start >= from && end <= to)
    };
    let tokens = encoded.ids.iter().zip(&encoded.spans);
    let said = tokens.filter(|(_, span)| within(span));
    said.map(|(&id, _)| id).collect()
}

#[test]
fn chats_are_those_of_transformers() {
    let texts = texts();
    for name in FOLDERS {
        let (tokenizer, own) = open(name);
        for row in &texts.chats {
            let template = match &row.system {
                Some(system) => own.clone().with_system(system).unwrap(),
                None => own.clone(),
            };
            let said: Vec<&str> = row.said.iter().map(String::as_str).collect();
            let conversation = conversation(&said);
            let rendered = template.render(&conversation).unwrap();
            assert_eq!(rendered.text, row.text, "{name}");
            let ranges = rendered.assistant.iter();
            let found: Vec<&str> = ranges.map(|&(a, b)| &rendered.text[a..b]).collect();
            let answers = said.iter().skip(1).step_by(2);
            let expected: Vec<String> = answers.map(|a| format!("{a}<|im_end|>")).collect();
            assert_eq!(found, expected, "{name}");
            let encoded = tokenizer.encode(&rendered.text).unwrap();
            assert_eq!(encoded.ids, row.ids, "{name}: {}", row.text);
            let found = trained(&encoded, &rendered.assistant);
            assert_eq!(found, row.trained, "{name}: {}", row.text);
            if row.text.matches("<|image_pad|>").count() > 1 {
                continue;
            }
            let sample = Sample::new(&conversation, rules(&tokenizer, &template, 1)).unwrap();
            assert_eq!(sample.ids, row.ids, "{name}: {}", row.text);
            let labels = sample.labels.iter().copied();
            let found: Vec<i64> = labels.filter(|&label| label != IGNORE).collect();
            assert_eq!(found, row.trained, "{name}: {}", row.text);
        }
    }
    println!(
        "parity: qwen/text text, ids and trained tokens equal in {} conversations",
        texts.chats.len()
    );
}

fn rules<'a>(
    tokenizer: &'a Tokenizer,
    template: &'a Template,
    n_image_tokens: usize,
) -> SampleRules<'a> {
    SampleRules {
        tokenizer,
        template,
        images: ImageTokens::Each(n_image_tokens),
        max_tokens: 1000,
    }
}

#[test]
fn the_placeholder_is_repeated_between_its_marks() {
    let (tokenizer, template) = open("published");
    let asked = conversation(&["<image>\nWhat?"]);
    let sample = Sample::new(&asked, rules(&tokenizer, &template, 4)).unwrap();
    let at = sample.ids.iter().position(|&id| id == VISION_START);
    let at = at.expect("the mark before an image");
    let image = [
        VISION_START,
        IMAGE_PAD,
        IMAGE_PAD,
        IMAGE_PAD,
        IMAGE_PAD,
        VISION_END,
    ];
    assert_eq!(sample.ids[at..at + 6], image);
    let n_places = sample.ids.iter().filter(|&&id| id == IMAGE_PAD).count();
    assert_eq!(n_places, 4);
}

#[test]
fn placeholders_that_are_written_out_are_refused() {
    let (tokenizer, template) = open("current");
    let refused = |said: &[&str]| {
        let error = Sample::new(&conversation(said), rules(&tokenizer, &template, 4));
        error.unwrap_err().to_string()
    };
    for said in [
        // Beside the image, in its place, and where there is none.
        &["<image>\nWhat is <|image_pad|>?"][..],
        &["<|vision_start|><|image_pad|><|vision_end|>What?"],
        &["<image>\nWhat?", "A <|image_pad|>."],
    ] {
        let message = refused(said);
        assert!(
            message.contains("the text holds `<|image_pad|>`, which is the template's to write"),
            "{message}"
        );
        assert!(message.contains("write `<image>` once"), "{message}");
    }
    for said in [
        &["<image>\nWhat is <image>?"][..],
        &["<image>\nWhat?", "An <image>."],
    ] {
        let message = refused(said);
        assert!(
            message.contains("2 `<image>` placeholders, but the row has 1 images"),
            "{message}"
        );
    }
    // What a response must not hold, a reward model's wording asks the tokenizer.
    let specials = tokenizer.specials();
    for text in [IMAGE, "<|image_pad|>", "<|im_end|>", "<|vision_start|>"] {
        assert!(specials.iter().any(|special| special == text), "{text}");
    }
    assert!(!specials.iter().any(|special| special == "<tool_call>"));
}

#[test]
fn the_folders_say_the_same_of_images() {
    let [published, current] = FOLDERS.map(|name| {
        ImageProcessor::from_file(&folder(name).join("preprocessor_config.json")).unwrap()
    });
    assert!(matches!(&published, ImageProcessor::Native(native) if native.token_side() == 28));
    assert_eq!(published, current);
}

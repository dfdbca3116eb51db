//! Token ids of `tokenizer.model` folders and texts of chat templates against transformers and SentencePiece.
//!
//! `parity/fixtures/tokens.py` and `chats.py` wrote the expected values; their heads say who computed which. LLaVA's
//! own formats are checked against their formulas, with the ids of an original LLaVA, whose vocabulary has no
//! `<image>`.

mod against;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use against::golden_folder;
use candor_data::{Conversation, Turn};
use candor_model::sample::{IGNORE, Sample, SampleRules};
use candor_model::{IMAGE, ImageTokens, Template, Tokenizer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

type Files = HashMap<String, Value>;

#[derive(Deserialize)]
struct Tokens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    files: Files,
    rows: Vec<TokenRow>,
}

#[derive(Deserialize)]
struct TokenRow {
    text: String,
    ids: Vec<i64>,
    decoded: String,
}

#[derive(Deserialize)]
struct Chats {
    formats: Vec<ChatRow>,
    files: HashMap<String, Files>,
    jinja: Vec<ChatRow>,
}

#[derive(Deserialize)]
struct ChatRow {
    template: Value,
    system: Option<String>,
    said: Vec<String>,
    text: String,
    ids: Vec<i64>,
    trained: Option<Vec<i64>>,
}

fn golden<T: DeserializeOwned>(name: &str) -> T {
    let bytes = fs::read(golden_folder("text").join(name)).expect("a golden file");
    serde_json::from_slice(&bytes).expect("JSON of this form")
}

/// A checkpoint's folder with the golden `tokenizer.model` and the files.
fn folder(files: &Files) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let model = golden_folder("text").join("tokenizer.model");
    fs::copy(model, dir.path().join("tokenizer.model")).unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content.to_string()).unwrap();
    }
    dir
}

fn conversation(said: &[String]) -> Conversation {
    let turn = |(i, words): (usize, &String)| match i % 2 {
        0 => Turn::human(words.as_str()),
        _ => Turn::gpt(words.as_str()),
    };
    let has_image = said.iter().any(|words| words.contains(IMAGE));
    Conversation {
        id: "golden".to_owned(),
        image: has_image.then(|| "a.png".to_owned()),
        turns: said.iter().enumerate().map(turn).collect(),
    }
}

/// Ids of a conversation, and those of them that are trained on.
fn tokenise(said: &[String], template: &Template, tokenizer: &Tokenizer) -> (Vec<i64>, Vec<i64>) {
    let rules = SampleRules {
        tokenizer,
        template,
        images: ImageTokens::Each(1),
        max_tokens: 1000,
    };
    let sample = Sample::new(&conversation(said), rules).unwrap();
    let trained = sample.labels.iter().copied().filter(|&l| l != IGNORE);
    (sample.ids, trained.collect())
}

fn check_rows(tokenizer: &Tokenizer, case: &Case) {
    for row in &case.rows {
        let place = format!("{}: {:?}", case.name, row.text);
        let encoded = tokenizer.encode(&row.text).unwrap();
        assert_eq!(encoded.ids, row.ids, "{place}");
        assert_eq!(tokenizer.decode(&row.ids).unwrap(), row.decoded, "{place}");
        let ordered = encoded.spans.windows(2).all(|w| w[0].0 <= w[1].0);
        let ends = encoded.spans.iter().all(|&(_, to)| to <= row.text.len());
        assert!(ordered && ends, "{place}: {:?}", encoded.spans);
    }
}

#[test]
fn sentencepiece_models_give_the_ids_of_transformers() {
    let tokens: Tokens = golden("tokens.json");
    for case in &tokens.cases {
        let dir = folder(&case.files);
        let tokenizer = Tokenizer::open_folder(dir.path()).unwrap();
        check_rows(&tokenizer, case);
        // What candor writes of it is the same tokenizer without the SentencePiece model.
        let saved = tempfile::tempdir().unwrap();
        tokenizer.save_folder(saved.path()).unwrap();
        let again = Tokenizer::open_folder(saved.path()).unwrap();
        assert!(again.same_as(&tokenizer), "{}", case.name);
        check_rows(&again, case);
        println!(
            "parity: text/{} ids equal in {} texts",
            case.name,
            case.rows.len()
        );
    }
}

#[test]
fn llava_s_formats_give_the_ids_of_the_original() {
    let tokens: Tokens = golden("tokens.json");
    let original = tokens
        .cases
        .iter()
        .find(|c| c.name == "not_legacy")
        .unwrap();
    let dir = folder(&original.files);
    let tokenizer = Tokenizer::open_folder(dir.path()).unwrap();
    assert_eq!(
        tokenizer.image,
        tokenizer.n_embedded() as i64,
        "past the vocabulary"
    );
    let chats: Chats = golden("chats.json");
    for row in &chats.formats {
        let template: Template = serde_json::from_value(row.template.clone()).unwrap();
        let rendered = template.render(&conversation(&row.said)).unwrap();
        assert_eq!(rendered.text, row.text);
        let (ids, trained) = tokenise(&row.said, &template, &tokenizer);
        assert_eq!(ids, row.ids, "{}", row.text);
        assert_eq!(Some(trained), row.trained, "{}", row.text);
    }
    println!(
        "parity: text/formats text and ids equal in {} conversations",
        chats.formats.len()
    );
}

/// The folder's template with a system message, as a user would write it into `template.json`.
fn template_with(folder: &Path, system: Option<&str>) -> Template {
    let template = Template::of_folder(folder).unwrap();
    let mut json = serde_json::to_value(&template).unwrap();
    json["system"] = system.into();
    serde_json::from_value(json).unwrap()
}

#[test]
fn jinja_templates_give_the_text_of_transformers() {
    let chats: Chats = golden("chats.json");
    let mut trained_on = HashMap::new();
    for row in &chats.jinja {
        let name = row.template.as_str().unwrap();
        let dir = folder(&chats.files[name]);
        let tokenizer = Tokenizer::open_folder(dir.path()).unwrap();
        let template = template_with(dir.path(), row.system.as_deref());
        let rendered = template.render(&conversation(&row.said)).unwrap();
        assert_eq!(rendered.text, row.text, "{name}");
        let answers = row.said.iter().skip(1).step_by(2);
        assert_eq!(
            rendered.assistant.len(),
            answers.len(),
            "{name}: {}",
            row.text
        );
        for (&(from, to), answer) in rendered.assistant.iter().zip(answers) {
            let end = match name {
                "llava_hf" => format!(" {answer} "),
                "llama_2" => format!(" {answer} </s>"),
                _ => format!("{answer}<|im_end|>"),
            };
            assert_eq!(rendered.text[from..to], end, "{name}");
        }
        let (ids, trained) = tokenise(&row.said, &template, &tokenizer);
        assert_eq!(ids, row.ids, "{name}: {}", row.text);
        // What transformers masks by its marks, candor finds without them as well.
        let key = (row.said.clone(), row.system.clone());
        if let Some(expected) = &row.trained {
            assert_eq!(&trained, expected, "{name}: {}", row.text);
            trained_on.insert(key, trained);
        } else if name == "chatml_unmarked" {
            assert_eq!(trained, trained_on[&key], "{name}: {}", row.text);
        }
    }
    println!(
        "parity: text/jinja text and ids equal in {} conversations",
        chats.jinja.len()
    );
}

//! A folder with pictures, prompts and a tiny untrained model, and runs in it.

use std::fs;
use std::path::Path;

use candor_data::formats::candidates::{self, Candidate};
use candor_data::formats::llava;
use candor_data::image::ImageProcessor;
use candor_data::{Conversation, Turn};
use candor_model::{Bundle, LlavaConfig, Template, Tokenizer, Vlm};
use candor_recipe::Reader;
use candor_run::{Launch, Outcome, StopSignal};
use candor_sample::{SampleRecipe, run};
use tch::Device;
use tempfile::TempDir;

pub const COLOURS: [(&str, [u8; 3]); 3] = [
    ("red", [220, 30, 30]),
    ("green", [30, 200, 40]),
    ("blue", [30, 40, 220]),
];

pub const RECIPE: &str = r#"
seed = 3
[run]
out = "out"
chunk = 3
[model]
base = "model"
[data]
root = "data"
images = "."
prompts = "prompts.json"
[sampling]
temperature = 0.7
top_p = 1.0
max_new_tokens = 6
batch_rows = 4
"#;

/// Seven prompts: of one turn, of three, without an answer, without a picture; one id is there twice.
pub fn prompts() -> Vec<Conversation> {
    let mut rows: Vec<Conversation> = COLOURS
        .iter()
        .cycle()
        .take(6)
        .enumerate()
        .map(|(i, (colour, _))| Conversation {
            id: format!("row-{}", i % 5),
            image: Some(format!("{colour}.png")),
            turns: vec![
                Turn::human("<image>\nWhat color is the wall?"),
                Turn::gpt(format!("It is {colour}.")),
            ],
        })
        .collect();
    rows[1].turns.push(Turn::human("Is it a large wall?"));
    rows[1].turns.push(Turn::gpt("Yes, it is."));
    rows[2].turns.pop();
    rows.push(Conversation {
        id: "text".into(),
        image: None,
        turns: vec![Turn::human("What is a wall?"), Turn::gpt("A side.")],
    });
    rows
}

/// A folder with pictures, prompts and a model.
pub fn prepared() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    for (name, rgb) in COLOURS {
        image::RgbImage::from_pixel(16, 16, image::Rgb(rgb))
            .save(data.join(format!("{name}.png")))
            .unwrap();
    }
    llava::write(&data.join("prompts.json"), &prompts()).unwrap();
    model(1).save(&dir.path().join("model")).unwrap();
    dir
}

pub fn model(seed: u64) -> Bundle {
    let template = Template::VicunaV1 {
        system: String::new(),
    };
    let texts = prompts()
        .into_iter()
        .map(|row| template.render(&row).unwrap().text)
        .collect::<Vec<_>>();
    let tokenizer = Tokenizer::train(texts.into_iter(), 300).unwrap();
    let mut config: LlavaConfig = serde_json::from_str(
        r#"{"text_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                            "num_attention_heads": 2, "max_position_embeddings": 128},
            "vision_config": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
                              "num_attention_heads": 2, "image_size": 16, "patch_size": 8}}"#,
    )
    .unwrap();
    config.image_token_index = tokenizer.image;
    config.text_config.vocab_size = tokenizer.vocab_size() as i64;
    Bundle {
        model: Vlm::fresh(config, seed, Device::Cpu).unwrap(),
        tokenizer,
        template,
        processor: ImageProcessor::clip(16),
    }
}

pub fn recipe(dir: &Path, out: &str, sets: &[&str]) -> SampleRecipe {
    let path = |key: &str, name: &str| format!("{key}={:?}", dir.join(name).display().to_string());
    let mut all = vec![
        path("run.out", out),
        path("model.base", "model"),
        path("data.root", "data"),
    ];
    all.extend(sets.iter().map(|set| (*set).to_owned()));
    SampleRecipe::read(Reader::parse("sample.toml", RECIPE, &all)).unwrap()
}

pub fn launch(resume: bool) -> Launch {
    Launch {
        resume,
        init_from: None,
        resume_command: "candor sample --resume".into(),
        stop: StopSignal::detached(),
    }
}

/// A whole run's rows.
pub fn sampled(dir: &Path, out: &str, sets: &[&str]) -> Vec<Candidate> {
    let outcome = run(&recipe(dir, out, sets), &launch(false), Device::Cpu).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    candidates::read(&dir.join(out).join("candidates.jsonl")).unwrap()
}

pub const FILES: [&str; 3] = ["candidates.jsonl", "result.json", "metrics.jsonl"];

pub fn assert_same(dir: &Path, left: &str, right: &str) {
    for file in FILES {
        let read = |out: &str| fs::read_to_string(dir.join(out).join(file)).unwrap();
        assert_eq!(read(left), read(right), "{file}");
    }
}

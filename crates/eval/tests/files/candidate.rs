//! A tiny model folder, how it is asked, and a judge that is written down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candor_data::image::ImageProcessor;
use candor_eval::EvalError;
use candor_eval::files::{Sitting, answer};
use candor_judge::exam::Files;
use candor_judge::judge::{Cost, Identity};
use candor_judge::results::Scored;
use candor_judge::score::{Bench, score};
use candor_judge::settings::Templates;
use candor_judge::{Benchmark, Judge, JudgeError, Reply, Request, Results, Verdict};
use candor_model::{Bundle, LlavaConfig, Template, Tokenizer, Vlm};
use candor_run::StopSignal;
use candor_train::BasePrecision;
use tch::Device;
use tempfile::TempDir;

/// Writes a model folder; other seeds are other models.
pub fn model(seed: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words =
        "USER: Is there a red bus in the image? ASSISTANT: Yes, the person on the left is near it.";
    let tokenizer = Tokenizer::train((0..20).map(|_| words.to_owned()), 400).unwrap();
    let mut config: LlavaConfig = serde_json::from_str(
        r#"{"text_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                            "num_attention_heads": 2, "max_position_embeddings": 1200},
            "vision_config": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
                              "num_attention_heads": 2, "image_size": 32, "patch_size": 16}}"#,
    )
    .unwrap();
    config.image_token_index = tokenizer.image;
    config.text_config.vocab_size = tokenizer.vocab_size() as i64;
    let bundle = Bundle {
        model: Vlm::fresh(config, seed, Device::Cpu).unwrap(),
        tokenizer,
        template: Template::VicunaV1 {
            system: "Be honest.".to_owned(),
        },
        processor: ImageProcessor::clip(32),
    };
    bundle.save(folder.path()).unwrap();
    folder
}

/// A sitting with answers of a few tokens.
pub fn sitting(
    benchmark: Benchmark,
    model: &Path,
    questions: Vec<PathBuf>,
    images: &Path,
    out: &Path,
) -> Sitting {
    Sitting {
        benchmark,
        files: Files {
            questions,
            ..Files::default()
        },
        images: images.to_owned(),
        model: model.to_owned(),
        adapter: None,
        precision: BasePrecision::F32,
        description: "Describe the image in detail.".to_owned(),
        instruction: None,
        temperature: 0.0,
        top_p: 1.0,
        max_new_tokens: 6,
        seed: 0,
        batch_rows: 16,
        out: out.to_owned(),
    }
}

/// Asks everything.
pub fn ask(sitting: &Sitting) -> Result<Vec<PathBuf>, EvalError> {
    let stop = StopSignal::detached();
    Ok(answer(sitting, None, &stop, Device::Cpu)?.unwrap().files)
}

/// Asks everything and scores it, the judge saying always the same.
pub fn ask_and_score(sitting: &Sitting, reply: &'static str) -> (Vec<Verdict>, Scored, usize) {
    let judge = Constant {
        reply,
        asked: Mutex::default(),
    };
    let bench = Bench {
        judge: &judge,
        templates: &Templates::default(),
        progress: &|_| (),
    };
    let stop = StopSignal::detached();
    let answers = answer(sitting, Some(&bench), &stop, Device::Cpu).unwrap();
    let n_ahead = judge.asked.lock().unwrap().len();
    let (verdicts, scored) = score(
        sitting.benchmark,
        &sitting.files,
        &answers.unwrap().files,
        Some(&bench),
        0,
    )
    .unwrap();
    let results = Results {
        benchmarks: [(sitting.benchmark, scored.clone())].into(),
        images: None,
    };
    let written = [(sitting.benchmark, verdicts.clone())].into();
    results.write(&sitting.out, &written).unwrap();
    (verdicts, scored, n_ahead)
}

/// A judge with one opinion.
struct Constant {
    reply: &'static str,
    asked: Mutex<Vec<String>>,
}

impl Judge for Constant {
    fn identity(&self) -> Identity {
        Identity {
            swap: false,
            model: "constant".to_owned(),
            endpoint: "here".to_owned(),
            temperature: 0.0,
            max_tokens: 10,
            samples: 1,
            seed: None,
            images: false,
        }
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn replies(
        &self,
        requests: &[Request],
        _progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Reply>>, JudgeError> {
        let mut asked = self.asked.lock().unwrap();
        asked.extend(requests.iter().map(|request| request.user.clone()));
        let reply = || Reply {
            text: self.reply.to_owned(),
            ..Reply::default()
        };
        Ok(requests.iter().map(|_| vec![reply()]).collect())
    }
}

/// All files of a folder and below, with their content.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = files(&path).into_iter();
            all.extend(inner.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            all.insert(name, std::fs::read(&path).unwrap());
        }
    }
    all
}

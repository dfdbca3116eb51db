//! A tiny model folder, how it is asked, and a judge that is written down.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candor_data::image::PixelBounds;
use candor_eval::EvalError;
use candor_eval::files::{EvalRun, answer};
use candor_judge::benchmarks::Files;
use candor_judge::judge::{Cost, Identity};
use candor_judge::results::Scored;
use candor_judge::score::{JudgeSession, score};
use candor_judge::settings::Templates;
use candor_judge::{Benchmark, Judge, JudgeError, Reply, Request, Results, Verdict};
use candor_run::{Ranks, StopSignal};
use candor_testing::model::TinyModel;
use candor_train::BasePrecision;
use tch::Device;
use tempfile::TempDir;

/// Writes a model folder; other seeds are other models.
pub fn model(seed: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words =
        "USER: Is there a red bus in the image? ASSISTANT: Yes, the person on the left is near it.";
    TinyModel {
        seed,
        width: 32,
        n_positions: 1200,
        image_px: 32,
        feature_layer: -2,
        ..TinyModel::knowing(words)
    }
    .write(folder.path());
    folder
}

/// A run with answers of a few tokens.
pub fn eval_run(
    benchmark: Benchmark,
    model: &Path,
    questions: Vec<PathBuf>,
    images: &Path,
    out: &Path,
) -> EvalRun {
    EvalRun {
        benchmark,
        files: Files {
            questions,
            ..Files::default()
        },
        images: images.to_owned(),
        model: model.to_owned(),
        adapter: None,
        precision: BasePrecision::F32,
        pixels: PixelBounds::default(),
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
pub fn ask(eval_run: &EvalRun) -> Result<Vec<PathBuf>, EvalError> {
    let stop = StopSignal::detached();
    Ok(answer(eval_run, None, &stop, Device::Cpu, &Ranks::alone())?
        .unwrap()
        .files)
}

/// Asks everything and scores it, the judge saying always the same.
pub fn ask_and_score(eval_run: &EvalRun, reply: &'static str) -> (Vec<Verdict>, Scored, usize) {
    let judge = Constant::saying(reply);
    let session = JudgeSession {
        judge: &judge,
        templates: &Templates::default(),
        progress: &|_| (),
    };
    let stop = StopSignal::detached();
    let answers = answer(
        eval_run,
        Some(&session),
        &stop,
        Device::Cpu,
        &Ranks::alone(),
    )
    .unwrap();
    let n_ahead = judge.asked.lock().unwrap().len();
    let (verdicts, scored) = score(
        eval_run.benchmark,
        &eval_run.files,
        &answers.unwrap().files,
        Some(&session),
        0,
    )
    .unwrap();
    let results = Results {
        benchmarks: [(eval_run.benchmark, scored.clone())].into(),
        images: None,
    };
    let written = [(eval_run.benchmark, verdicts.clone())].into();
    results.write(&eval_run.out, &written).unwrap();
    (verdicts, scored, n_ahead)
}

/// A judge with one opinion.
pub struct Constant {
    reply: &'static str,
    asked: Mutex<Vec<String>>,
}

impl Constant {
    pub fn saying(reply: &'static str) -> Self {
        Self {
            reply,
            asked: Mutex::default(),
        }
    }
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

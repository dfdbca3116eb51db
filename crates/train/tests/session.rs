//! Sessions: what a stage may count on between its first step and its resume.

use std::fs;
use std::path::Path;

use candor_model::tensor_file;
use candor_recipe::Reader;
use candor_run::{Inputs, LaunchOptions, StopSignal};
use candor_testing::files::lines;
use candor_testing::run::launch;
use candor_train::{Session, SessionRecipe, TrainError, TrainState};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const RECIPE: &str = r#"
seed = 1
[run]
out = "run"
checkpoint_every = 2
keep_checkpoints = 9
[optimizer]
learning_rate = 0.4
schedule = "constant"
warmup_steps = 4
beta1 = 0.9
beta2 = 0.999
eps = 1e-8
weight_decay = 0.0
max_grad_norm = 1.0
"#;

/// A stage that moves a weight towards a target in two updates a step and keeps the best weight so far.
struct Stage {
    weight: Tensor,
    best_loss: Tensor,
    best_weight: Tensor,
}

impl Stage {
    fn new() -> Self {
        Self {
            weight: Tensor::zeros([2, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true),
            best_loss: Tensor::full([], f64::INFINITY, (Kind::Double, Device::Cpu)),
            best_weight: Tensor::zeros([2, 2], (Kind::Float, Device::Cpu)),
        }
    }

    fn parts(&self) -> TrainState {
        TrainState {
            trained: vec![("weight".to_owned(), self.weight.shallow_clone())],
            kept: vec![
                ("best_loss".to_owned(), self.best_loss.shallow_clone()),
                ("best_weight".to_owned(), self.best_weight.shallow_clone()),
            ],
        }
    }

    fn loss(&self, target: f64) -> Tensor {
        (&self.weight - target).square().sum(Kind::Float)
    }

    /// One step; its target jumps, so that the last weight is not the best.
    fn step(&mut self, session: &mut Session, done: u64) -> bool {
        session.begin_step();
        let mut rates = Vec::new();
        for update in 0..2 {
            session.zero_grad();
            session.phase("pass");
            let loss = self.loss((3 * done + update) as f64 % 5.0);
            loss.backward();
            session.phase("update");
            let applied = session.apply(loss.double_value(&[]), Vec::new).unwrap();
            rates.push(applied.learning_rate);
        }
        let loss = self.loss(1.5).double_value(&[]);
        if loss < self.best_loss.double_value(&[]) {
            let _ = self.best_loss.fill_(loss);
            self.best_weight.copy_(&self.weight.detach());
        }
        let best = self.best_loss.double_value(&[]);
        let metrics = json!({"step": done + 1, "best": best, "rates": rates});
        session.end_step(&metrics, &[], 10).unwrap()
    }
}

fn recipe(folder: &Path) -> SessionRecipe {
    let out = folder.join("run").display().to_string();
    let mut reader = Reader::parse("r.toml", RECIPE, &[format!("run.out={out:?}")]);
    let recipe = SessionRecipe::read(&mut reader);
    reader.finish().unwrap();
    recipe
}

fn inputs(data: &str, base: &str) -> Inputs {
    Inputs::new([
        ("training data", data.to_owned()),
        ("base model", base.to_owned()),
    ])
}

fn open(
    folder: &Path,
    resume: bool,
    parts: TrainState,
    inputs: Inputs,
) -> Result<Session, TrainError> {
    open_with(StopSignal::detached(), folder, resume, parts, inputs)
}

fn open_with(
    stop: StopSignal,
    folder: &Path,
    resume: bool,
    parts: TrainState,
    inputs: Inputs,
) -> Result<Session, TrainError> {
    let launch = LaunchOptions {
        stop,
        ..launch(resume)
    };
    let opening = Session::prepare("sft", &recipe(folder), "seed = 1\n", &launch, &[])?;
    opening.open(parts, 9, inputs)
}

/// Steps up to `end`, after which the session is dropped as a kill would.
fn run(folder: &Path, resume: bool, end: u64) -> Stage {
    let mut stage = Stage::new();
    let mut session = open(folder, resume, stage.parts(), inputs("d", "b")).unwrap();
    for done in session.steps_left().take_while(|done| *done < end) {
        assert!(stage.step(&mut session, done));
    }
    stage
}

#[test]
fn kept_tensors_survive_a_resume() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let undisturbed = run(whole.path(), false, 9);
    // The fifth step is lost, and with it what it did to the kept tensors.
    run(cut.path(), false, 5);
    let resumed = run(cut.path(), true, 9);
    assert_eq!(resumed.weight, undisturbed.weight);
    assert_eq!(resumed.best_loss, undisturbed.best_loss);
    assert_eq!(resumed.best_weight, undisturbed.best_weight);
    assert_ne!(
        undisturbed.best_weight, undisturbed.weight,
        "the last is the best; the test shows nothing"
    );
    for file in ["metrics.jsonl", "checkpoints/step-8/kept.safetensors"] {
        let bytes = |folder: &Path| fs::read(folder.join("run").join(file)).unwrap();
        assert_eq!(bytes(whole.path()), bytes(cut.path()), "{file}");
    }
}

#[test]
fn all_updates_of_a_step_have_the_rate_of_the_step() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), false, 6);
    let peak_after_four = [0.0, 0.1, 0.2, 0.3, 0.4, 0.4];
    for (line, expected) in lines(&folder.path().join("run/metrics.jsonl"))
        .iter()
        .zip(peak_after_four)
    {
        let rates: Vec<f64> = serde_json::from_value(line["rates"].clone()).unwrap();
        assert_eq!(rates.len(), 2);
        assert!(
            rates.iter().all(|rate| (rate - expected).abs() < 1e-12),
            "{line}"
        );
    }
    // Both of them were updates.
    let state = folder
        .path()
        .join("run/checkpoints/step-6/optimizer.safetensors");
    let state = tensor_file::read(&state).unwrap();
    assert_eq!(state["weight.step"].int64_value(&[]), 12);
}

#[test]
fn an_input_that_changed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), false, 3);
    let attempt = |inputs| open(folder.path(), true, Stage::new().parts(), inputs).map(|_| ());
    let message = |inputs| attempt(inputs).unwrap_err().to_string();
    let data = message(inputs("other", "b"));
    assert!(
        data.contains("training data") && !data.contains("base model"),
        "{data}"
    );
    assert!(data.contains("run"), "{data}");
    let base = message(inputs("d", "other"));
    assert!(
        base.contains("base model") && !base.contains("training data"),
        "{base}"
    );
    let both = message(inputs("other", "other"));
    assert!(both.contains("base model, training data"), "{both}");
    let more = [("training data", "d"), ("base model", "b"), ("facts", "f")];
    let more = message(Inputs::new(
        more.map(|(name, print)| (name, print.to_owned())),
    ));
    assert!(
        more.contains("facts") && !more.contains("training data"),
        "{more}"
    );
    let less = message(Inputs::new([("training data", "d".to_owned())]));
    assert!(
        less.contains("base model") && !less.contains("training data"),
        "{less}"
    );
    attempt(inputs("d", "b")).unwrap();
}

#[test]
fn phases_are_parts_of_their_step() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), false, 4);
    let timings = lines(&folder.path().join("run/timings.jsonl"));
    assert_eq!(timings.len(), 4);
    for (i, timing) in timings.iter().enumerate() {
        assert_eq!(timing["step"], i + 1);
        let phases = timing["phase_secs"].as_object().unwrap();
        assert_eq!(phases.keys().collect::<Vec<_>>(), ["pass", "update"]);
        let peaks = timing["phase_peak_bytes"].as_object().unwrap();
        assert_eq!(peaks.keys().collect::<Vec<_>>(), ["pass", "update"]);
        assert!(
            peaks.values().all(|bytes| bytes.as_u64() > Some(0)),
            "{timing}"
        );
        let parts: Vec<f64> = phases.values().map(|secs| secs.as_f64().unwrap()).collect();
        let secs = timing["secs"].as_f64().unwrap();
        assert!(parts.iter().all(|part| *part > 0.0), "{timing}");
        // Whole nanoseconds on both sides; only their conversion to seconds may round.
        assert!(parts.iter().sum::<f64>() <= secs + 1e-12, "{timing}");
        let speed = timing["tokens_per_sec"].as_f64().unwrap();
        assert!((speed * secs - 10.0).abs() < 1e-6, "{timing}");
    }
}

/// Its gradient is taken up by the update where the pass is not one of `Session::passes`.
#[test]
fn a_weight_of_16_bits_is_trained_by_whatever_pass() {
    let folder = tempfile::tempdir().unwrap();
    let weight = Tensor::zeros([2, 2], (Kind::BFloat16, Device::Cpu)).set_requires_grad(true);
    let parts = TrainState {
        trained: vec![("weight".to_owned(), weight.shallow_clone())],
        kept: Vec::new(),
    };
    let mut session = open(folder.path(), false, parts, inputs("d", "b")).unwrap();
    for done in 0..2 {
        session.begin_step();
        let loss = (&weight - 1.0).square().sum(Kind::Float);
        loss.backward();
        session.apply(loss.double_value(&[]), Vec::new).unwrap();
        session
            .end_step(&json!({"step": done + 1}), &[], 10)
            .unwrap();
    }
    // The first rate is 0 and the second 0.1, which is how far two equal gradients move a weight.
    let moved = weight.double_value(&[0, 0]);
    assert!((moved - 0.1).abs() < 1e-3, "{moved}");
}

#[test]
fn a_run_without_kept_tensors_writes_no_file_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let parts = || TrainState {
        trained: Stage::new().parts().trained,
        kept: Vec::new(),
    };
    let bare = TrainState {
        kept: Vec::new(),
        ..stage.parts()
    };
    let mut session = open(folder.path(), false, bare, inputs("d", "b")).unwrap();
    for done in 0..2 {
        stage.step(&mut session, done);
    }
    drop(session);
    let checkpoint = folder.path().join("run/checkpoints/step-2");
    assert!(checkpoint.join("weights.safetensors").exists());
    assert!(!checkpoint.join("kept.safetensors").exists());
    let session = open(folder.path(), true, parts(), inputs("d", "b")).unwrap();
    assert_eq!(session.steps_left(), 2..9);
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), false, 2);
    let float = (Kind::Float, Device::Cpu);
    let kept = |name: &str, tensor: Tensor| (name.to_owned(), tensor);
    let loss = || kept("best_loss", Tensor::zeros([], (Kind::Double, Device::Cpu)));
    let weight = || kept("best_weight", Tensor::full([2, 2], 7.0, float));
    let cases = [
        (
            vec![loss(), weight(), kept("step", Tensor::zeros([], float))],
            "lacks `step`",
        ),
        (
            vec![loss(), kept("best_weight", Tensor::zeros([4], float))],
            "Float [2, 2], expected Float [4]",
        ),
        (
            vec![kept("best_loss", Tensor::zeros([], float)), weight()],
            "Double [], expected Float []",
        ),
        (vec![loss()], "`best_weight`, which this run does not"),
        (vec![], "`best_loss`, which this run does not"),
    ];
    for (kept, part) in cases {
        let parts = TrainState {
            kept,
            ..Stage::new().parts()
        };
        let error = open(folder.path(), true, parts, inputs("d", "b")).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(part) && message.contains("kept.safetensors"),
            "{message}"
        );
    }
}

#[test]
fn a_run_asked_to_stop_has_a_checkpoint_of_that_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let stop = StopSignal::detached();
    let (path, parts) = (folder.path(), stage.parts());
    let mut session = open_with(stop.clone(), path, false, parts, inputs("d", "b")).unwrap();
    assert!(stage.step(&mut session, 0) && stage.step(&mut session, 1));
    stop.request();
    assert!(!stage.step(&mut session, 2));
    drop(session);
    let resumed = Stage::new();
    let session = open(path, true, resumed.parts(), inputs("d", "b")).unwrap();
    assert_eq!(session.steps_left(), 3..9);
    assert_eq!(resumed.weight, stage.weight);
}

#[test]
fn a_run_that_ended_before_its_first_checkpoint_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), false, 1);
    let stage = Stage::new();
    let session = open(folder.path(), true, stage.parts(), inputs("d", "b")).unwrap();
    assert_eq!(session.steps_left(), 0..9);
    assert_eq!(stage.weight, Stage::new().weight);
}

#[test]
fn a_loss_that_is_no_number_changes_no_weight() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new();
    let mut session = open(folder.path(), false, stage.parts(), inputs("d", "b")).unwrap();
    session.begin_step();
    (stage.loss(1.0) * f64::NAN).backward();
    let ids = || vec!["row-7".to_owned()];
    let message = session.apply(f64::NAN, ids).unwrap_err().to_string();
    assert!(
        message.contains("loss") && message.contains("step 1") && message.contains("row-7"),
        "{message}"
    );
    // A finite loss may have a gradient that is not.
    let message = session.apply(1.0, ids).unwrap_err().to_string();
    assert!(
        message.contains("gradient norm") && message.contains("row-7"),
        "{message}"
    );
    assert_eq!(stage.weight, Stage::new().weight);
}

/// Writes the checkpoint of a step again, with a file changed and the manifest right.
fn rewrite(folder: &Path, step: u64, file: &str, change: impl Fn(&str, Tensor) -> Tensor) {
    let path = folder.join(format!("run/checkpoints/step-{step}"));
    let read = tensor_file::read(&path.join(file)).unwrap().into_iter();
    let changed: Vec<(String, Tensor)> = read
        .map(|(name, tensor)| (name.clone(), change(&name, tensor)))
        .collect();
    let named = changed.iter().map(|(name, tensor)| (name.as_str(), tensor));
    tensor_file::write(&path.join(file), named, None).unwrap();
    fs::remove_file(path.join("manifest.json")).unwrap();
    let manifest = candor_run::manifest::Manifest::of_folder(&path, step).unwrap();
    fs::write(path.join("manifest.json"), manifest.to_bytes()).unwrap();
}

#[test]
fn a_checkpoint_with_a_number_that_is_none_is_refused() {
    let cases = [
        ("weights.safetensors", "weight", f64::NAN),
        ("optimizer.safetensors", "weight.exp_avg_sq", f64::INFINITY),
        ("kept.safetensors", "best_weight", f64::NEG_INFINITY),
    ];
    for (file, tensor, value) in cases {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), false, 4);
        rewrite(folder.path(), 4, file, |name, found| {
            if name == tensor {
                let _ = found.get(1).get(0).fill_(value);
            }
            found
        });
        let stage = Stage::new();
        let error = open(folder.path(), true, stage.parts(), inputs("d", "b")).unwrap_err();
        let message = error.to_string();
        for part in [file, tensor, "1 of 4 values", "step-4"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(stage.weight, Stage::new().weight);
        // The checkpoint before is as good as ever.
        fs::rename(
            folder.path().join("run/checkpoints/step-4"),
            folder.path().join("away"),
        )
        .unwrap();
        let session = open(folder.path(), true, stage.parts(), inputs("d", "b")).unwrap();
        assert_eq!(session.steps_left(), 2..9);
    }
}

/// A run in `new` that starts from the one in `old`, whose result is read by `result`.
fn open_from(
    old: &Path,
    new: &Path,
    resume: bool,
    parts: TrainState,
    result: Option<Vec<(String, Tensor)>>,
) -> Result<Session, TrainError> {
    let launch = LaunchOptions {
        init_from: (!resume).then(|| old.join("run")),
        ..launch(resume)
    };
    let mut opening = Session::prepare("sft", &recipe(new), "seed = 1\n", &launch, &[])?;
    opening.read_earlier(|run| {
        assert_eq!(run, old.join("run"));
        Ok::<_, TrainError>(result)
    })?;
    opening.open(parts, 9, inputs("other data", "b"))
}

#[test]
fn a_run_starts_from_the_weights_of_another() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let then = run(old.path(), false, 4);
    let mut stage = Stage::new();
    let open = |resume, stage: &Stage| {
        open_from(old.path(), new.path(), resume, stage.parts(), None).unwrap()
    };
    let mut session = open(false, &stage);
    assert_eq!(session.steps_left(), 0..9);
    assert_eq!(stage.weight, then.weight);
    // What is not trained begins anew.
    assert_eq!(stage.best_weight, Stage::new().best_weight);
    let note: Value =
        serde_json::from_slice(&fs::read(new.path().join("run/init_from.json")).unwrap()).unwrap();
    assert_eq!(note["step"], 4);
    assert_eq!(note["run"], old.path().join("run").display().to_string());
    stage.step(&mut session, 0);
    drop(session);
    // Adam's first update is as long as the rate, which warms up from 0: a fresh optimizer leaves the weights alone.
    assert_eq!(stage.weight, then.weight);
    // Killed before its first checkpoint, it begins with the same weights again.
    let again = Stage::new();
    drop(open(true, &again));
    assert_eq!(again.weight, then.weight);
    // After that its own count.
    let mut again = Stage::new();
    let mut session = open(true, &again);
    for done in 0..3 {
        again.step(&mut session, done);
    }
    drop(session);
    let resumed = Stage::new();
    fs::remove_dir_all(old.path().join("run")).unwrap();
    let session = open(true, &resumed);
    assert_eq!(session.steps_left(), 2..9);
    assert_ne!(resumed.weight, then.weight);
}

#[test]
fn the_result_of_a_finished_run_counts_more_than_its_checkpoints() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(old.path(), false, 4);
    let best = Tensor::full([2, 2], 5.0, (Kind::Float, Device::Cpu));
    let stage = Stage::new();
    let result = Some(vec![("weight".to_owned(), best.shallow_clone())]);
    open_from(old.path(), new.path(), false, stage.parts(), result).unwrap();
    assert_eq!(stage.weight, best);
    let note = fs::read_to_string(new.path().join("run/init_from.json")).unwrap();
    assert!(note.contains("\"step\": null"), "{note}");
}

#[test]
fn a_run_that_cannot_be_started_from_is_refused() {
    let float = (Kind::Float, Device::Cpu);
    let named = |name: &str, tensor: Tensor| Some(vec![(name.to_owned(), tensor)]);
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let attempt = |result| {
        let stage = Stage::new();
        let opened = open_from(old.path(), new.path(), false, stage.parts(), result);
        assert_eq!(stage.weight, Stage::new().weight);
        opened.map(|_| ()).unwrap_err().to_string()
    };
    let none = attempt(None);
    assert!(
        none.contains("--init-from") && none.contains("run"),
        "{none}"
    );
    // Without a checkpoint, and without a result.
    run(old.path(), false, 1);
    let none = attempt(None);
    assert!(none.contains("neither a result nor a checkpoint"), "{none}");
    run(old.path(), true, 2);
    for (result, part) in [
        (
            named("weight", Tensor::zeros([3], float)),
            "`weight` as Float [3], expected Float [2, 2]",
        ),
        (
            named("bias", Tensor::zeros([2, 2], float)),
            "lacks `weight`",
        ),
        (
            named("weight", Tensor::full([2, 2], f64::NAN, float)),
            "4 of the 4 numbers of `weight`",
        ),
    ] {
        let message = attempt(result);
        assert!(message.contains(part), "{message}");
        // Nothing was begun, so the next attempt is not in the way of this one.
        assert!(!new.path().join("run/resolved.toml").exists());
    }
    // The same matrices at another scale are another adapter.
    let lora = |alpha: f64| format!("[model.lora]\nalpha = {alpha:?}\n");
    let resolved = old.path().join("run/resolved.toml");
    fs::write(&resolved, lora(8.0)).unwrap();
    let from_old = |name: &str, text: &str| {
        let launch = LaunchOptions {
            init_from: Some(old.path().join("run")),
            ..launch(false)
        };
        let recipe = recipe(&new.path().join(name));
        let mut opening = Session::prepare("sft", &recipe, text, &launch, &[]).unwrap();
        opening.read_earlier(|_| Ok::<_, TrainError>(None)).unwrap();
        let opened = opening.open(Stage::new().parts(), 9, inputs("d", "b"));
        opened.map(|_| ()).map_err(|error| error.to_string())
    };
    from_old("8", &lora(8.0)).unwrap();
    let message = from_old("4", &lora(4.0)).unwrap_err();
    assert!(
        message.contains("model.lora.alpha = 8.0, not 4.0"),
        "{message}"
    );
    // The critic of another base has tensors of the same names and shapes where the bases have one width. A recipe from before
    // there was a choice had the reward model's.
    let critic = |whose: &str| format!("[model]\ncritic = {whose:?}\n");
    from_old("reward", &critic("reward")).unwrap();
    let message = from_old("policy", &critic("policy")).unwrap_err();
    assert!(
        message.contains("model.critic = \"reward\", not \"policy\""),
        "{message}"
    );
    fs::write(&resolved, critic("policy")).unwrap();
    from_old("policy again", &critic("policy")).unwrap();
    let message = from_old("reward again", &critic("reward")).unwrap_err();
    assert!(
        message.contains("model.critic = \"policy\", not \"reward\""),
        "{message}"
    );
    // An adapter means nothing on another base.
    let launch = LaunchOptions {
        init_from: Some(old.path().join("run")),
        ..launch(false)
    };
    let mut opening =
        Session::prepare("sft", &recipe(new.path()), "seed = 1\n", &launch, &[]).unwrap();
    let nothing = |_: &Path| Ok::<_, TrainError>(None);
    opening.read_earlier(nothing).unwrap();
    let error = opening.open(Stage::new().parts(), 9, inputs("d", "another"));
    let message = error.unwrap_err().to_string();
    assert!(message.contains("another base model"), "{message}");
}

#[test]
fn the_warm_up_is_given_once() {
    let read = |line: &str| {
        let text = RECIPE.replace("warmup_steps = 4", line);
        let mut reader = Reader::parse("r.toml", &text, &[]);
        SessionRecipe::read(&mut reader);
        reader.finish().map(|_| ())
    };
    read("warmup_steps = 0").unwrap();
    read("warmup_ratio = 0.03").unwrap();
    for (line, word) in [
        ("", "neither"),
        ("warmup_steps = 4\nwarmup_ratio = 0.1", "both"),
    ] {
        let message = read(line).unwrap_err().to_string();
        assert!(
            message.contains(word) && message.contains("1 mistake"),
            "{message}"
        );
    }
}

//! Conversations that are looked at along the way and not trained on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_data::formats::llava;
use candor_data::{Conversation, Turn};
use candor_model::sample::{Batch, Sample};
use candor_model::{Bundle, ImageFeatures};
use candor_run::Outcome;
use candor_sft::{SftRecipe, run};
use candor_testing::files::json;
use candor_testing::images::{COLOURS, wall};
use candor_testing::run::launch;
use candor_train::BasePrecision;
use serde_json::Value;
use tch::{Device, Kind};

use crate::out;
use crate::tiny::{SFT, prepared, reader, sft};

/// Two sources: other colours for the walls than the training says, and the texts that it says.
fn held_out(folder: &Path) {
    let row = |id: &str, image: Option<&str>, question: &str, answer: &str| Conversation {
        id: id.to_owned(),
        image: image.map(str::to_owned),
        turns: vec![Turn::human(question), Turn::gpt(answer)],
    };
    let colours = [
        row(
            "a",
            Some("red.png"),
            "<image>\nWhat color is it?",
            "It is blue.",
        ),
        row(
            "b",
            Some("blue.png"),
            "<image>\nWhat color is it?",
            "It is red. Yes.",
        ),
        row(
            "c",
            Some("red.png"),
            "<image>\nWhat color is it?",
            "The number is 3.",
        ),
    ];
    let texts = [row("d", None, "Say the number 4.", "The number is 4. Yes.")];
    llava::write(&folder.join("colours.json"), &colours).unwrap();
    llava::write(&folder.join("texts.json"), &texts).unwrap();
}

const SOURCES: &str = r#"evaluation.sources=[{ name = "colours", format = "llava", path = "colours.json" }, { name = "texts", format = "llava", path = "texts.json" }]"#;

fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn model(run: &Path) -> Vec<u8> {
    fs::read(run.join("model/model.safetensors")).unwrap()
}

/// Loss and accuracy of a file under a finished run's model: conversation by conversation, by the logarithm of the softmax.
fn by_hand(run: &Path, images: &Path, file: &str) -> [f64; 3] {
    let bundle = Bundle::open(&run.join("model"), Device::Cpu, BasePrecision::F32).unwrap();
    let rows = llava::read(&images.join(file)).unwrap();
    let names = rows.iter().filter_map(|row| row.image.clone());
    let features = ImageFeatures::encode(&bundle, images, names, |_, _| ()).unwrap();
    let mut sums = [0.0; 3];
    let _guard = tch::no_grad_guard();
    for row in &rows {
        let sample = Sample::new(row, bundle.rules(200, images)).unwrap();
        let batch = Batch::new(&[&sample], bundle.tokenizer.pad, Device::Cpu);
        let shown = features.of(sample.image.as_deref());
        let embedded = bundle.model.embed(&batch.ids, shown.as_ref(), None);
        let hidden = bundle.model.hidden(&embedded, None);
        let logits = bundle.model.decoder().logits(&batch.at_positions(&hidden));
        let logs = logits.log_softmax(-1, Kind::Double);
        for (place, target) in Vec::<i64>::try_from(&batch.targets)
            .unwrap()
            .into_iter()
            .enumerate()
        {
            let of_place = logs.get(place as i64);
            sums[0] -= of_place.double_value(&[target]);
            sums[1] += f64::from(u8::from(
                of_place.argmax(0, false).int64_value(&[]) == target,
            ));
            sums[2] += 1.0;
        }
    }
    sums
}

#[test]
fn the_figures_are_those_of_the_model_conversation_by_conversation() {
    let folder = prepared();
    let path = folder.path();
    held_out(path);
    // The two longest conversations of a source share a pass.
    let sets = [
        &*out(path, "seen"),
        "run.steps=12",
        "data.micro_batch=2",
        "evaluation.every=5",
        SOURCES,
    ];
    sft(path, &sets).unwrap();
    let run = path.join("seen");
    let logged = metrics(&run);
    let looked: Vec<u64> = logged
        .iter()
        .filter(|line| line.get("validation_loss").is_some())
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(looked, [5, 10, 12]);
    let result = json(&run.join("result.json"));
    assert_eq!(
        (result["n_rows"].as_u64(), result["n_held_out"].as_u64()),
        (Some(8), Some(4))
    );
    assert_eq!(result.get("best_step"), None);
    let close = |found: &Value, expected: f64| {
        let found = found.as_f64().unwrap();
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    };
    let (colours, texts) = (
        by_hand(&run, path, "colours.json"),
        by_hand(&run, path, "texts.json"),
    );
    for of in [&logged[11], &result] {
        for (name, [loss, right, n]) in [("colours", colours), ("texts", texts)] {
            close(&of["validation"][name]["loss"], loss / n);
            close(&of["validation"][name]["accuracy"], right / n);
        }
        // All tokens weigh the same, not all sources.
        let n = colours[2] + texts[2];
        close(&of["validation_loss"], (colours[0] + texts[0]) / n);
        close(&of["validation_accuracy"], (colours[1] + texts[1]) / n);
    }
    assert!((colours[0] / colours[2] - texts[0] / texts[2]).abs() > 0.05);
}

/// What is trained on would flatter the figures.
#[test]
fn of_a_folder_of_several_splits_the_held_out_rows_are_looked_at() {
    let folder = prepared();
    let path = folder.path();
    held_out(path);
    let set = path.join("set");
    fs::create_dir(&set).unwrap();
    let line = |file: &str| {
        let rows: Vec<Value> =
            serde_json::from_str(&fs::read_to_string(path.join(file)).unwrap()).unwrap();
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        lines.join("\n")
    };
    fs::write(set.join("train.jsonl"), line("texts.json")).unwrap();
    let source = r#"evaluation.sources=[{ name = "set", format = "llava", path = "set" }]"#;
    let look = |name: &str| {
        let sets = [
            &*out(path, name),
            "run.steps=2",
            "evaluation.every=1",
            source,
        ];
        sft(path, &sets)
    };
    let said = look("trained").unwrap_err().to_string();
    assert!(
        said.contains("\"train.jsonl\", which is for training"),
        "{said}"
    );
    fs::write(set.join("validation.jsonl"), line("colours.json")).unwrap();
    look("held-out").unwrap();
    // Three colours, and not the one text.
    let result = json(&path.join("held-out/result.json"));
    assert_eq!(result["n_held_out"].as_u64(), Some(3));
}

#[test]
fn looking_changes_nothing_else() {
    let folder = prepared();
    let path = folder.path();
    held_out(path);
    // They show an image that nothing is trained on.
    let colours = path.join("colours.json");
    let text = fs::read_to_string(&colours).unwrap();
    fs::write(&colours, text.replace("blue.png", "white.png")).unwrap();
    wall(&path.join("white.png"), COLOURS[3].1);
    let mut expected = None;
    for (name, every) in [("never", None), ("once", Some("6")), ("always", Some("1"))] {
        let (out, every) = (
            out(path, name),
            every.map(|n| format!("evaluation.every={n}")),
        );
        let mut sets = vec![&*out, "data.micro_batch=4"];
        if let Some(every) = &every {
            sets.extend([every.as_str(), SOURCES]);
        }
        sft(path, &sets).unwrap();
        let run = path.join(name);
        let mut lines = metrics(&run);
        for line in &mut lines {
            line.as_object_mut()
                .unwrap()
                .retain(|field, _| !field.starts_with("validation"));
        }
        let left = (model(&run), lines);
        let expected = expected.get_or_insert_with(|| left.clone());
        assert!(left == *expected, "{name}");
        assert_eq!(run.join("result.json").exists(), every.is_some());
    }
}

#[test]
fn the_best_weights_are_those_of_a_run_that_ends_there_and_a_resume_finds_the_same() {
    best_weights_in("f32");
}

/// What is kept and written are weights in bf16; what the updates go on with are their masters.
#[test]
fn the_best_weights_in_bf16_are_those_of_a_run_that_ends_there_and_a_resume_finds_the_same() {
    best_weights_in("bf16");
}

/// So that the training has learned its own answers by heart before it ends.
const LEARNS_FAST: &str = "optimizer.learning_rate=2e-2";

fn best_weights_in(precision: &str) {
    let folder = prepared();
    let path = folder.path();
    held_out(path);
    let precision = format!("model.base_precision={precision:?}");
    // The training contradicts what is held out, so that it becomes worse after a while.
    let settings = [
        "run.steps=40",
        "evaluation.every=4",
        "evaluation.keep_best=true",
        LEARNS_FAST,
        SOURCES,
        &precision,
    ];
    let sets = |out: &'static str| -> Vec<String> {
        let out = crate::out(path, out);
        let settings = settings.iter().map(|set| (*set).to_owned());
        std::iter::once(out).chain(settings).collect()
    };
    let kept = sets("kept");
    sft(path, &kept.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let run = path.join("kept");
    let losses: BTreeMap<u64, f64> = metrics(&run)
        .iter()
        .filter_map(|line| {
            Some((
                line["step"].as_u64()?,
                line.get("validation_loss")?.as_f64()?,
            ))
        })
        .collect();
    let (&best, &loss) = losses.iter().min_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    assert!((4..40).contains(&best), "{losses:?}");
    let result = json(&run.join("result.json"));
    assert_eq!(result["best_step"].as_u64(), Some(best));
    assert_eq!(result["validation_loss"].as_f64(), Some(loss));
    let steps = format!("run.steps={best}");
    sft(
        path,
        &[&*out(path, "short"), &steps, LEARNS_FAST, &precision],
    )
    .unwrap();
    assert!(model(&run) == model(&path.join("short")));

    // One step a process.
    let stepwise = sets("stepwise");
    let stepwise: Vec<&str> = stepwise.iter().map(String::as_str).collect();
    for number in 0..40 {
        let recipe = SftRecipe::read(reader(SFT, path, &["data.root", "model.base"], &stepwise));
        let launch = launch(number > 0);
        launch.stop.request();
        let outcome = run::run(&recipe.unwrap(), &launch, Device::Cpu).unwrap();
        assert_eq!(outcome == Outcome::Finished, number == 39);
    }
    for file in ["metrics.jsonl", "result.json", "model/model.safetensors"] {
        let read = |run: &str| fs::read(path.join(run).join(file)).unwrap();
        assert!(read("kept") == read("stepwise"), "{file}");
    }
}

#[test]
fn held_out_rows_that_cannot_be_used_stop_the_run_and_other_ones_a_resume() {
    let folder = prepared();
    let path = folder.path();
    held_out(path);
    let colours = path.join("colours.json");
    let whole = fs::read_to_string(&colours).unwrap();
    let sets = [
        &*out(path, "odd"),
        "run.steps=2",
        "run.checkpoint_every=1",
        "data.on_bad_row=skip",
        "evaluation.every=1",
        SOURCES,
    ];
    fs::write(&colours, whole.replace("blue.png", "gone.png")).unwrap();
    let said = sft(path, &sets).unwrap_err().to_string();
    assert!(
        said.contains("colours.json: row 1") && said.contains("gone.png"),
        "{said}"
    );
    assert!(!said.contains("on_bad_row"), "{said}");
    fs::write(path.join("broken.png"), "no image at all").unwrap();
    fs::write(&colours, whole.replace("blue.png", "broken.png")).unwrap();
    let broken = [
        &*out(path, "broken"),
        "run.steps=2",
        "data.on_bad_row=skip",
        "evaluation.every=1",
        SOURCES,
    ];
    let said = sft(path, &broken).unwrap_err().to_string();
    assert!(
        said.contains("colours.json: row 1") && said.contains("broken.png"),
        "{said}"
    );
    assert!(!said.contains("on_bad_row"), "{said}");
    fs::write(&colours, &whole).unwrap();
    sft(path, &sets).unwrap();
    fs::write(&colours, whole.replace("It is blue.", "It is red.")).unwrap();
    let recipe = SftRecipe::read(reader(SFT, path, &["data.root", "model.base"], &sets));
    let said = run::run(&recipe.unwrap(), &launch(true), Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(said.contains("held-out data"), "{said}");

    let twice = r#"evaluation.sources=[{ name = "a", format = "llava", path = "a" }, { name = "a", format = "llava", path = "b", count = 3 }]"#;
    let sets = [&*out(path, "twice"), "evaluation.every=0", twice];
    let said = SftRecipe::read(reader(SFT, path, &["data.root", "model.base"], &sets));
    let said = said.unwrap_err().to_string();
    for part in [
        "evaluation.every",
        "evaluation.sources[1].name: a second source is called \"a\"",
        "evaluation.sources[1].count",
        "3 mistakes",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

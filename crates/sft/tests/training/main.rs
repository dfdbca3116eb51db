//! Real runs on a handful of drawn images: what is trained, what is left alone, what is reported.

mod families;
mod features;
mod held_out;
mod memory;
mod messages;
mod pixels;
mod rows;
mod several_images;
mod suite;
mod tiny;
mod tower;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_model::{Adapter, Bundle, tensor_file};
use candor_recipe::Reader;
use candor_run::LaunchOptions;
use candor_sft::{SftRecipe, run};
use candor_testing::run::launch;
use tch::{Device, Kind, Tensor};

use tiny::{SFT, prepared, reader, sft};

fn out(folder: &Path, name: &str) -> String {
    format!("run.out={:?}", folder.join(name).display().to_string())
}

fn weights(folder: &Path) -> BTreeMap<String, Tensor> {
    tensor_file::read(&folder.join("model/model.safetensors")).unwrap()
}

fn losses(folder: &Path) -> Vec<f64> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let line = |l: &str| {
        serde_json::from_str::<serde_json::Value>(l).unwrap()["loss"]
            .as_f64()
            .unwrap()
    };
    text.lines().map(line).collect()
}

#[test]
fn fine_tuning_learns_and_leaves_the_tower_alone() {
    let folder = prepared();
    let path = folder.path();
    sft(path, &[&out(path, "sft"), "run.steps=40"]).unwrap();
    let losses = losses(&path.join("sft"));
    assert_eq!(losses.len(), 40);
    assert!(losses[39] < 0.3 * losses[0], "{losses:?}");
    let (before, after) = (weights(&path.join("ground")), weights(&path.join("sft")));
    for (name, tensor) in &before {
        let same = tensor == &after[name];
        assert_eq!(same, name.starts_with("vision_tower."), "{name}");
    }
}

#[test]
fn projector_pretraining_changes_the_projector_alone() {
    let folder = prepared();
    let path = folder.path();
    let sets = [
        &*out(path, "pre"),
        "model.tune=\"projector\"",
        "model.template=\"plain\"",
    ];
    sft(path, &sets).unwrap();
    let (before, after) = (weights(&path.join("ground")), weights(&path.join("pre")));
    for (name, tensor) in &before {
        assert_eq!(
            tensor == &after[name],
            !name.starts_with("multi_modal_projector."),
            "{name}"
        );
    }
    // The model keeps its own template for what comes after.
    let template = |run: &str| fs::read(path.join(run).join("model/template.json")).unwrap();
    assert_eq!(template("ground"), template("pre"));
}

#[test]
fn a_model_trained_with_vicunas_template_keeps_it() {
    let folder = prepared();
    let path = folder.path();
    let sets = [
        &*out(path, "vicuna"),
        "model.template=vicuna_v1",
        "data.max_tokens=256",
        "run.steps=1",
    ];
    sft(path, &sets).unwrap();
    let text = fs::read_to_string(path.join("vicuna/model/template.json")).unwrap();
    let template: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(template["kind"], "vicuna_v1");
    let system = template["system"].as_str().unwrap();
    assert!(
        system.starts_with("A chat between a curious user"),
        "{system}"
    );
}

#[test]
fn projector_pretraining_passes_over_batches_without_images() {
    let folder = prepared();
    let path = folder.path();
    let sets = [
        &*out(path, "one"),
        "model.tune=\"projector\"",
        "data.micro_batch=1",
        "run.steps=2",
    ];
    sft(path, &sets).unwrap();
    assert!(
        losses(&path.join("one"))
            .iter()
            .all(|loss| loss.is_finite())
    );
}

/// An update learns the same from as many rows in a pass as fit, but for last bits.
#[test]
fn passes_bounded_by_tokens_change_nothing_but_last_bits() {
    let folder = prepared();
    let path = folder.path();
    let run = |name: &str, tokens: Option<&str>| {
        let out = out(path, name);
        let sets: Vec<&str> = [out.as_str(), "run.steps=4"]
            .into_iter()
            .chain(tokens)
            .collect();
        sft(path, &sets).unwrap();
        losses(&path.join(name))
    };
    let whole = run("whole", None);
    // Two rows, then one: the rows have some twenty tokens.
    for tokens in ["data.pass_tokens=60", "data.pass_tokens=1"] {
        let cut = run(&tokens.replace('=', "-"), Some(tokens));
        for (cut, whole) in cut.iter().zip(&whole) {
            assert!((cut / whole - 1.0).abs() < 1e-3, "{tokens}: {cut} {whole}");
        }
        assert_eq!(cut.len(), 4);
    }
}

#[test]
fn a_run_never_goes_on_with_other_data_or_another_base() {
    let folder = prepared();
    let path = folder.path();
    let defaults = ["data.root", "model.base"];
    let sets = [
        out(path, "kept"),
        "run.steps=4".to_owned(),
        "run.checkpoint_every=2".to_owned(),
    ];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    sft(path, &sets).unwrap();
    let resume = || {
        let recipe = SftRecipe::read(reader(SFT, path, &defaults, &sets)).unwrap();
        run::run(
            &recipe,
            &LaunchOptions {
                resume: true,
                ..launch(false)
            },
            Device::Cpu,
        )
    };
    resume().unwrap();
    let talk = path.join("talk.json");
    let text = fs::read_to_string(&talk).unwrap();
    fs::write(&talk, text.replace("It is blue.", "It is green.")).unwrap();
    let message = resume().unwrap_err().to_string();
    assert!(
        message.contains("training data") && message.contains("kept"),
        "{message}"
    );
    fs::write(&talk, text).unwrap();
    resume().unwrap();
    let model = path.join("ground/model/model.safetensors");
    let mut tensors = tensor_file::read(&model).unwrap();
    let name = "vision_tower.vision_model.post_layernorm.bias";
    tensors.insert(
        name.to_owned(),
        Tensor::full([16], 0.5, (Kind::Float, Device::Cpu)),
    );
    tensor_file::write(&model, tensors.iter().map(|(n, t)| (n.as_str(), t)), None).unwrap();
    let message = resume().unwrap_err().to_string();
    assert!(message.contains("base model"), "{message}");
}

#[test]
fn lora_writes_an_adapter_that_opens_and_changes_what_the_base_says() {
    let folder = prepared();
    let path = folder.path();
    let lora = "model.lora={ r = 2, alpha = 4.0, targets = [\"q_proj\", \"down_proj\"] }";
    sft(path, &[&out(path, "lora"), "model.tune=\"lora\"", lora]).unwrap();
    assert!(!path.join("lora/model").exists());
    let base = Bundle::open(&path.join("ground/model"), Device::Cpu, Kind::Float).unwrap();
    let adapter = Adapter::open(&path.join("lora/adapter"), &base.model).unwrap();
    // Two blocks, two layers each, A and B.
    assert_eq!(adapter.parameters().len(), 8);
    let ids = Tensor::from_slice(&[1_i64, 5, 9]).unsqueeze(0);
    let hidden = |adapter| {
        base.model
            .hidden(&base.model.embed(&ids, None, None), adapter)
    };
    assert!(
        (hidden(None) - hidden(Some(&adapter)))
            .abs()
            .max()
            .double_value(&[])
            > 1e-4
    );
}

#[test]
fn copies_of_an_adapter_are_kept_along_the_way_and_change_nothing() {
    let folder = prepared();
    let path = folder.path();
    let lora = "model.lora={ r = 2, alpha = 4.0, targets = [\"q_proj\"] }";
    let tune = "model.tune=\"lora\"";
    sft(path, &[&out(path, "plain"), tune, lora]).unwrap();
    let every = "run.snapshot_every=3";
    sft(path, &[&out(path, "copied"), tune, lora, every]).unwrap();
    let adapter = |name: &str| fs::read(path.join(name).join("adapter_model.safetensors")).unwrap();
    assert!(adapter("plain/adapter") == adapter("copied/adapter"));
    // Six steps: the third is on the way, the sixth is the result.
    assert!(adapter("copied/adapters/step-6") == adapter("copied/adapter"));
    assert!(adapter("copied/adapters/step-3") != adapter("copied/adapter"));
    assert_eq!(
        fs::read_dir(path.join("copied/adapters")).unwrap().count(),
        2
    );
    assert!(!path.join("plain/adapters").exists());
    // A whole model is not copied along the way.
    let recipe = SftRecipe::read(reader(SFT, path, &["data.root", "model.base"], &[every]));
    let message = recipe.unwrap_err().to_string();
    assert!(
        message.contains("run.snapshot_every") && message.contains("tune = \"lora\""),
        "{message}"
    );
}

#[test]
fn an_adapter_learns_on_a_base_of_any_precision() {
    let folder = prepared();
    let path = folder.path();
    let lora =
        "model.lora={ r = 4, alpha = 8.0, targets = [\"q_proj\", \"v_proj\", \"down_proj\"] }";
    let run = |precision: &str| {
        let set = format!("model.base_precision={precision:?}");
        let sets = [
            &out(path, precision),
            "model.tune=\"lora\"",
            lora,
            "run.steps=20",
            &set,
        ];
        sft(path, &sets).unwrap();
        losses(&path.join(precision))
    };
    let exact = run("f32");
    for precision in ["bf16", "int8", "nf4"] {
        let found = run(precision);
        // The same batches on a slightly other base: near, but not the same.
        assert!(
            (found[0] / exact[0] - 1.0).abs() < 0.05,
            "{precision}: {found:?} {exact:?}"
        );
        assert!((found[0] - exact[0]).abs() > 0.0, "{precision} is f32");
        assert!(found[19] < 0.8 * found[0], "{precision}: {found:?}");
        assert!(
            path.join(precision)
                .join("adapter/adapter_model.safetensors")
                .exists()
        );
    }
}

/// In bf16 passes compute with rounded weights, and the masters learn.
#[test]
fn a_base_in_bf16_is_trained_as_a_whole() {
    let folder = prepared();
    let path = folder.path();
    let run = |precision: &str| {
        let set = format!("model.base_precision={precision:?}");
        let name = format!("whole-{precision}");
        sft(path, &[&out(path, &name), "run.steps=20", &set]).unwrap();
        losses(&path.join(name))
    };
    let (exact, found) = (run("f32"), run("bf16"));
    assert!(
        (found[0] / exact[0] - 1.0).abs() < 0.05,
        "{found:?} {exact:?}"
    );
    assert!((found[0] - exact[0]).abs() > 0.0, "bf16 is f32");
    assert!(
        (found[19] / exact[19] - 1.0).abs() < 0.2,
        "{found:?} {exact:?}"
    );
    assert!(found[19] < 0.8 * found[0], "{found:?}");
}

#[test]
fn what_writes_a_whole_model_needs_a_base_that_is_not_packed() {
    let folder = prepared();
    for (tune, precision) in [("all_but_tower", "nf4"), ("projector", "int8")] {
        let sets = [
            &format!("model.tune={tune:?}"),
            &format!("model.base_precision={precision:?}"),
        ];
        let sets = sets.map(String::as_str);
        let recipe = SftRecipe::read(reader(
            SFT,
            folder.path(),
            &["data.root", "model.base"],
            &sets,
        ));
        let message = recipe.unwrap_err().to_string();
        assert!(
            message.contains("model.base_precision") && message.contains("tune = \"lora\""),
            "{message}"
        );
    }
}

#[test]
fn lora_goes_on_from_an_adapter() {
    let folder = prepared();
    let path = folder.path();
    let lora = "model.lora={ r = 2, alpha = 4.0, targets = [\"q_proj\", \"down_proj\"] }";
    let first = |name, steps| {
        sft(
            path,
            &[&out(path, name), "model.tune=\"lora\"", lora, steps],
        )
        .unwrap();
    };
    first("six", "run.steps=6");
    first("seven", "run.steps=7");
    let adapter = format!(
        "model.adapter={:?}",
        path.join("six/adapter").display().to_string()
    );
    let sets = [
        &*out(path, "more"),
        "model.tune=\"lora\"",
        &adapter,
        "run.steps=2",
        "run.checkpoint_every=2",
    ];
    sft(path, &sets).unwrap();
    // Every batch is the whole data, so the seventh loss is that of the adapter after six updates.
    let (seventh, begun) = (
        losses(&path.join("seven"))[6],
        losses(&path.join("more"))[0],
    );
    assert!(
        (seventh - begun).abs() < 1e-4 * seventh,
        "{seventh} {begun}"
    );
    assert!(
        begun < 0.99 * losses(&path.join("six"))[0],
        "the adapter changes nothing"
    );
    // A resume notices another adapter in the same place.
    let resume = || {
        let defaults = ["data.root", "model.base"];
        let recipe = SftRecipe::read(reader(SFT, path, &defaults, &sets)).unwrap();
        let launch = LaunchOptions {
            resume: true,
            ..launch(false)
        };
        run::run(&recipe, &launch, Device::Cpu)
    };
    resume().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let at = |run: &str| path.join(run).join("adapter").join(file);
        fs::copy(at("seven"), at("six")).unwrap();
    }
    let message = resume().unwrap_err().to_string();
    assert!(message.contains("began: adapter;"), "{message}");
    // The rank and the layers are the adapter's own.
    let config = |run: &str| {
        let text = fs::read_to_string(path.join(run).join("adapter/adapter_config.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        (json["r"].clone(), json["target_modules"].clone())
    };
    assert_eq!(config("six"), config("more"));
}

#[test]
fn the_sizes_of_an_adapter_stand_in_the_recipe_or_in_the_adapter() {
    let message = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let recipe = SftRecipe::read(Reader::parse("test.toml", SFT, &sets));
        recipe.unwrap_err().to_string()
    };
    let (tune, adapter) = ("model.tune=\"lora\"", "model.adapter=\"a\"");
    let said = message(&[tune, adapter, "model.lora.r=4"]);
    assert!(
        said.contains("both of `lora` and `adapter` given"),
        "{said}"
    );
    let said = message(&[tune, "model.lora.r=4"]);
    assert!(
        said.contains("model.lora.alpha") && said.contains("2 mistakes"),
        "{said}"
    );
    let said = message(&[adapter]);
    assert!(
        said.contains("model.adapter") && said.contains("1 mistake"),
        "{said}"
    );
}

#[test]
fn an_a_okvqa_source_says_where_its_reasons_stand() {
    let folder = prepared();
    let path = folder.path();
    let question = serde_json::json!([{
        "split": "train", "image_id": 7, "question_id": "q", "question": "What color is it?",
        "choices": ["red", "green", "blue", "teal"], "correct_choice_idx": 0, "direct_answers": [],
        "rationales": ["It looks red"],
    }]);
    fs::write(path.join("choices.json"), question.to_string()).unwrap();
    fs::copy(path.join("red.png"), path.join("07.png")).unwrap();
    let source = |reasoning: &str| {
        format!(
            "data.sources=[{{ name = \"c\", format = \"a_okvqa\", path = \"choices.json\", \
             image_name = \"{{:02}}.png\"{reasoning} }}]"
        )
    };
    let recipe = |reasoning: &str, run: &str| {
        let sets = [
            &*out(path, run),
            &source(reasoning),
            "data.batch=1",
            "data.micro_batch=1",
        ];
        SftRecipe::read(reader(SFT, path, &["data.root", "model.base"], &sets))
    };
    let message = recipe("", "none").unwrap_err().to_string();
    assert!(
        message.contains("reasoning") && message.contains("1 mistake"),
        "{message}"
    );
    let tokens = |reasoning: &str| {
        let set = format!(", reasoning = \"{reasoning}\"");
        run::run(
            &recipe(&set, reasoning).unwrap(),
            &launch(false),
            Device::Cpu,
        )
        .unwrap();
        let text = fs::read_to_string(path.join(reasoning).join("metrics.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        line["n_target_tokens"].as_u64().unwrap()
    };
    // "A. red. It looks red." against "It looks red. The correct option is A. red".
    assert!(tokens("before") > tokens("after"));
}

#[test]
fn eight_at_once_and_eight_by_one_give_the_same_update() {
    let folder = prepared();
    let path = folder.path();
    for (name, micro, activations) in [
        ("at-once", 8, "keep"),
        ("by-one", 1, "keep"),
        ("again", 8, "recompute"),
    ] {
        let micro = format!("data.micro_batch={micro}");
        let activations = format!("model.activations=\"{activations}\"");
        // Adam's first update is little more than the sign of the gradient; a large eps lets its size through.
        sft(
            path,
            &[
                &out(path, name),
                &micro,
                &activations,
                "run.steps=2",
                "optimizer.eps=1e-3",
            ],
        )
        .unwrap();
    }
    let at_once = weights(&path.join("at-once"));
    for other in ["by-one", "again"] {
        for (a, b) in losses(&path.join("at-once"))
            .iter()
            .zip(losses(&path.join(other)))
        {
            assert!((a - b).abs() < 1e-5 * a.abs(), "{other}: {a} {b}");
        }
        for (name, tensor) in weights(&path.join(other)) {
            let apart = (&at_once[&name] - &tensor).abs().max().double_value(&[]);
            assert!(apart < 1e-5, "{other}: {name} differs by {apart}");
        }
    }
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_names_the_samples() {
    let folder = prepared();
    let path = folder.path();
    let model = path.join("ground/model/model.safetensors");
    let mut tensors = tensor_file::read(&model).unwrap();
    let name = "language_model.model.norm.weight";
    // Finite, as a weight has to be to be read; the logits are not.
    tensors.insert(
        name.to_owned(),
        Tensor::full([24], 3e38, (Kind::Float, Device::Cpu)),
    );
    tensor_file::write(&model, tensors.iter().map(|(n, t)| (n.as_str(), t)), None).unwrap();
    let message = sft(path, &[&out(path, "nan")]).unwrap_err().to_string();
    assert!(
        message.contains("step 1") && message.contains("text-3"),
        "{message}"
    );
    assert!(!path.join("nan/model").exists());
}

#[test]
fn data_that_does_not_fit_is_refused_with_its_name() {
    let folder = prepared();
    let path = folder.path();
    let message = sft(path, &[&out(path, "long"), "data.max_tokens=5"])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("red") && message.contains("max_tokens"),
        "{message}"
    );
    fs::remove_file(path.join("green.png")).unwrap();
    let message = sft(path, &[&out(path, "missing")]).unwrap_err().to_string();
    assert!(message.contains("green.png"), "{message}");
}

#[test]
fn a_run_is_as_long_as_its_recipe_says() {
    let folder = prepared();
    let path = folder.path();
    // Eight conversations in batches of four: two updates an epoch.
    let epochs = SFT
        .replace("steps = 6", "epochs = 3")
        .replace("batch = 8", "batch = 4");
    let sets = [&*out(path, "epochs")];
    let recipe =
        SftRecipe::read(reader(&epochs, path, &["data.root", "model.base"], &sets)).unwrap();
    run::run(&recipe, &launch(false), Device::Cpu).unwrap();
    assert_eq!(losses(&path.join("epochs")).len(), 6);
    for (text, word) in [
        (SFT.replace("steps = 6", ""), "neither"),
        (SFT.replace("steps = 6", "steps = 6\nepochs = 1"), "both"),
    ] {
        let message = SftRecipe::read(Reader::parse("test.toml", &text, &[]))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(word) && message.contains("1 mistake"),
            "{message}"
        );
    }
}

#[test]
fn a_recipe_reports_all_its_mistakes_at_once() {
    let text = SFT
        .replace("\nbatch = 8", "\nbatch = 9")
        .replace("seed = 1", "sede = 1")
        .replace("1e-2", "-1");
    let message = SftRecipe::read(Reader::parse("test.toml", &text, &[]))
        .unwrap_err()
        .to_string();
    for part in ["sede", "seed", "learning_rate", "micro_batch"] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

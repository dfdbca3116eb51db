//! PEFT folders of every spelling (`parity/fixtures/adapters.py`): logits, and what is refused.

mod against;

use std::fs;
use std::path::{Path, PathBuf};

use against::{Golden, assert_absolute, golden_folder, open_model};
use candor_model::{Adapter, ModelConfig, Vlm, tensor_file};
use serde_json::{Value, json};
use tch::Device;

const BASE: &str = "llava_mha";

fn folder(name: &str) -> PathBuf {
    golden_folder("adapters").join(name)
}

fn open(model: &Vlm, folder: &Path) -> Result<Adapter, String> {
    let adapter = Adapter::open(folder, model);
    adapter.map_err(|error| error.to_string())
}

fn assert_logits(what: &str, model: &Vlm, adapter: &Adapter, golden: &Golden) {
    let features = golden.find("pixel_values");
    let features = features.map(|pixels| model.image_features(pixels));
    let embedded = model.embed(golden.get("input_ids"), features.as_ref(), None);
    let logits = model
        .decoder()
        .logits(&model.hidden(&embedded, Some(adapter)));
    assert_absolute(BASE, what, &logits, golden.get("logits"));
}

#[test]
fn folders_of_every_spelling_compute_what_peft_does() {
    let model = open_model(BASE);
    for name in ["patterns", "earlier", "llama", "blocks"] {
        let golden = Golden::open(&folder(name), "expected.safetensors");
        let adapter = open(&model, &folder(name)).expect("the adapter opens");
        let what = format!("adapter `{name}`: logits");
        assert_logits(&what, &model, &adapter, &golden);

        let saved = tempfile::tempdir().expect("a folder");
        adapter.save(saved.path()).expect("the adapter is written");
        let again = open(&model, saved.path()).expect("it opens again");
        assert_eq!(again.config(), adapter.config());
        assert_eq!(again.parameters(), adapter.parameters());
        assert_logits(&what, &model, &again, &golden);
    }
}

/// The rules that candor writes, against those that PEFT was given.
#[test]
fn ranks_scales_and_layers_are_written_as_short_as_they_are() {
    let model = open_model(BASE);
    let written = |name: &str| {
        let config = open(&model, &folder(name)).unwrap().config().clone();
        let config = serde_json::to_value(config).unwrap();
        let fields = ["target_modules", "rank_pattern", "alpha_pattern"];
        fields.map(|field| config[field].clone())
    };
    let down = "model.language_model.layers.1.mlp.down_proj";
    let [targets, ranks, alphas] = written("patterns");
    assert_eq!(targets, json!(["q_proj", "o_proj", "down_proj"]));
    assert_eq!(ranks, json!({"o_proj": 2, down: 6}));
    let query = |layer| format!("model.language_model.layers.{layer}.self_attn.q_proj");
    assert_eq!(alphas, json!({query(0): 3.0, query(1): 9.0}));
    let [targets, ranks, alphas] = written("blocks");
    let up = "model.language_model.layers.1.mlp.up_proj";
    assert_eq!(targets, json!([query(1), up]));
    assert_eq!([ranks, alphas], [Value::Null, Value::Null]);
}

/// Two blocks of three: the last names of layers would mean the third block, too.
#[test]
fn layers_of_some_blocks_are_written_by_their_whole_names() {
    let two = changed("patterns", |config| {
        config["layers_to_transform"] = json!([0, 1]);
    });
    let mut config = open_model(BASE).config().clone();
    let ModelConfig::Llava(llava) = &mut config else {
        panic!("the base is a LLaVA")
    };
    llava.text_config.num_hidden_layers = 3;
    let deeper = Vlm::fresh(config, 0, Device::Cpu).expect("a fresh model");
    let adapter = Adapter::open(two.path(), &deeper).expect("it opens");
    let targets = &adapter.config().target_modules;
    assert_eq!(targets.len(), 6);
    assert!(
        targets
            .iter()
            .all(|name| name.starts_with("model.language_model.layers."))
    );
    let saved = tempfile::tempdir().expect("a folder");
    adapter.save(saved.path()).expect("the adapter is written");
    let again = Adapter::open(saved.path(), &deeper).expect("it opens again");
    assert_eq!(again.parameters(), adapter.parameters());
    assert!(again.block(2).slot(0).is_none());
}

/// A copy of a folder, with the configuration changed.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(folder(name)).expect("a golden folder") {
        let path = entry.expect("a file").path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = copy.path().join("adapter_config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
    copy
}

#[test]
fn what_candor_does_not_do_is_refused_by_the_name_of_its_field() {
    let model = open_model(BASE);
    let down = ".*down_proj";
    let cases = [
        ("peft_type", json!("LOHA"), "LOHA"),
        ("peft_type", Value::Null, "null"),
        ("r", json!(0), "at least 1"),
        ("r", json!("four"), "four"),
        ("r", json!(1_i64 << 40), "1099511627776"),
        ("rank_pattern", json!({"q_proj": -1}), "rank_pattern.q_proj"),
        ("rank_pattern", json!({"(q_proj": 4}), "rank_pattern"),
        ("rank_pattern", json!({"q_proj": 3}), "has rank 2"),
        (
            "alpha_pattern",
            json!({"q_proj": "x"}),
            "alpha_pattern.q_proj",
        ),
        ("lora_alpha", Value::Null, "lora_alpha"),
        ("bias", json!("lora_only"), "`lora_only`"),
        ("use_dora", json!(true), "`use_dora` is true"),
        ("lora_bias", json!(true), "`lora_bias`"),
        ("layer_replication", json!([[0, 2]]), "`layer_replication`"),
        (
            "trainable_token_indices",
            json!([1]),
            "`trainable_token_indices`",
        ),
        (
            "use_something_new",
            json!("yes"),
            "`use_something_new` is \"yes\"",
        ),
        ("init_lora_weights", json!("pissa"), "\"pissa\""),
        ("target_modules", json!("(q_proj"), "`target_modules`"),
        (
            "target_modules",
            json!(["q_proj"]),
            "`target_modules` does not mean",
        ),
        (
            "target_modules",
            json!("all-linear"),
            "is missing, and `target_modules` means",
        ),
        (
            "exclude_modules",
            json!(down),
            "`target_modules` does not mean",
        ),
    ];
    for (field, value, words) in cases {
        let changed = changed("patterns", |config| config[field] = value.clone());
        let message = open(&model, changed.path()).unwrap_err();
        let file = message.contains("adapter_config.json") || message.contains("adapter_model");
        assert!(
            file && message.contains(words),
            "{field} = {value}: {message}"
        );
    }
}

#[test]
fn what_changes_nothing_is_read_over() {
    let model = open_model(BASE);
    let expected = open(&model, &folder("patterns")).unwrap();
    let changed = changed("patterns", |config| {
        config["use_something_new"] = json!(false);
        config["some_list"] = json!([]);
        config["init_lora_weights"] = json!("gaussian");
        config["fan_in_fan_out"] = json!(true);
        config["revision"] = json!("main");
        config["alpha_pattern"]["no_such_layer"] = json!(100);
    });
    let found = open(&model, changed.path()).unwrap();
    assert_eq!(found.config(), expected.config());
    assert_eq!(found.parameters(), expected.parameters());
}

#[test]
fn more_than_the_decoders_layers_can_only_be_merged() {
    let model = open_model(BASE);
    for (name, layers) in [
        ("everything", ["lm_head", "linear_2"]),
        ("tables", ["patch_embedding", "position_embedding"]),
    ] {
        let message = open(&model, &folder(name)).unwrap_err();
        let named = layers.iter().any(|layer| message.contains(layer));
        assert!(named && message.contains("candor export"), "{message}");
    }
    // What the original LLaVA puts beside an adapter.
    let copy = changed("llama", |_| ());
    let projector = tch::Tensor::from_slice(&[1_f32]);
    let name = "base_model.model.model.mm_projector.0.bias";
    let beside = copy.path().join("non_lora_trainables.safetensors");
    tensor_file::write(&beside, [(name, &projector)], None).unwrap();
    let message = open(&model, copy.path()).unwrap_err();
    assert!(
        message.contains(name) && message.contains("non_lora_trainables"),
        "{message}"
    );
}

#[test]
fn damaged_tensors_are_named() {
    let model = open_model(BASE);
    let prefix = "base_model.model.model.language_model.layers.0";
    let a = format!("{prefix}.self_attn.q_proj.lora_A.weight");
    let b = format!("{prefix}.self_attn.q_proj.lora_B.weight");
    let damaged = |change: &dyn Fn(&mut std::collections::BTreeMap<String, tch::Tensor>)| {
        let copy = changed("patterns", |_| ());
        let path = copy.path().join("adapter_model.safetensors");
        let mut tensors = tensor_file::read(&path).unwrap();
        change(&mut tensors);
        let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        tensor_file::write(&path, named, None).unwrap();
        open(&model, copy.path()).unwrap_err()
    };
    let zeros = |shape: &[i64], kind| tch::Tensor::zeros(shape, (kind, Device::Cpu));
    let (float, int) = (tch::Kind::Float, tch::Kind::Int);
    let put = |name: &str, shape: &[i64], kind| {
        damaged(&|tensors| drop(tensors.insert(name.to_owned(), zeros(shape, kind))))
    };
    let cases = [
        (
            damaged(&|tensors| drop(tensors.remove(&a))),
            "without its lora_A",
        ),
        (
            damaged(&|tensors| drop(tensors.remove(&b))),
            "without its lora_B",
        ),
        (
            put(&a, &[3, 32], float),
            "has rank 3, and adapter_config.json gives it 4",
        ),
        (
            put(&a, &[4, 31], float),
            "for a layer of width 31, and the model's has 32",
        ),
        (put(&a, &[4], float), "both are matrices"),
        (put(&a, &[4, 32], int), "is I32"),
        (
            put(
                &format!("{prefix}.self_attn.q_proj.lora_magnitude_vector"),
                &[32],
                float,
            ),
            "plain LoRA",
        ),
        (
            put(
                &format!("{prefix}.self_attn.q_proj.lora_B.bias"),
                &[32],
                float,
            ),
            "plain LoRA",
        ),
        (
            put(
                &format!("{prefix}.self_attn.q_proj.lora_A.other.weight"),
                &[4, 32],
                float,
            ),
            "a second one",
        ),
        (
            put(&format!("{prefix}.input_layernorm.weight"), &[32], float),
            "modules_to_save",
        ),
    ];
    for (message, words) in cases {
        assert!(message.contains(words), "{message}");
        assert!(
            message.contains("adapter_model.safetensors: tensor `base_model"),
            "{message}"
        );
    }
    // Of another model: a block that the decoder has not.
    let other = prefix.replace("layers.0", "layers.7") + ".self_attn.q_proj";
    let message = damaged(&|tensors| {
        for (part, shape) in [("A", [4, 32]), ("B", [32, 4])] {
            tensors.insert(format!("{other}.lora_{part}.weight"), zeros(&shape, float));
        }
    });
    assert!(
        message.contains("layers.7") && message.contains("a decoder of 2"),
        "{message}"
    );
}

#[test]
fn a_folder_without_tensors_says_what_was_looked_for() {
    let model = open_model(BASE);
    let copy = changed("patterns", |_| ());
    fs::remove_file(copy.path().join("adapter_model.safetensors")).unwrap();
    let message = open(&model, copy.path()).unwrap_err();
    assert!(
        message.contains("adapter_model.safetensors, adapter_model.bin"),
        "{message}"
    );
    fs::remove_file(copy.path().join("adapter_config.json")).unwrap();
    let message = open(&model, copy.path()).unwrap_err();
    assert!(message.contains("adapter_config.json"), "{message}");
}

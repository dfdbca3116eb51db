//! Numbers that are none: refused where they are read, and where they come out of a model.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_model::export::{Export, export_adapter};
use candor_model::{
    Adapter, Bundle, CheckpointFormat, Decoding, Dialogue, LoraConfig, ModelFolder, Query,
    ScalarHead, generate, tensor_file,
};
use candor_testing::model::{open, write};
use tch::{Device, Kind, Tensor};

/// Changes one tensor of a safetensors file.
fn change(path: &Path, name: &str, change: impl FnOnce(&mut Tensor)) {
    let mut tensors = tensor_file::read(path).unwrap();
    let named = tensors.iter_mut().find(|(found, _)| found.contains(name));
    change(named.expect("there is such a tensor").1);
    let all: BTreeMap<_, _> = tensors.into_iter().collect();
    tensor_file::write(path, all.iter().map(|(n, t)| (n.as_str(), t)), None).unwrap();
}

fn set(tensor: &Tensor, at: i64, value: f64) {
    let _ = tensor.flatten(0, -1).get(at).fill_(value);
}

/// An adapter on the query layers whose B is 0.01 everywhere.
fn adapter(folder: &Path, bundle: &Bundle) {
    let config = LoraConfig::new(2, 4.0, &["q_proj".to_owned()]);
    let adapter = Adapter::fresh(config, &bundle.model, 1).unwrap();
    for (name, tensor) in adapter.parameters() {
        if name.contains("lora_B") {
            let _ = tensor.shallow_clone().fill_(0.01);
        }
    }
    fs::create_dir_all(folder).unwrap();
    adapter.save(folder).unwrap();
}

fn export(model: &Path, adapter: Option<&Path>, kind: Option<Kind>) -> Export {
    Export {
        model: ModelFolder::find(model).unwrap(),
        adapter: adapter.map(Path::to_owned),
        checkpoint_format: CheckpointFormat::HuggingFace,
        kind,
    }
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let weights = dir.path().join("model.safetensors");
    let out = dir.path().join("exported");
    for part in [
        "vision_tower",
        "multi_modal_projector",
        "embed_tokens",
        "lm_head",
    ] {
        let before = fs::read(&weights).unwrap();
        change(&weights, part, |tensor| {
            set(tensor, 3, f64::NAN);
            set(tensor, 5, f64::NEG_INFINITY);
        });
        let message = Bundle::open(dir.path(), Device::Cpu, Kind::BFloat16).unwrap_err();
        let message = message.to_string();
        for words in ["model.safetensors", part, "2 of ", "1 NaN and 1 infinite"] {
            assert!(message.contains(words), "{words}: {message}");
        }
        let exported = export(dir.path(), None, None).write(&out, Device::Cpu);
        assert!(exported.unwrap_err().to_string().contains(part));
        assert!(!out.exists());
        fs::write(&weights, before).unwrap();
    }
    Bundle::open(dir.path(), Device::Cpu, Kind::Float).expect("it is whole again");
}

#[test]
fn adapters_and_heads_are_read_with_the_same_eyes() {
    let dir = tempfile::tempdir().unwrap();
    let (base, folder, out) = (
        dir.path().join("base"),
        dir.path().join("adapter"),
        dir.path().join("out"),
    );
    write(&base);
    let bundle = open(&base);
    adapter(&folder, &bundle);
    change(&folder.join("adapter_model.safetensors"), "lora_B", |b| {
        set(b, 7, f64::NAN);
    });
    let message = Adapter::open(&folder, &bundle.model)
        .unwrap_err()
        .to_string();
    for words in [
        "adapter_model.safetensors",
        "lora_B.weight",
        "1 of 48",
        "1 NaN",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let merged = export(&base, Some(&folder), None).write(&out, Device::Cpu);
    assert!(merged.unwrap_err().to_string().contains("lora_B"));
    let checkpoint_format = CheckpointFormat::HuggingFace;
    let copied = export_adapter(
        &folder,
        bundle.model.config(),
        None,
        checkpoint_format,
        None,
        &out,
    );
    assert!(copied.unwrap_err().to_string().contains("lora_B"));
    assert!(!out.exists());

    let head = ScalarHead::zeros(&bundle.model).unwrap();
    set(&head.parameters()[0].1, 0, f64::INFINITY);
    let path = dir.path().join("head.safetensors");
    head.save(&path).unwrap();
    let message = ScalarHead::open(&path, &bundle.model)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("head.safetensors") && message.contains("1 infinite"),
        "{message}"
    );
}

/// Finite numbers whose sums or narrower types are not.
#[test]
fn what_would_be_written_is_looked_at_too() {
    let dir = tempfile::tempdir().unwrap();
    let (base, folder, out) = (
        dir.path().join("base"),
        dir.path().join("adapter"),
        dir.path().join("out"),
    );
    write(&base);
    adapter(&folder, &open(&base));
    let file = folder.join("adapter_model.safetensors");
    // 65,504 is the largest number of 16 bits.
    change(&file, "lora_B", |b| set(b, 7, 70_000.0));
    let write = |kind| export(&base, Some(&folder), kind).write(&out, Device::Cpu);
    write(Some(Kind::BFloat16)).expect("bf16 has the range of f32");
    fs::remove_dir_all(&out).unwrap();
    let model = open(&base).model;
    let config = model.config();
    let half = Some(Kind::Half);
    let copied = export_adapter(
        &folder,
        config,
        None,
        CheckpointFormat::HuggingFace,
        half,
        &out,
    );
    let message = copied.unwrap_err().to_string();
    assert!(
        message.contains("lora_B") && message.contains("Half"),
        "{message}"
    );
    assert!(!out.exists());
    // A sum of two finite numbers: s · B A of 2 · 3e38.
    change(&file, "lora_B", |b| {
        let _ = b.fill_(3e38);
    });
    change(&file, "lora_A", |a| {
        let _ = a.fill_(1.0);
    });
    let message = write(None).unwrap_err().to_string();
    assert!(
        message.contains("q_proj") && message.contains("not be finite"),
        "{message}"
    );
    assert!(!out.exists());
}

/// Every weight is finite, and what is computed with them is not.
#[test]
fn a_merged_model_that_answers_with_no_numbers_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (base, folder, out) = (
        dir.path().join("base"),
        dir.path().join("adapter"),
        dir.path().join("out"),
    );
    write(&base);
    adapter(&folder, &open(&base));
    change(&base.join("model.safetensors"), "lm_head", |head| {
        let _ = head.fill_(3e38);
    });
    let written = export(&base, Some(&folder), None).write(&out, Device::Cpu);
    let message = written.unwrap_err().to_string();
    assert!(
        message.contains("logits") && message.contains("nothing is written"),
        "{message}"
    );
    assert!(!out.exists());
}

fn decoding(bundle: &Bundle, temperature: f64) -> Decoding {
    Decoding {
        max_new_tokens: 4,
        temperature,
        top_p: 0.9,
        ends: bundle.tokenizer.ends,
    }
}

/// A model that one token leaves without numbers, as if what came of it had overflowed.
fn overflowing(folder: &Path) -> (Bundle, i64) {
    write(folder);
    let bundle = open(folder);
    let huge = *bundle
        .tokenizer
        .encode("A bus")
        .unwrap()
        .ids
        .last()
        .unwrap();
    let table = &bundle.model.parameters()["language_model.model.embed_tokens.weight"];
    let _ = tch::no_grad(|| table.get(huge).fill_(f64::NAN));
    (bundle, huge)
}

#[test]
fn a_response_without_probabilities_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, huge) = overflowing(dir.path());
    let queries = [vec![1, 20, 30], vec![1, huge, huge], vec![1, 25]].map(|ids| Query {
        ids,
        features: None,
        image: None,
    });
    for temperature in [0.0, 1.0] {
        let decoding = decoding(&bundle, temperature);
        // Two samples of each: the second query's are responses 2 and 3.
        let said = generate(&bundle.model, None, &queries, 2, 8, decoding, |_, _| 0.5);
        let found = said.unwrap_err();
        assert_eq!((found.response / 2, found.position), (1, 0));
        let message = found.of_sample("question 7").to_string();
        assert!(
            message.contains("`question 7`") && message.contains("token 1"),
            "{message}"
        );
        let alone = generate(
            &bundle.model,
            None,
            &queries[..1],
            2,
            8,
            decoding,
            |_, _| 0.5,
        );
        assert_eq!(alone.unwrap().len(), 2);
    }
    // Read into the slots of one that has ended, while another goes on.
    let [first, bad, last] = queries;
    let queries = [first, last, bad];
    let decoding = decoding(&bundle, 0.0);
    let said = generate(&bundle.model, None, &queries, 1, 2, decoding, |_, _| 0.5);
    assert_eq!(said.unwrap_err().response, 2);
}

#[test]
fn a_conversation_stops_and_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, _) = overflowing(dir.path());
    let mut dialogue = Dialogue::new(&bundle, None, None).unwrap();
    let decoding = decoding(&bundle, 0.0);
    let message = dialogue
        .ask("A red bus.", decoding, 0, |_| true)
        .unwrap_err();
    assert!(message.to_string().contains("not finite"), "{message}");
    let after = dialogue
        .ask("Is it moving?", decoding, 0, |_| true)
        .unwrap();
    let mut fresh = Dialogue::new(&bundle, None, None).unwrap();
    let alone = fresh.ask("Is it moving?", decoding, 0, |_| true).unwrap();
    assert_eq!((after.text, after.ids), (alone.text, alone.ids));
}

//! An adapter on the tower: what it learns, what it leaves alone, and that what it changes is how images are seen.

use std::path::Path;

use candor_model::{Adapter, Bundle, Features, ImageFeatures};
use tch::{Device, Kind, Tensor};

use crate::tiny::{prepared, sft};
use crate::{losses, out};

const LORA: &str = "model.lora={ r = 2, alpha = 4.0, targets = [\"tower\"] }";

/// Final hidden states of one image's tokens, or of words alone.
fn hidden(bundle: &Bundle, folder: &Path, image: Option<&str>, adapter: &Adapter) -> [Tensor; 2] {
    let names = image.map(str::to_owned);
    let features = ImageFeatures::encode(bundle, folder, names, |_, _| ()).unwrap();
    let features = features.of(image);
    let n_tokens = features.as_ref().map_or(0, Features::n_tokens);
    let mut ids = vec![5_i64, 9];
    ids.extend(vec![bundle.tokenizer.image; n_tokens]);
    let ids = Tensor::from_slice(&ids).unsqueeze(0);
    let model = &bundle.model;
    [None, Some(adapter)].map(|adapter| {
        tch::no_grad(|| {
            let embedded = model.embed(&ids, features.as_ref(), adapter);
            model.hidden(&embedded, adapter)
        })
    })
}

#[test]
fn it_learns_and_is_opened_again() {
    let folder = prepared();
    let path = folder.path();
    let run = |name: &str, sets: &[&str]| {
        let out = out(path, name);
        let own = [out.as_str(), "model.tune=\"lora\"", LORA, "run.steps=12"];
        sft(path, &[&own[..], sets].concat()).unwrap();
        losses(&path.join(name))
    };
    let kept = run("kept", &[]);
    assert!(kept[11] < kept[0], "{kept:?}");
    // How a step is cut into passes, and what a pass keeps, changes nothing but rounding.
    let again = run(
        "again",
        &["model.activations=\"recompute\"", "data.micro_batch=2"],
    );
    for (kept, again) in kept.iter().zip(&again) {
        assert!((kept / again - 1.0).abs() < 1e-3, "{kept} {again}");
    }

    let base = Bundle::open(&path.join("ground/model"), Device::Cpu, Kind::Float).unwrap();
    let adapter = Adapter::open(&path.join("kept/adapter"), &base.model).unwrap();
    // Two blocks, six layers each, A and B.
    assert_eq!(adapter.parameters().len(), 24);
    for (name, tensor) in adapter.parameters() {
        assert!(name.starts_with("vision_tower."), "{name}");
        // The features are those before the second block, which nothing is learnt of: its B stays zero.
        let largest = tensor.abs().max().double_value(&[]);
        let zero = name.contains("layers.1.") && name.contains("lora_B");
        assert_eq!(largest > 0.0, !zero, "{name}");
    }
    let differ = |image| {
        let [before, after] = hidden(&base, path, image, &adapter);
        (before - after).abs().max().double_value(&[])
    };
    assert!(differ(Some("red.png")) > 1e-4);
    assert!(differ(None) < f64::MIN_POSITIVE);
}

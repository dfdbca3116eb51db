//! Quantised bases: the bytes that a weight is packed in, what they unpack to, and a step of training on them.
//!
//! `parity/fixtures/quantized.py` has the definition in plain PyTorch. What is packed must be equal to the bit; a step
//! on it is what it is on any base, at tolerances of float32.

mod against;

use against::{
    Golden, assert_gradients, at_real_positions, difference, features, golden_folder, loss,
    peft_name, report_relative,
};
use candor_model::{
    Activations, Adapter, Features, Precision, Quantization, TARGETS, Vlm, tensor_file,
};
use tch::{Device, Kind};

const SCHEMES: [(&str, Quantization); 2] =
    [("int8", Quantization::Int8), ("nf4", Quantization::Nf4)];

fn precision(quantization: Quantization) -> Precision {
    Precision {
        kind: Kind::Float,
        quantization,
    }
}

/// A checkpoint, an adapter of it, and what the files of steps begin with.
const STEPS: [(&str, &str, &str); 4] = [
    ("llava_mha", "all_linear", "step"),
    ("qwen/qwen2_vl", "with_projector", "qwen2_vl"),
    ("qwen/qwen2_5_vl_gqa", "with_projector", "qwen2_5_vl_gqa"),
    ("qwen/qwen3_vl", "with_projector", "qwen3_vl"),
];

fn open(quantization: Quantization) -> Vlm {
    open_case("llava_mha", quantization)
}

fn open_case(case: &str, quantization: Quantization) -> Vlm {
    let folder = golden_folder(case);
    Vlm::open(&folder, Device::Cpu, precision(quantization)).expect("the checkpoint opens")
}

fn open_adapter(model: &Vlm) -> Adapter {
    let folder = golden_folder("llava_mha/all_linear");
    Adapter::open(&folder, model).expect("the adapter opens")
}

/// Relative, of logits and loss. Gradients are held to the 1e-3 of all golden tests: `PyTorch`'s own in f32 are up to
/// 8e-5 from its f64 ones (`float32_noise` in the files).
const CLOSE: f64 = 1e-5;

fn check_step(
    (case, adapter, file): (&str, &str, &str),
    (scheme, quantization): (&str, Quantization),
    activations: Activations,
) {
    let golden = Golden::open(
        &golden_folder("quantized"),
        &format!("{file}_{scheme}.safetensors"),
    );
    let model = open_case(case, quantization);
    let folder = golden_folder(case).join(adapter);
    let adapter = Adapter::open(&folder, &model).expect("the adapter opens");
    let trainable = model.set_trainable(|name| name.starts_with("language_model.model.layers."));
    let is_packed = |name: &str| {
        TARGETS
            .iter()
            .any(|target| name.ends_with(&format!("{target}.weight")))
    };
    assert!(
        trainable.iter().all(|(name, _)| !is_packed(name)),
        "a packed weight is trainable"
    );
    model.set_trainable(|_| false);
    adapter.set_trainable(true);

    let label = format!("quantized/{file}/{scheme}");
    let batch = golden.batch();
    let features = Features::cat(&features(&model, &golden));
    let embedded = model.embed(&batch.ids, features.as_ref(), Some(&adapter));
    let logits = tch::no_grad(|| {
        model
            .decoder()
            .logits(&model.hidden(&embedded, Some(&adapter)))
    });
    let (absolute, relative) = difference(
        &at_real_positions(&golden, &logits),
        &at_real_positions(&golden, golden.get("logits")),
    );
    report_relative(&label, "logits", absolute, relative);
    assert!(relative <= CLOSE, "{label}: logits differ by {relative}");

    let found = model.backward(&embedded, Some(&adapter), activations, |hidden| {
        loss(&model, &batch, hidden)
    });
    let (_, relative) = difference(&found, golden.get("loss"));
    assert!(relative <= CLOSE, "{label}: the loss differs by {relative}");
    let gradients = adapter.parameters().iter();
    let gradients = gradients.map(|(name, parameter)| (peft_name(case, name), parameter.grad()));
    assert_gradients(&label, "gradients", &golden, gradients);
}

#[test]
fn steps_of_an_adapter_on_a_quantised_base() {
    for step in STEPS {
        for scheme in SCHEMES {
            for activations in [Activations::Keep, Activations::Recompute] {
                check_step(step, scheme, activations);
            }
        }
    }
}

#[test]
fn only_the_linear_layers_of_the_decoders_blocks_are_packed() {
    for (scheme, quantization) in SCHEMES {
        let model = open(quantization);
        let (mut n_parts, mut n_dense) = (0, 0);
        for (name, tensor) in model.parameters() {
            if tensor.kind() == Kind::Float && (name.ends_with(".weight") || name.ends_with("bias"))
            {
                n_dense += 1;
                let packed_elsewhere = name.starts_with("language_model.model.layers.")
                    && TARGETS.iter().any(|target| name.contains(target));
                assert!(!packed_elsewhere, "{scheme}: `{name}` is not packed");
            } else if name.ends_with(".weight.codes") {
                n_parts += 1;
                assert!(name.starts_with("language_model.model.layers."), "{name}");
            }
        }
        assert_eq!(n_parts, 2 * TARGETS.len(), "{scheme}");
        let all = Vlm::open(&golden_folder("llava_mha"), Device::Cpu, Kind::Float);
        let n_all = all.expect("the checkpoint opens").parameters().len();
        // The class embedding has neither of the two endings.
        assert_eq!(n_dense + n_parts + 1, n_all, "{scheme}");
    }
}

#[test]
fn a_quantised_model_is_not_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let message = open(Quantization::Nf4)
        .save(folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("quantised") && message.contains("save the adapter"),
        "{message}"
    );
    let n_files = std::fs::read_dir(folder.path())
        .expect("it is there")
        .count();
    assert_eq!(n_files, 0, "a file was written all the same");
}

#[test]
fn a_checkpoint_that_is_not_finite_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let original = golden_folder("llava_mha");
    std::fs::copy(
        original.join("config.json"),
        folder.path().join("config.json"),
    )
    .expect("a copy");
    let file = folder.path().join("model.safetensors");
    let tensors = tensor_file::read(&original.join("model.safetensors")).expect("a checkpoint");
    let (damaged, tensor) = tensors
        .iter()
        .find(|(name, _)| name.ends_with("layers.1.mlp.up_proj.weight"))
        .expect("there is such a layer");
    let _ = tensor.get(3).get(4).fill_(f64::NAN);
    tensor_file::write(&file, tensors.iter().map(|(n, t)| (n.as_str(), t)), None)
        .expect("the file is written");
    for (_, quantization) in SCHEMES {
        let opened = Vlm::open(folder.path(), Device::Cpu, precision(quantization));
        let message = opened.unwrap_err().to_string();
        assert!(
            message.contains("layers.1.mlp.up_proj.weight") && message.contains("not finite"),
            "{damaged}: {message}"
        );
    }
}

#[test]
fn a_base_in_bfloat16_takes_an_adapter_in_float32() {
    for quantization in [Quantization::None, Quantization::Int8, Quantization::Nf4] {
        let coarse = Precision {
            kind: Kind::BFloat16,
            quantization,
        };
        let model = Vlm::open(&golden_folder("llava_mha"), Device::Cpu, coarse);
        let model = model.expect("the checkpoint opens");
        let exact = open(quantization);
        let adapter = open_adapter(&model);
        model.set_trainable(|_| false);
        adapter.set_trainable(true);
        let golden = Golden::open(&golden_folder("quantized"), "step_nf4.safetensors");
        let batch = golden.batch();
        let run = |model: &Vlm| {
            let pixels = golden.get("pixel_values");
            let features = model.image_features(pixels);
            let embedded = model.embed(&batch.ids, Some(&features), None);
            let loss = model.backward(&embedded, Some(&adapter), Activations::Keep, |hidden| {
                loss(model, &batch, hidden)
            });
            loss.to_kind(Kind::Double).double_value(&[])
        };
        let (found, expected) = (run(&model), run(&exact));
        // 8 bits of mantissa, two blocks.
        assert!(
            (found - expected).abs() < 0.02 * expected,
            "{found} {expected}"
        );
        for (name, tensor) in adapter.parameters() {
            assert_eq!(tensor.grad().kind(), Kind::Float, "{name}");
        }
    }
}

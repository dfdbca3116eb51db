//! Models on another device than the CPU: the golden values of transformers, and what is copied on the way.
//!
//! The device is a pretend one in host memory (`candor-pretend-cuda`). It computes what the CPU computes, but attention
//! its plain way, so values are held to the tolerances of the golden files and not to bits.

mod against;

use against::{
    Golden, N_NEW_TOKENS, NEVER, assert_absolute, assert_gradients, assert_relative,
    assert_responses, features, golden_folder, greedy, loss, queries,
};
use candor_model::sample::{Batch, Sample};
use candor_model::{
    Activations, Adapter, Decoding, Features, LoraConfig, Precision, Quantization, TARGETS, Vlm,
    generate,
};
use candor_pretend_cuda::{FIRST, PretendCuda, SECOND};
use tch::{Device, Kind, Tensor};

fn open(case: &str, device: Device) -> Vlm {
    Vlm::open(&golden_folder(case), device, Kind::Float).expect("the checkpoint opens")
}

fn samples(golden: &Golden) -> Vec<Sample> {
    let rows = golden.real_rows("input_ids").into_iter();
    rows.zip(golden.real_rows("labels"))
        .map(|(ids, labels)| Sample {
            id: "golden".to_owned(),
            image: None,
            ids,
            labels,
        })
        .collect()
}

fn batch(golden: &Golden, device: Device) -> Batch {
    let samples = samples(golden);
    Batch::new(&samples.iter().collect::<Vec<_>>(), 0, device)
}

/// Rows of `[batch, len, vocab]` at the tokens that are real, by the lengths of the rows.
fn of_real_rows(golden: &Golden, logits: &Tensor) -> Tensor {
    let lens = golden.real_rows("input_ids");
    let rows = lens.iter().enumerate();
    let rows: Vec<Tensor> = rows
        .map(|(row, ids)| logits.get(row as i64).narrow(0, 0, ids.len() as i64))
        .collect();
    Tensor::cat(&rows, 0).to_device(Device::Cpu)
}

/// A forward and two backward passes on the device.
fn check_step(case: &str, file: &str, in_hub: fn(&str) -> String, device: Device) {
    let host = Golden::open(&golden_folder(case), file);
    let golden = host.on(device);
    let name = format!("{case} on {device:?}");
    for activations in [Activations::Keep, Activations::Recompute] {
        let model = open(case, device);
        assert_eq!(model.device(), device);
        let batch = batch(&host, device);
        model.set_trainable(|_| true);
        let images = Features::cat(&features(&model, &golden));
        let embedded = model.embed(&batch.ids, images.as_ref(), None);
        let logits = model.decoder().logits(&model.hidden(&embedded, None));
        assert_eq!(logits.device(), device);
        let expected = real_rows_of_golden(&host);
        assert_absolute(&name, "logits", &of_real_rows(&host, &logits), &expected);
        let found = model.backward(&embedded, None, activations, |hidden| {
            loss(&model, &batch, hidden)
        });
        let found = found.to_device(Device::Cpu);
        assert_relative(&name, "loss", &found, host.get("loss"));
        let gradients = model.parameters().iter().map(|(name, parameter)| {
            let gradient = parameter.grad();
            let gradient = if gradient.defined() {
                gradient.to_device(Device::Cpu)
            } else {
                gradient
            };
            (in_hub(name), gradient)
        });
        assert_gradients(&name, "gradients", &host, gradients);
    }
}

fn real_rows_of_golden(golden: &Golden) -> Tensor {
    against::at_real_positions(golden, golden.get("logits"))
}

fn names_of_qwen(name: &str) -> String {
    let renamed = [
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        ("multi_modal_projector.", "visual.merger."),
        ("vision_tower.", "visual."),
    ];
    let found = renamed
        .iter()
        .find_map(|(here, there)| Some(format!("{there}{}", name.strip_prefix(here)?)));
    found.unwrap_or_else(|| panic!("{name} is of no part"))
}

#[test]
fn a_training_step_of_llava_is_transformers() {
    let _devices = PretendCuda::take();
    let file = "step_ragged.safetensors";
    check_step("llava_gqa", file, str::to_owned, FIRST);
    check_step("llava_gqa", file, str::to_owned, SECOND);
}

#[test]
fn a_training_step_of_qwen_is_transformers() {
    let _devices = PretendCuda::take();
    let file = "step_ragged_right.safetensors";
    check_step("qwen/qwen2_5_vl_gqa", file, names_of_qwen, FIRST);
}

#[test]
fn greedy_answers_are_transformers() {
    let _devices = PretendCuda::take();
    for case in ["llava_gqa", "qwen/qwen2_5_vl_gqa", "qwen/qwen3_vl"] {
        let host = Golden::open(&golden_folder(case), "generate.safetensors");
        let model = open(case, FIRST);
        let queries = queries(&model, &host.on(FIRST));
        let eos = host.get("stopped.eos").int64_value(&[0]);
        let free = greedy(&model, None, &queries, 2, NEVER);
        assert_responses(case, "on a device", &free, &host, "free");
        let stopped = greedy(&model, None, &queries, 3, eos);
        assert_responses(case, "on a device", &stopped, &host, "stopped");
    }
}

/// A token costs one copy to the host and one to the device, whatever the layers.
#[test]
fn a_token_is_one_copy_each_way() {
    let devices = PretendCuda::take();
    let case = "llava_gqa";
    let host = Golden::open(&golden_folder(case), "generate.safetensors");
    let model = open(case, FIRST);
    let queries = queries(&model, &host.on(FIRST));
    devices.restart();
    let said = greedy(&model, None, &queries, 3, NEVER);
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|row| row.ids.len() == N_NEW_TOKENS));
    // All rows begin together and end together.
    let n_tokens = N_NEW_TOKENS as u64;
    assert_eq!(devices.traffic().to_host.n, n_tokens);
    assert_eq!(devices.traffic().to_device.n, 1);

    devices.restart();
    let decoding = Decoding {
        max_new_tokens: N_NEW_TOKENS,
        temperature: 1.0,
        top_p: 1.0,
        ends: NEVER.into(),
    };
    generate(&model, None, &queries, 1, 3, decoding, |_, _| 0.5).expect("finite logits");
    assert_eq!(devices.traffic().to_host.n, n_tokens);
    // The draws of each token besides.
    assert_eq!(devices.traffic().to_device.n, 1 + n_tokens);
}

/// Packed weights are unpacked by tensor operations there, to the CPU's bits.
#[test]
fn packed_weights_are_unpacked_on_the_device() {
    let _devices = PretendCuda::take();
    let case = "llava_gqa";
    let host = Golden::open(&golden_folder(case), "step_ragged.safetensors");
    for quantization in [Quantization::Nf4, Quantization::Int8] {
        let logits = |device| {
            let precision = Precision {
                kind: Kind::Float,
                quantization,
            };
            let model = Vlm::open(&golden_folder(case), device, precision).expect("it opens");
            let golden = host.on(device);
            let images = Features::cat(&features(&model, &golden));
            let ids = &batch(&host, device).ids;
            let embedded = model.embed(ids, images.as_ref(), None);
            let hidden = model.hidden(&embedded, None);
            model.decoder().logits(&hidden).to_device(Device::Cpu)
        };
        let (here, there) = (logits(Device::Cpu), logits(FIRST));
        assert_eq!(there, here, "{quantization:?}");
    }
}

/// A term is two products, the second of which is added where the layer's result is. On a base of fewer bits A and B are
/// turned into its kind, which generation does once for all of its tokens.
#[test]
fn an_adapter_is_two_operations_a_layer() {
    let devices = PretendCuda::take();
    let ids = Tensor::from_slice(&[1_i64, 7, 9])
        .unsqueeze(0)
        .to_device(FIRST);
    for (kind, of_a_layer) in [(Kind::Float, 2), (Kind::BFloat16, 4)] {
        let model = Vlm::open(&golden_folder("llava_gqa"), FIRST, kind).expect("it opens");
        let adapter = LoraConfig::new(4, 8.0, &TARGETS.map(str::to_owned));
        let adapter = Adapter::fresh(adapter, &model, 0).expect("it fits");
        let n_layers = (TARGETS.len() * model.decoder().n_blocks()) as u64;
        let embedded = model.embed(&ids, None, None);
        let pass = |adapter| {
            devices.restart();
            tch::no_grad(|| drop(model.hidden(&embedded, adapter)));
            devices.n_operations()
        };
        assert_eq!(pass(Some(&adapter)) - pass(None), of_a_layer * n_layers);
        let query = candor_model::Query {
            ids: vec![1, 7, 9],
            features: None,
            image: None,
        };
        let tokens = |adapter| {
            devices.restart();
            let said = greedy(&model, adapter, std::slice::from_ref(&query), 1, NEVER);
            (devices.n_operations(), said[0].ids.len() as u64)
        };
        let ((with, n_tokens), (without, _)) = (tokens(Some(&adapter)), tokens(None));
        let casts = if kind == Kind::Float { 0 } else { 2 * n_layers };
        // The prompt is read in one pass, which says the first token.
        assert_eq!(with - without, 2 * n_layers * n_tokens + casts);
    }
}

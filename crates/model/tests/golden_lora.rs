//! PEFT adapters on the checkpoints: logits, loss, gradients of all A and B, greedy decoding.
//!
//! `parity/fixtures/lora.py` wrote the adapters with PEFT's `save_pretrained`, in both forms that its
//! `adapter_config.json` has (a list of layers, a pattern over names).

mod against;

use against::{
    Golden, NEVER, assert_absolute, assert_gradients, assert_relative, assert_responses,
    at_real_positions, features, golden_folder, greedy, loss, open_model, queries,
};
use candor_model::{Activations, Adapter, Embedded, Features, Vlm};
use tch::Tensor;

fn open_adapter(model: &Vlm, case: &str, name: &str) -> Adapter {
    let folder = golden_folder(case).join(name);
    Adapter::open(&folder, model).expect("the adapter opens")
}

fn embed(model: &Vlm, golden: &Golden, ids: &Tensor) -> Embedded {
    let features = Features::cat(&features(model, golden));
    model.embed(ids, features.as_ref())
}

fn assert_logits(case: &str, model: &Vlm, adapter: Option<&Adapter>, golden: &Golden) {
    let embedded = embed(model, golden, &golden.batch().ids);
    let logits = model.decoder().logits(&model.hidden(&embedded, adapter));
    let expected = at_real_positions(golden, golden.get("logits"));
    assert_absolute(
        case,
        "logits",
        &at_real_positions(golden, &logits),
        &expected,
    );
}

/// One step with the base frozen.
fn check_step(case: &str, name: &str, step: &str, activations: Activations) {
    let golden = Golden::open(
        &golden_folder(case).join(name),
        &format!("step_{step}.safetensors"),
    );
    let model = open_model(case);
    let adapter = open_adapter(&model, case, name);
    let label = format!("{case}/{name}/{step}");
    let batch = golden.batch();
    model.set_trainable(|_| false);
    adapter.set_trainable(true);
    assert_logits(&label, &model, Some(&adapter), &golden);

    let embedded = embed(&model, &golden, &batch.ids);
    let found = model.backward(&embedded, Some(&adapter), activations, |hidden| {
        loss(&model, &batch, hidden)
    });
    assert_relative(&label, "loss", &found, golden.get("loss"));
    let peft_name = |name: &str| {
        name.replacen(
            "language_model.model.",
            "base_model.model.model.language_model.",
            1,
        )
    };
    let gradients = adapter.parameters().iter();
    let gradients = gradients.map(|(name, parameter)| (peft_name(name), parameter.grad()));
    assert_gradients(&label, "gradients", &golden, gradients);
    let frozen = model
        .parameters()
        .values()
        .all(|weight| !weight.grad().defined());
    assert!(frozen, "{label}: the frozen base got a gradient");
}

fn check(case: &str, name: &str) {
    for step in ["ragged", "text_only"] {
        check_step(case, name, step, Activations::Keep);
    }
    check_step(case, name, "ragged", Activations::Recompute);

    let model = open_model(case);
    let adapter = open_adapter(&model, case, name);
    let golden = Golden::open(&golden_folder(case).join(name), "generate.safetensors");
    let queries = queries(&model, &golden);
    let label = format!("{case}/{name}");
    let free = greedy(&model, Some(&adapter), &queries, 3, NEVER);
    assert_responses(&label, "batch of 3 lengths", &free, &golden, "free");
    let eos = golden.get("stopped.eos").int64_value(&[0]);
    let stopped = greedy(&model, Some(&adapter), &queries, 3, eos);
    assert_responses(
        &label,
        "rows that end one by one",
        &stopped,
        &golden,
        "stopped",
    );
}

#[test]
fn all_linear_layers() {
    check("llava_mha", "all_linear");
}

#[test]
fn query_and_value_only_with_another_rank() {
    check("llava_mha", "query_value");
}

#[test]
fn all_linear_layers_with_grouped_queries() {
    check("llava_gqa", "all_linear");
}

#[test]
fn adapters_on_one_base_do_not_see_each_other() {
    let case = "llava_mha";
    let model = open_model(case);
    let [first, second] =
        ["all_linear", "query_value"].map(|name| open_adapter(&model, case, name));
    let step = |folder: &str| Golden::open(&golden_folder(folder), "step_ragged.safetensors");
    let base = step(case);
    let (with_first, with_second) = (step("llava_mha/all_linear"), step("llava_mha/query_value"));
    assert_logits("one base: first adapter", &model, Some(&first), &with_first);
    assert_logits(
        "one base: second adapter",
        &model,
        Some(&second),
        &with_second,
    );
    assert_logits("one base: none", &model, None, &base);
    assert_logits("one base: first again", &model, Some(&first), &with_first);
}

#[test]
fn an_adapter_survives_saving() {
    let model = open_model("llava_mha");
    for name in ["all_linear", "query_value"] {
        let adapter = open_adapter(&model, "llava_mha", name);
        let folder = tempfile::tempdir().expect("a folder");
        adapter.save(folder.path()).expect("the adapter is written");
        let original = golden_folder("llava_mha")
            .join(name)
            .join("adapter_model.safetensors");
        let read = |path| candor_model::tensor_file::read(path).expect("a safetensors file");
        assert_eq!(
            read(&folder.path().join("adapter_model.safetensors")),
            read(&original),
            "PEFT's names and values"
        );
        let again = Adapter::open(folder.path(), &model).expect("it opens");
        assert_eq!(again.config(), adapter.config());
    }
}

#[test]
fn a_copy_is_the_same_and_goes_its_own_way() {
    let case = "llava_mha";
    let model = open_model(case);
    model.set_trainable(|_| false);
    let original = open_adapter(&model, case, "query_value");
    original.set_trainable(true);
    let copy = original.copy();
    assert_eq!(copy.config(), original.config());
    assert_eq!(copy.parameters(), original.parameters());
    let trainable = |adapter: &Adapter| adapter.parameters().values().all(Tensor::requires_grad);
    assert!(trainable(&original) && !trainable(&copy));

    let folder = "llava_mha/query_value";
    let golden = Golden::open(&golden_folder(folder), "step_ragged.safetensors");
    assert_logits("copied adapter", &model, Some(&copy), &golden);
    for tensor in copy.parameters().values() {
        let _ = tensor.shallow_clone().fill_(0.0);
    }
    assert_logits(
        "original of a changed copy",
        &model,
        Some(&original),
        &golden,
    );
    // The copy's blocks read the tensors that its parameters name: all zero, it is the base.
    let base = Golden::open(&golden_folder(case), "step_ragged.safetensors");
    assert_logits("zeroed copy", &model, Some(&copy), &base);
}

#[test]
fn all_linear_layers_of_a_mistral_that_sees_tiles() {
    check("tiled/next_mistral", "all_linear");
}

#[test]
fn all_linear_layers_of_a_qwen2_that_sees_tiles() {
    check("tiled/onevision", "all_linear");
}

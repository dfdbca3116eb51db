//! PEFT adapters on the checkpoints: logits, loss, gradients of all A and B, greedy decoding.
//!
//! `parity/fixtures/lora.py` wrote the adapters with PEFT's `save_pretrained`, in both forms that its
//! `adapter_config.json` has (a list of layers, a pattern over names); `parts_lora.py` those on decoder and projector, and
//! those on all linear layers, the tower's too.

mod against;

use std::collections::BTreeMap;

use against::{
    Golden, NEVER, assert_absolute, assert_gradients, assert_relative, assert_responses,
    at_real_positions, features, golden_folder, greedy, loss, open_model, padded_right, peft_name,
    queries,
};
use candor_model::peft::is_adapter;
use candor_model::{Activations, Adapter, Embedded, Features, LoraConfig, Vlm};
use tch::Tensor;

fn open_adapter(model: &Vlm, case: &str, name: &str) -> Adapter {
    let folder = golden_folder(case).join(name);
    Adapter::open(&folder, model).expect("the adapter opens")
}

fn embed(model: &Vlm, adapter: Option<&Adapter>, golden: &Golden, ids: &Tensor) -> Embedded {
    let features = Features::cat(&features(model, golden));
    model.embed(ids, features.as_ref(), adapter)
}

fn assert_logits(case: &str, model: &Vlm, adapter: Option<&Adapter>, golden: &Golden) {
    let embedded = embed(model, adapter, golden, &padded_right(golden).ids);
    let logits = model.decoder().logits(&model.hidden(&embedded, adapter));
    let expected = at_real_positions(golden, golden.get("logits"));
    assert_absolute(
        case,
        "logits",
        &at_real_positions(golden, &logits),
        &expected,
    );
}

/// A model of every family with adapters on its parts.
const FAMILIES: [&str; 6] = [
    "llava_mha",
    "tiled/next_mistral",
    "tiled/onevision",
    "qwen/qwen2_vl",
    "qwen/qwen2_5_vl_gqa",
    "qwen/qwen3_vl",
];

/// The models, each with its adapter on decoder and projector, and with that on the tower as well.
fn of_parts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let names = ["with_projector", "with_tower"];
    FAMILIES
        .into_iter()
        .flat_map(move |case| names.map(|name| (case, name)))
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
    let batch = padded_right(&golden);
    model.set_trainable(|_| false);
    adapter.set_trainable(true);
    assert_logits(&label, &model, Some(&adapter), &golden);

    let embedded = embed(&model, Some(&adapter), &golden, &batch.ids);
    let found = model.backward(&embedded, Some(&adapter), activations, |hidden| {
        loss(&model, &batch, hidden)
    });
    assert_relative(&label, "loss", &found, golden.get("loss"));
    let gradients = adapter.parameters().iter();
    let gradients = gradients.map(|(name, parameter)| (peft_name(case, name), parameter.grad()));
    assert_gradients(&label, "gradients", &golden, gradients);
    let frozen = model
        .parameters()
        .values()
        .all(|weight| !weight.grad().defined());
    assert!(frozen, "{label}: the frozen base got a gradient");
}

fn check(case: &str, name: &str) {
    check_step(case, name, "text_only", Activations::Keep);
    check_with_images(case, name);
}

fn check_with_images(case: &str, name: &str) {
    check_step(case, name, "ragged", Activations::Keep);
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
    for (case, name) in [("llava_mha", "all_linear"), ("llava_mha", "query_value")]
        .into_iter()
        .chain(of_parts())
    {
        let model = open_model(case);
        let adapter = open_adapter(&model, case, name);
        let folder = tempfile::tempdir().expect("a folder");
        adapter.save(folder.path()).expect("the adapter is written");
        let original = golden_folder(case)
            .join(name)
            .join("adapter_model.safetensors");
        let read = |path| candor_model::tensor_file::read(path).expect("a safetensors file");
        assert_eq!(
            read(&folder.path().join("adapter_model.safetensors")),
            read(&original),
            "PEFT's names and values of {case}/{name}"
        );
        let again = Adapter::open(folder.path(), &model).expect("it opens");
        assert_eq!(again.config(), adapter.config());
        assert_eq!(again.parameters(), adapter.parameters());
    }
}

/// transformers before 4.52 had other names for the same layers, and so have adapters that were trained with it.
#[test]
fn projectors_are_found_by_their_earlier_names() {
    for case in FAMILIES {
        let tower = if case.starts_with("qwen/") {
            "visual."
        } else {
            "multi_modal_projector."
        };
        let model = open_model(case);
        let today = golden_folder(case).join("with_projector");
        let expected = open_adapter(&model, case, "with_projector");
        let earlier = tempfile::tempdir().expect("a folder");
        let file = "adapter_config.json";
        std::fs::copy(today.join(file), earlier.path().join(file)).expect("a copy");
        let file = "adapter_model.safetensors";
        let tensors = candor_model::tensor_file::read(&today.join(file)).expect("its tensors");
        let decoder = if tower == "visual." {
            "model."
        } else {
            "language_model.model."
        };
        let renamed: BTreeMap<String, Tensor> = tensors
            .into_iter()
            .map(|(name, tensor)| {
                let name = name.replace("model.model.language_model.", &format!("model.{decoder}"));
                (
                    name.replace(&format!("model.model.{tower}"), &format!("model.{tower}")),
                    tensor,
                )
            })
            .collect();
        let starts = format!("base_model.model.{tower}");
        assert!(
            renamed.keys().any(|name| name.starts_with(&starts)),
            "{case}"
        );
        let tensors = renamed.iter().map(|(name, tensor)| (name.as_str(), tensor));
        candor_model::tensor_file::write(&earlier.path().join(file), tensors, None)
            .expect("a written file");
        let found = Adapter::open(earlier.path(), &model).expect("the adapter opens");
        assert_eq!(found.parameters(), expected.parameters(), "{case}");
    }
}

/// A fresh one has A and B for the same layers as PEFT's, and its files mean them.
#[test]
fn a_fresh_adapter_has_the_layers_of_its_parts() {
    let all = ["decoder", "projector", "tower"];
    for (case, name) in of_parts() {
        let parts = if name == "with_tower" {
            &all[..]
        } else {
            &all[..2]
        };
        let model = open_model(case);
        let peft = open_adapter(&model, case, name);
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        let fresh = Adapter::fresh(LoraConfig::new(2, 1.0, &parts), &model, 0).expect("an adapter");
        let shapes = |adapter: &Adapter| -> Vec<(String, Vec<i64>)> {
            let parameters = adapter.parameters().iter();
            parameters
                .map(|(name, tensor)| (name.clone(), tensor.size()))
                .collect()
        };
        assert_eq!(shapes(&fresh), shapes(&peft), "{case}");
        let folder = tempfile::tempdir().expect("a folder");
        fresh.save(folder.path()).expect("the adapter is written");
        let again = Adapter::open(folder.path(), &model).expect("it opens");
        assert_eq!(again.parameters(), fresh.parameters(), "{case}");
        // Without its tensors a folder is no adapter.
        let half = tempfile::tempdir().expect("a folder");
        let in_the_way = half.path().join("adapter_model.safetensors");
        std::fs::create_dir(in_the_way).expect("a folder");
        assert!(fresh.save(half.path()).is_err(), "{case}");
        assert!(!is_adapter(half.path()), "{case}");
    }
}

#[test]
fn decoder_and_projector_of_a_llava() {
    check_with_images("llava_mha", "with_projector");
}

#[test]
fn decoder_and_projector_of_a_mistral_that_sees_tiles() {
    check_with_images("tiled/next_mistral", "with_projector");
}

#[test]
fn decoder_and_projector_of_a_qwen2_that_sees_tiles() {
    check_with_images("tiled/onevision", "with_projector");
}

#[test]
fn decoder_and_merger_of_a_qwen2_vl() {
    check_with_images("qwen/qwen2_vl", "with_projector");
}

#[test]
fn decoder_and_merger_of_a_qwen2_5_vl() {
    check_with_images("qwen/qwen2_5_vl_gqa", "with_projector");
}

#[test]
fn decoder_and_all_mergers_of_a_qwen3_vl() {
    check_with_images("qwen/qwen3_vl", "with_projector");
}

#[test]
fn all_linear_layers_of_a_llava_and_its_tower() {
    check_with_images("llava_mha", "with_tower");
}

#[test]
fn all_linear_layers_of_a_llava_that_sees_tiles_and_its_clip() {
    check_with_images("tiled/next_mistral", "with_tower");
}

#[test]
fn all_linear_layers_of_a_llava_that_sees_tiles_and_its_siglip() {
    check_with_images("tiled/onevision", "with_tower");
}

#[test]
fn all_linear_layers_of_a_qwen2_vl_and_its_tower() {
    check_with_images("qwen/qwen2_vl", "with_tower");
}

#[test]
fn all_linear_layers_of_a_qwen3_vl_and_its_tower() {
    check_with_images("qwen/qwen3_vl", "with_tower");
}

#[test]
fn all_linear_layers_of_a_qwen2_5_vl_and_its_tower() {
    check_with_images("qwen/qwen2_5_vl_gqa", "with_tower");
}

/// Images are seen by each pass then, and as before by those that are given no such adapter.
#[test]
fn an_adapter_of_the_tower_changes_nothing_for_others() {
    for case in FAMILIES {
        let model = open_model(case);
        let projector = open_adapter(&model, case, "with_projector");
        assert!(!projector.adapts_tower() && !model.sees_anew());
        let tower = open_adapter(&model, case, "with_tower");
        assert!(tower.adapts_tower() && model.sees_anew());
        for (name, adapter) in [
            ("with_projector", &projector),
            ("with_tower", &tower),
            ("with_projector", &projector),
        ] {
            let folder = golden_folder(case).join(name);
            let golden = Golden::open(&folder, "step_ragged.safetensors");
            assert_logits(&format!("{case}: {name}"), &model, Some(adapter), &golden);
        }
    }
    let model = open_model("llava_mha");
    open_adapter(&model, "llava_mha", "with_tower");
    let golden = Golden::open(&golden_folder("llava_mha"), "step_ragged.safetensors");
    assert_logits("no adapter beside one of the tower", &model, None, &golden);
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

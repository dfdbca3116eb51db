//! One training step of each checkpoint against transformers: features, logits, loss, all gradients.
//!
//! `parity/fixtures/llava.py` wrote the expected values with `LlavaForConditionalGeneration`, and with its
//! parts where transformers lacks the linear projector; `parity/fixtures/checkpoints.py` says what each
//! checkpoint is there for.

mod against;

use against::{
    Golden, assert_absolute, assert_gradients, assert_relative, at_real_positions, golden_folder,
    loss, open_model,
};
use candor_model::{Activations, Embedded, Vlm};
use tch::Tensor;

const STEPS: [&str; 4] = ["one_image", "two_images", "text_only", "ragged"];

fn check(case: &str) {
    let folder = golden_folder(case);
    for step in STEPS {
        let golden = Golden::open(&folder, &format!("step_{step}.safetensors"));
        check_forward(&format!("{case}/{step}"), &open_model(case), &golden);
        for activations in [
            Activations::Keep,
            Activations::Recompute,
            Activations::RecomputeFirst(1),
        ] {
            check_backward(
                &format!("{case}/{step}"),
                &open_model(case),
                &golden,
                activations,
            );
        }
    }
}

fn embed(model: &Vlm, golden: &Golden, ids: &Tensor) -> Embedded {
    let features = golden
        .find("pixel_values")
        .map(|pixels| model.image_features(pixels));
    model.embed(ids, features.as_ref(), None)
}

fn check_forward(case: &str, model: &Vlm, golden: &Golden) {
    let batch = golden.batch();
    let embedded = embed(model, golden, &batch.ids);
    if let Some(pixels) = golden.find("pixel_values") {
        assert_absolute(
            case,
            "tower_features",
            model.image_features(pixels).rows(),
            &golden.get("tower_features").flatten(0, 1),
        );
        let placeholder = batch.ids.eq(model.config().image_token()).unsqueeze(-1);
        let expected = golden.get("image_features");
        let spliced = embedded
            .x
            .masked_select(&placeholder)
            .reshape(expected.size());
        assert_absolute(case, "image_features", &spliced, expected);
    }
    let logits = model.decoder().logits(&model.hidden(&embedded, None));
    let expected = at_real_positions(golden, golden.get("logits"));
    assert_absolute(
        case,
        "logits",
        &at_real_positions(golden, &logits),
        &expected,
    );
}

fn check_backward(case: &str, model: &Vlm, golden: &Golden, activations: Activations) {
    let (loss_name, gradients_name) = match activations {
        Activations::Keep => ("loss", "gradients"),
        Activations::Recompute => ("loss, recomputing", "gradients, recomputing"),
        Activations::RecomputeFirst(_) => (
            "loss, recomputing one block",
            "gradients, recomputing one block",
        ),
    };
    let batch = golden.batch();
    model.set_trainable(|_| true);
    let embedded = embed(model, golden, &batch.ids);
    let found = model.backward(&embedded, None, activations, |hidden| {
        loss(model, &batch, hidden)
    });
    assert_relative(case, loss_name, &found, golden.get("loss"));
    let gradients = model.parameters().iter();
    let gradients = gradients.map(|(name, parameter)| (name.clone(), parameter.grad()));
    assert_gradients(case, gradients_name, golden, gradients);
}

#[test]
fn the_llava_1_5_shape_as_transformers_5_writes_it() {
    check("llava_mha");
}

#[test]
fn grouped_queries_and_own_head_width_as_transformers_4_wrote_it() {
    check("llava_gqa");
}

#[test]
fn tied_embedding_and_kept_class_token_with_names_in_memory() {
    check("llava_tied");
}

#[test]
fn the_linear_projector() {
    check("llava_linear");
}

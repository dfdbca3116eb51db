//! Qwen2-VL, Qwen2.5-VL and Qwen3-VL against transformers: features, logits, loss, all gradients.
//!
//! `parity/fixtures/qwen.py` wrote the expected values; `parity/fixtures/qwen_checkpoints.py` says what each checkpoint is
//! there for.

mod against;

use against::{
    Golden, assert_absolute, assert_gradients, assert_relative, at_real_positions, features,
    golden_folder, loss, of_real_rows, open_model, padded_right, rows,
};
use candor_model::{Activations, Features, Vlm};

const STEPS: [&str; 6] = [
    "portrait",
    "panorama",
    "two_images",
    "text_only",
    "ragged_right",
    "ragged_left",
];

/// transformers' name of a parameter, as the golden files have it.
fn in_hub(name: &str) -> String {
    let renamed = [
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        (
            "multi_modal_projector.deepstack.",
            "visual.deepstack_merger_list.",
        ),
        ("multi_modal_projector.", "visual.merger."),
        ("vision_tower.", "visual."),
    ];
    let found = renamed
        .iter()
        .find_map(|(here, there)| Some(format!("{there}{}", name.strip_prefix(here)?)));
    found.unwrap_or_else(|| panic!("{name} is of no part"))
}

fn check(case: &str) {
    let folder = golden_folder(case);
    for step in STEPS {
        let golden = Golden::open(&folder, &format!("step_{step}.safetensors"));
        let name = format!("{case}/{step}");
        check_forward(&name, &open_model(case), &golden);
        for activations in [
            Activations::Keep,
            Activations::Recompute,
            Activations::RecomputeFirst(1),
        ] {
            check_backward(&name, &open_model(case), &golden, activations);
        }
    }
}

fn check_forward(case: &str, model: &Vlm, golden: &Golden) {
    let each = features(model, golden);
    let features = Features::cat(&each);
    if let Some(features) = &features {
        let what = "tower_features";
        assert_absolute(case, what, features.rows(), golden.get(what));
        let grids = rows(golden.get("image_grid_thw"));
        for (span, grid) in features.spans().iter().zip(grids) {
            assert_eq!(span.grid, Some([grid[1] / 2, grid[2] / 2]));
        }
    }
    let batch = padded_right(golden);
    let embedded = model.embed(&batch.ids, features.as_ref(), None);
    if features.is_some() {
        let placeholder = batch.ids.eq(model.config().image_token()).unsqueeze(-1);
        let expected = golden.get("image_features");
        let spliced = embedded.x.masked_select(&placeholder);
        let spliced = spliced.reshape(expected.size());
        assert_absolute(case, "image_features", &spliced, expected);
    }
    let logits = model.decoder().logits(&model.hidden(&embedded, None));
    let expected = at_real_positions(golden, golden.get("logits"));
    assert_absolute(case, "logits", &of_real_rows(golden, &logits), &expected);
}

fn check_backward(case: &str, model: &Vlm, golden: &Golden, activations: Activations) {
    let batch = padded_right(golden);
    model.set_trainable(|_| true);
    let features = Features::cat(&features(model, golden));
    let embedded = model.embed(&batch.ids, features.as_ref(), None);
    let found = model.backward(&embedded, None, activations, |hidden| {
        loss(model, &batch, hidden)
    });
    assert_relative(case, "loss", &found, golden.get("loss"));
    let parameters = model.parameters().iter();
    let gradients = parameters.map(|(name, parameter)| (in_hub(name), parameter.grad()));
    assert_gradients(
        case,
        &format!("gradients, {activations:?}"),
        golden,
        gradients,
    );
}

#[test]
fn qwen2_5_vl_with_windows_and_grouped_queries_as_transformers_5_writes_it() {
    check("qwen/qwen2_5_vl_gqa");
}

#[test]
fn qwen2_5_vl_with_tied_words_as_the_hub_has_it() {
    check("qwen/qwen2_5_vl_tied");
}

#[test]
fn qwen2_vl() {
    check("qwen/qwen2_vl");
}

#[test]
fn qwen3_vl_as_transformers_5_writes_it() {
    check("qwen/qwen3_vl");
}

#[test]
fn qwen3_vl_with_tied_words_as_the_hub_has_it() {
    check("qwen/qwen3_vl_tied");
}

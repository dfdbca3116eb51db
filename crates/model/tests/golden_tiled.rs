//! LLaVA-NeXT and LLaVA-OneVision, and LLaVA-1.5 on Mistral and Qwen2, against transformers: features, logits, loss, all
//! gradients, and numbers of tokens.
//!
//! `parity/fixtures/tiled.py` wrote the expected values; `parity/fixtures/tiled_checkpoints.py` says what each checkpoint
//! is there for.

mod against;

use against::{
    Golden, assert_absolute, assert_gradients, assert_relative, at_real_positions, features,
    golden_folder, loss, of_real_rows, open_model, padded_right, rows,
};
use candor_data::image::ImageSize;
use candor_model::{Activations, Features, Vlm};

/// Batches of all models, with gradients.
const STEPS: [&str; 4] = ["portrait", "two_images", "text_only", "ragged_right"];
/// Batches of models that see tiles, without.
const SHAPES: [&str; 5] = ["panorama", "square", "tiny", "line", "ragged_left"];

fn check_plain(case: &str) {
    let folder = golden_folder(case);
    for step in STEPS {
        let golden = Golden::open(&folder, &format!("step_{step}.safetensors"));
        let name = format!("{case}/{step}");
        check_forward(&name, &open_model(case), &golden);
        for activations in [Activations::Keep, Activations::Recompute] {
            check_backward(&name, &open_model(case), &golden, activations);
        }
    }
}

fn check(case: &str) {
    check_plain(case);
    let (folder, model) = (golden_folder(case), open_model(case));
    for step in SHAPES {
        let golden = Golden::open(&folder, &format!("step_{step}.safetensors"));
        check_forward(&format!("{case}/{step}"), &model, &golden);
    }
    let golden = Golden::open(&folder, "generate.safetensors");
    let sizes = rows(golden.get("sizes"));
    assert_eq!(sizes.len(), 800);
    for size in sizes {
        let [height, width, expected] = size[..] else {
            panic!("three numbers");
        };
        let (height, width) = (height as u32, width as u32);
        let found = model.config().n_image_tokens(ImageSize { width, height });
        assert_eq!(found as i64, expected, "{case}: {width} x {height}");
    }
}

fn check_forward(case: &str, model: &Vlm, golden: &Golden) {
    let batch = padded_right(golden);
    let features = Features::cat(&features(model, golden));
    let embedded = model.embed(&batch.ids, features.as_ref(), None);
    if features.is_some() {
        let placeholder = batch.ids.eq(model.config().image_token()).unsqueeze(-1);
        let expected = golden.get("image_features");
        let expected = expected.reshape([-1, model.width()]);
        let spliced = embedded.x.masked_select(&placeholder);
        let spliced = spliced.reshape(expected.size());
        assert_absolute(case, "image_features", &spliced, &expected);
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
    let gradients = parameters.map(|(name, parameter)| (name.clone(), parameter.grad()));
    let what = format!("gradients, {activations:?}");
    assert_gradients(case, &what, golden, gradients);
}

#[test]
fn next_on_llama_with_two_layers_of_the_tower_as_transformers_5_writes_it() {
    check("tiled/next_llama");
}

#[test]
fn next_on_mistral_as_the_hub_has_it() {
    check("tiled/next_mistral");
}

#[test]
fn next_on_llama_3_with_stretched_positions_and_tied_words() {
    check("tiled/next_llama3");
}

#[test]
fn onevision_with_resized_features_and_tied_words_as_the_hub_has_it() {
    check("tiled/onevision");
}

#[test]
fn onevision_with_words_apart_as_transformers_5_writes_it() {
    check("tiled/onevision_apart");
}

#[test]
fn llava_1_5_on_mistral() {
    check_plain("tiled/llava_mistral");
}

#[test]
fn llava_1_5_on_qwen2_with_two_layers_of_the_tower_and_the_class_token() {
    check_plain("tiled/llava_qwen2");
}

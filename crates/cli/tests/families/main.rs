//! Every stage on a tiny model of every family, by the shipped recipes of its published sibling: a policy that learns, sampling,
//! a reward model that is shown facts, PPO, GRPO and DPO, on images of all shapes. Each stage is run to its end, and killed
//! after its first checkpoint and resumed, which must come to the same bytes; PPO against another family's reward model is killed
//! in one of them. Only sizes are changed, and folders.
//!
//! Each family is judged by itself and by another, and judges another: LLaVA-NeXT and Qwen2.5-VL each other, the others in turn.
//! Every one learns from a row without an image, and all but LLaVA-OneVision, and who is judged by it, from rows of two.

mod folders;
mod pipeline;

use std::fs;

use serde_json::json;

use crate::pipeline::{Family, WITH_TOWER};

#[test]
fn all_stages_run_on_llava() {
    let llava = Family::new("llava-7b-224", folders::llava).with_two_images();
    let llava = llava.judged_by(folders::qwen3_vl);
    llava.all_stages();
}

#[test]
fn all_stages_run_on_llava_next() {
    let next = Family::new("llava-v1.6-7b", folders::llava_next).with_two_images();
    let next = next.judged_by(folders::qwen2_5_vl);
    next.is_inspected_as(&["LlavaNextForConditionalGeneration", "tiles of 42 pixels"]);
    next.all_stages();
}

#[test]
fn all_stages_run_on_llava_onevision() {
    let onevision = Family::new("llava-onevision-7b", folders::llava_onevision);
    let onevision = onevision.judged_by(folders::llava);
    let class = "LlavaOnevisionForConditionalGeneration";
    onevision.is_inspected_as(&[class, "tiles of 42 pixels"]);
    onevision.all_stages();
}

#[test]
fn all_stages_run_on_qwen2_5_vl() {
    // Eight tokens an image at most, adapters on the tower as well, and rows of two images.
    let qwen = Family::new("qwen2.5-vl-7b", folders::qwen2_5_vl).with_two_images();
    let mut qwen = qwen.judged_by(folders::llava_next);
    qwen.everywhere = "model.max_pixels=6272";
    qwen.lora = WITH_TOWER;
    qwen.is_killed_judged = true;
    qwen.is_inspected_as(&["Qwen2_5_VLForConditionalGeneration"]);
    qwen.all_stages();
}

#[test]
fn all_stages_run_on_qwen3_vl() {
    let qwen = Family::new("qwen3-vl-4b", folders::qwen3_vl);
    let qwen = qwen.judged_by(folders::llava_onevision);
    qwen.is_inspected_as(&["Qwen3VLForConditionalGeneration"]);
    qwen.all_stages();
}

/// An image that no tower takes is named before any training.
#[test]
fn an_image_that_is_too_thin_is_named() {
    let qwen = Family::new("qwen2.5-vl-7b", folders::qwen2_5_vl);
    let strip = image::RgbImage::new(500, 2);
    strip.save(qwen.path("images/2.png")).unwrap();
    let message = qwen.refuses_to_train();
    let named = message.contains("2.png") && message.contains("200 times");
    assert!(named, "{message}");
}

/// A placeholder that the text itself holds is the template's to write.
#[test]
fn a_placeholder_in_the_text_is_named() {
    let qwen = Family::new("qwen3-vl-4b", folders::qwen3_vl);
    let rows = fs::read_to_string(qwen.path("talk.json")).unwrap();
    let mut rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    rows[5]["conversations"][0]["value"] = json!("<image>\nWhat is <|image_pad|>?");
    fs::write(qwen.path("talk.json"), rows.to_string()).unwrap();
    let message = qwen.refuses_to_train();
    let named = message.contains("r5") && message.contains("<|image_pad|>");
    assert!(named, "{message}");
}

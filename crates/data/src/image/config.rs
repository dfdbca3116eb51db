//! The `preprocessor_config.json` of a Hugging Face model folder, or the `image_processor` of its
//! `processor_config.json`.
//!
//! Read are the fields that decide the numbers; what this processor cannot do (another filter, a crop that
//! differs from the size, steps switched off) is refused instead of ignored, because a model that sees
//! differently scaled pictures than it was trained on fails silently.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Fit, ImageProcessor};
use crate::error::{DataError, Place, Spot};
use crate::formats::text::{self, Format};

const FORMAT: Format = Format {
    name: "preprocessor_config.json",
    expected: "one JSON object",
};

/// Pillow's number for bicubic.
const BICUBIC: u8 = 3;
/// Sides beyond this are mistakes; a picture of this side takes 192 MB normalised.
const MAX_SIDE: u64 = 4096;

#[derive(Deserialize)]
struct Raw {
    image_processor: Option<Box<Raw>>,
    size: Option<Value>,
    crop_size: Option<Value>,
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    do_pad: Option<bool>,
    resample: Option<u8>,
    rescale_factor: Option<f64>,
}

pub(super) fn read(path: &Path) -> Result<ImageProcessor, DataError> {
    let text = text::read(path, &FORMAT)?;
    let raw: Raw = text::object(path, &text, &FORMAT)?;
    resolve(raw.image_processor.as_deref().unwrap_or(&raw)).map_err(|(field, found)| DataError::Field {
        spot: Spot::new(path, Place::File, field),
        found,
        remedy: "give the model's own preprocessor_config.json of a CLIP or LLaVA 1.5 model, with bicubic \
                 resizing to one square and CLIP's normalisation"
            .into(),
    })
}

fn resolve(raw: &Raw) -> Result<ImageProcessor, (&'static str, String)> {
    let steps = [
        ("do_resize", raw.do_resize),
        ("do_rescale", raw.do_rescale),
        ("do_normalize", raw.do_normalize),
    ];
    for (field, step) in steps {
        if step == Some(false) {
            return Err((field, "found false, and only true is supported".into()));
        }
    }
    if let Some(other) = raw.resample.filter(|&filter| filter != BICUBIC) {
        return Err((
            "resample",
            format!("found filter {other}, and only 3 (bicubic) is supported"),
        ));
    }
    if let Some(factor) = raw
        .rescale_factor
        .filter(|factor| (factor * 255.0 - 1.0).abs() > 1e-6)
    {
        return Err((
            "rescale_factor",
            format!("found {factor}, and only 1/255 is supported"),
        ));
    }
    let size = side("size", raw.size.as_ref().ok_or(("size", "missing".into()))?)?;
    let fit = if raw.do_pad == Some(true) {
        Fit::Pad
    } else {
        Fit::CenterCrop
    };
    if raw.do_center_crop == Some(false) && fit == Fit::CenterCrop {
        return Err((
            "do_center_crop",
            "found false without do_pad, which leaves pictures of any shape".into(),
        ));
    }
    if let Some(value) = raw.crop_size.as_ref() {
        let crop = side("crop_size", value)?;
        if crop != size {
            return Err((
                "crop_size",
                format!("found {crop} where size is {size}, and only equal ones are supported"),
            ));
        }
    }
    let mean = raw.image_mean.ok_or(("image_mean", "missing".into()))?;
    let std = raw.image_std.ok_or(("image_std", "missing".into()))?;
    if let Some(bad) = mean.iter().find(|mean| !(0.0..=1.0).contains(*mean)) {
        return Err(("image_mean", format!("found {bad}, expected 0 to 1")));
    }
    if let Some(bad) = std.iter().find(|std| **std <= 0.0) {
        return Err(("image_std", format!("found {bad}, expected more than 0")));
    }
    Ok(ImageProcessor {
        size,
        mean,
        std,
        fit,
    })
}

/// A side is written as a number, as `{"shortest_edge": n}` or as `{"height": n, "width": n}`.
fn side(field: &'static str, value: &Value) -> Result<u32, (&'static str, String)> {
    let number = match value {
        Value::Object(edges) => match (edges.get("height"), edges.get("width")) {
            (Some(height), Some(width)) if height == width => height.as_u64(),
            _ => edges.get("shortest_edge").and_then(Value::as_u64),
        },
        other => other.as_u64(),
    };
    number
        .filter(|side| (1..=MAX_SIDE).contains(side))
        .map(|side| side as u32)
        .ok_or_else(|| {
            (
                field,
                format!("found {value}, expected one side from 1 to {MAX_SIDE} pixels"),
            )
        })
}

pub(super) fn render(processor: &ImageProcessor) -> String {
    let pad = processor.fit == Fit::Pad;
    let config = json!({
        // Padding is LLaVA's own step; the CLIP class of transformers does not have it.
        "image_processor_type": if pad { "LlavaImageProcessor" } else { "CLIPImageProcessor" },
        "do_convert_rgb": true,
        "do_pad": pad,
        "do_resize": true,
        "size": {"shortest_edge": processor.size},
        "resample": BICUBIC,
        "do_center_crop": true,
        "crop_size": {"height": processor.size, "width": processor.size},
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": processor.mean,
        "image_std": processor.std,
    });
    format!("{config:#}\n")
}

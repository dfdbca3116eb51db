//! The `preprocessor_config.json` of a Hugging Face model folder, or the `image_processor` of its
//! `processor_config.json`.
//!
//! Read are the fields that decide the numbers; what these processors cannot do (another filter, a crop that
//! differs from the size, steps switched off) is refused instead of ignored, because a model that sees
//! differently scaled images than it was trained on fails silently.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AnyresClass, AnyresProcessor, Colours, Fit, ImageProcessor, NativeProcessor, Pinpoints,
    SquareProcessor,
};
use crate::error::{DataError, Place, Spot};
use crate::formats::text::{self, Format};

const FORMAT: Format = Format {
    name: "preprocessor_config.json",
    expected: "one JSON object",
};

/// Pillow's number for bicubic.
const BICUBIC: u8 = 3;
/// Sides beyond this are mistakes; an image of this side takes 192 MB normalised.
const MAX_SIDE: u64 = 4096;
/// Areas beyond this are mistakes: an image of this area takes 768 MB normalised.
pub(super) const MAX_PIXELS: u64 = 4 * MAX_SIDE * MAX_SIDE;
/// Sides of patches and numbers of them beyond this are mistakes.
const MAX_PATCH: u64 = 256;

#[derive(Deserialize)]
struct Raw {
    image_processor: Option<Box<Raw>>,
    image_processor_type: Option<String>,
    processor_class: Option<String>,
    size: Option<Value>,
    crop_size: Option<Value>,
    min_pixels: Option<Value>,
    max_pixels: Option<Value>,
    patch_size: Option<Value>,
    merge_size: Option<Value>,
    temporal_patch_size: Option<Value>,
    image_grid_pinpoints: Option<Value>,
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

impl Raw {
    /// Whether a class that says what is done to images, under one of its several names, begins with this.
    fn is(&self, class: &str) -> bool {
        let classes = [&self.image_processor_type, &self.processor_class];
        classes.into_iter().flatten().any(|c| c.starts_with(class))
    }
}

/// A field, and what was found there.
type Refusal = (&'static str, String);

pub(super) fn read(path: &Path) -> Result<ImageProcessor, DataError> {
    let text = text::read(path, &FORMAT)?;
    let raw: Raw = text::object(path, &text, &FORMAT)?;
    let own = raw.image_processor.as_deref().unwrap_or(&raw);
    let is = |class: &str| own.is(class) || raw.is(class);
    let tiled = [
        ("LlavaNext", AnyresClass::Next),
        ("LlavaOnevision", AnyresClass::Onevision),
    ];
    let tiled = tiled.into_iter().find(|(class, _)| is(class));
    let (processor, remedy) = if let Some((_, class)) = tiled {
        let remedy = "give the model's own preprocessor_config.json of a LLaVA-NeXT or LLaVA-OneVision model, with bicubic \
                      resizing to tiles of one size";
        (anyres(own, class).map(ImageProcessor::Anyres), remedy)
    } else if is("Qwen") {
        let remedy = "give the model's own preprocessor_config.json of a Qwen-VL model, with bicubic resizing to a \
                      size between `shortest_edge` and `longest_edge` pixels in all";
        (native(own).map(ImageProcessor::Native), remedy)
    } else {
        let remedy = "give the model's own preprocessor_config.json of a CLIP or LLaVA 1.5 model, with bicubic \
                      resizing to one square and CLIP's normalisation";
        (square(own).map(ImageProcessor::Square), remedy)
    };
    processor.map_err(|(field, found)| DataError::Field {
        spot: Spot::new(path, Place::File, field),
        found,
        remedy: remedy.into(),
    })
}

/// Checks what both ways have in common.
fn steps(raw: &Raw) -> Result<(), Refusal> {
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
        let found = format!("found filter {other}, and only 3 (bicubic) is supported");
        return Err(("resample", found));
    }
    let factor = raw.rescale_factor;
    if let Some(factor) = factor.filter(|factor| (factor * 255.0 - 1.0).abs() > 1e-6) {
        let found = format!("found {factor}, and only 1/255 is supported");
        return Err(("rescale_factor", found));
    }
    Ok(())
}

fn colours(mean: [f64; 3], std: [f64; 3]) -> Result<Colours, Refusal> {
    if let Some(bad) = mean.iter().find(|mean| !(0.0..=1.0).contains(*mean)) {
        return Err(("image_mean", format!("found {bad}, expected 0 to 1")));
    }
    if let Some(bad) = std.iter().find(|std| **std <= 0.0) {
        return Err(("image_std", format!("found {bad}, expected more than 0")));
    }
    Ok(Colours { mean, std })
}

fn square(raw: &Raw) -> Result<SquareProcessor, Refusal> {
    steps(raw)?;
    let size = side("size", raw.size.as_ref().ok_or(("size", "missing".into()))?)?;
    let fit = if raw.do_pad == Some(true) {
        Fit::Pad
    } else {
        Fit::CenterCrop
    };
    if raw.do_center_crop == Some(false) && fit == Fit::CenterCrop {
        return Err((
            "do_center_crop",
            "found false without do_pad, which leaves images of any shape".into(),
        ));
    }
    // transformers' processors squeeze an image to a height and a width, and keep its shape for a shortest edge.
    let squeezes = raw
        .size
        .as_ref()
        .is_some_and(|size| size.get("height").is_some() && size.get("shortest_edge").is_none());
    if squeezes && fit == Fit::CenterCrop {
        return Err((
            "size",
            "found a height and a width without do_pad, to which images would be squeezed; \
             only shortest_edge is supported"
                .into(),
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
    Ok(SquareProcessor {
        side: size,
        fit,
        colours: colours(mean, std)?,
    })
}

/// A side is written as a number, as `{"shortest_edge": n}` or as `{"height": n, "width": n}`.
fn side(field: &'static str, value: &Value) -> Result<u32, Refusal> {
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

/// What a file does not say is the default of Hugging Face's class.
fn native(raw: &Raw) -> Result<NativeProcessor, Refusal> {
    steps(raw)?;
    // The edges are areas: the class took over the two names of a size that it had to have. Numbers beside them are
    // the older spelling, and count where a file has both; some files have the older names in the size.
    let area = |beside: &'static str, edge, value: &Option<Value>, default| {
        if let Some(value) = value {
            return whole(beside, Some(value), MAX_PIXELS, default);
        }
        let Some(size) = &raw.size else {
            return Ok(default);
        };
        let said = size.get(edge).or_else(|| size.get(beside));
        let missing = || format!("found {size}, expected `shortest_edge` and `longest_edge`");
        let said = said.ok_or_else(|| ("size", missing()))?;
        whole("size", Some(said), MAX_PIXELS, default)
    };
    let min_pixels = area("min_pixels", "shortest_edge", &raw.min_pixels, 56 * 56)?;
    let max_pixels = area(
        "max_pixels",
        "longest_edge",
        &raw.max_pixels,
        28 * 28 * 1280,
    )?;
    if min_pixels > max_pixels {
        let found = format!("at least {min_pixels} pixels and at most {max_pixels}");
        return Err(("size", found));
    }
    let patches =
        |field, value: &Option<Value>, default| whole(field, value.as_ref(), MAX_PATCH, default);
    let clip = Colours::CLIP;
    Ok(NativeProcessor {
        patch_size: patches("patch_size", &raw.patch_size, 14)?,
        merge_size: patches("merge_size", &raw.merge_size, 2)?,
        temporal_patch_size: patches("temporal_patch_size", &raw.temporal_patch_size, 2)?,
        min_pixels,
        max_pixels,
        colours: colours(
            raw.image_mean.unwrap_or(clip.mean),
            raw.image_std.unwrap_or(clip.std),
        )?,
    })
}

/// What a file does not say is the default of Hugging Face's class.
fn anyres(raw: &Raw, class: AnyresClass) -> Result<AnyresProcessor, Refusal> {
    steps(raw)?;
    let missing = || ("size", "missing".to_owned());
    let side_px = side("size", raw.size.as_ref().ok_or_else(missing)?)?;
    let cropped = raw.crop_size.as_ref();
    let cropped = cropped.map(|value| side("crop_size", value)).transpose()?;
    if let Some(crop) = cropped.filter(|&crop| crop != side_px) {
        let found =
            format!("found {crop} where size is {side_px}, and only equal ones are supported");
        return Err(("crop_size", found));
    }
    let pinpoints = match (&raw.image_grid_pinpoints, class) {
        (Some(value), _) => serde_json::from_value(value.clone()).map_err(|_| {
            let found = format!("found {value}, expected heights and widths such as [[336, 672]]");
            ("image_grid_pinpoints", found)
        })?,
        (None, AnyresClass::Next) => Pinpoints::next(),
        (None, AnyresClass::Onevision) => Pinpoints::onevision(),
    };
    let checked = pinpoints.check(side_px, MAX_SIDE as u32);
    checked.map_err(|found| ("image_grid_pinpoints", found))?;
    let clip = Colours::CLIP;
    Ok(AnyresProcessor {
        side: side_px,
        pinpoints,
        colours: colours(
            raw.image_mean.unwrap_or(clip.mean),
            raw.image_std.unwrap_or(clip.std),
        )?,
        class,
    })
}

fn whole(
    field: &'static str,
    value: Option<&Value>,
    max: u64,
    default: u32,
) -> Result<u32, Refusal> {
    let Some(value) = value else {
        return Ok(default);
    };
    let number = value.as_u64().filter(|number| (1..=max).contains(number));
    number
        .map(|number| number as u32)
        .ok_or_else(|| (field, format!("found {value}, expected 1 to {max}")))
}

pub(super) fn render(processor: &ImageProcessor) -> String {
    let config = match processor {
        ImageProcessor::Square(square) => {
            let pad = square.fit == Fit::Pad;
            json!({
                // Padding is LLaVA's own step; the CLIP class of transformers does not have it.
                "image_processor_type": if pad { "LlavaImageProcessor" } else { "CLIPImageProcessor" },
                "do_convert_rgb": true,
                "do_pad": pad,
                "do_resize": true,
                "size": {"shortest_edge": square.side},
                "resample": BICUBIC,
                "do_center_crop": true,
                "crop_size": {"height": square.side, "width": square.side},
                "do_rescale": true,
                "rescale_factor": 1.0 / 255.0,
                "do_normalize": true,
                "image_mean": square.colours.mean,
                "image_std": square.colours.std,
            })
        }
        ImageProcessor::Native(native) => json!({
            "image_processor_type": "Qwen2VLImageProcessor",
            "do_convert_rgb": true,
            "do_resize": true,
            "size": {"shortest_edge": native.min_pixels, "longest_edge": native.max_pixels},
            // Older versions of transformers read these instead.
            "min_pixels": native.min_pixels,
            "max_pixels": native.max_pixels,
            "resample": BICUBIC,
            "do_rescale": true,
            "rescale_factor": 1.0 / 255.0,
            "do_normalize": true,
            "image_mean": native.colours.mean,
            "image_std": native.colours.std,
            "patch_size": native.patch_size,
            "merge_size": native.merge_size,
            "temporal_patch_size": native.temporal_patch_size,
        }),
        ImageProcessor::Anyres(anyres) => {
            let side = json!({"height": anyres.side, "width": anyres.side});
            let mut config = json!({
                "do_convert_rgb": true,
                "do_pad": true,
                "do_resize": true,
                "image_grid_pinpoints": anyres.pinpoints,
                "resample": BICUBIC,
                "do_rescale": true,
                "rescale_factor": 1.0 / 255.0,
                "do_normalize": true,
                "image_mean": anyres.colours.mean,
                "image_std": anyres.colours.std,
            });
            let own = match anyres.class {
                AnyresClass::Next => json!({
                    "image_processor_type": "LlavaNextImageProcessor",
                    "size": {"shortest_edge": anyres.side},
                    "do_center_crop": true,
                    "crop_size": side,
                }),
                AnyresClass::Onevision => json!({
                    "image_processor_type": "LlavaOnevisionImageProcessor",
                    "size": side,
                }),
            };
            if let (Some(config), Value::Object(own)) = (config.as_object_mut(), own) {
                config.extend(own);
            }
            config
        }
    };
    format!("{config:#}\n")
}

//! Images as a whole and in tiles against Hugging Face's image processors of LLaVA-NeXT and LLaVA-OneVision: chosen
//! resolutions, drawn images, photographs, alone and among several.
//!
//! `parity/fixtures/tiled_images.py` wrote the expected values.
//!
//! The photographs are not in the repository; without them their test says so on stderr and checks nothing.

mod sampled;

use std::path::{Path, PathBuf};

use candor_data::image::{Fitted, ImageLimits, ImageProcessor, ImageSize, decode, measure};
use candor_testing::photographs;
use safetensors::SafeTensors;
use sampled::{ROUNDING, drawn, golden, numbers, processor, worst};

const KINDS: [&str; 3] = ["next", "onevision", "onevision_small"];
const N_SAMPLES: usize = 512;

/// What was fitted, `[view, channel, row, column]`; in [`Fitted`] the views stand one below another in each channel.
fn views(processor: &ImageProcessor, fitted: &Fitted) -> Vec<f32> {
    let side = fitted.size.width as usize;
    let n_views = fitted.size.height as usize / side;
    let normalised = processor.normalise(fitted);
    let channels: Vec<&[f32]> = normalised.chunks(fitted.size.n_pixels()).collect();
    let of_view = |view: usize| {
        let part = view * side * side..(view + 1) * side * side;
        channels
            .iter()
            .flat_map(move |channel| &channel[part.clone()])
            .copied()
    };
    (0..n_views).flat_map(of_view).collect()
}

/// The largest difference of what one image is fitted to, in levels.
fn difference(
    file: &SafeTensors<'_>,
    name: &str,
    processor: &ImageProcessor,
    fitted: &Fitted,
) -> f64 {
    let side = fitted.size.width;
    let [n_views] = numbers(file, &format!("{name}/views"))[..] else {
        panic!("{name}: a number of views");
    };
    assert_eq!(fitted.size.height, n_views * side, "{name}");
    let plane = (side * side) as usize;
    worst(
        file,
        name,
        N_SAMPLES,
        processor,
        &views(processor, fitted),
        plane,
    )
}

fn check(golden_file: &str, images: &[PathBuf]) {
    let bytes = std::fs::read(golden(golden_file)).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let (mut largest, mut n_compared) = (0.0_f64, 0);
    for image in images {
        for kind in KINDS {
            let name = format!("{}/{kind}", file_name(image));
            let processor = processor(kind);
            let decoded = decode(image, &ImageLimits::default()).expect("an image");
            let alone = processor.fit(&decoded).expect("any shape");
            let measured = measure(image, &ImageLimits::default()).expect("an image");
            assert_eq!(alone.own, Some(measured), "{name}");
            assert_eq!(processor.size_of(measured), Ok(measured));
            let mut apart = difference(&file, &name, &processor, &alone);
            let among = processor.fit_among(&decoded);
            assert_eq!(among.is_some(), kind != "next", "{name}");
            if let Some(among) = among {
                let several = difference(&file, &format!("{name} among"), &processor, &among);
                apart = apart.max(several);
            }
            println!("parity: tiled image {name} max_levels={apart:.5}");
            largest = largest.max(apart);
            n_compared += 1;
            assert!(apart <= ROUNDING, "{name}: {apart} levels");
        }
    }
    assert_eq!(n_compared, 3 * images.len());
    println!("parity: tiled images of {golden_file} max_levels={largest:.5}");
}

fn file_name(image: &Path) -> String {
    let name = image.file_name().expect("a file");
    name.to_string_lossy().into_owned()
}

#[test]
fn resolutions_are_those_of_transformers() {
    let bytes = std::fs::read(golden("tiled_drawn.safetensors")).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    for kind in KINDS {
        let ImageProcessor::Anyres(processor) = processor(kind) else {
            panic!("{kind} is no processor of tiles");
        };
        let rows = numbers(&file, &format!("best/{kind}"));
        let rows = rows.as_chunks::<4>().0;
        assert_eq!(rows.len(), 839);
        for &[width, height, to_width, to_height] in rows {
            let found = processor.pinpoints.best(ImageSize { width, height });
            let expected = ImageSize {
                width: to_width,
                height: to_height,
            };
            assert_eq!(found, expected, "{kind}: {width} x {height}");
        }
    }
}

#[test]
fn drawn_images_of_every_kind_come_out_as_in_transformers() {
    check("tiled_drawn.safetensors", &drawn());
}

#[test]
fn photographs_come_out_as_in_transformers() {
    let images = photographs();
    if images.is_empty() {
        return;
    }
    check("tiled_photographs.safetensors", &images);
}

/// What the hub's files and what transformers writes today say is read as the same, and what is written is read again.
#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("preprocessor_config.json");
    for kind in KINDS {
        let read = processor(kind);
        read.write(&path).expect("a file");
        assert_eq!(ImageProcessor::from_file(&path).expect("its own"), read);
    }
}

/// A file that asks for other tiles than whole ones of one size is refused by its field.
#[test]
fn tiles_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("preprocessor_config.json");
    let text = std::fs::read_to_string(golden("preprocessor_next.json")).expect("a golden file");
    let valid: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for (field, value, found) in [
        (
            "image_grid_pinpoints",
            serde_json::json!([[336, 500]]),
            "[336, 500]",
        ),
        (
            "image_grid_pinpoints",
            serde_json::json!([]),
            "0 resolutions",
        ),
        (
            "image_grid_pinpoints",
            serde_json::json!([[336]]),
            "[[336]]",
        ),
        (
            "image_grid_pinpoints",
            serde_json::json!([[0, 336]]),
            "[0, 336]",
        ),
        (
            "image_grid_pinpoints",
            serde_json::json!([[336, 336_000]]),
            "[336, 336000]",
        ),
        (
            "crop_size",
            serde_json::json!({"height": 224, "width": 224}),
            "224",
        ),
        (
            "size",
            serde_json::json!({"longest_edge": 336}),
            "longest_edge",
        ),
        ("resample", serde_json::json!(2), "filter 2"),
        ("do_normalize", serde_json::json!(false), "false"),
    ] {
        let mut damaged = valid.clone();
        damaged[field] = value;
        std::fs::write(&path, damaged.to_string()).expect("a file");
        let message = ImageProcessor::from_file(&path)
            .expect_err(field)
            .to_string();
        for words in [field, found, "LLaVA-NeXT"] {
            assert!(message.contains(words), "{field}: {message}");
        }
    }
}

//! Images of their own size against Hugging Face's image processor of Qwen-VL: sizes, drawn images, photographs.
//!
//! `parity/fixtures/native_images.py` wrote the expected values: of every output its size, 1024 normalised values spread
//! over it, and the mean of each channel. Here the values are turned back into levels of 0 to 255, none of which may
//! differ: decoding and resizing are whole-number arithmetic on both sides.
//!
//! The photographs are not in the repository; without them their test says so on stderr and checks nothing.

use std::path::{Path, PathBuf};

use candor_data::image::{ImageLimits, ImageProcessor, ImageSize, measure};
use candor_testing::photographs;
use safetensors::SafeTensors;

const KINDS: [&str; 3] = ["qwen2_5_vl", "narrow", "qwen3_vl"];
/// Places of the compared values, as the script has them.
const STRIDE: usize = 99_991;
/// Normalisation in f32 may round apart by so many levels; a real difference is a whole one.
const ROUNDING: f64 = 1e-3;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn processor(kind: &str) -> ImageProcessor {
    ImageProcessor::from_file(&golden(&format!("preprocessor_{kind}.json")))
        .expect("the processor's own configuration")
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = file.tensor(name).expect("a tensor of the golden file");
    let values = view.data().as_chunks::<4>().0.iter();
    values
        .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
        .collect()
}

fn numbers(file: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let view = file.tensor(name).expect("a tensor of the golden file");
    let values = view.data().as_chunks::<4>().0.iter();
    values.map(|&bytes| u32::from_le_bytes(bytes)).collect()
}

/// The largest difference of one image in one kind, in levels.
fn difference(file: &SafeTensors<'_>, image: &Path, kind: &str) -> f64 {
    let processor = processor(kind);
    let name = image.file_name().expect("a file").to_string_lossy();
    let fitted = processor
        .load(image, &ImageLimits::default())
        .expect("an image that transformers read");
    let [width, height] = numbers(file, &format!("{name}/{kind}/size"))[..] else {
        panic!("{name}: a width and a height");
    };
    let size = ImageSize { width, height };
    assert_eq!(fitted.size, size, "{name} {kind}");
    let measured = measure(image, &ImageLimits::default()).expect("an image");
    assert_eq!(processor.size_of(measured), Ok(size), "{name} {kind}");

    let output = processor.normalise(&fitted);
    let plane = size.n_pixels();
    assert_eq!(output.len(), 3 * plane);
    let levels = |normalised: f64, channel: usize| {
        (normalised * processor.colours().std[channel] * 255.0).abs()
    };
    let expected = floats(file, &format!("{name}/{kind}/values"));
    assert_eq!(expected.len(), 1024);
    let values = expected.iter().enumerate().map(|(i, &value)| {
        let at = i * STRIDE % output.len();
        levels(f64::from(output[at]) - value, at / plane)
    });
    let means = floats(file, &format!("{name}/{kind}/mean"));
    let means = means.iter().enumerate().map(|(channel, &mean)| {
        let values = &output[channel * plane..(channel + 1) * plane];
        let found = values.iter().map(|&value| f64::from(value)).sum::<f64>() / plane as f64;
        levels(found - mean, channel)
    });
    values.chain(means).fold(0.0, f64::max)
}

fn check(golden_file: &str, images: &[PathBuf]) {
    let bytes = std::fs::read(golden(golden_file)).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut failures = Vec::new();
    for image in images {
        let apart = KINDS.map(|kind| difference(&file, image, kind));
        let name = image.file_name().expect("a file").to_string_lossy();
        println!(
            "parity: native image {name} max_levels={:.5}",
            apart.into_iter().fold(0.0, f64::max)
        );
        if apart.iter().any(|&levels| levels > ROUNDING) {
            failures.push(format!("{name}: {apart:?} levels in {KINDS:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn listed(folder: &Path, extension: Option<&str>) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let fits = |path: &PathBuf| {
        extension.is_none_or(|wanted| path.extension().is_some_and(|found| found == wanted))
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(fits)
        .collect();
    files.sort();
    files
}

#[test]
fn sizes_are_those_of_transformers() {
    let bytes = std::fs::read(golden("native_drawn.safetensors")).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    for kind in KINDS {
        let processor = processor(kind);
        let rows = numbers(&file, &format!("sizes/{kind}"));
        let rows = rows.as_chunks::<4>().0;
        assert_eq!(rows.len(), 907);
        let mut n_refused = 0;
        for &[width, height, fitted_width, fitted_height] in rows {
            let found = processor.size_of(ImageSize { width, height });
            let expected = ImageSize {
                width: fitted_width,
                height: fitted_height,
            };
            if fitted_width == 0 {
                n_refused += 1;
                assert!(found.is_err(), "{kind}: {width} x {height} is refused");
            } else {
                assert_eq!(found, Ok(expected), "{kind}: {width} x {height}");
            }
        }
        assert!(n_refused >= 3, "{kind}: some are refused");
    }
}

#[test]
fn drawn_images_of_every_kind_come_out_as_in_transformers() {
    let mut images = listed(&golden("images"), None);
    images.extend(listed(&golden("webp"), Some("webp")));
    assert_eq!(images.len(), 34, "every committed image is compared");
    check("native_drawn.safetensors", &images);
}

#[test]
fn photographs_come_out_as_in_transformers() {
    let images = photographs();
    if images.is_empty() {
        return;
    }
    check("native_photographs.safetensors", &images);
}

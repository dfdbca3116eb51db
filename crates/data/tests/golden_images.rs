//! The image processor against Hugging Face's, on drawn images and on photographs.
//!
//! `parity/fixtures/images.py` wrote the expected values: 2048 normalised values of each output at fixed
//! pseudo-random places, and the mean of every channel. Here they are turned back into levels of 0 to 255,
//! because that is what can be reasoned about: decoding and resizing are whole-number arithmetic on both
//! sides, so a difference is a whole number of levels, and none is allowed.
//!
//! The photographs are not in the repository; without them their test says so on stderr and checks nothing.

use std::path::{Path, PathBuf};

use candor_data::image::{ImageLimits, ImageProcessor, decode};
use candor_testing::photographs;
use safetensors::SafeTensors;

const MODES: [&str; 2] = ["crop", "pad"];
const SIZES: [usize; 3] = [64, 224, 336];
/// Normalisation in f32 may round apart by so many levels; a real difference is a whole one.
const ROUNDING: f64 = 1e-3;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = file.tensor(name).expect("a tensor of the golden file");
    view.data()
        .chunks_exact(4)
        .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
        .collect()
}

fn positions(file: &SafeTensors<'_>, size: usize) -> Vec<usize> {
    let view = file
        .tensor(&format!("positions/{size}"))
        .expect("positions of this size");
    view.data()
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect()
}

/// Differences of one image in one mode and size, in levels.
struct Difference {
    max: f64,
    mean: f64,
    channel_mean: f64,
}

fn difference(file: &SafeTensors<'_>, path: &Path, mode: &str, size: usize) -> Difference {
    let processor = ImageProcessor::from_file(&golden(&format!("preprocessor_{mode}_{size}.json")))
        .expect("the processor's own configuration");
    let image = decode(path, &ImageLimits::default()).expect("an image that transformers read");
    let output = processor.normalise(&processor.fit(&image).expect("a square"));
    let plane = size * size;
    assert_eq!(output.len(), 3 * plane);
    assert!(output.iter().all(|value| value.is_finite()));

    let name = path.file_name().expect("a file").to_string_lossy();
    let expected = floats(file, &format!("{name}/{mode}/{size}/values"));
    let levels =
        |normalised: f64, at: usize| normalised * processor.colours().std[at / plane] * 255.0;
    let apart: Vec<f64> = positions(file, size)
        .iter()
        .zip(&expected)
        .map(|(&at, &value)| levels(f64::from(output[at]) - value, at).abs())
        .collect();
    assert_eq!(apart.len(), 2048);
    let means = floats(file, &format!("{name}/{mode}/{size}/mean"));
    let channel_mean = (0..3)
        .map(|channel| {
            let values = &output[channel * plane..(channel + 1) * plane];
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / plane as f64;
            levels(mean - means[channel], channel * plane).abs()
        })
        .fold(0.0, f64::max);
    Difference {
        max: apart.iter().copied().fold(0.0, f64::max),
        mean: apart.iter().sum::<f64>() / apart.len() as f64,
        channel_mean,
    }
}

/// Compares every image in every mode and size; one line of the parity table for each image.
fn check(golden_file: &str, images: &[PathBuf]) {
    let bytes = std::fs::read(golden(golden_file)).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut failures = Vec::new();
    for image in images {
        let name = image.file_name().expect("a file").to_string_lossy();
        let (mut max, mut mean) = (0.0_f64, 0.0_f64);
        for (mode, size) in MODES.iter().flat_map(|mode| SIZES.map(|size| (mode, size))) {
            let found = difference(&file, image, mode, size);
            let mean_levels = found.mean.max(found.channel_mean);
            if found.max.max(mean_levels) > ROUNDING {
                failures.push(format!(
                    "{name} {mode} {size}: max {:.3}, mean {:.4}, channel mean {:.4} levels",
                    found.max, found.mean, found.channel_mean
                ));
            }
            max = max.max(found.max);
            mean = mean.max(mean_levels);
        }
        println!("parity: image {name} max_levels={max:.3} mean_levels={mean:.4}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    files
}

#[test]
fn drawn_images_of_every_kind_come_out_as_in_transformers() {
    let images = listed(&golden("images"));
    assert_eq!(images.len(), 25, "every committed image is compared");
    check("drawn.safetensors", &images);
}

#[test]
fn photographs_come_out_as_in_transformers() {
    let images = photographs();
    if images.is_empty() {
        return;
    }
    check("photographs.safetensors", &images);
}

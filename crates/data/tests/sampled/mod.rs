//! Golden files of images: values spread over what a processor gives, and the mean of each channel.
//!
//! Here the values are turned back into levels of 0 to 255, none of which may differ: decoding and resizing are
//! whole-number arithmetic on both sides.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use candor_data::image::ImageProcessor;
use safetensors::SafeTensors;

/// Places of the compared values, as the scripts have them.
const STRIDE: usize = 99_991;
/// Normalisation in f32 may round apart by so many levels; a real difference is a whole one.
pub const ROUNDING: f64 = 1e-3;

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

pub fn processor(kind: &str) -> ImageProcessor {
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

pub fn numbers(file: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let view = file.tensor(name).expect("a tensor of the golden file");
    let values = view.data().as_chunks::<4>().0.iter();
    values.map(|&bytes| u32::from_le_bytes(bytes)).collect()
}

/// The largest difference in levels between `n` values and the means in the golden file and what was found, whose
/// channels are `plane` numbers long and come one after another, three to a view.
pub fn worst(
    file: &SafeTensors<'_>,
    name: &str,
    n: usize,
    processor: &ImageProcessor,
    output: &[f32],
    plane: usize,
) -> f64 {
    let levels = |normalised: f64, channel: usize| {
        (normalised * processor.colours().std[channel] * 255.0).abs()
    };
    let expected = floats(file, &format!("{name}/values"));
    assert_eq!(expected.len(), n);
    let values = expected.iter().enumerate().map(|(i, &value)| {
        let at = i * STRIDE % output.len();
        levels(f64::from(output[at]) - value, at / plane % 3)
    });
    let means = floats(file, &format!("{name}/mean"));
    let means = means.iter().enumerate().map(|(channel, &mean)| {
        let planes = output.chunks(plane).skip(channel).step_by(3);
        let values: Vec<f64> = planes.flatten().map(|&value| f64::from(value)).collect();
        let found = values.iter().sum::<f64>() / values.len() as f64;
        levels(found - mean, channel)
    });
    values.chain(means).fold(0.0, f64::max)
}

/// Every committed image.
pub fn drawn() -> Vec<PathBuf> {
    let mut images = listed(&golden("images"), None);
    images.extend(listed(&golden("webp"), Some("webp")));
    assert_eq!(images.len(), 34, "every committed image is compared");
    images
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

//! Images of their own size against Hugging Face's image processor of Qwen-VL: sizes, drawn images, photographs.
//!
//! `parity/fixtures/native_images.py` wrote the expected values: of every output its size, 1024 normalised values spread
//! over it, and the mean of each channel. Here the values are turned back into levels of 0 to 255, none of which may
//! differ: decoding and resizing are whole-number arithmetic on both sides.
//!
//! The photographs are not in the repository; without them their test says so on stderr and checks nothing.

mod sampled;

use std::path::{Path, PathBuf};

use candor_data::image::{ImageLimits, ImageSize, measure};
use candor_testing::photographs;
use safetensors::SafeTensors;
use sampled::{ROUNDING, drawn, golden, numbers, processor, worst};

const KINDS: [&str; 3] = ["qwen2_5_vl", "narrow", "qwen3_vl"];

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
    assert_eq!(output.len(), 3 * size.n_pixels());
    worst(
        file,
        &format!("{name}/{kind}"),
        1024,
        &processor,
        &output,
        size.n_pixels(),
    )
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
    let images = drawn();
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

//! WebP images against Pillow's pixels, and WebP images that are damaged.
//!
//! `parity/webp_images.py` wrote images and pixels: lossy, lossless, with transparency, turned by EXIF, animated.

use std::path::{Path, PathBuf};

use candor_data::image::{ImageLimits, decode, decode_bytes};

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/webp");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "webp"))
        .collect();
    files.sort();
    files
}

#[test]
fn pixels_are_those_of_pillow() {
    let files = golden();
    assert_eq!(files.len(), 9);
    for file in files {
        let ours = decode(&file, &ImageLimits::default()).unwrap();
        let pillow = decode(&file.with_extension("png"), &ImageLimits::default()).unwrap();
        assert_eq!(ours.dimensions(), pillow.dimensions(), "{}", file.display());
        let apart = ours.as_raw().iter().zip(pillow.as_raw());
        let largest = apart.map(|(a, b)| a.abs_diff(*b)).max();
        assert_eq!(largest, Some(0), "{}", file.display());
    }
}

#[test]
fn an_image_that_is_cut_off_anywhere_is_refused() {
    for file in golden() {
        let whole = std::fs::read(&file).unwrap();
        for end in (0..whole.len()).step_by(7) {
            let refused = decode_bytes(&file, &whole[..end], &ImageLimits::default());
            let message = refused.expect_err("a part of an image").to_string();
            assert!(message.contains(&file.display().to_string()), "{message}");
        }
    }
}

#[test]
fn an_image_with_a_byte_changed_is_decoded_or_refused() {
    for file in golden() {
        let whole = std::fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            let limits = ImageLimits {
                max_pixels: 10_000,
                ..ImageLimits::default()
            };
            drop(decode_bytes(&file, &changed, &limits));
        }
    }
}

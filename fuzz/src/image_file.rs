//! The bytes of a JPEG, PNG or WebP, within bounds that are checked before anything is decoded.
//!
//! What can be decoded can be measured by its header, and has the size that the header says: tokens are counted by
//! headers, and features made of what is decoded. Every way of fitting an image gives what it says that it gives.

use std::path::Path;

use candor_data::image::{ImageLimits, ImageProcessor, ImageSize, decode_bytes, measure_bytes};

use crate::golden::of_crate;

/// Small, so that a decoder that takes more than its share is over the limit on memory.
const LIMITS: ImageLimits = ImageLimits {
    max_bytes: 1 << 20,
    max_pixels: 1 << 18,
};

/// Squares, sizes near the image's own, and tiles.
const PROCESSORS: [&str; 6] = [
    "preprocessor_crop_64.json",
    "preprocessor_pad_64.json",
    "preprocessor_qwen2_5_vl.json",
    "preprocessor_qwen3_vl.json",
    "preprocessor_next.json",
    "preprocessor_onevision_small.json",
];

thread_local! {
    static OPENED: [ImageProcessor; 6] = PROCESSORS.map(|name| {
        ImageProcessor::from_file(&of_crate("data").join(name)).expect("a golden processor")
    });
}

/// Measures, decodes and fits.
///
/// # Panics
/// The header says otherwise than the image, or an image that is fitted has not the size that was said of it.
pub fn decode(content: &[u8]) -> bool {
    let name = Path::new("image");
    let measured = measure_bytes(name, content, &LIMITS);
    let Ok(image) = decode_bytes(name, content, &LIMITS) else {
        return false;
    };
    let size = measured.expect("what can be decoded can be measured");
    assert_eq!(size, ImageSize::of(&image), "the header says otherwise");
    assert!(size.n_pixels() as u64 <= LIMITS.max_pixels);
    OPENED.with(|processors| {
        let processor = &processors[content.len() % processors.len()];
        let said = processor.size_of(size);
        let Ok(fitted) = processor.fit(&image) else {
            assert!(
                said.is_err(),
                "an image of {size:?} is counted and not fitted"
            );
            return false;
        };
        assert_eq!(fitted.bytes.len(), 3 * fitted.size.n_pixels());
        let counted = fitted.own.unwrap_or(fitted.size);
        assert_eq!(said, Ok(counted), "of an image of {size:?}");
        true
    })
}

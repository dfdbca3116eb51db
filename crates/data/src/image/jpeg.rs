//! JPEG decoding to the bit as Pillow has it.
//!
//! Pillow decodes with libjpeg-turbo: its integer transform and its smooth chroma upsampling are what the
//! vision towers were trained behind. Pure Rust decoders round differently, by up to 4/255 on pictures with
//! subsampled chroma. `mozjpeg` is the same code for decoding; compared with Pillow 13 on photographs,
//! baseline and progressive, 4:4:4 to 4:2:0 and grey, not one byte differs.
//!
//! libjpeg reports errors by unwinding, which is caught here. It patches a cut-off picture with grey, which
//! would be trained on unseen, so the end marker is looked for first.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::RgbImage;
use mozjpeg::{ColorSpace, Decompress};

/// What to do with a file.
pub(super) enum Jpeg {
    /// Decoded.
    Picture(RgbImage),
    /// More than the pixels allowed; width and height.
    TooLarge(u32, u32),
    /// In printing colours, which libjpeg does not turn into RGB.
    Printing,
}

/// Decodes a JPEG of at most `max_pixels`, or says why not.
pub(super) fn decode(bytes: &[u8], max_pixels: u64) -> Result<Jpeg, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| decode_unwinding(bytes, max_pixels)));
    outcome.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>();
        Err(message.map_or_else(|| "the decoder failed".to_owned(), Clone::clone))
    })
}

fn decode_unwinding(bytes: &[u8], max_pixels: u64) -> Result<Jpeg, String> {
    let decoder = Decompress::new_mem(bytes).map_err(|error| error.to_string())?;
    let (width, height) = (decoder.width() as u32, decoder.height() as u32);
    if u64::from(width) * u64::from(height) > max_pixels {
        return Ok(Jpeg::TooLarge(width, height));
    }
    if !is_whole(bytes) {
        return Err("the picture is cut off, its end marker is missing".into());
    }
    let printing = [ColorSpace::JCS_CMYK, ColorSpace::JCS_YCCK];
    if printing.contains(&decoder.color_space()) {
        return Ok(Jpeg::Printing);
    }
    let mut lines = decoder.rgb().map_err(|error| error.to_string())?;
    let samples: Vec<u8> = lines.read_scanlines().map_err(|error| error.to_string())?;
    lines.finish().map_err(|error| error.to_string())?;
    RgbImage::from_raw(width, height, samples)
        .map(Jpeg::Picture)
        .ok_or_else(|| "the picture has fewer lines than its header says".into())
}

/// Whether an end marker follows the start of the first scan. Segments before it are skipped by their
/// length, because a thumbnail in them has an end marker of its own; in the scans none can appear by
/// accident, because the coding stuffs every 0xFF.
fn is_whole(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END: [u8; 2] = [0xFF, 0xD9];
    let mut at = 2;
    while let [0xFF, marker, rest @ ..] = bytes.get(at..).unwrap_or_default() {
        match (*marker, rest) {
            (START_OF_SCAN, scans) => return scans.windows(2).any(|pair| pair == END),
            // Fill bytes and markers without a length.
            (0xFF, _) => at += 1,
            (0x01 | 0xD0..=0xD7, _) => at += 2,
            (_, [high, low, ..]) => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => return false,
        }
    }
    false
}

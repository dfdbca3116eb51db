//! The size of an image by its header alone, upright, so that the tokens that it takes can be counted before anything
//! is decoded.

use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use ::image::ImageDecoder as _;
use ::image::metadata::Orientation;

use super::decode::{Fault, JPEG_START, open};
use super::{ImageLimits, ImageSize, jpeg};
use crate::bounded;
use crate::error::DataError;

/// The size of the image that [`decode()`](super::decode()) makes of the file at `path`.
///
/// Only what comes before the image's data is read: a file that is cut off after it has a size as well.
///
/// # Errors
/// As [`decode()`](super::decode()), of what is read.
pub fn measure(path: &Path, limits: &ImageLimits) -> Result<ImageSize, DataError> {
    let file = bounded::open(path, &limits.bound())?;
    measure_header(BufReader::new(file), limits).map_err(|fault| fault.at(path, limits))
}

/// The size of the image in `bytes`; `path` names it in messages.
///
/// # Errors
/// As [`decode_bytes`](super::decode_bytes), of what is read.
pub fn measure_bytes(
    path: &Path,
    bytes: &[u8],
    limits: &ImageLimits,
) -> Result<ImageSize, DataError> {
    measure_header(Cursor::new(bytes), limits).map_err(|fault| fault.at(path, limits))
}

fn measure_header(
    mut source: impl BufRead + Seek,
    limits: &ImageLimits,
) -> Result<ImageSize, Fault> {
    let damaged = |error: std::io::Error| Fault::Damaged(error.to_string());
    let is_jpeg = source.fill_buf().map_err(damaged)?.starts_with(&JPEG_START);
    let (width, height, orientation) = if is_jpeg {
        let header = jpeg::header(source).map_err(damaged)?;
        let no_size = || Fault::Damaged("no segment of the header says its size".into());
        let (width, height) = header.size.ok_or_else(no_size)?;
        limits.check(width, height)?;
        (width, height, header.orientation)
    } else {
        let (decoder, orientation) = open(source, *limits)?;
        let (width, height) = decoder.dimensions();
        (width, height, orientation)
    };
    let on_its_side = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    Ok(if on_its_side {
        ImageSize {
            width: height,
            height: width,
        }
    } else {
        ImageSize { width, height }
    })
}

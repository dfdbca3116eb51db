//! An image file becomes 8-bit RGB, within limits that are checked before anything is decoded.
//!
//! Colour follows what Pillow's `convert("RGB")` does, because that is what the reference's models were
//! trained behind: alpha is dropped and not blended, grey is repeated, 16-bit colour keeps its high byte,
//! 16-bit grey is clipped at 255, printing colours are converted without a profile. Colour profiles are
//! ignored. Of an animated WebP it is the first frame.
//!
//! An image with an EXIF orientation is turned upright, as `load_image` of transformers does it and as browsers
//! show it to annotators. The paper's code leaves it on its side; COCO's images carry no orientation.

use std::io::{BufRead, Cursor, Seek};
use std::path::Path;

use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use super::jpeg::{self, Jpeg};
use crate::bounded::{self, Bound};
use crate::error::DataError;

/// Bounds on an image, checked before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Largest file.
    pub max_bytes: u64,
    /// Largest width × height.
    pub max_pixels: u64,
}

/// The longest side, which is that of a JPEG whatever the limits are. A PNG of a few kilobytes can be one line of millions of
/// pixels, and what is made of an image while it is fitted follows from its sides.
const LONGEST_SIDE: u32 = 65_535;

impl Default for ImageLimits {
    /// 64 MiB and 100 megapixels: more than any camera image of the public sets.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_pixels: 100_000_000,
        }
    }
}

impl ImageLimits {
    /// The bound on the file.
    pub(crate) fn bound(&self) -> Bound {
        Bound {
            max_bytes: self.max_bytes,
            action: "read the image",
            unreadable: "check the image folder and the file name in the row that asks for it",
            too_large: "scale the image down, or raise the limit on bytes",
        }
    }

    /// Whether an image of this size is allowed.
    pub(super) fn check(&self, width: u32, height: u32) -> Result<(), Fault> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > self.max_pixels || width.max(height) > LONGEST_SIDE {
            return Err(Fault::Pixels(width, height));
        }
        Ok(())
    }
}

/// Decodes the JPEG, PNG or WebP file at `path`, upright.
///
/// # Errors
/// [`DataError::Io`] if it cannot be read, [`DataError::TooLarge`] if it has more bytes than the limits
/// allow, [`DataError::Image`] if it has more pixels, none or a side of more than 65,535, or is not a whole JPEG, PNG or WebP.
pub fn decode(path: &Path, limits: &ImageLimits) -> Result<RgbImage, DataError> {
    decode_bytes(path, &bounded::read(path, &limits.bound())?, limits)
}

/// Decodes the JPEG, PNG or WebP in `bytes`, upright; `path` names it in messages. How many bytes they may be is up to whoever
/// read them.
///
/// # Errors
/// [`DataError::Image`] if it has more pixels than the limits allow, none or a side of more than 65,535, or is not a whole JPEG,
/// PNG or WebP.
pub fn decode_bytes(
    path: &Path,
    bytes: &[u8],
    limits: &ImageLimits,
) -> Result<RgbImage, DataError> {
    let outcome = if bytes.starts_with(&JPEG_START) {
        match jpeg::decode(bytes, limits.max_pixels) {
            Ok(Jpeg::Image(image, orientation)) => Ok(upright(image.into(), orientation)),
            Ok(Jpeg::TooLarge(width, height)) => Err(Fault::Pixels(width, height)),
            Err(found) => Err(Fault::Damaged(found)),
        }
    } else {
        decode_other(bytes, limits)
    };
    outcome.map_err(|fault| fault.at(path, limits))
}

/// What every JPEG starts with: the start of the image and the first byte of the next marker.
pub(super) const JPEG_START: [u8; 3] = [0xFF, 0xD8, 0xFF];

/// Why an image is not taken.
pub(super) enum Fault {
    /// It is not one, or not whole.
    Damaged(String),
    /// Its width and height are not allowed.
    Pixels(u32, u32),
}

impl Fault {
    /// The error of the image at `path`.
    pub(super) fn at(self, path: &Path, limits: &ImageLimits) -> DataError {
        let (found, remedy) = match self {
            Self::Damaged(found) => (
                format!("not a readable JPEG, PNG or WebP: {found}"),
                "replace the file by a whole JPEG, PNG or WebP, or remove the rows that name it",
            ),
            Self::Pixels(width, height) if width.max(height) > LONGEST_SIDE => (
                format!("{width} x {height} pixels, expected sides of at most {LONGEST_SIDE}"),
                "scale the image down, or cut it into several",
            ),
            Self::Pixels(width, height) => (
                format!(
                    "{width} x {height} pixels, expected 1 to {}",
                    limits.max_pixels
                ),
                "scale the image down, or raise the limit on pixels",
            ),
        };
        DataError::Image {
            path: path.to_path_buf(),
            found,
            remedy: remedy.into(),
        }
    }
}

impl From<::image::ImageError> for Fault {
    fn from(error: ::image::ImageError) -> Self {
        Self::Damaged(error.to_string())
    }
}

fn decode_other(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, Fault> {
    if is_cut_off_webp(bytes) {
        let found = "the image is cut off, it has fewer bytes than its header says";
        return Err(Fault::Damaged(found.into()));
    }
    let (decoder, orientation) = open(Cursor::new(bytes), *limits)?;
    let image = to_rgb_like_pillow(DynamicImage::from_decoder(decoder)?);
    Ok(upright(image.into(), orientation))
}

/// The decoder of a PNG or WebP of an allowed size, and how the image has to be turned to stand upright.
pub(super) fn open<'a, S: BufRead + Seek + 'a>(
    source: S,
    limits: ImageLimits,
) -> Result<(impl ImageDecoder + 'a, Orientation), Fault> {
    let mut reader = ImageReader::new(source)
        .with_guessed_format()
        .map_err(|error| Fault::Damaged(error.to_string()))?;
    // The bound on pixels is ours, below; this one keeps a decoder's own buffers in proportion to it.
    let mut decoder_limits = Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_pixels.saturating_mul(16).max(1 << 20));
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    // An orientation that cannot be read is none.
    let orientation = decoder.exif_metadata().ok().flatten().and_then(|exif| {
        // Some writers of WebP keep the prefix that the block has in a JPEG.
        Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif))
    });
    Ok((decoder, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// Told by the header, whatever the decoder would make of the part that is there: it would be trained on unseen.
fn is_cut_off_webp(bytes: &[u8]) -> bool {
    let [
        b'R',
        b'I',
        b'F',
        b'F',
        a,
        b,
        c,
        d,
        b'W',
        b'E',
        b'B',
        b'P',
        ..,
    ] = bytes
    else {
        return false;
    };
    let announced = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    bytes.len().saturating_sub(8) < announced
}

fn upright(mut image: DynamicImage, orientation: Orientation) -> RgbImage {
    image.apply_orientation(orientation);
    image.into_rgb8()
}

fn to_rgb_like_pillow(image: DynamicImage) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let high = |sample: u16| (sample >> 8) as u8;
    let rgb: Vec<u8> = match image {
        DynamicImage::ImageRgb8(image) => return image,
        DynamicImage::ImageRgba8(image) => {
            image.pixels().flat_map(|p| [p[0], p[1], p[2]]).collect()
        }
        DynamicImage::ImageLuma8(image) => image.pixels().flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageLuma16(image) => image
            .pixels()
            .flat_map(|p| [p[0].min(255) as u8; 3])
            .collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|p| [high(p[0]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => image.pixels().flat_map(|p| p.0.map(high)).collect(),
        DynamicImage::ImageRgba16(image) => image
            .pixels()
            .flat_map(|p| [high(p[0]), high(p[1]), high(p[2])])
            .collect(),
        // No JPEG, PNG or WebP decodes to any other type; should the library add one, its own conversion serves.
        other => return other.into_rgb8(),
    };
    RgbImage::from_raw(width, height, rgb).expect("three bytes for each pixel")
}

//! JPEG decoding to the bit as Pillow has it.
//!
//! Pillow decodes with libjpeg-turbo: its integer transform and its smooth chroma upsampling are what the
//! vision towers were trained behind. Pure Rust decoders round differently, by up to 4/255 on images with
//! subsampled chroma. `mozjpeg` is the same code for decoding; compared with Pillow 13 on photographs,
//! baseline and progressive, 4:4:4 to 4:2:0, grey and printing colours, not one byte differs.
//!
//! libjpeg reports errors by unwinding, which is caught here. It patches a cut-off image with grey, which
//! would be trained on unseen, so the end marker is looked for first.

use std::io::{Cursor, Error, ErrorKind, Read, Result as IoResult, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::RgbImage;
use ::image::metadata::Orientation;
use mozjpeg::{ColorSpace, Decompress};

/// What to do with a file.
pub(super) enum Jpeg {
    /// Decoded, and how it has to be turned to stand upright.
    Image(RgbImage, Orientation),
    /// More than the pixels allowed; width and height.
    TooLarge(u32, u32),
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
    let Some(header) = header_of_whole(bytes) else {
        return Err("the image is cut off, its end marker is missing".into());
    };
    // The decoder passes over what stands between segments. Tokens are counted by the header alone.
    if header.size != Some((width, height)) {
        return Err("its segments do not follow one another, and say another size".into());
    }
    let printing = [ColorSpace::JCS_CMYK, ColorSpace::JCS_YCCK].contains(&decoder.color_space());
    let mut lines = if printing {
        decoder.to_colorspace(ColorSpace::JCS_CMYK)
    } else {
        decoder.rgb()
    }
    .map_err(|error| error.to_string())?;
    let samples: Vec<u8> = lines.read_scanlines().map_err(|error| error.to_string())?;
    lines.finish().map_err(|error| error.to_string())?;
    let samples = if printing {
        rgb_of_inks(&samples)
    } else {
        samples
    };
    RgbImage::from_raw(width, height, samples)
        .map(|image| Jpeg::Image(image, header.orientation))
        .ok_or_else(|| "the image has fewer lines than its header says".into())
}

/// Light of cyan, magenta, yellow and black as Pillow has it: it takes every file for one of Adobe's, which store how
/// much ink is *missing*, and rounds x·y/255 without a division.
fn rgb_of_inks(samples: &[u8]) -> Vec<u8> {
    let light = |missing: u8, no_black: u8| {
        let product = u32::from(255 - missing) * u32::from(no_black) + 128;
        no_black.saturating_sub((((product >> 8) + product) >> 8) as u8)
    };
    let pixels = samples.as_chunks::<4>().0.iter();
    pixels
        .flat_map(|&[c, m, y, no_black]| [c, m, y].map(|ink| light(ink, no_black)))
        .collect()
}

/// What the segments before the scans say, or nothing if no end marker follows the start of its first scan. Segments before
/// it are skipped by their length, because a thumbnail in them has an end marker of its own; in the scans none can
/// appear by accident, because the coding stuffs every 0xFF.
fn header_of_whole(bytes: &[u8]) -> Option<Header> {
    const END: [u8; 2] = [0xFF, 0xD9];
    let header = header(Cursor::new(bytes)).ok()?;
    let scans = bytes.get(header.scans as usize..)?;
    scans.windows(2).any(|pair| pair == END).then_some(header)
}

/// What the segments before the first scan say.
pub(super) struct Header {
    /// Width and height of the image as it is stored; nothing if no segment says it.
    pub size: Option<(u32, u32)>,
    /// How it has to be turned to stand upright.
    pub orientation: Orientation,
    /// Where the first scan starts, in bytes.
    scans: u64,
}

/// Reads the segments before the first scan, and of them no more than it needs.
pub(super) fn header(mut source: impl Read + Seek) -> IoResult<Header> {
    const START_OF_SCAN: u8 = 0xDA;
    const APP1: u8 = 0xE1;
    let (mut size, mut orientation) = (None, Orientation::NoTransforms);
    source.seek(SeekFrom::Start(2))?;
    loop {
        let [mut marker] = take(&mut source)?;
        if marker != 0xFF {
            let message = "no marker where a segment of the header ends";
            return Err(Error::new(ErrorKind::InvalidData, message));
        }
        // Any number of fill bytes may stand before a marker.
        while marker == 0xFF {
            [marker] = take(&mut source)?;
        }
        // Markers without a length.
        if matches!(marker, 0x01 | 0xD0..=0xD7) {
            continue;
        }
        if marker == START_OF_SCAN {
            let scans = source.stream_position()?;
            return Ok(Header {
                size,
                orientation,
                scans,
            });
        }
        let length = u16::from_be_bytes(take(&mut source)?).saturating_sub(2);
        match marker {
            APP1 => {
                let mut content = vec![0; usize::from(length)];
                source.read_exact(&mut content)?;
                if let Some(exif) = content.strip_prefix(b"Exif\0\0") {
                    orientation = Orientation::from_exif_chunk(exif).unwrap_or(orientation);
                }
            }
            // Starts of a frame, which have a precision before the size; the three others are tables.
            0xC0..=0xCF if ![0xC4, 0xC8, 0xCC].contains(&marker) && length >= 5 => {
                let [_, a, b, c, d] = take(&mut source)?;
                let (height, width) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                size = Some((width.into(), height.into()));
                source.seek_relative(i64::from(length) - 5)?;
            }
            _ => source.seek_relative(length.into())?,
        }
    }
}

fn take<const N: usize>(source: &mut impl Read) -> IoResult<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

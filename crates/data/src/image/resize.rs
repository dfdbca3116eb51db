//! Pillow's bicubic resize of 8-bit images, to the bit.
//!
//! The vision towers were trained behind Pillow, so its arithmetic is part of the model: rows are resampled
//! first and rounded and clipped to bytes, then columns; weights are fixed-point numbers with 22 fractional
//! bits. The order matters: bicubic overshoots at edges, and what the first pass clips the second never
//! sees. `fast_image_resize` has the same filter but the other order, and on photographs differs by up to
//! 13/255; hence this module.
//!
//! Pillow 13, which is younger than the towers, takes columns first where the height shrinks by more than twice as
//! many pixels as the width: for speed, and up to 15/255 apart on photographs. Rows are first here always, as in all
//! versions before and in torchvision.
//!
//! # Reference
//! The cubic convolution kernel with a = −0.5 (Keys 1981). When shrinking, kernel and support are stretched
//! by the scale, which is what keeps out aliasing.

use std::ops::Range;

use ::image::RgbImage;

/// Fractional bits of a weight: 32 less 8 for a sample and 2 for the overshoot of the kernel.
const FRACTION_BITS: u32 = 22;
const CHANNELS: usize = 3;
/// Half the width of the kernel.
const SUPPORT: f64 = 2.0;

/// A rectangle of the resized image.
pub(super) struct Part {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

/// An image on a larger ground of one colour. The ground is never made: a square around a line of 60,000 pixels would take
/// 11 GB.
pub(super) struct OnGround<'a> {
    pub image: &'a RgbImage,
    /// Columns of the ground.
    pub width: u32,
    /// Rows of the ground.
    pub height: u32,
    /// Where on it the image begins.
    pub left: u32,
    pub top: u32,
    pub colour: [u8; CHANNELS],
}

/// Resizes to `width` × `height`.
pub(super) fn bicubic(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    bicubic_part(image, width, height, &whole(width, height))
}

/// Resizes an image with the ground that it lies on.
pub(super) fn bicubic_on_ground(on: &OnGround<'_>, width: u32, height: u32) -> RgbImage {
    resized(on, width, height, &whole(width, height))
}

/// A part of the image resized to `width` × `height`. The rest is not computed, so a crop of an image
/// one pixel high and thousands wide takes no more memory than any other.
pub(super) fn bicubic_part(image: &RgbImage, width: u32, height: u32, part: &Part) -> RgbImage {
    let alone = OnGround {
        image,
        width: image.width(),
        height: image.height(),
        left: 0,
        top: 0,
        colour: [0; CHANNELS],
    };
    resized(&alone, width, height, part)
}

fn whole(width: u32, height: u32) -> Part {
    Part {
        left: 0,
        top: 0,
        width,
        height,
    }
}

fn resized(on: &OnGround<'_>, width: u32, height: u32, part: &Part) -> RgbImage {
    let (across, down) = (on.image.width() as usize, on.image.height() as usize);
    let (left, top) = (on.left as usize, on.top as usize);
    let columns = windows(
        on.width as usize,
        width,
        part.left..part.left + part.width,
        &(left..left + across),
    );
    let rows = windows(
        on.height as usize,
        height,
        part.top..part.top + part.height,
        &(top..top + down),
    );
    let narrow = resample_rows(on.image.as_raw(), across, &columns, on.colour);
    // A row of the ground alone.
    let bare = columns.iter().flat_map(|window| {
        let weight = window.beyond + window.weights.iter().sum::<i32>();
        on.colour
            .map(|sample| to_byte(HALF + i32::from(sample) * weight))
    });
    let samples = resample_columns(&narrow, &bare.collect::<Vec<u8>>(), &rows);
    RgbImage::from_raw(part.width, part.height, samples).expect("three bytes for each pixel")
}

/// The weights of one target position: the image's positions `first..first + weights.len()`, and all that is beyond the
/// image together, where its ground is of one colour.
struct Window {
    first: usize,
    weights: Vec<i32>,
    beyond: i32,
}

/// Of `source` positions the image has those of `image`.
fn windows(source: usize, target: u32, wanted: Range<u32>, image: &Range<usize>) -> Vec<Window> {
    let scale = source as f64 / f64::from(target);
    let stretch = scale.max(1.0);
    let support = SUPPORT * stretch;
    wanted
        .map(|position| {
            let centre = (f64::from(position) + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(source);
            let raw: Vec<f64> = (first..end)
                .map(|i| kernel((i as f64 - centre + 0.5) / stretch))
                .collect();
            let total: f64 = raw.iter().sum();
            let unit = f64::from(1_u32 << FRACTION_BITS);
            let mut window = Window {
                first: first.clamp(image.start, image.end) - image.start,
                weights: Vec::with_capacity(raw.len()),
                beyond: 0,
            };
            for (at, weight) in (first..end).zip(raw) {
                let weight = (weight / total * unit).round() as i32;
                if image.contains(&at) {
                    window.weights.push(weight);
                } else {
                    window.beyond += weight;
                }
            }
            window
        })
        .collect()
}

/// The cubic convolution kernel with a = −0.5.
fn kernel(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < SUPPORT {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (FRACTION_BITS - 1);

fn resample_rows(
    samples: &[u8],
    source_width: usize,
    windows: &[Window],
    colour: [u8; CHANNELS],
) -> Vec<u8> {
    let mut resampled = Vec::with_capacity(samples.len() / source_width * windows.len());
    for row in samples.chunks_exact(source_width * CHANNELS) {
        for window in windows {
            let pixels = row[window.first * CHANNELS..].chunks_exact(CHANNELS);
            let mut sums = colour.map(|sample| HALF + i32::from(sample) * window.beyond);
            for (pixel, &weight) in pixels.zip(&window.weights) {
                for (sum, &sample) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(sample) * weight;
                }
            }
            resampled.extend(sums.map(to_byte));
        }
    }
    resampled
}

/// `bare` is a row of what is beyond the image.
fn resample_columns(samples: &[u8], bare: &[u8], windows: &[Window]) -> Vec<u8> {
    let n_row = bare.len();
    let mut resampled = Vec::with_capacity(n_row * windows.len());
    let mut sums = vec![0; n_row];
    for window in windows {
        for (sum, &sample) in sums.iter_mut().zip(bare) {
            *sum = HALF + i32::from(sample) * window.beyond;
        }
        let rows = samples[window.first * n_row..].chunks_exact(n_row);
        for (row, &weight) in rows.zip(&window.weights) {
            for (sum, &sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(sample) * weight;
            }
        }
        resampled.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    resampled
}

#[cfg(test)]
mod tests {
    use ::image::Rgb;

    use super::*;

    #[test]
    fn a_flat_image_stays_flat() {
        let flat = RgbImage::from_pixel(7, 5, Rgb([0, 128, 255]));
        for (width, height) in [(3, 3), (7, 5), (16, 9), (1, 1)] {
            let resized = bicubic(&flat, width, height);
            assert_eq!(resized.dimensions(), (width, height));
            assert!(resized.pixels().all(|pixel| pixel.0 == [0, 128, 255]));
        }
    }

    #[test]
    fn the_same_size_is_the_same_image_and_a_part_is_a_part() {
        let image = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 28) as u8, (y * 36) as u8, 255]));
        assert_eq!(bicubic(&image, 9, 7), image);
        let whole = bicubic(&image, 20, 5);
        let part = Part {
            left: 6,
            top: 1,
            width: 9,
            height: 3,
        };
        let cut = ::image::imageops::crop_imm(&whole, 6, 1, 9, 3).to_image();
        assert_eq!(bicubic_part(&image, 20, 5, &part), cut);
    }

    /// An image that is enlarged, shrunk or both, on a ground beside it, above and below it, or on all sides.
    #[test]
    fn a_ground_that_is_not_made_is_as_one_that_is() {
        let image = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 28) as u8, (y * 36) as u8, 255]));
        let colour = [122, 0, 250];
        for [width, height, left, top] in [[9, 30, 0, 11], [25, 7, 16, 0], [40, 40, 3, 20]] {
            let mut made = RgbImage::from_pixel(width, height, Rgb(colour));
            ::image::imageops::replace(&mut made, &image, i64::from(left), i64::from(top));
            let on = OnGround {
                image: &image,
                width,
                height,
                left,
                top,
                colour,
            };
            for (to_width, to_height) in [(5, 5), (50, 50), (6, 45), (width, height)] {
                let found = bicubic_on_ground(&on, to_width, to_height);
                assert_eq!(found, bicubic(&made, to_width, to_height));
            }
        }
    }

    /// Written with Pillow 13.0: `Image.fromarray(a).resize((4, 4), Image.BICUBIC)` of an 8 × 2 ramp
    /// `a[y, x] = (32 x, 255 (x mod 2), 255 y)`.
    #[test]
    fn a_ramp_with_stripes_matches_pillow() {
        let image = RgbImage::from_fn(8, 2, |x, y| {
            Rgb([(32 * x) as u8, (255 * (x % 2)) as u8, (255 * y) as u8])
        });
        let resized = bicubic(&image, 4, 4);
        assert_eq!(resized.as_raw().as_slice(), &PILLOW);
    }

    const PILLOW: [u8; 48] = [
        17, 109, 0, 79, 129, 0, 145, 126, 0, 207, 146, 0, 17, 109, 53, 79, 129, 53, 145, 126, 53,
        207, 146, 53, 17, 109, 202, 79, 129, 202, 145, 126, 202, 207, 146, 202, 17, 109, 255, 79,
        129, 255, 145, 126, 255, 207, 146, 255,
    ];
}

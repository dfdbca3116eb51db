//! Images of one colour.

use std::path::Path;

use image::{Rgb, RgbImage};

/// Names of colours, and what they look like.
pub const COLOURS: [(&str, [u8; 3]); 4] = [
    ("red", [220, 30, 30]),
    ("green", [30, 200, 40]),
    ("blue", [30, 40, 220]),
    ("white", [240, 240, 240]),
];

/// Paints a wall of 16 × 16 pixels into a file.
///
/// # Panics
/// It cannot be written.
pub fn wall(path: &Path, rgb: [u8; 3]) {
    paint(path, [16, 16], rgb);
}

/// Paints an image of `[width, height]` pixels into a file.
///
/// # Panics
/// It cannot be written.
pub fn paint(path: &Path, [width, height]: [u32; 2], rgb: [u8; 3]) {
    let image = RgbImage::from_pixel(width, height, Rgb(rgb));
    image.save(path).expect("an image that can be written");
}

/// Paints `red.png`, `green.png` and `blue.png`, walls of the first three [`COLOURS`], into a folder.
///
/// # Panics
/// They cannot be written.
pub fn walls(folder: &Path) {
    for (name, rgb) in &COLOURS[..3] {
        wall(&folder.join(format!("{name}.png")), *rgb);
    }
}

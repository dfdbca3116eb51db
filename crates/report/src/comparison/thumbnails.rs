//! Small images inside of the page.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_data::image::{ImageLimits, decode};
use candor_judge::Verdict;
use candor_judge::images;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage, imageops};

use crate::ReportError;

/// Longest side, in pixels.
const SIDE: u32 = 384;
const JPEG_QUALITY: u8 = 75;
/// All images together, in bytes of the page. Later ones are left out.
const MAX_BYTES: usize = 32 << 20;

/// The images of a page, by the file names of the items' images.
#[derive(Debug, Default)]
pub(crate) struct Thumbnails {
    /// Where images are looked for, in this order.
    folders: Vec<PathBuf>,
    /// Data URIs.
    pub by_image: BTreeMap<String, String>,
    /// Images that are in none of the folders.
    pub n_missing: usize,
    /// Images that the page has no room for.
    pub n_left_out: usize,
    n_bytes: usize,
    seen: std::collections::BTreeSet<String>,
}

impl Thumbnails {
    /// None yet, to be found in these folders.
    pub(crate) fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            ..Self::default()
        }
    }

    /// Takes in the image of an item.
    ///
    /// # Errors
    /// The file is no whole JPEG or PNG, or too large.
    pub(crate) fn add(&mut self, verdict: &Verdict) -> Result<(), ReportError> {
        if !self.seen.insert(verdict.file_name().to_owned()) {
            return Ok(());
        }
        let mut files = self
            .folders
            .iter()
            .filter_map(|folder| images::file_in(folder, verdict));
        let Some(file) = files.next() else {
            self.n_missing += 1;
            return Ok(());
        };
        if self.n_bytes >= MAX_BYTES {
            self.n_left_out += 1;
            return Ok(());
        }
        let uri = data_uri(&file)?;
        self.n_bytes += uri.len();
        self.by_image.insert(verdict.file_name().to_owned(), uri);
        Ok(())
    }
}

/// An image made small: as JPEG, or as PNG where that is shorter, as it is for drawings.
fn data_uri(file: &Path) -> Result<String, ReportError> {
    let image = decode(file, &ImageLimits::default())?;
    let longest = image.width().max(image.height());
    let image = if longest > SIDE {
        let side = |length: u32| {
            let scaled = u64::from(length) * u64::from(SIDE) / u64::from(longest);
            u32::try_from(scaled).unwrap_or(SIDE).max(1)
        };
        imageops::thumbnail(&image, side(image.width()), side(image.height()))
    } else {
        image
    };
    let broken = |error: image::ImageError| ReportError::damaged(file, None, &error);
    let jpeg = jpeg(&image).map_err(broken)?;
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).map_err(broken)?;
    let png = png.into_inner();
    Ok(if png.len() <= jpeg.len() {
        format!("data:image/png;base64,{}", STANDARD.encode(png))
    } else {
        format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
    })
}

fn jpeg(image: &RgbImage) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(image)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(image: &str) -> Verdict {
        Verdict {
            image: image.to_owned(),
            ..Verdict::default()
        }
    }

    fn size(uri: &str) -> (u32, u32) {
        let (_, data) = uri.split_once(',').unwrap();
        let image = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
        (image.width(), image.height())
    }

    #[test]
    fn large_images_are_made_small_once_and_missing_ones_counted() {
        let dir = tempfile::tempdir().unwrap();
        let noise = |x: u32, y: u32| (x * 7919 + y * 104_729 + x * y * 31) as u8;
        let photo = RgbImage::from_fn(1000, 500, |x, y| {
            image::Rgb([noise(x, y), noise(y, x), noise(x, x)])
        });
        photo.save(dir.path().join("photo.png")).unwrap();
        RgbImage::new(64, 64)
            .save(dir.path().join("drawing.png"))
            .unwrap();
        let mut all = Thumbnails::new(vec![dir.path().join("no"), dir.path().to_owned()]);
        for name in [
            "photo.png",
            "drawing.png",
            "photo.png",
            "none.png",
            "none.png",
        ] {
            all.add(&verdict(name)).unwrap();
        }
        assert_eq!((all.by_image.len(), all.n_missing), (2, 1));
        assert_eq!(size(&all.by_image["photo.png"]), (384, 192));
        assert!(all.by_image["photo.png"].starts_with("data:image/jpeg;"));
        assert_eq!(size(&all.by_image["drawing.png"]), (64, 64));
        assert!(all.by_image["drawing.png"].starts_with("data:image/png;"));
    }

    #[test]
    fn each_figure_of_a_set_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = Thumbnails::new(vec![dir.path().to_owned()]);
        for name in ["3_0.png", "3_1.png"] {
            RgbImage::new(8, 8).save(dir.path().join(name)).unwrap();
            let of_set = Verdict {
                image_file: Some(name.to_owned()),
                ..verdict("VD/chart/3")
            };
            all.add(&of_set).unwrap();
        }
        let shown: Vec<&String> = all.by_image.keys().collect();
        assert_eq!(shown, ["3_0.png", "3_1.png"]);
    }

    #[test]
    fn a_damaged_image_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.png"), "no image").unwrap();
        let mut all = Thumbnails::new(vec![dir.path().to_owned()]);
        let message = all.add(&verdict("a.png")).unwrap_err().to_string();
        assert!(message.contains("a.png"), "{message}");
    }
}

//! Images: limits before decoding, colour as Pillow has it, fitting, configurations.
//!
//! `golden_images.rs` compares whole outputs with transformers; here are the edges.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use candor_data::image::{
    Colours, Fit, Fitted, ImageLimits, ImageProcessor, ImageSize, SquareProcessor, decode,
    load_batch, measure,
};
use image::{
    DynamicImage, GrayAlphaImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage,
};
use proptest::prelude::*;
use tempfile::TempDir;

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn saved(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([
            (x * 7 % 256) as u8,
            (y * 5 % 256) as u8,
            ((x + y) * 3 % 256) as u8,
        ])
    })
}

#[test]
fn bytes_and_pixels_are_bounded_before_decoding() {
    let dir = tempfile::tempdir().unwrap();
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let bytes = encoded(&gradient(40, 30).into(), format);
        let path = saved(&dir, "image", &bytes);
        let exact = ImageLimits {
            max_bytes: bytes.len() as u64,
            max_pixels: 1200,
        };
        assert_eq!(decode(&path, &exact).unwrap().dimensions(), (40, 30));

        let fewer_bytes = ImageLimits {
            max_bytes: exact.max_bytes - 1,
            ..exact
        };
        let message = decode(&path, &fewer_bytes).unwrap_err().to_string();
        assert!(
            message.contains("image") && message.contains("more than the limit of"),
            "{message}"
        );
        assert!(message.contains("raise the limit on bytes"), "{message}");

        let fewer_pixels = ImageLimits {
            max_pixels: 1199,
            ..exact
        };
        let message = decode(&path, &fewer_pixels).unwrap_err().to_string();
        assert!(
            message.contains("40 x 30 pixels, expected 1 to 1199"),
            "{message}"
        );
        assert!(message.contains("raise the limit on pixels"), "{message}");
    }
}

/// A header that promises 65535 × 65535 pixels in a file of a few bytes is refused by the header alone.
#[test]
fn a_bomb_is_refused_by_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let mut png = encoded(&gradient(8, 8).into(), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF]);
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let message = decode(&saved(&dir, "bomb.png", &png), &ImageLimits::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("65535 x 65535 pixels"), "{message}");

    let mut jpeg = encoded(&gradient(8, 8).into(), ImageFormat::Jpeg);
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    let message = decode(&saved(&dir, "bomb.jpg", &jpeg), &ImageLimits::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("65500 x 65500 pixels"), "{message}");
}

/// A line of millions of pixels is a PNG of a few kilobytes, and as many rows of every model's width while it is fitted.
#[test]
fn a_side_that_no_jpeg_can_have_is_refused_by_the_header() {
    let dir = tempfile::tempdir().unwrap();
    let limits = ImageLimits::default();
    let line = |width, height| {
        let png = encoded(&RgbImage::new(width, height).into(), ImageFormat::Png);
        saved(&dir, "line.png", &png)
    };
    let longest = line(65_535, 1);
    assert_eq!(decode(&longest, &limits).unwrap().dimensions(), (65_535, 1));
    for (width, height) in [(65_536, 1), (1, 65_536)] {
        let longer = line(width, height);
        let expected = format!("{width} x {height} pixels, expected sides of at most 65535");
        for message in [
            decode(&longer, &limits).unwrap_err().to_string(),
            measure(&longer, &limits).unwrap_err().to_string(),
        ] {
            assert!(message.contains(&expected), "{message}");
            assert!(message.contains("line.png"), "{message}");
        }
    }
}

/// The square around it would take 11 GB. Two white lines in the middle of 60,000 are 0.0031 each of the two rows of the
/// result that are nearest to them: 1/178.57 of the kernel's 0.5664 and 0.5586, the distances being 88.79 and 89.79 of 178.57
/// lines. Of 255 − 122, 255 − 116 and 255 − 104 that is 0.84, 0.88 and 0.95. What they are of the next rows rounds to nothing.
#[test]
fn a_line_is_padded_without_the_square_around_it() {
    let (mean, near) = ([122, 116, 104], [123, 117, 105]);
    let plane = 336 * 336;
    for (width, height) in [(60_000, 2), (2, 60_000)] {
        let white = RgbImage::from_pixel(width, height, Rgb([255; 3]));
        let fitted = ImageProcessor::clip(336).fit(&white).unwrap();
        for (at, &found) in fitted.bytes.iter().enumerate() {
            let (channel, pixel) = (at / plane, at % plane);
            let line = if width > height {
                pixel / 336
            } else {
                pixel % 336
            };
            let expected = if [167, 168].contains(&line) {
                near[channel]
            } else {
                mean[channel]
            };
            assert_eq!(found, expected, "{width} x {height}, {pixel}");
        }
    }
}

/// The checksum of PNG chunks, by its definition.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    })
}

#[test]
fn colour_becomes_rgb_as_pillow_converts_it() {
    let dir = tempfile::tempdir().unwrap();
    let first_pixel = |image: DynamicImage| {
        let path = saved(&dir, "colour.png", &encoded(&image, ImageFormat::Png));
        decode(&path, &ImageLimits::default())
            .unwrap()
            .get_pixel(0, 0)
            .0
    };
    // Alpha is dropped, not blended: a transparent red is red.
    let clear = RgbaImage::from_pixel(2, 2, Rgba([200, 10, 30, 0]));
    assert_eq!(first_pixel(clear.into()), [200, 10, 30]);
    let grey = image::GrayImage::from_pixel(2, 2, Luma([77]));
    assert_eq!(first_pixel(grey.into()), [77, 77, 77]);
    let clear_grey = GrayAlphaImage::from_pixel(2, 2, LumaA([77, 0]));
    assert_eq!(first_pixel(clear_grey.into()), [77, 77, 77]);
    // 16-bit colour keeps the high byte; 0x12FF would round up to 0x13.
    let deep = image::ImageBuffer::from_pixel(2, 2, Rgb([0x12FF_u16, 0xFFFF, 0x0080]));
    assert_eq!(
        first_pixel(DynamicImage::ImageRgb16(deep)),
        [0x12, 0xFF, 0x00]
    );
}

#[test]
fn damaged_images_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, format) in [("a.png", ImageFormat::Png), ("a.jpg", ImageFormat::Jpeg)] {
        let whole = encoded(&gradient(64, 48).into(), format);
        for end in [0, 1, 3, 20, whole.len() / 2, whole.len() - 20] {
            let path = saved(&dir, name, &whole[..end]);
            let message = decode(&path, &ImageLimits::default())
                .unwrap_err()
                .to_string();
            assert!(message.contains(name), "{message}");
            assert!(
                message.contains("not a readable JPEG, PNG or WebP"),
                "{end}: {message}"
            );
            assert!(message.contains("replace the file"), "{message}");
        }
    }
    let path = saved(&dir, "a.jpg", b"<html>not found</html>");
    assert!(decode(&path, &ImageLimits::default()).is_err());
    let absent = dir.path().join("absent.jpg");
    let message = decode(&absent, &ImageLimits::default())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("absent.jpg") && message.contains("check the image folder"),
        "{message}"
    );
}

#[test]
fn padding_centres_the_image_on_the_mean_colour() {
    let processor = ImageProcessor::clip(4);
    let wide = RgbImage::from_pixel(4, 2, Rgb([10, 20, 30]));
    let fitted = processor.fit(&wide).unwrap().bytes;
    // int(255 × mean) of CLIP: 122, 116, 104; rows 0 and 3 are padding.
    for (channel, (pad, inside)) in [(122, 10), (116, 20), (104, 30)].into_iter().enumerate() {
        let plane = &fitted[channel * 16..(channel + 1) * 16];
        let rows: Vec<u8> = plane.iter().step_by(4).copied().collect();
        assert_eq!(rows, [pad, inside, inside, pad]);
    }
    // An odd remainder goes below, as integer division has it.
    let tall = RgbImage::from_pixel(3, 4, Rgb([10, 20, 30]));
    let fitted = processor.fit(&tall).unwrap().bytes;
    assert_eq!(fitted[..4], [10, 10, 10, 122]);
}

#[test]
fn cropping_keeps_the_centre() {
    let processor = ImageProcessor::clip(2).with_fit(Fit::CenterCrop);
    let stripes = RgbImage::from_fn(6, 2, |x, _| Rgb([(x * 10) as u8, 0, 0]));
    assert_eq!(
        processor.fit(&stripes).unwrap().bytes[..4],
        [20, 30, 20, 30]
    );
}

/// Resized whole, this image would take 22 GB.
#[test]
fn a_crop_of_a_very_long_image_takes_little_memory() {
    let processor = ImageProcessor::clip(336).with_fit(Fit::CenterCrop);
    let line = RgbImage::from_fn(65_535, 1, |x, _| {
        Rgb([if x < 32_767 { 0 } else { 200 }, 9, 9])
    });
    let fitted = processor.fit(&line).unwrap().bytes;
    // The middle pixel is magnified 336 times, so it fills the crop.
    assert_eq!(fitted[336 / 2], 200);
    assert_eq!(fitted.len(), 3 * 336 * 336);
}

#[test]
fn normalising_is_the_formula() {
    let processor = ImageProcessor::Square(SquareProcessor {
        side: 1,
        fit: Fit::Pad,
        colours: Colours {
            mean: [0.5, 0.25, 0.0],
            std: [0.5, 0.25, 2.0],
        },
    });
    let fitted = |width, bytes: &[u8]| Fitted {
        size: ImageSize { width, height: 1 },
        own: None,
        bytes: bytes.to_vec(),
    };
    assert_eq!(
        processor.normalise(&fitted(1, &[255, 0, 255])),
        [1.0, -1.0, 0.5]
    );
    assert_eq!(
        processor.normalise(&fitted(2, &[0, 255, 255, 0, 0, 255])),
        [-1.0, 1.0, 3.0, -1.0, 0.0, 0.5]
    );
    let image = RgbImage::from_pixel(1, 1, Rgb([255, 0, 255]));
    assert_eq!(processor.fit(&image).unwrap(), fitted(1, &[255, 0, 255]));
}

#[test]
fn a_batch_is_its_images_and_its_first_error() {
    let dir = tempfile::tempdir().unwrap();
    let processor = ImageProcessor::clip(8);
    let limits = ImageLimits::default();
    let paths: Vec<PathBuf> = (0..12)
        .map(|i| {
            let bytes = encoded(&gradient(10 + i, 21 - i).into(), ImageFormat::Png);
            saved(&dir, &format!("{i}.png"), &bytes)
        })
        .collect();
    let batch = load_batch(&paths, &processor, &limits).unwrap();
    let singly: Vec<Fitted> = paths
        .iter()
        .map(|path| processor.fit(&decode(path, &limits).unwrap()).unwrap())
        .collect();
    assert_eq!(batch, singly);
    for broken in [7, 3, 9] {
        std::fs::write(&paths[broken], b"broken").unwrap();
    }
    for _ in 0..20 {
        let message = load_batch(&paths, &processor, &limits)
            .unwrap_err()
            .to_string();
        assert!(message.contains("/3.png"), "{message}");
    }
    assert!(
        load_batch::<PathBuf>(&[], &processor, &limits)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn configurations_of_the_field_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        ImageProcessor::from_file(&saved(&dir, "preprocessor_config.json", text.as_bytes()))
    };
    let numbers = r#""image_mean":[0.48145466,0.4578275,0.40821073],"image_std":[0.26862954,0.26130258,0.27577711]"#;
    // As openai/clip-vit-large-patch14 and llava-hf/llava-1.5-7b-hf have them.
    for (size, fit) in [
        (
            r#""crop_size":224,"do_center_crop":true,"do_normalize":true,"do_resize":true,"resample":3,"size":224"#,
            Fit::CenterCrop,
        ),
        (
            r#""crop_size":{"height":224,"width":224},"size":{"shortest_edge":224},"do_rescale":true,"rescale_factor":0.00392156862745098"#,
            Fit::CenterCrop,
        ),
        (
            r#""do_pad":true,"size":{"height":224,"width":224}"#,
            Fit::Pad,
        ),
    ] {
        let processor = read(&format!("{{{size},{numbers}}}")).unwrap();
        assert_eq!(processor, ImageProcessor::clip(224).with_fit(fit));
    }
    let refused = [
        (format!("{{{numbers}}}"), "`size`", "missing"),
        (
            format!(r#"{{"size":{{"height":224,"width":336}},{numbers}}}"#),
            "`size`",
            "336",
        ),
        (
            format!(r#"{{"size":224,"resample":2,{numbers}}}"#),
            "`resample`",
            "filter 2",
        ),
        (
            format!(r#"{{"size":224,"do_normalize":false,{numbers}}}"#),
            "`do_normalize`",
            "false",
        ),
        (
            format!(r#"{{"size":224,"rescale_factor":1.0,{numbers}}}"#),
            "`rescale_factor`",
            "found 1",
        ),
        (
            format!(r#"{{"size":256,"crop_size":224,{numbers}}}"#),
            "`crop_size`",
            "found 224 where size is 256",
        ),
        (
            format!(r#"{{"size":{{"height":224,"width":224}},{numbers}}}"#),
            "`size`",
            "squeezed",
        ),
        (
            format!(r#"{{"size":224,"do_center_crop":false,{numbers}}}"#),
            "`do_center_crop`",
            "any shape",
        ),
        (
            format!(r#"{{"size":100000,{numbers}}}"#),
            "`size`",
            "100000",
        ),
        (
            r#"{"size":224,"image_mean":[0.5,0.5,0.5],"image_std":[0.5,0,0.5]}"#.into(),
            "`image_std`",
            "found 0",
        ),
        (
            r#"{"size":224,"image_mean":[0.5,0.5],"image_std":[0.5,0.5,0.5]}"#.into(),
            "`image_mean`",
            "length 2",
        ),
        (r#"{"size":224,"#.into(), "line 1", "the text ends here"),
    ];
    for (text, field, found) in refused {
        let message = read(&text).unwrap_err().to_string();
        assert!(message.contains("preprocessor_config.json"), "{message}");
        assert!(
            message.contains(field) && message.contains(found),
            "{message}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn configurations_come_back(
        size in 1_u32..=4096,
        mean in prop::array::uniform3(0.0..=1.0_f64),
        std in prop::array::uniform3(1e-6..10.0_f64),
        pad in any::<bool>(),
    ) {
        let fit = if pad { Fit::Pad } else { Fit::CenterCrop };
        let colours = Colours { mean, std };
        let processor = ImageProcessor::Square(SquareProcessor { side: size, fit, colours });
        let dir = tempfile::tempdir().unwrap();
        let path = saved(&dir, "preprocessor_config.json", processor.to_config().as_bytes());
        prop_assert_eq!(ImageProcessor::from_file(&path).unwrap(), processor);
    }

    /// Any shape fits, even one pixel wide, and damage to a file never panics.
    #[test]
    fn any_image_fits_and_any_damage_is_survived(
        width in 1_u32..70,
        height in 1_u32..70,
        size in 1_u32..40,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        jpeg in any::<bool>(),
    ) {
        let image = gradient(width, height);
        for fit in [Fit::Pad, Fit::CenterCrop] {
            let fitted = ImageProcessor::clip(size).with_fit(fit).fit(&image).unwrap();
            prop_assert_eq!(fitted.bytes.len(), 3 * (size * size) as usize);
        }
        let format = if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
        let mut bytes = encoded(&image.into(), format);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let dir = tempfile::tempdir().unwrap();
        let limits = ImageLimits { max_bytes: 1 << 20, max_pixels: 1 << 20 };
        let _ = decode(&saved(&dir, "damaged", &bytes), &limits);
    }
}

#[test]
fn the_written_configuration_names_classes_of_transformers() {
    let pad = ImageProcessor::clip(224).to_config();
    assert!(
        pad.contains(r#""image_processor_type": "LlavaImageProcessor""#),
        "{pad}"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model/preprocessor_config.json");
    ImageProcessor::clip(224).write(&path).unwrap();
    assert_eq!(std::fs::read_to_string(Path::new(&path)).unwrap(), pad);
}

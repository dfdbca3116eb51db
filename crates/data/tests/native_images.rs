//! Images of their own size: configurations in every spelling, what is refused, sizes by the header alone.
//!
//! `golden_native_images.rs` compares whole outputs with transformers; here are the edges.

use std::path::{Path, PathBuf};

use candor_data::image::{
    Colours, ImageLimits, ImageProcessor, ImageSize, NativeProcessor, decode, decode_bytes,
    load_batch, measure, measure_bytes,
};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

fn saved(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn size(width: u32, height: u32) -> ImageSize {
    ImageSize { width, height }
}

/// Qwen2.5-VL as it is published.
fn published() -> NativeProcessor {
    NativeProcessor {
        patch_size: 14,
        merge_size: 2,
        temporal_patch_size: 2,
        min_pixels: 3136,
        max_pixels: 12_845_056,
        colours: Colours::CLIP,
    }
}

#[test]
fn configurations_of_the_field_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let colours = r#""image_mean":[0.48145466,0.4578275,0.40821073],"image_std":[0.26862954,0.26130258,0.27577711]"#;
    let patches = r#""patch_size":14,"merge_size":2,"temporal_patch_size":2"#;
    let class = r#""image_processor_type":"Qwen2VLImageProcessor""#;
    let older = r#""min_pixels":3136,"max_pixels":12845056"#;
    let edges = r#""size":{"shortest_edge":3136,"longest_edge":12845056}"#;
    for text in [
        // As Qwen2.5-VL was published.
        format!(
            r#"{{{older},{patches},{colours},{class},"processor_class":"Qwen2_5_VLProcessor"}}"#
        ),
        // As its first files named the class.
        format!(
            r#"{{{older},{patches},{colours},"image_processor_type":"Qwen2_5_VLImageProcessor"}}"#
        ),
        // Files of Qwen2-VL say the bounds twice, in the older names.
        format!(r#"{{{older},"size":{{{older}}},{patches},{colours},{class}}}"#),
        format!(r#"{{"size":{{{older}}},{patches},{colours},{class}}}"#),
        // The fast class, and what transformers 5 writes for a whole processor.
        format!(
            r#"{{{edges},{patches},{colours},"image_processor_type":"Qwen2VLImageProcessorFast"}}"#
        ),
        format!(
            r#"{{"image_processor":{{{edges},{patches},{colours},{class}}},"processor_class":"Qwen2_5_VLProcessor"}}"#
        ),
        format!(
            r#"{{"image_processor":{{{edges},{patches},{colours}}},"processor_class":"Qwen2_5_VLProcessor"}}"#
        ),
        // Numbers beside the size count, as in the class; what is not said is the class's default.
        format!(r#"{{{older},"size":{{"shortest_edge":1,"longest_edge":2}},{class}}}"#),
        format!(r#"{{"max_pixels":12845056,"min_pixels":null,{class}}}"#),
    ] {
        let path = saved(&dir, "preprocessor_config.json", text.as_bytes());
        let read = ImageProcessor::from_file(&path).unwrap();
        assert_eq!(read, ImageProcessor::Native(published()), "{text}");
    }
    let refused = [
        (
            format!(r#"{{"size":{{"height":448,"width":448}},{class}}}"#),
            "`size`",
            "`shortest_edge`",
        ),
        (
            format!(r#"{{"size":{{"longest_edge":12845056}},{class}}}"#),
            "`size`",
            "`shortest_edge`",
        ),
        (
            format!(r#"{{"min_pixels":0,{class}}}"#),
            "`min_pixels`",
            "found 0, expected 1 to 67108864",
        ),
        (
            format!(r#"{{"max_pixels":1e12,{class}}}"#),
            "`max_pixels`",
            "expected 1 to 67108864",
        ),
        (
            format!(r#"{{"min_pixels":9000000,{class}}}"#),
            "`size`",
            "at least 9000000 pixels and at most 1003520",
        ),
        (
            format!(r#"{{"patch_size":0,{class}}}"#),
            "`patch_size`",
            "found 0",
        ),
        (
            format!(r#"{{"merge_size":"2",{class}}}"#),
            "`merge_size`",
            "found \"2\"",
        ),
        (
            format!(r#"{{"do_resize":false,{class}}}"#),
            "`do_resize`",
            "found false",
        ),
        (
            format!(r#"{{"resample":2,{class}}}"#),
            "`resample`",
            "filter 2",
        ),
        (
            format!(r#"{{"image_std":[0.5,0,0.5],{class}}}"#),
            "`image_std`",
            "found 0",
        ),
    ];
    for (text, field, found) in refused {
        let path = saved(&dir, "preprocessor_config.json", text.as_bytes());
        let message = ImageProcessor::from_file(&path).unwrap_err().to_string();
        assert!(
            message.contains(field) && message.contains(found),
            "{message}"
        );
        assert!(message.contains("of a Qwen-VL model"), "{message}");
    }
}

#[test]
fn the_written_configuration_says_all_of_it_in_both_spellings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("preprocessor_config.json");
    let processor = ImageProcessor::Native(NativeProcessor {
        patch_size: 16,
        merge_size: 3,
        temporal_patch_size: 4,
        min_pixels: 5000,
        max_pixels: 60_000,
        colours: Colours {
            mean: [0.5, 0.25, 0.125],
            std: [1.0, 2.0, 3.0],
        },
    });
    processor.write(&path).unwrap();
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let expected = serde_json::json!({
        "image_processor_type": "Qwen2VLImageProcessor",
        "do_convert_rgb": true,
        "do_resize": true,
        "size": {"shortest_edge": 5000, "longest_edge": 60000},
        "min_pixels": 5000,
        "max_pixels": 60000,
        "resample": 3,
        "do_rescale": true,
        "rescale_factor": 0.003_921_568_627_450_98,
        "do_normalize": true,
        "image_mean": [0.5, 0.25, 0.125],
        "image_std": [1.0, 2.0, 3.0],
        "patch_size": 16,
        "merge_size": 3,
        "temporal_patch_size": 4,
    });
    assert_eq!(written, expected);
    assert_eq!(ImageProcessor::from_file(&path).unwrap(), processor);
}

#[test]
fn images_of_a_batch_keep_their_own_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let processor = ImageProcessor::Native(published());
    let save = |name: &str, width, height| {
        let path = dir.path().join(name);
        let image = RgbImage::from_pixel(width, height, Rgb([10, 20, 30]));
        image.save(&path).unwrap();
        path
    };
    // 28 · round(100/28) = 112 and 28 · round(300/28) = 308; 5 x 5 grows to 3136 pixels.
    let paths = [save("a.png", 100, 300), save("b.png", 5, 5)];
    let fitted = load_batch(&paths, &processor, &ImageLimits::default()).unwrap();
    assert_eq!(
        [fitted[0].size, fitted[1].size],
        [size(112, 308), size(56, 56)]
    );
    assert_eq!(fitted[1].bytes.len(), 3 * 56 * 56);
    assert!(fitted[1].bytes[..56 * 56].iter().all(|&red| red == 10));
    assert!(
        fitted[1].bytes[2 * 56 * 56..]
            .iter()
            .all(|&blue| blue == 30)
    );

    let paths = [
        paths[0].clone(),
        save("thin.png", 1, 201),
        save("c.png", 9, 9),
    ];
    let error = load_batch(&paths, &processor, &ImageLimits::default()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("thin.png"), "{message}");
    assert!(
        message.contains("1 x 201 pixels, expected one side to be at most 200 times the other"),
        "{message}"
    );
    assert!(message.contains("crop the image"), "{message}");
    let absurd = processor.size_of(size(0, 0));
    assert!(absurd.is_err(), "{absurd:?}");
}

/// Every committed image is measured as it is decoded, some of them on their side.
#[test]
fn a_size_is_known_from_the_header_alone() {
    let limits = ImageLimits::default();
    let mut n = 0;
    for folder in ["images", "webp"] {
        for entry in std::fs::read_dir(golden(folder)).unwrap() {
            let path = entry.unwrap().path();
            let image = decode(&path, &limits).unwrap();
            let (width, height) = image.dimensions();
            assert_eq!(
                measure(&path, &limits).unwrap(),
                size(width, height),
                "{}",
                path.display()
            );
            n += 1;
        }
    }
    assert_eq!(n, 25 + 18);
    // Stored 110 x 70 and shown upright; of these, 3 turns it by half and the others by a quarter.
    for (name, expected) in [
        ("images/exif_3.jpg", size(110, 70)),
        ("images/exif_5.jpg", size(70, 110)),
        ("images/exif_6.jpg", size(70, 110)),
        ("images/exif_8.png", size(31, 52)),
    ] {
        assert_eq!(measure(&golden(name), &limits).unwrap(), expected, "{name}");
    }
}

#[test]
fn what_comes_after_the_header_is_not_looked_at() {
    let limits = ImageLimits::default();
    let name = Path::new("held.jpg");
    let bytes = std::fs::read(golden("images/exif_6.jpg")).unwrap();
    let scans = bytes
        .windows(2)
        .position(|pair| pair == [0xFF, 0xDA])
        .unwrap();
    let header = &bytes[..scans + 2];
    assert_eq!(measure_bytes(name, header, &limits).unwrap(), size(70, 110));
    assert!(decode_bytes(name, header, &limits).is_err());
    // A thumbnail's size must not be taken for the image's: it lies in a segment that is skipped.
    let mut with_thumbnail = header[..2].to_vec();
    let frame = [0xFF, 0xC0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0];
    with_thumbnail.extend([0xFF, 0xE2, 0, 2 + frame.len() as u8]);
    with_thumbnail.extend(frame);
    with_thumbnail.extend(&header[2..]);
    assert_eq!(
        measure_bytes(name, &with_thumbnail, &limits).unwrap(),
        size(70, 110)
    );
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let limits = ImageLimits::default();
    let jpeg = std::fs::read(golden("images/colour_444.jpg")).unwrap();
    let png = std::fs::read(golden("images/rgba.png")).unwrap();
    let scans = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xDA])
        .unwrap();
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    let without_frame = [&jpeg[..frame], &jpeg[scans..]].concat();
    for (bytes, found) in [
        (&jpeg[..scans - 1], "not a readable JPEG, PNG or WebP"),
        (&jpeg[..3], "not a readable JPEG, PNG or WebP"),
        (&without_frame, "no segment of the header says its size"),
        (&png[..20], "not a readable JPEG, PNG or WebP"),
        (b"<html>", "not a readable JPEG, PNG or WebP"),
        (b"", "not a readable JPEG, PNG or WebP"),
    ] {
        let path = saved(&dir, "damaged.jpg", bytes);
        let message = measure(&path, &limits).unwrap_err().to_string();
        assert!(
            message.contains("damaged.jpg") && message.contains(found),
            "{message}"
        );
        assert!(message.contains("replace the file"), "{message}");
    }
    for name in ["images/colour_444.jpg", "images/rgba.png"] {
        let path = golden(name);
        let few = ImageLimits {
            max_pixels: 100,
            ..limits
        };
        let message = measure(&path, &few).unwrap_err().to_string();
        assert!(message.contains("expected 1 to 100"), "{message}");
        let short = ImageLimits {
            max_bytes: 100,
            ..limits
        };
        let message = measure(&path, &short).unwrap_err().to_string();
        assert!(message.contains("raise the limit on bytes"), "{message}");
    }
    let message = measure(&dir.path().join("absent.png"), &limits)
        .unwrap_err()
        .to_string();
    assert!(message.contains("check the image folder"), "{message}");
}

/// A decoder looks for the next marker where none is; what counts tokens goes by the lengths of segments. An image is refused
/// to which the two would give another size, because it would have more or fewer features than tokens.
#[test]
fn a_jpeg_is_not_decoded_to_another_size_than_it_is_measured() {
    let jpeg = std::fs::read(golden("images/colour_444.jpg")).unwrap();
    let starts_frame = |pair: &[u8]| pair == [0xFF, 0xC0];
    let frame = jpeg.windows(2).position(starts_frame).unwrap();
    // No marker, and a length that passes over the frame's 2 + 17 bytes.
    let hidden = [&jpeg[..frame], &[0xFF, 0, 0, 2 + 19], &jpeg[frame..]].concat();
    let (name, limits) = (Path::new("hidden.jpg"), ImageLimits::default());
    let message = measure_bytes(name, &hidden, &limits)
        .unwrap_err()
        .to_string();
    assert!(message.contains("no segment of the header"), "{message}");
    let message = decode_bytes(name, &hidden, &limits)
        .unwrap_err()
        .to_string();
    assert!(message.contains("say another size"), "{message}");
}

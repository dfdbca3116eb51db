//! Images that are no images, or too much of one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_testing::images::paint;
use serde_json::{Value, json};

use crate::site::{Site, question};

fn shown(url: &str) -> Value {
    let content = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]);
    question(&json!({"messages": [{"role": "user", "content": content}], "max_tokens": 2}))
}

fn url(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

/// The checksum of a PNG's chunk.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    };
    !bytes.iter().fold(!0, step)
}

/// The beginning of a PNG that claims 60,000 by 60,000 pixels.
fn bomb() -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(60_000_u32.to_be_bytes());
    chunk.extend(60_000_u32.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(&chunk);
    png.extend(crc(&chunk).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT");
    png.extend(crc(b"IDAT").to_be_bytes());
    png
}

#[test]
fn what_is_no_image_is_refused_with_its_place() {
    let site = Site::tiny();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("red.png");
    paint(&path, [40, 40], [200, 10, 10]);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(site.chat(&shown(&url(&whole))).status, 200);
    for (url, words) in [
        (
            url(&whole[..whole.len() / 2]),
            "not a readable JPEG, PNG or WebP",
        ),
        (url(b"<svg/>"), "not a readable JPEG, PNG or WebP"),
        (url(&bomb()), "60000 x 60000 pixels"),
        ("data:image/png;base64,%%%".to_owned(), "base 64"),
        (
            "file:///etc/passwd".to_owned(),
            "neither a data: URL nor an address",
        ),
        (
            "https://example.com/a.png".to_owned(),
            "--allow-remote-images",
        ),
    ] {
        let reply = site.chat(&shown(&url));
        let error = &reply.json()["error"];
        assert_eq!(reply.status, 400, "{error}");
        assert_eq!(error["param"], "messages[0].content[0].image_url.url");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{words}: {message}");
    }
}

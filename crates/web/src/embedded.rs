//! Files that are part of the program: scripts, styles, icons.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

/// The file of this name among `Files`; a browser that has it already is told so.
#[must_use]
pub fn embedded<Files: RustEmbed>(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Files::get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let digits = file
        .metadata
        .sha256_hash()
        .iter()
        .take(8)
        .fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
    let tag = format!("\"{digits:016x}\"");
    let sent = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known == tag.as_str()) {
        return (StatusCode::NOT_MODIFIED, sent).into_response();
    }
    let kind = content_type(name);
    (sent, [(header::CONTENT_TYPE, kind)], file.data).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    }
}

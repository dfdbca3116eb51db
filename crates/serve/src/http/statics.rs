//! The chat page: embedded files.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "static"]
struct Files;

/// `GET /`
pub(super) async fn page(headers: HeaderMap) -> Response {
    served("chat.html", &headers)
}

/// `GET /static/{name}`
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    served(&name, &headers)
}

/// What browsers ask for unasked.
pub(super) async fn icon(headers: HeaderMap) -> Response {
    served("icon.svg", &headers)
}

fn served(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Files::get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let digits = file.metadata.sha256_hash();
    let digits = digits
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
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("html") => "text/html; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    (sent, [(header::CONTENT_TYPE, kind)], file.data).into_response()
}

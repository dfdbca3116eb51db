//! The chat page: embedded files.

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use candor_web::embedded;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "static"]
struct Files;

/// `GET /`
pub(super) async fn page(headers: HeaderMap) -> Response {
    embedded::<Files>("chat.html", &headers)
}

/// `GET /static/{name}`
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    embedded::<Files>(&name, &headers)
}

/// What browsers ask for unasked.
pub(super) async fn icon(headers: HeaderMap) -> Response {
    embedded::<Files>("icon.svg", &headers)
}

//! JSON bodies: how large, how slow, how many at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::App;
use crate::api::refusal::Refusal;

/// Largest body: sixteen images of two megabytes in base 64, or one of twenty.
const MAX_BYTES: usize = 40 << 20;
/// What all bodies in memory may take together.
pub(super) const ALL_BODIES_KIB: usize = 512 << 10;
/// How long a body may take to arrive, the wait for memory included.
const ARRIVAL: Duration = Duration::from_mins(1);

/// The memory that a body takes; free when this is dropped.
pub(super) type Held = OwnedSemaphorePermit;

/// Reads a body. Its memory is to be held for as long as images are there as they were sent.
pub(super) async fn json(app: &App, request: Request) -> Result<(Value, Held), Refusal> {
    let headers = request.headers();
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default();
    // A browser asks before it sends this type to another site, and never sends it from a form.
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "the body must be JSON; send `Content-Type: application/json`",
        ));
    }
    let n_kib = announced(headers)?.div_ceil(1 << 10).max(1) as u32;
    let places = Arc::clone(&app.bodies);
    let read = async {
        let place = places.acquire_many_owned(n_kib).await;
        (to_bytes(request.into_body(), MAX_BYTES).await, place)
    };
    let Ok((bytes, held)) = timeout(ARRIVAL, read).await else {
        return Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            format!(
                "the body has not arrived within {} s; send it again",
                ARRIVAL.as_secs()
            ),
        ));
    };
    // A body of unknown length is cut off at the limit, and any body may be.
    let bytes = bytes.map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "unreadable_body",
            format!("the body was cut off, or has more than {MAX_BYTES} bytes"),
        )
    })?;
    let held = held.map_err(|_| Refusal::stopping())?;
    let value = serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "not_json",
            format!("the body is not JSON: {error}"),
        )
    })?;
    Ok((value, held))
}

/// The bytes that a body says it has; the most it may have where it does not say.
fn announced(headers: &HeaderMap) -> Result<usize, Refusal> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    match length.map(str::parse::<usize>) {
        None | Some(Err(_)) => Ok(MAX_BYTES),
        Some(Ok(n)) if n <= MAX_BYTES => Ok(n),
        Some(Ok(n)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body has {n} bytes, expected at most {MAX_BYTES}; scale the images down"),
        )),
    }
}

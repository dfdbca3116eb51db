//! The endpoints of machines: is it alive, is it ready, how is it doing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use tokio::sync::Mutex;

use super::App;
use crate::store::{Overview, Store};

/// How long figures are fresh.
const FRESH: Duration = Duration::from_secs(5);

/// `GET /healthz`: the process lives.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers, and lets this server change it.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.store.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer, or not to this server\n",
        )
            .into_response(),
    }
}

/// The figures of the project, as they were a moment ago.
#[derive(Default)]
pub(super) struct Recent {
    known: Mutex<Option<(Instant, Overview)>>,
}

impl Recent {
    /// Counts again where what is known is too old; who asks meanwhile waits for the same count. Everybody may ask, and
    /// counting all items takes the database a while.
    async fn overview(&self, store: &Store) -> Option<Overview> {
        let mut known = self.known.lock().await;
        if known.as_ref().is_none_or(|(at, _)| at.elapsed() > FRESH) {
            *known = store.overview().await.ok().map(|new| (Instant::now(), new));
        }
        known.as_ref().map(|(_, overview)| overview.clone())
    }
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let overview = app.recent.overview(&app.store).await;
    let text = app.metrics.render(overview.as_ref());
    ([(header::CONTENT_TYPE, super::metrics::CONTENT_TYPE)], text).into_response()
}

/// `GET /api/openapi.json`
pub(super) async fn openapi() -> Response {
    let text = include_str!("../../openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

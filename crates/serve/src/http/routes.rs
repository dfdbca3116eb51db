//! Which handler answers which route.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use candor_web::Headers;
use serde_json::{Value, json};

use super::{App, answering, guard, metrics, preferences, scoring, statics};
use crate::api::refusal::Refusal;

/// No inline script or style, nothing from elsewhere, no framing; images are those that the page was given.
const HEADERS: Headers = Headers {
    policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    referrer: "no-referrer",
};

/// All routes. Those that ask a model are behind the guard; the page, which asks them, and what machines look at are not.
pub(super) fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/{*model}", get(model))
        .route("/v1/chat/completions", post(answering::answer))
        .route("/v1/score", post(scoring::score))
        .route("/preferences", post(preferences::take))
        .layer(from_fn_with_state(Arc::clone(&app), guard::check));
    Router::new()
        .merge(guarded)
        .route("/", get(statics::page))
        .route("/static/{name}", get(statics::file))
        .route("/favicon.ico", get(statics::icon))
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(read_metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(|request, next| HEADERS.add(request, next)))
        .layer(from_fn_with_state(Arc::clone(&app), metrics::measure))
        .with_state(app)
}

async fn not_found() -> Response {
    let message = "there is nothing here; docs/serve.md lists the routes";
    Refusal::new(StatusCode::NOT_FOUND, "unknown_url", message).into_response()
}

async fn wrong_method() -> Response {
    let message = "this route has another method; docs/serve.md lists the routes";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message).into_response()
}

/// `GET /ready`: there is a place for another request.
async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.places.available_permits() > 0 {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the queue is full\n").into_response()
    }
}

/// `GET /metrics`: Prometheus text.
async fn read_metrics(State(app): State<Arc<App>>) -> Response {
    let n_waiting = app.settings.max_waiting - app.places.available_permits();
    let text = app.metrics.render(n_waiting);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

fn entry(id: &str, kind: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "candor", "kind": kind})
}

/// All models: what writes answers first.
fn entries(app: &App) -> Vec<Value> {
    let kinds = std::iter::once("model").chain(std::iter::repeat("adapter"));
    let writers = app.catalogue.names.iter().zip(kinds);
    let writers = writers.map(|(name, kind)| entry(name, kind));
    let rewards = app.catalogue.rewards.iter();
    writers
        .chain(rewards.map(|scorer| entry(&scorer.name, "reward")))
        .collect()
}

/// `GET /v1/models`
async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let takes_preferences = app.preferences.is_some();
    Json(json!({"object": "list", "data": entries(&app), "takes_preferences": takes_preferences}))
}

/// `GET /v1/models/{model}`
async fn model(
    State(app): State<Arc<App>>,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Response {
    let found = entries(&app)
        .into_iter()
        .find(|entry| entry["id"] == name.as_str());
    if let Some(entry) = found {
        return Json(entry).into_response();
    }
    let known: Vec<&str> = app.catalogue.names.iter().map(String::as_str).collect();
    Refusal::no_model(&name, &known).into_response()
}

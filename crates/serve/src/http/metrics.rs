//! What Prometheus reads: what waits and is written, tokens, times. No addresses, and nothing that anybody asked.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use rand::RngExt as _;

use super::App;

/// Upper ends of the buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// What [`Metrics::render`] returns.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u32,
}

/// What was counted since the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Answers in progress.
    pub running: Gauge,
    /// Positions of the cache that answers in progress hold.
    pub positions: Gauge,
    /// Tokens of prompts that were read.
    pub prompt_tokens: Counter,
    /// Tokens that were written.
    pub answer_tokens: Counter,
    /// Answers and requests that were given up because whoever asked has left.
    pub cancelled: Counter,
    /// Answers that were scored.
    pub scores: Counter,
    /// From a request's arrival to the first token of its first answer.
    pub first_token_secs: Histogram,
    /// Until an answer begins: of a stream, its head.
    seconds: Family<Answered, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let new: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            running: Gauge::default(),
            positions: Gauge::default(),
            prompt_tokens: Counter::default(),
            answer_tokens: Counter::default(),
            cancelled: Counter::default(),
            scores: Counter::default(),
            first_token_secs: new(),
            seconds: Family::new_with_constructor(new),
        }
    }
}

/// Measures a request, and gives it a name by which it is found in the log, under the header that OpenAI's clients read.
pub(super) async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // The route and not the path, of which there is no end.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let id = format!("req-{:032x}", rand::rng().random::<u128>());
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        let name = HeaderName::from_static("x-request-id");
        response.headers_mut().insert(name, id);
    }
    let (status, secs) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    tracing::debug!(id, route, status, secs, "request");
    let answered = Answered {
        route,
        status: status.into(),
    };
    app.metrics.seconds.get_or_create(&answered).observe(secs);
    response
}

impl Metrics {
    /// The text that Prometheus reads, with what waits now.
    pub(super) fn render(&self, n_waiting: usize) -> String {
        let mut registry = Registry::with_prefix("candor_serve");
        let waiting = ConstGauge::new(n_waiting as i64);
        registry.register("waiting", "Requests that wait", waiting);
        registry.register("running", "Answers in progress", self.running.clone());
        registry.register(
            "positions",
            "Positions of the cache that they hold, of --batch-positions",
            self.positions.clone(),
        );
        for (name, help, counter) in [
            (
                "prompt_tokens",
                "Tokens of prompts that were read",
                &self.prompt_tokens,
            ),
            (
                "answer_tokens",
                "Tokens that were written",
                &self.answer_tokens,
            ),
            (
                "cancelled",
                "Answers given up because whoever asked has left",
                &self.cancelled,
            ),
            ("scores", "Answers that were scored", &self.scores),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "first_token_seconds",
            "From a request's arrival to its first token",
            self.first_token_secs.clone(),
        );
        registry.register(
            "request_seconds",
            "From a request's head to the head of its answer",
            self.seconds.clone(),
        );
        let mut written = String::new();
        text::encode(&mut written, &registry).expect("writing to a string never fails");
        written
    }
}

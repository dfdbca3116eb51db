//! Counts and durations of requests, by route, as Prometheus reads them. No names, no addresses.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::App;
use crate::store::Overview;

/// Upper ends of the buckets, in seconds.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What [`Metrics::render`] returns.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Items {
    state: &'static str,
}

/// What was counted since the start.
#[derive(Debug)]
pub(super) struct Metrics {
    seconds: Family<Answered, Histogram, fn() -> Histogram>,
}

/// Measures a request.
pub(super) async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().as_str().to_owned();
    // The route and not the path: paths hold secrets, and there would be no end of them.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let response = next.run(request).await;
    let (status, secs) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    tracing::debug!(method, route, status, secs, "request");
    app.metrics.count(method, route, status, secs);
    response
}

impl Default for Metrics {
    fn default() -> Self {
        let new: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            seconds: Family::new_with_constructor(new),
        }
    }
}

impl Metrics {
    fn count(&self, method: String, route: String, status: u16, secs: f64) {
        let answered = Answered {
            method,
            route,
            status: status.into(),
        };
        self.seconds.get_or_create(&answered).observe(secs);
    }

    /// The text that Prometheus reads; without an overview the database does not answer.
    pub(super) fn render(&self, overview: Option<&Overview>) -> String {
        let mut registry = Registry::with_prefix("candor_annotate");
        let mut gauge = |name: &str, help: &str, value: i64| {
            registry.register(name, help, ConstGauge::new(value));
        };
        gauge(
            "up",
            "Whether the database answers",
            overview.is_some().into(),
        );
        if let Some(overview) = overview {
            let n_unshown = overview.unshown.len() as i64;
            gauge("answers", "Answers to items of work", overview.n_answers);
            gauge(
                "tasks_in_hand",
                "Items that somebody has in hand",
                overview.n_in_work,
            );
            gauge(
                "items_passed_over",
                "Gold and training items whose image cannot be shown",
                n_unshown,
            );
            gauge(
                "paused",
                "Whether the project is paused",
                overview.paused_at.is_some().into(),
            );
            let items = Family::<Items, Gauge>::default();
            for (state, n) in [
                ("done", overview.n_done),
                ("waiting", overview.n_waiting),
                ("withdrawn", overview.n_withdrawn),
                ("all", overview.n_items),
            ] {
                items.get_or_create(&Items { state }).set(n);
            }
            registry.register("items", "Items of work", items);
        }
        registry.register(
            "request_seconds",
            "Durations of requests",
            self.seconds.clone(),
        );
        let mut written = String::new();
        text::encode(&mut written, &registry).expect("writing to a string never fails");
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::default();
        for secs in [0.007, 0.2, 9.0] {
            metrics.count("GET".to_owned(), "/api/me".to_owned(), 200, secs);
        }
        let text = metrics.render(None);
        let labels = "method=\"GET\",route=\"/api/me\",status=\"200\"";
        for (end, n) in [
            ("0.005", 0),
            ("0.01", 1),
            ("0.1", 1),
            ("0.25", 2),
            ("5.0", 2),
            ("+Inf", 3),
        ] {
            let expected =
                format!("candor_annotate_request_seconds_bucket{{le=\"{end}\",{labels}}} {n}\n");
            assert!(text.contains(&expected), "{expected} in {text}");
        }
        assert!(text.contains(&format!(
            "candor_annotate_request_seconds_count{{{labels}}} 3\n"
        )));
        assert!(text.contains("candor_annotate_up 0\n"));
        assert!(!text.contains("candor_annotate_items"));
    }
}

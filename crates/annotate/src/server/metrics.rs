//! Counts and durations of requests, by route, as Prometheus reads them. No names, no addresses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::App;
use crate::store::Overview;

/// Upper ends of the buckets, in seconds.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Method, route and status.
type Key = (String, String, u16);

#[derive(Debug, Clone, Copy, Default)]
struct Durations {
    /// Requests that took at most as long as each bucket says.
    within: [u64; BUCKETS.len()],
    n: u64,
    secs: f64,
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<Key, Durations>>,
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
    let key = (method, route, response.status().as_u16());
    app.metrics.count(key, started.elapsed().as_secs_f64());
    response
}

impl Metrics {
    fn count(&self, key: Key, secs: f64) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let durations = requests.entry(key).or_default();
        durations.n += 1;
        durations.secs += secs;
        for (within, end) in durations.within.iter_mut().zip(BUCKETS) {
            *within += u64::from(secs <= end);
        }
    }

    /// The text that Prometheus reads; without an overview the database does not answer.
    pub(super) fn render(&self, overview: Option<&Overview>) -> String {
        let mut text = String::new();
        let up = u8::from(overview.is_some());
        gauge(
            &mut text,
            "up",
            "Whether the database answers.",
            &[("", i64::from(up))],
        );
        if let Some(overview) = overview {
            let items = [
                ("{state=\"done\"}", overview.n_done),
                ("{state=\"waiting\"}", overview.n_waiting),
                ("{state=\"withdrawn\"}", overview.n_withdrawn),
                ("{state=\"all\"}", overview.n_items),
            ];
            gauge(&mut text, "items", "Items of work.", &items);
            gauge(
                &mut text,
                "answers",
                "Answers to items of work.",
                &[("", overview.n_answers)],
            );
            gauge(
                &mut text,
                "tasks_in_hand",
                "Items that somebody has in hand.",
                &[("", overview.n_in_work)],
            );
            gauge(
                &mut text,
                "items_passed_over",
                "Gold and training items whose image cannot be shown.",
                &[("", overview.unshown.len() as i64)],
            );
        }
        text.push_str(
            "# HELP candor_annotate_request_seconds Durations of requests.\n\
             # TYPE candor_annotate_request_seconds histogram\n",
        );
        for ((method, route, status), durations) in
            &*self.requests.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            histogram(&mut text, &labels, durations);
        }
        text
    }
}

fn gauge(text: &mut String, name: &str, help: &str, values: &[(&str, i64)]) {
    line(text, format_args!("# HELP candor_annotate_{name} {help}"));
    line(text, format_args!("# TYPE candor_annotate_{name} gauge"));
    for (labels, value) in values {
        line(text, format_args!("candor_annotate_{name}{labels} {value}"));
    }
}

fn histogram(text: &mut String, labels: &str, durations: &Durations) {
    let name = "candor_annotate_request_seconds";
    for (end, within) in BUCKETS.iter().zip(durations.within) {
        line(
            text,
            format_args!("{name}_bucket{{{labels},le=\"{end}\"}} {within}"),
        );
    }
    line(
        text,
        format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {}", durations.n),
    );
    line(
        text,
        format_args!("{name}_sum{{{labels}}} {}", durations.secs),
    );
    line(
        text,
        format_args!("{name}_count{{{labels}}} {}", durations.n),
    );
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a string never fails");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::default();
        let key = || ("GET".to_owned(), "/api/me".to_owned(), 200);
        metrics.count(key(), 0.007);
        metrics.count(key(), 0.2);
        metrics.count(key(), 9.0);
        let text = metrics.render(None);
        let labels = "method=\"GET\",route=\"/api/me\",status=\"200\"";
        for (end, n) in [
            ("0.005", 0),
            ("0.01", 1),
            ("0.1", 1),
            ("0.25", 2),
            ("5", 2),
            ("+Inf", 3),
        ] {
            let expected =
                format!("candor_annotate_request_seconds_bucket{{{labels},le=\"{end}\"}} {n}\n");
            assert!(text.contains(&expected), "{expected} in {text}");
        }
        assert!(text.contains(&format!(
            "candor_annotate_request_seconds_count{{{labels}}} 3\n"
        )));
        assert!(text.contains("candor_annotate_up 0\n"));
    }
}

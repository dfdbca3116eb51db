//! The page and what it asks for. Only GET, only reading; every path is below a run, and no part of a request becomes one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use candor_data::FileKind;
use candor_data::formats::images::path_in;
use candor_web::{Headers, Limits, embedded, interrupted, is_this_machine, max_connections};
use rust_embed::RustEmbed;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::WatchError;
use crate::samples;
use crate::watched::Runs;

/// Points of a curve that are sent: more than a screen shows.
const MAX_POINTS: usize = 500;
/// Larger images are not sent.
const MAX_IMAGE_BYTES: u64 = 50 << 20;
/// How long a request may take.
const ANSWER: Duration = Duration::from_secs(30);

/// No inline script or style, nothing from elsewhere, no framing, and no string becomes markup.
const HEADERS: Headers = Headers {
    policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    referrer: "no-referrer",
};

#[derive(RustEmbed)]
#[folder = "static"]
struct Files;

/// The runs that are watched.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Mutex<Runs>>);

impl Watch {
    /// Watches folders of runs, or folders that have some in them.
    ///
    /// # Errors
    /// [`WatchError::NoRun`] for a folder without one.
    pub fn open(folders: Vec<PathBuf>) -> Result<Self, WatchError> {
        Ok(Self(Arc::new(Mutex::new(Runs::open(folders)?))))
    }

    /// How many runs there are.
    #[must_use]
    pub fn n_runs(&self) -> usize {
        self.runs().runs.len()
    }

    pub(crate) fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until SIGINT or SIGTERM. `ready` hears the address, whose port may have been 0.
///
/// # Errors
/// The address cannot be had.
pub fn serve(
    watch: Watch,
    listen: SocketAddr,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), WatchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(WatchError::Start)?;
    runtime.block_on(async {
        let refused = |source| WatchError::Listen {
            address: listen.to_string(),
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        ready(listener.local_addr().map_err(refused)?);
        let connections = max_connections();
        let limits = Limits {
            connections,
            per_address: connections,
            answer: Some(ANSWER),
            stuck: candor_web::STUCK,
            // A reader has nothing to lose.
            drain: Duration::ZERO,
        };
        let router = router(watch, listen.ip().to_canonical().is_loopback());
        candor_web::serve(listener, router, limits, interrupted(), || true).await;
        Ok(())
    })
}

/// The routes. All addresses of the page are relative, so that a proxy may put it under any path. With `own_names` only
/// requests to a name of this machine are answered: what listens here alone is then not read by the page of another site
/// whose name was pointed at this machine.
pub fn router(watch: Watch, own_names: bool) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/static/{name}", get(file))
        .route("/api/runs", get(runs))
        .route("/api/runs/{id}/curves", get(curves))
        .route("/api/runs/{id}/samples", get(samples_of))
        .route("/api/runs/{id}/image", get(image))
        .layer(from_fn(move |request, next| {
            guarded(own_names, request, next)
        }))
        .layer(from_fn(|request, next| HEADERS.add(request, next)))
        .with_state(watch)
}

async fn guarded(own_names: bool, request: Request, next: Next) -> Response {
    if own_names && !is_this_machine(request.headers()) {
        let error = "candor watch answers to the names of this machine alone, such as localhost";
        return (StatusCode::FORBIDDEN, Json(json!({"error": error}))).into_response();
    }
    next.run(request).await
}

async fn page(headers: HeaderMap) -> Response {
    embedded::<Files>("index.html", &headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    embedded::<Files>(&name, &headers)
}

fn missing(what: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": what}))).into_response()
}

/// Reads files, which may be slow, away from the threads that answer.
async fn apart(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn runs(State(watch): State<Watch>) -> Response {
    apart(move || {
        let mut runs = watch.runs();
        runs.look();
        let summaries = runs
            .runs
            .iter()
            .enumerate()
            .map(|(id, run)| run.summary(id));
        Json(summaries.collect::<Vec<_>>()).into_response()
    })
    .await
}

async fn curves(State(watch): State<Watch>, Path(id): Path<usize>) -> Response {
    apart(move || {
        let runs = watch.runs();
        let Some(run) = runs.runs.get(id) else {
            return missing("no such run");
        };
        let of = |curves: &crate::curves::Curves| {
            let (steps, columns) = curves.thinned(MAX_POINTS);
            json!({"steps": steps, "columns": columns})
        };
        Json(json!({"metrics": of(&run.metrics), "timings": of(&run.timings)})).into_response()
    })
    .await
}

#[derive(Deserialize)]
struct SamplesQuery {
    step: Option<u64>,
}

async fn samples_of(
    State(watch): State<Watch>,
    Path(id): Path<usize>,
    Query(query): Query<SamplesQuery>,
) -> Response {
    apart(move || {
        let folder = watch.runs().runs.get(id).map(|run| run.folder.clone());
        let Some(folder) = folder else {
            return missing("no such run");
        };
        let steps = samples::steps(&folder);
        let step = query
            .step
            .filter(|step| steps.contains(step))
            .or(steps.last().copied());
        let rows = step.map(|step| samples::of_step(&folder, step));
        Json(json!({"steps": steps, "step": step, "samples": rows.unwrap_or_default()}))
            .into_response()
    })
    .await
}

#[derive(Deserialize)]
struct ImageQuery {
    name: String,
}

async fn image(
    State(watch): State<Watch>,
    Path(id): Path<usize>,
    Query(query): Query<ImageQuery>,
) -> Response {
    apart(move || {
        let folder = watch
            .runs()
            .runs
            .get(id)
            .and_then(crate::watched::Watched::images);
        let path = folder.and_then(|folder| path_in(&folder, &query.name));
        let small = |path: &PathBuf| {
            path.metadata()
                .is_ok_and(|about| about.is_file() && about.len() <= MAX_IMAGE_BYTES)
        };
        let bytes = path.filter(small).and_then(|path| std::fs::read(path).ok());
        let Some(bytes) = bytes else {
            return missing("no such image");
        };
        // Whatever is no image stays where it is.
        let Some(kind) = FileKind::of(&bytes).and_then(FileKind::media_type) else {
            return missing("no image");
        };
        ([(header::CONTENT_TYPE, kind)], bytes).into_response()
    })
    .await
}

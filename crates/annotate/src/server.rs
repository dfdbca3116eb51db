//! The HTTP server. `docs/annotate-http.md` says what each route does; handlers are thin, and the store decides.

mod adjudicating;
mod administering;
mod annotating;
mod body;
mod guidelines;
mod images;
mod machines;
mod metrics;
mod origin;
mod pages;
mod password;
mod renewal;
mod reply;
mod routes;
mod session;
mod statics;

use std::sync::Arc;
use std::time::Duration;

use candor_web::Limits;
use tokio::net::TcpListener;

use self::images::Images;
use self::machines::Recent;
use self::metrics::Metrics;
use self::password::Passwords;
pub use self::routes::{ROUTES, router};
use crate::error::AnnotateError;
use crate::project::Project;
use crate::quality::Kept;
use crate::store::Store;

/// What all handlers share.
pub struct App {
    project: Project,
    store: Store,
    guidelines: String,
    passwords: Passwords,
    images: Images,
    metrics: Metrics,
    recent: Recent,
    quality: Arc<Kept>,
}

impl App {
    /// The app of a project.
    ///
    /// # Errors
    /// [`AnnotateError::Io`] if the guidelines cannot be read.
    pub fn new(project: Project, store: Store) -> Result<Arc<Self>, AnnotateError> {
        Ok(Arc::new(Self {
            guidelines: guidelines::html(&project.guidelines()?),
            passwords: Passwords::default(),
            images: Images::new(&project),
            metrics: Metrics::default(),
            recent: Recent::default(),
            quality: Arc::default(),
            project,
            store,
        }))
    }
}

/// How long a request may take to arrive with its body and be answered.
const ANSWER: Duration = Duration::from_mins(1);
/// How long requests under way may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until `stop` is done, then finishes the requests under way, for a few seconds at most.
///
/// # Errors
/// [`AnnotateError`] when the images that could not be shown cannot be looked at again.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), AnnotateError> {
    let store = app.store.clone();
    store.retry_unshown().await?;
    let connections = candor_web::max_connections();
    // Behind a proxy all connections come from its address. Of one browser's, no more than a quarter is taken.
    let per_address = if app.project.server.behind_proxy {
        connections
    } else {
        (connections / 4).max(1)
    };
    let limits = Limits {
        connections,
        per_address,
        answer: Some(ANSWER),
        stuck: candor_web::STUCK,
        drain: DRAIN,
    };
    candor_web::serve(listener, router(app), limits, stop, || true).await;
    store.close().await;
    Ok(())
}

//! The HTTP server. `docs/annotate-http.md` says what each route does; handlers are thin, and the store decides.

mod adjudicating;
mod administering;
mod annotating;
mod body;
mod guidelines;
mod headers;
mod images;
mod login_limit;
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

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use self::images::Images;
use self::login_limit::LoginLimit;
use self::machines::Recent;
use self::metrics::Metrics;
use self::password::Passwords;
pub use self::routes::{ROUTES, router};
use crate::error::AnnotateError;
use crate::project::Project;
use crate::store::Store;

/// What all handlers share.
pub struct App {
    project: Project,
    store: Store,
    guidelines: String,
    login_limit: LoginLimit,
    passwords: Passwords,
    images: Images,
    metrics: Metrics,
    recent: Recent,
}

impl App {
    /// The app of a project.
    ///
    /// # Errors
    /// [`AnnotateError::Io`] if the guidelines cannot be read.
    pub fn new(project: Project, store: Store) -> Result<Arc<Self>, AnnotateError> {
        Ok(Arc::new(Self {
            guidelines: guidelines::html(&project.guidelines()?),
            login_limit: LoginLimit::default(),
            passwords: Passwords::default(),
            images: Images::new(&project),
            metrics: Metrics::default(),
            recent: Recent::default(),
            project,
            store,
        }))
    }
}

/// Serves until `stop` is done, then finishes the requests under way.
///
/// # Errors
/// [`AnnotateError::Io`] when the connection to the network fails.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), AnnotateError> {
    let store = app.store.clone();
    store.retry_unshown().await?;
    let place = app.project.server.listen.to_string();
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(stop)
        .await;
    store.close().await;
    served.map_err(|source| AnnotateError::Io {
        action: "serve at",
        place,
        remedy: "check `server.listen` of the project",
        source,
    })
}

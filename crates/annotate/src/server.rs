//! The HTTP server. `docs/annotate-http.md` says what each route does; handlers are thin, and the store decides.

mod adjudicating;
mod administering;
mod annotating;
mod bearer;
mod body;
mod guidelines;
mod images;
mod importing;
mod machines;
mod metrics;
mod oidc;
mod origin;
mod pages;
mod password;
mod projects;
mod renewal;
mod reply;
mod routes;
mod session;
mod statics;
mod tokens;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::response::Redirect;
use candor_web::Limits;
use tokio::net::TcpListener;

use self::images::Images;
use self::machines::Recent;
use self::metrics::Metrics;
use self::oidc::Provider;
use self::password::Passwords;
pub use self::projects::router as projects_router;
pub use self::routes::{ROUTES, router};
use self::webhooks::Target;
pub use self::webhooks::deliver;
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
    provider: Option<Provider>,
    webhooks: Vec<Target>,
}

impl App {
    /// The app of a project.
    ///
    /// # Errors
    /// [`AnnotateError`] if the guidelines or a secret cannot be read.
    pub fn new(project: Project, store: Store) -> Result<Arc<Self>, AnnotateError> {
        Ok(Arc::new(Self {
            guidelines: guidelines::html(&project.guidelines()?),
            passwords: Passwords::default(),
            images: Images::new(&project),
            metrics: Metrics::default(),
            recent: Recent::default(),
            quality: Arc::default(),
            provider: project
                .oidc
                .as_ref()
                .map(|oidc| Provider::new(&project, oidc))
                .transpose()?,
            webhooks: webhooks::targets(&project)?,
            project,
            store,
        }))
    }

    /// To another page of the app.
    fn redirect(&self, path: &str) -> Redirect {
        let base = self.project.base();
        // The start has no slash at its end.
        let path = if base.is_empty() || path != "/" {
            path
        } else {
            ""
        };
        Redirect::to(&format!("{base}{path}"))
    }
}

/// How long a request may take to arrive with its body and be answered.
const ANSWER: Duration = Duration::from_mins(1);
/// How long requests under way may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until `stop` is done, then finishes the requests under way, for a few seconds at most.
///
/// # Errors
/// [`AnnotateError`] when the images that could not be shown, or what is to be told, cannot be looked at again.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), AnnotateError> {
    serve_all(vec![app], listener, stop).await
}

/// The same for several projects, each below its path.
///
/// # Errors
/// As [`serve`].
pub async fn serve_all(
    apps: Vec<Arc<App>>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), AnnotateError> {
    let stores: Vec<Store> = apps.iter().map(|app| app.store.clone()).collect();
    for store in &stores {
        store.retry_unshown().await?;
        store.give_up_on_removed_webhooks().await?;
    }
    let behind_proxy = apps.iter().any(|app| app.project.server.behind_proxy);
    let connections = candor_web::max_connections();
    // Behind a proxy all connections come from its address. Of one browser's, no more than a quarter is taken.
    let per_address = if behind_proxy {
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
    let telling = webhooks::keep_telling(&apps);
    candor_web::serve(listener, projects::router(apps), limits, stop, || true).await;
    // What is being told is told again by the next server.
    drop(telling);
    for store in &stores {
        store.close().await;
    }
    Ok(())
}

//! The HTTP server: connections, routes and what guards them. `docs/serve.md` says what each route does.

mod answering;
mod body;
mod guard;
mod images;
mod metrics;
mod preferences;
mod remote;
mod routes;
mod scoring;
mod statics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use candor_web::{Ended, Limits, interrupted};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::body::Bodies;
use self::images::Images;
pub(crate) use self::metrics::Metrics;
use self::preferences::Preferences;
use crate::ServeError;
use crate::engine::{self, Order};
use crate::models::{Catalogue, Models};
use crate::settings::Settings;

/// What all handlers share.
pub(crate) struct App {
    settings: Settings,
    catalogue: Catalogue,
    orders: Sender<Order>,
    /// Places for those who wait.
    places: Arc<Semaphore>,
    bodies: Bodies,
    images: Images,
    preferences: Option<Preferences>,
    metrics: Arc<Metrics>,
}

/// A server that listens and has not begun to serve.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    engine: JoinHandle<()>,
}

impl Server {
    /// Takes the address and starts the thread that owns the models.
    ///
    /// # Errors
    /// The settings contradict themselves, the address is taken, or the folder of preferences cannot be written.
    pub async fn bind(models: Models, settings: Settings) -> Result<Self, ServeError> {
        settings.check()?;
        let place = settings.listen;
        let refused = |source| ServeError::Io {
            action: "listen",
            place,
            remedy: "stop what listens there, or give another --listen",
            source,
        };
        let listener = TcpListener::bind(place).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let metrics = Arc::new(Metrics::default());
        let catalogue = models.catalogue();
        let preferences = settings
            .preferences
            .as_deref()
            .map(Preferences::open)
            .transpose()?;
        let (orders, engine) =
            engine::start(models, &settings, Arc::clone(&metrics)).map_err(|source| {
                ServeError::Io {
                    action: "start the thread of the models",
                    place,
                    remedy: "check the limits on threads and memory",
                    source,
                }
            })?;
        let app = Arc::new(App {
            places: Arc::new(Semaphore::new(settings.max_waiting)),
            bodies: Bodies::new(),
            images: Images::new(&catalogue, settings.allow_remote_images),
            settings,
            catalogue,
            orders,
            preferences,
            metrics,
        });
        Ok(Self {
            app,
            listener,
            address,
            engine,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done, then finishes the requests under way, for as long as the settings allow.
    ///
    /// # Errors
    /// The thread that owns the models has ended before.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let limits = Limits {
            connections: candor_web::max_connections(),
            per_address: self.app.settings.connections_per_address,
            // Bodies have a time-out of their own, and an answer may take as long as it takes to write.
            answer: None,
            stuck: candor_web::STUCK,
            drain: self.app.settings.drain,
        };
        let engine = self.engine;
        let router = routes::router(self.app);
        let is_alive = || !engine.is_finished();
        if candor_web::serve(self.listener, router, limits, stop, is_alive).await == Ended::Dead {
            return Err(ServeError::EngineEnded);
        }
        // No handler is left, and with the last of them the engine ends.
        let joined = tokio::task::spawn_blocking(|| engine.join()).await;
        match joined {
            Ok(Ok(())) => Ok(()),
            _ => Err(ServeError::EngineEnded),
        }
    }
}

/// Serves until SIGINT or SIGTERM; a second one ends the program at once. `ready` hears where.
///
/// # Errors
/// As [`Server::bind`] and [`Server::serve`].
pub fn run(
    models: Models,
    settings: Settings,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let place = settings.listen;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| ServeError::Io {
            action: "start the runtime",
            place,
            remedy: "check the limits on threads and memory",
            source,
        })?;
    runtime.block_on(async {
        let server = Server::bind(models, settings).await?;
        ready(server.address());
        server
            .serve(async {
                interrupted().await;
                tracing::info!(
                    "stopping: requests under way are finished; interrupt again to end at once"
                );
                tokio::spawn(async {
                    interrupted().await;
                    std::process::exit(130);
                });
            })
            .await
    })
}

//! Several projects on one server: each below its own path, with its own database, people, roles and cookies, and a page that lists
//! them. They share the address, the connections and the process, and nothing else.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::pages::{self, Page};
use super::routes::{self, HEADERS};
use super::{App, machines, statics};

/// The projects of a server.
type Apps = Arc<Vec<Arc<App>>>;

/// The page that lists the projects.
#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage<'a> {
    page: Page,
    projects: Vec<&'a App>,
}

/// All routes of a server: those of its only project where that has no path, else those of each below its path.
pub fn router(apps: Vec<Arc<App>>) -> Router {
    if let [app] = &apps[..]
        && app.project.server.path.is_none()
    {
        return routes::router(Arc::clone(app));
    }
    let apps = Arc::new(apps);
    let mut own = Router::new()
        .route("/", get(list))
        .route("/static/{name}", get(statics::file))
        .route("/favicon.ico", get(statics::icon))
        .route("/healthz", get(machines::health))
        .route("/readyz", get(ready));
    for app in apps.iter() {
        let base = app.project.base();
        let with_slash = format!("{base}/");
        own = own.route(&with_slash, get(move || async move { Redirect::to(&base) }));
    }
    let own = own
        .layer(from_fn(|request, next| HEADERS.add(request, next)))
        .with_state(Arc::clone(&apps));
    apps.iter().fold(own, |router, app| {
        router.nest(&app.project.base(), routes::router(Arc::clone(app)))
    })
}

/// `GET /`
async fn list(State(apps): State<Apps>) -> Response {
    let page = Page {
        title: "Projects".to_owned(),
        base: String::new(),
        person: None,
        admin: false,
        adjudicator: false,
    };
    let projects = apps.iter().map(AsRef::as_ref).collect();
    pages::rendered(StatusCode::OK, &ProjectsPage { page, projects })
}

/// `GET /readyz`: the databases of all projects answer.
async fn ready(State(apps): State<Apps>) -> Response {
    for app in apps.iter() {
        if app.store.check().await.is_err() {
            let path = app.project.base();
            let sentence = format!("the database of {path} does not answer\n");
            return (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
        }
    }
    "ready\n".into_response()
}

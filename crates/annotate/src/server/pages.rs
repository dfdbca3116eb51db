//! The pages: forms that work without a script, and shells that scripts fill.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{ConnectInfo, Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::App;
use super::session::{self, Reader};
use crate::answer::check_length;
use crate::error::{AnnotateError, Refusal, whole_secs};
use crate::store::{Person, Role};

/// What every page shows.
pub(super) struct Page {
    pub(super) title: String,
    /// What every address on the server begins with.
    pub(super) base: String,
    pub(super) person: Option<Shown>,
    pub(super) admin: bool,
    pub(super) adjudicator: bool,
}

/// Whoever is logged in.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) role: &'static str,
}

impl Page {
    pub(super) fn new(app: &App, person: Option<&Person>) -> Self {
        let at_least = |role| person.is_some_and(|person| person.role >= role);
        Self {
            title: app.project.title.clone(),
            base: app.project.base(),
            person: person.map(|person| Shown {
                name: person.name.clone(),
                role: person.role.name(),
            }),
            admin: at_least(Role::Admin),
            adjudicator: at_least(Role::Adjudicator),
        }
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    page: Page,
    error: Option<String>,
    name: String,
    /// What the provider of sign-in is called, where there is one.
    provider: Option<&'a str>,
}

impl<'a> LoginPage<'a> {
    fn new(app: &'a App, error: Option<String>, name: String) -> Self {
        Self {
            page: Page::new(app, None),
            error,
            name,
            provider: app.project.oidc.as_ref().map(|oidc| oidc.name.as_str()),
        }
    }
}

#[derive(Template)]
#[template(path = "invite.html")]
struct InvitePage {
    page: Page,
    error: Option<String>,
    name: String,
    role: &'static str,
    token: String,
}

#[derive(Template)]
#[template(path = "guidelines.html")]
struct GuidelinesPage<'a> {
    page: Page,
    guidelines: &'a str,
    accepted: bool,
}

#[derive(Template)]
#[template(path = "annotate.html")]
struct AnnotatePage {
    page: Page,
}

#[derive(Template)]
#[template(path = "adjudicate.html")]
struct AdjudicatePage {
    page: Page,
}

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    page: Page,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    error: String,
}

pub(super) fn rendered(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /`
pub(super) async fn start(State(app): State<Arc<App>>, Reader(person): Reader) -> Redirect {
    app.redirect(match (person.role, person.knows_guidelines) {
        (Role::Admin, _) => "/admin",
        (_, false) => "/guidelines",
        (_, true) => "/annotate",
    })
}

/// `GET /login`
pub(super) async fn login(State(app): State<Arc<App>>) -> Response {
    rendered(StatusCode::OK, &LoginPage::new(&app, None, String::new()))
}

/// The form of a login and of a new account.
#[derive(Deserialize)]
pub(super) struct Credentials {
    name: String,
    password: String,
}

/// The address of the browser, as far as it is known.
pub(super) type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

pub(super) fn address(app: &App, headers: &HeaderMap, peer: &Peer) -> Option<IpAddr> {
    if app.project.server.behind_proxy {
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back()?;
        return forwarded
            .to_str()
            .ok()?
            .rsplit(',')
            .next()?
            .trim()
            .parse()
            .ok();
    }
    peer.as_ref().map(|peer| peer.0.0.ip())
}

/// `POST /login`
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    peer: Peer,
    Form(form): Form<Credentials>,
) -> Response {
    let address = address(&app, &headers, &peer);
    match open_session(&app, address, &form).await {
        Ok(secret) => entered(&app, &secret),
        Err(AnnotateError::Refused(refusal)) => {
            let template = LoginPage::new(&app, Some(refusal.to_string()), form.name);
            let mut response = rendered(refusal.code().1, &template);
            if let Refusal::TooManyAttempts { retry_after_ms } = refusal {
                let secs = HeaderValue::from(whole_secs(retry_after_ms));
                response.headers_mut().insert(header::RETRY_AFTER, secs);
            }
            response
        }
        Err(error) => failed(&app, &error),
    }
}

async fn open_session(
    app: &App,
    address: Option<IpAddr>,
    form: &Credentials,
) -> Result<String, AnnotateError> {
    app.store.attempt_login(&form.name, address).await?;
    let account = app.store.account(&form.name).await?;
    let (person, hash) = account.unzip();
    if !app.passwords.check(form.password.clone(), hash).await {
        return Err(Refusal::WrongPassword.into());
    }
    app.store.forgive_login(&form.name, address).await?;
    let person = person.ok_or(Refusal::WrongPassword)?;
    app.store.start_session(person.person).await
}

/// To the start, with a session.
pub(super) fn entered(app: &App, secret: &str) -> Response {
    (
        [(header::SET_COOKIE, session::cookie(app, secret))],
        app.redirect("/"),
    )
        .into_response()
}

/// `POST /logout`
pub(super) async fn log_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Some(secret) = session::secret(&app, &headers)
        && let Err(error) = app.store.end_session(&secret).await
    {
        return failed(&app, &error);
    }
    (
        [(header::SET_COOKIE, session::cookie(&app, ""))],
        app.redirect("/login"),
    )
        .into_response()
}

/// `GET /invite/{token}`
pub(super) async fn invite(State(app): State<Arc<App>>, Path(token): Path<String>) -> Response {
    match app.store.invitation(&token).await {
        Ok(Some(role)) => rendered(
            StatusCode::OK,
            &InvitePage {
                page: Page::new(&app, None),
                error: None,
                name: String::new(),
                role: role.name(),
                token,
            },
        ),
        Ok(None) => failed(
            &app,
            &Refusal::NotFound("invitation, or it was used already").into(),
        ),
        Err(error) => failed(&app, &error),
    }
}

/// `POST /invite/{token}`
pub(super) async fn join(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(form): Form<Credentials>,
) -> Response {
    let role = match app.store.invitation(&token).await {
        Ok(Some(role)) => role,
        Ok(None) => {
            return failed(
                &app,
                &Refusal::NotFound("invitation, or it was used already").into(),
            );
        }
        Err(error) => return failed(&app, &error),
    };
    match make_account(&app, &token, &form).await {
        Ok(secret) => entered(&app, &secret),
        Err(AnnotateError::Refused(refusal)) => rendered(
            refusal.code().1,
            &InvitePage {
                page: Page::new(&app, None),
                error: Some(refusal.to_string()),
                name: form.name,
                role: role.name(),
                token,
            },
        ),
        Err(error) => failed(&app, &error),
    }
}

async fn make_account(app: &App, token: &str, form: &Credentials) -> Result<String, AnnotateError> {
    let name = form.name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Refusal::invalid(
            "name",
            "empty, or with control characters",
            "choose another",
        )
        .into());
    }
    check_length("name", Some(name), 60)?;
    let hash = app.passwords.hash(form.password.clone()).await?;
    let person = app
        .store
        .join(token.to_owned(), name.to_owned(), hash)
        .await?;
    app.store.start_session(person.person).await
}

/// `GET /guidelines`
pub(super) async fn guidelines(State(app): State<Arc<App>>, Reader(person): Reader) -> Response {
    let template = GuidelinesPage {
        page: Page::new(&app, Some(&person)),
        guidelines: &app.guidelines,
        accepted: person.knows_guidelines,
    };
    rendered(StatusCode::OK, &template)
}

/// `POST /guidelines`
pub(super) async fn accept_guidelines(
    State(app): State<Arc<App>>,
    Reader(person): Reader,
) -> Response {
    match app.store.accept_guidelines(person.person).await {
        Ok(()) => app.redirect("/annotate").into_response(),
        Err(error) => failed(&app, &error),
    }
}

/// `GET /annotate`
pub(super) async fn annotate(State(app): State<Arc<App>>, Reader(person): Reader) -> Response {
    if !person.knows_guidelines {
        return app.redirect("/guidelines").into_response();
    }
    let page = Page::new(&app, Some(&person));
    rendered(StatusCode::OK, &AnnotatePage { page })
}

/// `GET /adjudicate`
pub(super) async fn adjudicate(State(app): State<Arc<App>>, Reader(person): Reader) -> Response {
    if person.role < Role::Adjudicator {
        return failed(&app, &Refusal::Forbidden.into());
    }
    let page = Page::new(&app, Some(&person));
    rendered(StatusCode::OK, &AdjudicatePage { page })
}

/// `GET /admin`
pub(super) async fn admin(State(app): State<Arc<App>>, Reader(person): Reader) -> Response {
    if person.role < Role::Admin {
        return failed(&app, &Refusal::Forbidden.into());
    }
    let page = Page::new(&app, Some(&person));
    rendered(StatusCode::OK, &AdminPage { page })
}

/// Everything else.
pub(super) async fn not_found(State(app): State<Arc<App>>) -> Response {
    failed(&app, &Refusal::NotFound("page").into())
}

/// A page that says what went wrong.
pub(super) fn failed(app: &App, error: &AnnotateError) -> Response {
    let AnnotateError::Refused(refusal) = error else {
        return super::reply::broken(error);
    };
    let page = Page::new(app, None);
    let error = refusal.to_string();
    rendered(refusal.code().1, &ErrorPage { page, error })
}

//! Who is asking: the session in the cookie.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::bearer;
use super::reply::Failure;
use crate::error::{AnnotateError, Refusal};
use crate::store::{Person, Role};

/// The name of the session's cookie, or of another one: under HTTPS one that browsers accept only if it is secure and of this very
/// host.
fn cookie_name(app: &App, what: &str) -> String {
    let host = if app.project.is_https() {
        "__Host-"
    } else {
        ""
    };
    // Projects of one server share the host, and cookies of a path could be set by another one.
    let path = app.project.server.path.as_ref();
    let path = path.map_or_else(String::new, |path| format!(".{path}"));
    let dash = if what.is_empty() { "" } else { "-" };
    // What it is comes before the path, which may end like it: paths have no full stop.
    format!("{host}candor{dash}{what}{path}")
}

/// The session's secret in the cookies of a request; none where a program sends a token, which was not checked for where it comes
/// from.
pub(super) fn secret(app: &App, headers: &HeaderMap) -> Option<String> {
    if bearer::token(headers).is_some() {
        return None;
    }
    value(&cookie_name(app, ""), headers)
}

/// The value of a cookie other than the session's.
pub(super) fn named(app: &App, what: &str, headers: &HeaderMap) -> Option<String> {
    value(&cookie_name(app, what), headers)
}

fn value(name: &str, headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty() && value.len() <= 128)
        .map(|(_, value)| value.to_owned())
}

/// The cookie that holds a session's secret; an empty one ends it.
pub(super) fn cookie(app: &App, secret: &str) -> HeaderValue {
    named_cookie(app, "", secret)
}

/// The same for another cookie.
pub(super) fn named_cookie(app: &App, what: &str, secret: &str) -> HeaderValue {
    let secure = if app.project.is_https() {
        "; Secure"
    } else {
        ""
    };
    let age = if secret.is_empty() { "; Max-Age=0" } else { "" };
    let text = format!(
        "{}={secret}; Path=/; HttpOnly; SameSite=Lax{secure}{age}",
        cookie_name(app, what)
    );
    HeaderValue::from_str(&text).expect("a secret is hexadecimal")
}

/// Whoever is logged in, if anybody is.
pub(super) async fn person(
    app: &App,
    headers: &HeaderMap,
) -> Result<Option<Person>, AnnotateError> {
    match secret(app, headers) {
        Some(secret) => {
            app.store
                .session(&secret, app.project.server.session_hours)
                .await
        }
        None => Ok(None),
    }
}

async fn person_with_role(
    app: &App,
    headers: &HeaderMap,
    role: Role,
) -> Result<Person, AnnotateError> {
    let person = person(app, headers).await?.ok_or(Refusal::LoginRequired)?;
    if person.role < role {
        return Err(Refusal::Forbidden.into());
    }
    Ok(person)
}

/// Somebody logged in, for endpoints.
pub(super) struct Annotator(pub Person);

/// Somebody who may adjudicate.
pub(super) struct Adjudicator(pub Person);

/// Somebody who may administer.
pub(super) struct Admin(pub Person);

/// Somebody logged in, for pages: others are sent to the login.
pub(super) struct Reader(pub Person);

impl FromRequestParts<Arc<App>> for Annotator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        Ok(Self(
            person_with_role(app, &parts.headers, Role::Annotator).await?,
        ))
    }
}

impl FromRequestParts<Arc<App>> for Adjudicator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        Ok(Self(
            person_with_role(app, &parts.headers, Role::Adjudicator).await?,
        ))
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        Ok(Self(
            person_with_role(app, &parts.headers, Role::Admin).await?,
        ))
    }
}

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        match person(app, &parts.headers).await {
            Ok(Some(person)) => Ok(Self(person)),
            Ok(None) => Err(app.redirect("/login").into_response()),
            Err(error) => Err(Failure(error).into_response()),
        }
    }
}

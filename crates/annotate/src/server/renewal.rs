//! The page behind a link that gives somebody another password.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::App;
use super::pages::{Page, entered, failed, rendered};
use crate::error::{AnnotateError, Refusal};

#[derive(Template)]
#[template(path = "renewal.html")]
struct RenewalPage {
    page: Page,
    error: Option<String>,
    name: String,
    token: String,
}

/// The form.
#[derive(Deserialize)]
pub(super) struct NewPassword {
    password: String,
}

/// `GET /renew/{token}`
pub(super) async fn form(State(app): State<Arc<App>>, Path(token): Path<String>) -> Response {
    page(&app, token, StatusCode::OK, None).await
}

/// `POST /renew/{token}`
pub(super) async fn renew(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(form): Form<NewPassword>,
) -> Response {
    match new_session(&app, &token, form.password).await {
        Ok(secret) => entered(&app, &secret),
        Err(AnnotateError::Refused(refusal)) => {
            let status = refusal.code().1;
            page(&app, token, status, Some(refusal.to_string())).await
        }
        Err(error) => failed(&app, &error),
    }
}

async fn new_session(app: &App, token: &str, password: String) -> Result<String, AnnotateError> {
    // A made-up link must not cost a hash.
    if app.store.renewal(token).await?.is_none() {
        return Err(Refusal::NotFound("link").into());
    }
    let hash = app.passwords.hash(password).await?;
    let person = app.store.renew(token.to_owned(), hash).await?;
    app.store.start_session(person.person).await
}

/// The form, for the person that the link is for.
async fn page(app: &App, token: String, status: StatusCode, error: Option<String>) -> Response {
    match app.store.renewal(&token).await {
        Ok(Some(person)) => {
            let page = Page::new(app, None);
            let name = person.name;
            rendered(
                status,
                &RenewalPage {
                    page,
                    error,
                    name,
                    token,
                },
            )
        }
        Ok(None) => failed(
            app,
            &Refusal::NotFound("link, or it was used already").into(),
        ),
        Err(error) => failed(app, &error),
    }
}

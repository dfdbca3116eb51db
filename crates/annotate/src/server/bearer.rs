//! Programs that ask: a token in `Authorization: Bearer`, for what its scopes allow. Where one is sent, no cookie counts.
//!
//! Administrators who are logged in may do the same without a token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::App;
use super::reply::Failure;
use super::session::Admin;
use crate::error::{AnnotateError, Refusal};
use crate::store::{Scope, TOKEN_PREFIX};

/// The token in the headers of a request. Whatever else a proxy in front may put there is none.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_ours = scheme.eq_ignore_ascii_case("bearer")
        && token.starts_with(TOKEN_PREFIX)
        && token.len() <= 128;
    is_ours.then_some(token)
}

/// Whether the request has a token with this scope, or no token at all.
async fn has_token(app: &App, headers: &HeaderMap, scope: Scope) -> Result<bool, AnnotateError> {
    let Some(token) = token(headers) else {
        return Ok(false);
    };
    let scopes = app.store.scopes(token).await?;
    if scopes.ok_or(Refusal::UnknownToken)?.contains(&scope) {
        Ok(true)
    } else {
        Err(Refusal::ScopeMissing(scope.name()).into())
    }
}

/// Lets a token with the scope pass, and an administrator.
async fn check(parts: &mut Parts, app: &Arc<App>, scope: Scope) -> Result<(), Failure> {
    if !has_token(app, &parts.headers, scope).await? {
        Admin::from_request_parts(parts, app).await?;
    }
    Ok(())
}

/// Whoever may see how the work goes.
pub(super) struct MayRead;

/// Whoever may add items.
pub(super) struct MayImport;

/// Whoever may have what people said.
pub(super) struct MayExport;

impl FromRequestParts<Arc<App>> for MayRead {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        check(parts, app, Scope::Read).await.map(|()| Self)
    }
}

impl FromRequestParts<Arc<App>> for MayImport {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        check(parts, app, Scope::Import).await.map(|()| Self)
    }
}

impl FromRequestParts<Arc<App>> for MayExport {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        check(parts, app, Scope::Export).await.map(|()| Self)
    }
}

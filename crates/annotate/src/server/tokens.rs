//! Tokens of programs, as administrators make and revoke them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::body::Body;
use super::reply::Failure;
use super::session::Admin;
use crate::answer::check_length;
use crate::error::Refusal;
use crate::store::{NewToken, Scope};

/// `GET /api/admin/tokens`
pub(super) async fn list(State(app): State<Arc<App>>, _: Admin) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({"tokens": app.store.tokens().await?})))
}

/// Body of `POST /api/admin/tokens`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    name: String,
    scopes: Vec<Scope>,
    days: Option<u32>,
}

/// `POST /api/admin/tokens`
pub(super) async fn make(
    State(app): State<Arc<App>>,
    Admin(by): Admin,
    Body(body): Body<TokenBody>,
) -> Result<Json<Value>, Failure> {
    let name = body.name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        let found = "empty, or with control characters";
        return Err(Refusal::invalid("name", found, "say what the token is for").into());
    }
    check_length("name", Some(name), 60)?;
    let mut scopes: Vec<Scope> = Vec::new();
    for scope in body.scopes {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        return Err(Refusal::invalid("scopes", "none", "name read, import or export").into());
    }
    if body.days.is_some_and(|days| !(1..=3650).contains(&days)) {
        return Err(Refusal::invalid("days", "out of range", "give 1 to 3650, or null").into());
    }
    let new = NewToken {
        name: name.to_owned(),
        scopes,
        days: body.days,
    };
    let (token, secret, expires_at) = app.store.make_token(by.person, new).await?;
    Ok(Json(
        json!({"token": token, "secret": secret, "expires_at": expires_at}),
    ))
}

/// `POST /api/admin/tokens/{token}/revoke`
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Admin(by): Admin,
    Path(token): Path<String>,
) -> Result<StatusCode, Failure> {
    app.store.revoke_token(by.person, token).await?;
    Ok(StatusCode::NO_CONTENT)
}

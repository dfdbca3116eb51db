//! Sign-in by a provider: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).
//!
//! An attempt is bound to the browser that began it by a cookie, to this server by its state, which is good once, to the ID token
//! by its nonce, and to the exchange of the code by its verifier. Passwords work beside it.

mod begun;
mod id_token;
mod keys;
mod provider;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::Value;

pub(super) use self::provider::Provider;
use super::{App, pages, session};
use crate::error::{AnnotateError, Refusal};
use crate::store::{Attempt, Guest, Person};

/// What the cookie of an attempt is called after.
const ATTEMPT: &str = "sign-in";
/// Longest name of a new person, in characters.
const MAX_NAME: usize = 60;

/// `GET /oidc`: begins an attempt, once the provider is known to answer.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    peer: pages::Peer,
) -> Response {
    let begun = async {
        let provider = app.provider.as_ref().ok_or(Refusal::NotFound("page"))?;
        let attempt = Attempt::fresh();
        let url = provider.address(&attempt).await.map_err(failed)?;
        let address = pages::address(&app, &headers, &peer);
        provider.begun.begin(address, app.store.unix_ms())?;
        let state = attempt.state.clone();
        app.store.begin_sign_in(attempt).await?;
        Ok::<_, AnnotateError>((state, url))
    };
    match begun.await {
        Ok((state, url)) => {
            let cookie = session::named_cookie(&app, ATTEMPT, &state);
            ([(header::SET_COOKIE, cookie)], Redirect::to(url.as_str())).into_response()
        }
        Err(error) => pages::failed(&app, &error),
    }
}

/// Query of `GET /oidc/callback`.
#[derive(Deserialize)]
pub(super) struct Callback {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// `GET /oidc/callback`: the browser comes back.
pub(super) async fn callback(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    peer: pages::Peer,
    Query(query): Query<Callback>,
) -> Response {
    let over = session::named_cookie(&app, ATTEMPT, "");
    match finish(&app, &headers, query).await {
        Ok(secret) => {
            if let Some(provider) = &app.provider {
                let address = pages::address(&app, &headers, &peer);
                provider.begun.finished(address);
            }
            let cookies = [
                (header::SET_COOKIE, over),
                (header::SET_COOKIE, session::cookie(&app, &secret)),
            ];
            (AppendHeaders(cookies), app.redirect("/")).into_response()
        }
        Err(error) => {
            let page = pages::failed(&app, &error);
            (AppendHeaders([(header::SET_COOKIE, over)]), page).into_response()
        }
    }
}

/// A new session's secret, for whoever the provider vouches for.
async fn finish(app: &App, headers: &HeaderMap, query: Callback) -> Result<String, AnnotateError> {
    let provider = app.provider.as_ref().ok_or(Refusal::NotFound("page"))?;
    let begun = session::named(app, ATTEMPT, headers);
    let state = query.state.filter(|state| begun.as_ref() == Some(state));
    let state = state.ok_or_else(|| failed("this browser did not begin it".to_owned()))?;
    let attempt = app.store.take_sign_in(state).await?;
    let attempt = attempt.ok_or_else(|| failed("it was begun too long ago".to_owned()))?;
    if query
        .iss
        .is_some_and(|issuer| issuer != provider.oidc.issuer)
    {
        return Err(failed("another provider answered".to_owned()));
    }
    if let Some(error) = query.error {
        return Err(failed(format!("the provider says {:?}", short(&error))));
    }
    let code = query
        .code
        .ok_or_else(|| failed("the provider gave no code".to_owned()))?;
    let claims = provider
        .claims(&code, &attempt, app.store.unix_ms() / 1000)
        .await
        .map_err(failed)?;
    let person = admit(app, provider, &claims).await?;
    app.store.start_session(person.person).await
}

/// The account of whoever the claims are about.
async fn admit(app: &App, provider: &Provider, claims: &Value) -> Result<Person, AnnotateError> {
    let role = provider.oidc.role(claims);
    let claim = &provider.oidc.name_claim;
    let name = claims[claim.as_str()].as_str().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let name: String = name.trim().chars().take(MAX_NAME).collect();
    if role.is_some() && name.is_empty() {
        let reason = format!(
            "its ID token has no {claim:?}; ask for the scope that gives it, or set oidc.name_claim"
        );
        return Err(failed(reason.replace("; ", ", ")));
    }
    let guest = Guest {
        issuer: provider.oidc.issuer.clone(),
        subject: claims["sub"].as_str().unwrap_or_default().to_owned(),
        name,
        role,
        follows: provider.oidc.role_claim.is_some(),
    };
    app.store.admit(guest).await
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The refusal of a sign-in, which is in the server's log too.
fn failed(reason: String) -> AnnotateError {
    tracing::warn!("candor annotate: sign-in refused: {reason}");
    Refusal::SignIn(reason).into()
}

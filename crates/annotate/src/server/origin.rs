//! Requests that change something must come from a page of this app.
//!
//! Browsers say so themselves: in `Sec-Fetch-Site` where the connection is trustworthy, in `Origin` with every POST and
//! PUT. What says neither is no browser that anybody is logged in with, and is refused too, except for a program that sends a
//! token to an endpoint: no browser does that by itself, and cookies do not count beside a token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use url::Url;

use super::App;
use super::bearer;
use super::reply::Failure;
use crate::error::Refusal;

/// Refuses what comes from elsewhere.
pub(super) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let has_token =
        request.uri().path().starts_with("/api/") && bearer::token(request.headers()).is_some();
    if reads || has_token || is_own(request.headers(), &app.project.server.public_url) {
        next.run(request).await
    } else {
        Failure::from(Refusal::CrossSite).into_response()
    }
}

fn is_own(headers: &HeaderMap, public_url: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    // Browsers write hosts in small letters, and leave the scheme's own port out.
    let public = Url::parse(public_url).map_or_else(
        |_| public_url.to_owned(),
        |url| url.origin().ascii_serialization(),
    );
    headers
        .get(header::ORIGIN)
        .is_some_and(|origin| origin == public.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_browsers_make_of_it() {
        let own = |public_url: &str, origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("origin", origin.parse().unwrap());
            is_own(&headers, public_url)
        };
        assert!(own("http://LAB-7:8090", "http://lab-7:8090"));
        assert!(own("http://10.0.0.7:80", "http://10.0.0.7"));
        assert!(own("https://a.example:443", "https://a.example"));
        assert!(!own("https://a.example:8443", "https://a.example"));
        assert!(!own("https://a.example", "http://a.example"));
    }

    #[test]
    fn only_own_pages_may_change_things() {
        let own = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for &(name, value) in pairs {
                headers.insert(name, value.parse().unwrap());
            }
            is_own(&headers, "https://a.example")
        };
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("origin", "https://a.example")]));
        assert!(!own(&[]));
        assert!(!own(&[("origin", "https://a.example.evil")]));
        assert!(!own(&[("origin", "null")]));
        assert!(!own(&[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://a.example")
        ]));
        assert!(!own(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://a.example")
        ]));
    }
}

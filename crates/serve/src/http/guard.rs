//! Who may ask: keys, and pages of this server alone where a browser asks.
//!
//! Without keys, whoever reaches this machine's own address may ask. A page from elsewhere must not: what a browser sends
//! says where its page is from (`Origin`, `Sec-Fetch-Site`), and a name that was pointed at this machine shows in `Host`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use candor_web::is_this_machine;

use super::App;
use crate::api::refusal::Refusal;
use crate::engine::Client;

/// Lets a request pass, with the [`Client`] that it is from.
pub(super) async fn check(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|peer| peer.0.ip());
    match client(&app, request.headers(), address) {
        Ok(client) => {
            request.extensions_mut().insert(client);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn client(app: &App, headers: &HeaderMap, address: Option<IpAddr>) -> Result<Client, Refusal> {
    if is_from_elsewhere(headers) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "a page of another site asks; only pages of this server may",
        ));
    }
    let Some(keys) = &app.settings.keys else {
        if !is_this_machine(headers) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "wrong_host",
                "without --api-key-file the server answers to the names of this machine alone, such as localhost",
            ));
        }
        return Ok(Client::Address(network(address)));
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let key = given.and_then(|value| value.split_once(' '));
    let key = key.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let found = key.and_then(|(_, key)| keys.find(key.trim()));
    found.map(Client::Key).ok_or_else(|| {
        Refusal::new(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "no key, or one that is not known here; send `Authorization: Bearer KEY`",
        )
    })
}

/// Whether a browser says that another site's page asks.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
    };
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let own = text(header::HOST).is_some_and(|host| {
        ["http", "https"]
            .iter()
            .any(|scheme| origin == format!("{scheme}://{host}").as_str())
    });
    !own
}

/// The address of a client for the turns that clients take: of IPv6 the network, since a client may have all of it.
fn network(address: Option<IpAddr>) -> IpAddr {
    match address {
        Some(IpAddr::V6(whole)) => {
            let mut segments = whole.segments();
            segments[4..].fill(0);
            IpAddr::V6(segments.into())
        }
        Some(address) => address,
        None => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in pairs {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn pages_of_other_sites_are_told_by_what_browsers_say() {
        let host = ("host", "localhost:8000");
        for (pairs, elsewhere) in [
            (&[host][..], false),
            (&[host, ("origin", "http://localhost:8000")], false),
            (&[host, ("origin", "https://localhost:8000")], false),
            (&[host, ("sec-fetch-site", "same-origin")], false),
            (&[host, ("sec-fetch-site", "none")], false),
            (&[host, ("origin", "http://localhost:9000")], true),
            (&[host, ("origin", "null")], true),
            (&[("origin", "http://localhost:8000")], true),
            (&[host, ("sec-fetch-site", "cross-site")], true),
            (&[host, ("sec-fetch-site", "same-site")], true),
        ] {
            assert_eq!(is_from_elsewhere(&headers(pairs)), elsewhere, "{pairs:?}");
        }
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let network = |text: &str| network(Some(text.parse().unwrap())).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }
}

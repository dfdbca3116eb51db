//! Requests that the server makes itself: to a provider of sign-in and to webhooks. No redirect is followed, and what comes back
//! is bounded.

use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Response, redirect};

/// How long such a request may take as a whole.
const WHOLE: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// What every client of this app begins with.
pub(crate) fn client() -> ClientBuilder {
    // Fails where another one is installed already, which does as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(WHOLE)
        .user_agent(concat!("candor/", env!("CARGO_PKG_VERSION")))
}

/// An error with its causes and without the address, which may hold a secret.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

/// The body of an answer.
pub(crate) async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(reason)? {
        if bytes.len() + part.len() > MAX_BYTES {
            return Err(format!("the answer has more than {MAX_BYTES} bytes"));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// Looks names up, and refuses those that lead to an address that is not public.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Addrs = Box::new(
                candor_web::public_addresses(name.as_str())
                    .await?
                    .into_iter(),
            );
            Ok(found)
        })
    }
}

/// The same client for public addresses alone. No proxy is asked, which could lead elsewhere. An address that is a number is not
/// looked up, so whoever names one checks it.
pub(crate) fn public_only(client: ClientBuilder) -> ClientBuilder {
    client.no_proxy().dns_resolver(Arc::new(PublicOnly))
}

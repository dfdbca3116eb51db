//! Images at addresses, where the server was told to fetch them: from public addresses alone.
//!
//! A name is looked up once, every address that it has must be public, and the connection goes to one of those, so that a
//! name cannot mean something else a moment later. Redirects are not followed, and no proxy is asked: either could lead to
//! where the server can go and whoever asks cannot.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect};
use url::{Host, Url};

/// How long a fetch may take as a whole.
const WHOLE: Duration = Duration::from_secs(15);

/// Fetches images.
pub(super) struct Remote {
    client: Result<Client, String>,
}

/// Looks names up, and refuses those that lead to an address that is not public.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = candor_web::public_addresses(name.as_str()).await?;
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

impl Remote {
    pub(super) fn new() -> Self {
        // Fails where another one is installed already, which does as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(WHOLE)
            .dns_resolver(Arc::new(PublicOnly))
            .user_agent(concat!("candor/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            client: client.map_err(|error| error.to_string()),
        }
    }

    /// The bytes at an address, at most `max_bytes`. Errors do not say what the server sees there.
    pub(super) async fn fetch(&self, url: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
        let url = checked(url)?;
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let unreachable = |_| "the image cannot be fetched from a public address".to_owned();
        let mut response = client.get(url).send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(format!(
                "status {status}, expected 200; redirects are not followed"
            ));
        }
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            if (bytes.len() + part.len()) as u64 > max_bytes {
                return Err(format!("more than {max_bytes} bytes; scale the image down"));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
}

/// An address that may be asked. One that is a number is not looked up, so it is checked here.
fn checked(url: &str) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| format!("no address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("expected http or https".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address holds a name or password; leave it out".to_owned());
    }
    let public = match url.host() {
        Some(Host::Domain(_)) => true,
        Some(Host::Ipv4(address)) => candor_web::is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => candor_web::is_public(IpAddr::V6(address)),
        None => false,
    };
    if public {
        Ok(url)
    } else {
        Err("the address is not public".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_any_spelling_are_checked() {
        for url in [
            "http://127.0.0.1/a.png",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:169.254.169.254]/",
            "https://10.0.0.1:8443/",
        ] {
            assert_eq!(
                checked(url).unwrap_err(),
                "the address is not public",
                "{url}"
            );
        }
        for (url, words) in [
            ("ftp://example.com/a", "expected http or https"),
            ("http://me:secret@example.com/", "holds a name or password"),
            ("http://", "no address"),
        ] {
            assert!(checked(url).unwrap_err().contains(words), "{url}");
        }
        assert!(checked("https://example.com/a.png").is_ok());
    }

    #[test]
    fn a_name_of_this_machine_is_not_asked() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let message = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let url = format!("http://localhost:{port}/a.png");
            let fetched = Remote::new().fetch(&url, 100).await;
            let asked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
            assert!(asked.is_err(), "nobody has connected");
            fetched.unwrap_err()
        });
        assert_eq!(message, "the image cannot be fetched from a public address");
    }
}

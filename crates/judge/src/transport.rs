//! One HTTP request to an endpoint, without a second try.
//!
//! The key lives here alone. It goes into one header, and is struck out of whatever comes back, because
//! some endpoints repeat it in their errors. Redirects are not followed: they would carry it elsewhere.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use ureq::{Agent, Timeout};

use crate::address::is_local;
use crate::settings::Endpoint;

/// Longer answers are cut off; a judge's reply has a few kilobytes.
const MAX_BODY_BYTES: u64 = 4 << 20;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The endpoint answered.
    Answered {
        status: u16,
        retry_after: Option<String>,
        body: String,
    },
    /// It went out, and no whole answer came back; it may have been paid for.
    Lost(String),
    /// It never went out.
    Unsent(String),
}

/// The way to an endpoint.
pub(crate) struct Transport {
    agent: Agent,
    url: String,
    /// Of what is posted.
    content_type: &'static str,
    key: Option<String>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Transport")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// To the chat completions of an endpoint.
    pub(crate) fn new(endpoint: &Endpoint, key: Option<String>, timeout: Duration) -> Self {
        let url = format!("{}/chat/completions", endpoint.url.trim_end_matches('/'));
        Self::to(url, "application/json", key, timeout)
    }

    /// To an address that takes JSON lines.
    pub(crate) fn of_lines(url: &str, key: Option<String>, timeout: Duration) -> Self {
        Self::to(url.to_owned(), "application/x-ndjson", key, timeout)
    }

    fn to(url: String, content_type: &'static str, key: Option<String>, timeout: Duration) -> Self {
        let host = url.split('/').nth(2).unwrap_or_default();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .user_agent(concat!("candor/", env!("CARGO_PKG_VERSION")));
        if is_local(host) {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().into(),
            url,
            content_type,
            key,
        }
    }

    /// Posts a body.
    pub(crate) fn post(&self, body: &str) -> Attempt {
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", self.content_type);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(error) => return self.failed(&error),
        };
        let header = response.headers().get("retry-after");
        let retry_after = header
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let status = response.status().as_u16();
        match response
            .body_mut()
            .with_config()
            .limit(MAX_BODY_BYTES)
            .read_to_vec()
        {
            Ok(bytes) => Attempt::Answered {
                status,
                retry_after,
                body: self.without_key(&String::from_utf8_lossy(&bytes)),
            },
            Err(error) => Attempt::Lost(self.without_key(&error.to_string())),
        }
    }

    fn failed(&self, error: &ureq::Error) -> Attempt {
        let unsent = match error {
            ureq::Error::Io(error) => matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::AddrNotAvailable
            ),
            ureq::Error::Timeout(timeout) => matches!(timeout, Timeout::Resolve | Timeout::Connect),
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::ConnectProxyFailed(_)
            | ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_) => true,
            _ => false,
        };
        let problem = self.without_key(&error.to_string());
        if unsent {
            Attempt::Unsent(problem)
        } else {
            Attempt::Lost(problem)
        }
    }

    fn without_key(&self, text: &str) -> String {
        match &self.key {
            Some(key) if !key.is_empty() => text.replace(key.as_str(), "[key]"),
            _ => text.to_owned(),
        }
    }
}

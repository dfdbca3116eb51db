//! The name that a request was sent to.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

/// Whether the request was sent to a name or an address of this machine's own. A page of another site can have its name
/// pointed at this machine, and then counts as this server's for a browser; its `Host` says so.
#[must_use]
pub fn is_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    is_own_name(host)
}

/// Whether a host, with or without a port, is a name or an address that leads to this machine from anywhere.
#[must_use]
pub fn is_own_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_pointed_here_is_none_of_this_machine() {
        for (host, own) in [
            ("localhost", true),
            ("LocalHost:8000", true),
            ("127.0.0.1:8000", true),
            ("[::1]:8000", true),
            ("evil.example:8000", false),
            ("localhost.evil.example", false),
            ("10.0.0.1:8000", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(is_this_machine(&headers), own, "{host}");
        }
        assert!(!is_this_machine(&HeaderMap::new()));
    }
}

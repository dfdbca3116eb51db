//! Forms, queries, cookies and paths that no page of ours would send: answered with a reason, never a failure of the
//! server.

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use candor_annotate::server::ROUTES;
use candor_annotate::store::Role;
use proptest::prelude::*;

use crate::browser::{PUBLIC_URL, Site};

/// Something like a form or a query.
fn any_pairs() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("name"),
        Just("password"),
        Just("format"),
        Just("aggregate"),
        Just("after"),
        Just("%6eame"),
        Just(""),
    ];
    let value = prop_oneof![
        Just("admin".to_owned()),
        Just("correct+horse+battery".to_owned()),
        Just("preference_log".to_owned()),
        Just("-9223372036854775809".to_owned()),
        Just("%00".to_owned()),
        Just("%ff%fe".to_owned()),
        Just("%E2%80%AEx".to_owned()),
        Just("%".to_owned()),
        "[a-z0-9%+=&;]{0,30}",
        Just("x".repeat(3000)),
    ];
    prop::collection::vec((name, value), 0..4).prop_map(|pairs| {
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    })
}

/// The value of a header, as far as HTTP allows.
fn any_header() -> impl Strategy<Value = HeaderValue> {
    let bytes = prop_oneof![
        any_pairs().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static("")))
}

/// A part of a path.
fn any_segment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("..".to_owned()),
        Just("%2e%2e%2f".to_owned()),
        Just("%00".to_owned()),
        Just("%ff".to_owned()),
        Just("9223372036854775808".to_owned()),
        Just("-1".to_owned()),
        "[a-zA-Z0-9._~%-]{1,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_form_query_cookie_or_path_makes_the_server_fail(
        pairs in prop::collection::vec(any_pairs(), 4),
        header in any_header(),
        segment in any_segment(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let failed = runtime.block_on(async {
            let site = Site::open().await;
            let admin = site.session("admin", Role::Admin).await;
            let mut failed = Vec::new();
            for (method, path, is_api) in ROUTES {
                let path = ["{assignment}", "{item}", "{person}", "{token}", "{name}"]
                    .iter()
                    .fold(path.to_owned(), |path, place| path.replace(place, &segment));
                for pairs in &pairs {
                    let uri = if method == "get" { format!("{path}?{pairs}") } else { path.clone() };
                    let request = Request::builder()
                        .method(method.to_uppercase().as_str())
                        .uri(uri.as_str())
                        .header("origin", PUBLIC_URL)
                        .header("x-forwarded-for", header.clone())
                        .header("if-none-match", header.clone())
                        .header("cookie", format!("__Host-candor={admin}"))
                        .header("cookie", header.clone())
                        .header("content-type", "application/x-www-form-urlencoded");
                    // What is no address never reaches a handler.
                    let Ok(request) = request.body(Body::from(pairs.clone())) else { continue };
                    let reply = site.send(request).await;
                    if reply.status.is_server_error() && path != "/readyz" {
                        failed.push((method, uri, is_api, reply.text()));
                    }
                }
            }
            failed
        });
        prop_assert!(failed.is_empty(), "{failed:?}");
    }
}

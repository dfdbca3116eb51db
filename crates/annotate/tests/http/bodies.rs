//! Bodies that no page of ours would send: refused with a reason, never a failure of the server.

use axum::body::Body;
use axum::http::StatusCode;
use candor_annotate::project::Project;
use candor_annotate::server::ROUTES;
use candor_annotate::store::Role;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::browser::Site;

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let site = Site::open().await;
    let anna = site.session("anna", Role::Annotator).await;
    let answer = "/api/assignments/x/answer";
    let big = format!("{{\"holding\": [\"{}\"]}}", "x".repeat(300 << 10));
    for (path, body, status) in [
        ("/api/claim", "{".to_owned(), StatusCode::BAD_REQUEST),
        ("/api/claim", String::new(), StatusCode::BAD_REQUEST),
        ("/api/claim", big, StatusCode::PAYLOAD_TOO_LARGE),
        (
            "/api/claim",
            "{\"unknown\": 1}".to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/api/claim",
            "[".repeat(100_000),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        // A lone surrogate is no character.
        (
            answer,
            r#"{"submission": "\ud800"}"#.to_owned(),
            StatusCode::BAD_REQUEST,
        ),
        (
            answer,
            r#"{"submission": "x", "first": "a", "active_ms": 1}"#.to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        let reply = site.send_json("POST", path, &anna, body).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert!(!reply.code().is_empty());
    }
    let form = site.submit_form("/api/claim", &anna, "holding=x").await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let bytes = site
        .send_json(
            "POST",
            "/api/claim",
            &anna,
            Body::from(vec![b'"', 0xff, b'"']),
        )
        .await;
    assert_eq!(bytes.status, StatusCode::BAD_REQUEST);
}

/// JSON of any shape, with the words of the protocol strewn in.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("a"),
        Just("b"),
        Just("tie"),
        Just("object"),
        Just("image"),
        Just("admin"),
        Just("annotator"),
        Just("00000000-0000-0000-0000-000000000000"),
        Just(""),
        Just("\u{0}"),
        Just("\u{202e}\u{1f600}"),
    ];
    let key = prop_oneof![
        Just("first"),
        Just("second"),
        Just("rating"),
        Just("marks"),
        Just("corrections"),
        Just("note"),
        Just("submission"),
        Just("active_ms"),
        Just("holding"),
        Just("showing"),
        Just("answer"),
        Just("start"),
        Just("end"),
        Just("type"),
        Just("reason"),
        Just("role"),
        Just("hours"),
        Just("judgement"),
        Just("disabled"),
        Just("retrain"),
        Just("name"),
        Just("scopes"),
        Just("days"),
        Just("x"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|pairs| Value::Object(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

/// A body, as JSON or as bytes.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any_json().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Sixteen times a fresh site, and to each endpoint that changes something twenty bodies: 2,500 and more.
    #[test]
    fn no_body_makes_the_server_fail(bodies in prop::collection::vec(any_body(), 20)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let failed = runtime.block_on(async {
            let import = "[[import]]\nfile = \"rows.json\"\nformat = \"llava\"\nimages = \"images\"\n";
            let site = Site::open_with(import).await;
            let admin = site.session("admin", Role::Admin).await;
            let claim = site.post("/api/claim", &admin, &json!({})).await.json();
            let task = claim["task"]["assignment"].as_str().unwrap().to_owned();
            let mut failed = Vec::new();
            for (method, path, _) in ROUTES.iter().filter(|route| route.0 != "get" && route.1.starts_with("/api")) {
                let path = path.replace("{assignment}", &task).replace("{item}", "1").replace("{person}", "none").replace("{token}", "none");
                for body in &bodies {
                    let reply = site.send_json(&method.to_uppercase(), &path, &admin, body.clone()).await;
                    if reply.status.is_server_error() {
                        failed.push((path.clone(), String::from_utf8_lossy(body).into_owned(), reply.text()));
                    }
                }
            }
            failed
        });
        prop_assert!(failed.is_empty(), "{failed:?}");
    }
}

proptest! {
    #[test]
    fn a_project_file_is_read_or_refused(text in "(title|seed|database|\\[protocol\\]|overlap|=|\"|\n|[0-9.]{1,4}|\\PC){0,40}") {
        drop(Project::parse(std::path::Path::new("p.toml"), &text));
    }

    #[test]
    fn drafts_come_back_as_they_went_in(value in any_json()) {
        let Ok(draft) = serde_json::from_value::<candor_annotate::answer::Draft>(value) else {
            return Ok(());
        };
        let kept = serde_json::to_string(&draft).unwrap();
        prop_assert_eq!(serde_json::from_str::<candor_annotate::answer::Draft>(&kept).unwrap(), draft);
    }
}

//! What is refused, in OpenAI's shape and with the field's name.

use candor_serve::{ApiKeys, Models};
use serde_json::{Value, json};

use crate::site::{JSON, Reply, Site, bundle, question, settings};

fn error(reply: &Reply) -> Value {
    let error = reply.json()["error"].clone();
    assert!(
        error["message"].is_string() && error["type"].is_string(),
        "{error}"
    );
    error
}

#[test]
fn a_request_that_cannot_be_answered_says_which_field_and_why() {
    let site = Site::tiny();
    let long = json!([{"role": "user", "content": "Is it moving? ".repeat(2000)}]);
    for (more, status, param, code) in [
        (json!({"model": "gpt-4o"}), 404, "model", "model_not_found"),
        (
            json!({"tools": [{"type": "function"}]}),
            400,
            "tools",
            "unsupported_parameter",
        ),
        (
            json!({"temperature": 3}),
            400,
            "temperature",
            "invalid_value",
        ),
        (json!({"messages": []}), 400, "messages", "invalid_value"),
        (
            json!({"messages": long}),
            400,
            "messages",
            "context_length_exceeded",
        ),
    ] {
        for stream in [false, true] {
            let mut body = question(&more);
            body["stream"] = json!(stream);
            let reply = site.chat(&body);
            let error = error(&reply);
            assert_eq!(
                (reply.status, &error["param"], &error["code"]),
                (status, &json!(param), &json!(code)),
                "{error}"
            );
            assert_eq!(error["type"], "invalid_request_error");
        }
    }
    let path = "/v1/chat/completions";
    for (headers, body, status, code) in [
        (&[JSON][..], "{", 400, "not_json"),
        (&[("Content-Type", "text/plain")], "{}", 415, "not_json"),
        (&[], "{}", 415, "not_json"),
    ] {
        let reply = site.request("POST", path, headers, body);
        assert_eq!(
            (reply.status, error(&reply)["code"].as_str()),
            (status, Some(code))
        );
    }
    assert_eq!(error(&site.get("/v1/nothing"))["code"], "unknown_url");
    let wrong = site.get(path);
    assert_eq!(
        (wrong.status, error(&wrong)["code"].as_str()),
        (405, Some("wrong_method"))
    );
    // A body that says it is too large is refused before it is read.
    let reply = site.request("POST", path, &[JSON, ("Content-Length", "99999999")], "");
    assert!(reply.status == 413 || reply.status == 400, "{reply:?}");
}

#[test]
fn with_keys_every_question_needs_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, "sk-0123456789abcdef\n").unwrap();
    let mut settings = settings();
    settings.keys = Some(ApiKeys::read(&path).unwrap());
    let site = Site::of(Models::new("tiny", bundle()), settings);
    let models = |key: &str| {
        site.request(
            "GET",
            "/v1/models",
            &[("Authorization", key), ("Host", "any.example")],
            "",
        )
    };
    assert_eq!(models("Bearer sk-0123456789abcdef").status, 200);
    assert_eq!(models("bearer sk-0123456789abcdef").status, 200);
    for wrong in [
        "Bearer sk-0123456789abcdeg",
        "Basic sk-0123456789abcdef",
        "sk-0123456789abcdef",
        "Bearer ",
    ] {
        let reply = models(wrong);
        assert_eq!(reply.status, 401, "{wrong}");
        assert!(
            reply.head.contains("www-authenticate: bearer"),
            "{}",
            reply.head
        );
        assert_eq!(error(&reply)["type"], "authentication_error");
    }
    // The page and what machines look at need none.
    for open in ["/", "/health", "/ready", "/metrics"] {
        assert_eq!(site.get(open).status, 200, "{open}");
    }
}

#[test]
fn pages_of_other_sites_and_names_from_elsewhere_are_refused() {
    let site = Site::tiny();
    let ask = |headers: &[(&str, &str)]| site.request("GET", "/v1/models", headers, "").status;
    assert_eq!(ask(&[]), 200);
    assert_eq!(ask(&[("Origin", "http://localhost")]), 200);
    assert_eq!(ask(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(ask(&[("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(ask(&[("Host", "evil.example")]), 403);
}

#[test]
fn every_answer_tells_browsers_what_may_be_done_with_it() {
    let site = Site::tiny();
    for path in ["/", "/v1/models", "/nothing", "/health"] {
        let head = site.get(path).head;
        for line in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "x-request-id: req-",
        ] {
            assert!(head.contains(line), "{path}: {head}");
        }
    }
}

#[test]
fn models_are_listed() {
    let list = Site::tiny().get("/v1/models").json();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"][0]["id"], "tiny");
    let site = Site::of(Models::new("org/tiny", bundle()), settings());
    assert_eq!(site.get("/v1/models/org/tiny").json()["object"], "model");
    assert_eq!(site.get("/v1/models/org").status, 404);
}

#[test]
fn two_models_of_one_name_are_no_server() {
    let models = Models::new("tiny", bundle());
    let message = models
        .with_adapter("tiny", std::path::Path::new("x"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("two models are called `tiny`"),
        "{message}"
    );
}

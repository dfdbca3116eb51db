//! One list of routes, in the code, in `openapi.json` and in `docs/annotate-http.md`.

use std::collections::BTreeSet;

use candor_annotate::server::ROUTES;
use candor_annotate::store::Role;
use serde_json::{Value, json};

use crate::browser::Site;

fn openapi() -> Value {
    serde_json::from_str(include_str!("../../openapi.json")).expect("openapi.json is JSON")
}

#[test]
fn the_description_has_every_endpoint_and_no_other() {
    let described: BTreeSet<(String, String)> = openapi()["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods: Vec<String> = methods.as_object().unwrap().keys().cloned().collect();
            methods.into_iter().map(|method| (method, path.clone()))
        })
        .collect();
    let served: BTreeSet<(String, String)> = ROUTES
        .iter()
        .filter(|route| route.2)
        .map(|route| (route.0.to_owned(), route.1.to_owned()))
        .collect();
    assert_eq!(described, served);
}

#[test]
fn the_documentation_names_every_route() {
    let text = include_str!("../../../../docs/annotate-http.md");
    for (method, path, _) in ROUTES {
        let named = format!("{} {path}", method.to_uppercase());
        assert!(
            text.contains(&named),
            "docs/annotate-http.md lacks `{named}`"
        );
    }
}

/// Checks a value against a schema of `openapi.json`, as far as that uses the language of schemas.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return check(root, &root["components"]["schemas"][name], value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let choice = choices
            .iter()
            .find(|choice| (choice["type"] == "null") == value.is_null());
        return check(
            root,
            choice.unwrap_or_else(|| panic!("{at}: {value}")),
            value,
            at,
        );
    }
    if let Some(values) = schema["enum"].as_array() {
        assert!(
            values.contains(value),
            "{at}: {value} is none of {values:?}"
        );
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        other => panic!("{at}: no type in the schema: {other}"),
    };
    let is_number = kind == "integer" && allowed.contains(&"number");
    assert!(
        is_number || allowed.contains(&kind),
        "{at}: {kind} is none of {allowed:?}"
    );
    match value {
        Value::Array(values) => values
            .iter()
            .for_each(|value| check(root, &schema["items"], value, &format!("{at}[]"))),
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    fields.contains_key(name.as_str().unwrap()),
                    "{at}: {name} is missing"
                );
            }
            for (name, value) in fields {
                let described = &schema["properties"][name];
                let open = schema["properties"].is_null();
                assert!(
                    open || !described.is_null(),
                    "{at}: {name} is not described"
                );
                if !described.is_null() {
                    check(root, described, value, &format!("{at}.{name}"));
                }
            }
        }
        _ => {}
    }
}

/// Checks a reply against the schema of its route.
pub fn check_reply(method: &str, path: &str, value: &Value) {
    let root = openapi();
    let schema =
        &root["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"];
    assert!(!schema.is_null(), "{method} {path} has no schema");
    check(&root, schema, value, path);
}

#[tokio::test]
async fn answers_are_as_described() {
    let site = Site::open().await;
    let anna = site.session("anna", Role::Annotator).await;
    let bert = site.session("bert", Role::Annotator).await;
    let admin = site.session("admin", Role::Admin).await;
    for path in ["/api/me", "/api/project"] {
        check_reply("get", path, &site.get(path, &anna).await.json());
    }
    for (session, first) in [(&anna, "a"), (&bert, "b")] {
        loop {
            let claim = site.post("/api/claim", session, &json!({})).await.json();
            check_reply("post", "/api/claim", &claim);
            let Some(task) = claim["task"]["assignment"].as_str() else {
                break;
            };
            let shown = json!({"showing": task, "holding": []});
            check_reply(
                "post",
                "/api/heartbeat",
                &site.post("/api/heartbeat", session, &shown).await.json(),
            );
            let digits: String = task.chars().take(12).collect();
            let answer = json!({
                "submission": format!("00000000-0000-0000-0000-{digits}"), "first": first, "active_ms": 1,
                "marks": [{"answer": "a", "start": 0, "end": 1, "type": "object"}]
            });
            let receipt = site
                .post(&format!("/api/assignments/{task}/answer"), session, &answer)
                .await
                .json();
            check_reply("post", "/api/assignments/{assignment}/answer", &receipt);
        }
    }
    check_reply(
        "post",
        "/api/undo",
        &site.post("/api/undo", &bert, &json!({})).await.json(),
    );
    let queue = site.get("/api/adjudication", &admin).await.json();
    check_reply("get", "/api/adjudication", &queue);
    let item = queue["items"][0]["item"]
        .as_i64()
        .expect("a dispute: one sees left what the other sees right");
    let case = site
        .get(&format!("/api/adjudication/{item}"), &admin)
        .await
        .json();
    check_reply("get", "/api/adjudication/{item}", &case);
    for path in [
        "/api/admin/overview",
        "/api/admin/days",
        "/api/admin/quality",
        "/api/admin/people",
        "/api/admin/events",
    ] {
        check_reply("get", path, &site.get(path, &admin).await.json());
    }
    let invite = site
        .post(
            "/api/admin/invites",
            &admin,
            &json!({"role": "annotator", "hours": 1}),
        )
        .await
        .json();
    check_reply("post", "/api/admin/invites", &invite);
    let token = json!({"name": "a script", "scopes": ["read"], "days": 1});
    let token = site.post("/api/admin/tokens", &admin, &token).await.json();
    check_reply("post", "/api/admin/tokens", &token);
    let tokens = site.get("/api/admin/tokens", &admin).await.json();
    check_reply("get", "/api/admin/tokens", &tokens);
    let people = site.get("/api/admin/people", &admin).await.json();
    let person = people["people"][0]["person"].as_str().expect("somebody");
    let renewal = format!("/api/admin/people/{person}/renewal");
    let renewal = site.post(&renewal, &admin, &json!({})).await.json();
    check_reply("post", "/api/admin/people/{person}/renewal", &renewal);
}

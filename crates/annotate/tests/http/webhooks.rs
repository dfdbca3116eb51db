//! Webhooks: what they are told, how often, and where they may be.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_annotate::store::Role;
use ring::hmac;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::browser::Site;

const SECRET: &str = "what messages are signed with";

/// Somebody who is told.
struct Hearer {
    status: StatusCode,
    heard: Vec<(HeaderMap, String)>,
    /// Requests of the address that every answer leads to.
    n_elsewhere: usize,
}

type Shared = Arc<Mutex<Hearer>>;

async fn hear(
    State(hearer): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, [(&'static str, &'static str); 1]) {
    let mut hearer = hearer.lock().unwrap();
    hearer.heard.push((headers, body));
    (hearer.status, [("location", "/elsewhere")])
}

async fn elsewhere(State(hearer): State<Shared>) {
    hearer.lock().unwrap().n_elsewhere += 1;
}

/// A site that tells somebody everything.
async fn open() -> (Site, Shared, tempfile::TempDir) {
    let hearer = Arc::new(Mutex::new(Hearer {
        status: StatusCode::NO_CONTENT,
        heard: Vec::new(),
        n_elsewhere: 0,
    }));
    let router = Router::new()
        .route("/hook", post(hear))
        .route("/elsewhere", any(elsewhere))
        .with_state(Arc::clone(&hearer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the runtime of the test.
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}/hook");
    let (site, folder) = site(&url, "allow_private = true\n").await;
    (site, hearer, folder)
}

async fn site(url: &str, more: &str) -> (Site, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let table = format!(
        "[[webhook]]\nname = \"dash\"\nurl = {url:?}\nsecret_file = \"{}\"\n{more}",
        secret.display()
    );
    (Site::open_with(&table).await, folder)
}

/// Answers all that there is for somebody: for item `i` the answer that begins with `wanted(i)`.
async fn answer_all(site: &Site, session: &str, wanted: impl Fn(char) -> &'static str) {
    loop {
        let claim = site.post("/api/claim", session, &json!({})).await.json();
        let task = &claim["task"];
        let Some(assignment) = task["assignment"].as_str() else {
            return;
        };
        let left = task["answers"]["a"].as_str().unwrap();
        let item = left.chars().last().unwrap();
        let digits: String = assignment.chars().take(12).collect();
        let answer = json!({
            "submission": format!("00000000-0000-0000-0000-{digits}"), "active_ms": 1,
            "first": if left.contains(wanted(item)) { "a" } else { "b" }
        });
        let path = format!("/api/assignments/{assignment}/answer");
        assert_eq!(
            site.post(&path, session, &answer).await.status,
            StatusCode::OK
        );
    }
}

fn ids(heard: &[(HeaderMap, String)]) -> BTreeSet<String> {
    let id =
        |(headers, _): &(HeaderMap, String)| headers["webhook-id"].to_str().unwrap().to_owned();
    heard.iter().map(id).collect()
}

/// What was told, sorted: kind, item, state.
fn told(heard: &[(HeaderMap, String)]) -> Vec<(String, Value, Value)> {
    let mut told: Vec<_> = heard
        .iter()
        .map(|(_, body)| {
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["data"]["project"], "T <&> T");
            let kind = body["type"].as_str().unwrap().to_owned();
            (
                kind,
                body["data"]["name"].clone(),
                body["data"]["state"].clone(),
            )
        })
        .collect();
    told.sort_by_key(|(kind, name, _)| (kind.clone(), name.to_string()));
    told
}

#[tokio::test]
async fn what_happened_is_told_once_it_is_heard() {
    let (site, hearer, _folder) = open().await;
    let anna = site.session("anna", Role::Annotator).await;
    let bert = site.session("bert", Role::Annotator).await;
    let judge = site.session("judge", Role::Adjudicator).await;
    hearer.lock().unwrap().status = StatusCode::INTERNAL_SERVER_ERROR;
    answer_all(&site, &anna, |_| "one").await;
    assert_eq!(site.deliver().await, 0);
    assert!(
        hearer.lock().unwrap().heard.is_empty(),
        "no item has both answers"
    );
    answer_all(&site, &bert, |item| if item == '1' { "two" } else { "one" }).await;
    // Nobody listens: it is told again, after a while and under the same names.
    assert_eq!(site.deliver().await, 0);
    assert_eq!(site.deliver().await, 0);
    let first = std::mem::take(&mut hearer.lock().unwrap().heard);
    assert_eq!(
        told(&first),
        [
            (
                "item_decided".to_owned(),
                json!("work-0"),
                json!("complete")
            ),
            (
                "item_decided".to_owned(),
                json!("work-2"),
                json!("complete")
            ),
            (
                "item_disputed".to_owned(),
                json!("work-1"),
                json!("disputed")
            ),
        ]
    );
    hearer.lock().unwrap().status = StatusCode::NO_CONTENT;
    site.clock.pass(9_999);
    assert_eq!(site.deliver().await, 0);
    site.clock.pass(1);
    assert_eq!(site.deliver().await, 3);
    let second = std::mem::take(&mut hearer.lock().unwrap().heard);
    assert_eq!((ids(&second).len(), ids(&second)), (3, ids(&first)));
    site.clock.pass(3_600_000);
    assert_eq!(
        site.deliver().await,
        0,
        "nothing is told twice that was heard"
    );

    let queue = site.get("/api/adjudication", &judge).await.json();
    let path = format!("/api/adjudication/{}/decide", queue["items"][0]["item"]);
    let decided = site.post(&path, &judge, &json!({"first": "a"})).await;
    assert_eq!(decided.status, StatusCode::NO_CONTENT, "{}", decided.text());
    assert_eq!(site.deliver().await, 2);
    let third = std::mem::take(&mut hearer.lock().unwrap().heard);
    assert_eq!(
        told(&third),
        [
            ("item_decided".to_owned(), json!("work-1"), json!("decided")),
            ("project_finished".to_owned(), Value::Null, Value::Null),
        ]
    );

    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    for (headers, body) in &third {
        assert_eq!(headers["content-type"], "application/json");
        let text = |name: &str| headers[name].to_str().unwrap();
        // The clock began at 1 800 000 000 and went on for 10 seconds and an hour.
        assert_eq!(text("webhook-timestamp"), "1800003610");
        let signed = format!("{}.1800003610.{body}", text("webhook-id"));
        let signature = text("webhook-signature").strip_prefix("v1,").unwrap();
        let tag = STANDARD.decode(signature).unwrap();
        hmac::verify(&key, signed.as_bytes(), &tag).expect("signed with the secret");
        assert!(
            !body.contains("</script>"),
            "answers are not sent about: {body}"
        );
    }
}

#[tokio::test]
async fn what_nobody_hears_is_given_up_and_said() {
    let (site, hearer, _folder) = open().await;
    hearer.lock().unwrap().status = StatusCode::TEMPORARY_REDIRECT;
    for name in ["anna", "bert"] {
        let session = site.session(name, Role::Annotator).await;
        answer_all(&site, &session, |_| "one").await;
    }
    for _ in 0..19 {
        assert_eq!(site.deliver().await, 0);
        site.clock.pass(3_600_000);
    }
    let given_up = async || {
        let events = site.store.events(0).await.unwrap();
        events
            .iter()
            .filter(|event| event.kind == "webhook_given_up")
            .count()
    };
    assert_eq!(
        (given_up().await, hearer.lock().unwrap().heard.len()),
        (0, 4 * 19)
    );
    assert_eq!(site.deliver().await, 0);
    assert_eq!(
        (given_up().await, hearer.lock().unwrap().heard.len()),
        (4, 4 * 20)
    );
    site.clock.pass(24 * 3_600_000);
    assert_eq!(site.deliver().await, 0);
    let hearer = hearer.lock().unwrap();
    assert_eq!((hearer.heard.len(), hearer.n_elsewhere), (4 * 20, 0));
}

#[tokio::test]
async fn a_name_of_this_machine_is_not_told_unless_the_project_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (site, _folder) = site(&format!("https://localhost:{port}/"), "").await;
    for name in ["anna", "bert"] {
        let session = site.session(name, Role::Annotator).await;
        answer_all(&site, &session, |_| "one").await;
    }
    assert_eq!(site.deliver().await, 0);
    let asked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(asked.is_err(), "nobody has connected");
}

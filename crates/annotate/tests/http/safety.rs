//! What enemies try: other sites, other people's things, other people's roles.

use axum::body::Body;
use axum::http::StatusCode;
use candor_annotate::server::ROUTES;
use candor_annotate::store::Role;
use serde_json::json;

use crate::browser::{Site, request};

/// A route with something in its placeholders.
fn filled(path: &str) -> String {
    path.replace("{assignment}", "none")
        .replace("{item}", "1")
        .replace("{person}", "none")
        .replace("{token}", "none")
        .replace("{name}", "page.css")
}

#[tokio::test]
async fn other_sites_change_nothing() {
    let site = Site::open().await;
    let admin = site.session("admin", Role::Admin).await;
    for (method, path, _) in ROUTES.iter().filter(|route| route.0 != "get") {
        for headers in [
            vec![],
            vec![("origin", "https://evil.example")],
            vec![("origin", "null")],
            vec![
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://annotate.example"),
            ],
            vec![("sec-fetch-site", "same-site")],
        ] {
            let mut request = request(&method.to_uppercase(), &filled(path), &admin);
            request.headers_mut().unwrap().remove("origin");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let reply = site.send(request.body(Body::from("{}")).unwrap()).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (StatusCode::FORBIDDEN, "cross_site"),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_is_open_without_a_session_or_with_too_low_a_role() {
    let site = Site::open().await;
    let anna = site.session("anna", Role::Annotator).await;
    let judge = site.session("judge", Role::Adjudicator).await;
    for (method, path, is_api) in ROUTES {
        let public = !path.starts_with("/api") || path == "/api/openapi.json";
        if !is_api || public {
            continue;
        }
        let send = |session: String| {
            let site = &site;
            async move {
                site.send_json(&method.to_uppercase(), &filled(path), &session, "{}")
                    .await
            }
        };
        assert_eq!(
            send("made-up".into()).await.code(),
            "login_required",
            "{method} {path}"
        );
        let for_judges = path.starts_with("/api/adjudication") || path.starts_with("/api/items");
        let for_admins = path.starts_with("/api/admin");
        if for_judges || for_admins {
            assert_eq!(
                send(anna.clone()).await.code(),
                "forbidden",
                "{method} {path}"
            );
        }
        if for_admins {
            assert_eq!(
                send(judge.clone()).await.code(),
                "forbidden",
                "{method} {path}"
            );
        }
    }
    for page in ["/", "/guidelines", "/annotate", "/adjudicate", "/admin"] {
        let reply = site.get(page, "made-up").await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (StatusCode::SEE_OTHER, "/login"),
            "{page}"
        );
    }
    for page in ["/adjudicate", "/admin"] {
        assert_eq!(
            site.get(page, &anna).await.status,
            StatusCode::FORBIDDEN,
            "{page}"
        );
    }
}

#[tokio::test]
async fn every_answer_carries_the_policy() {
    let site = Site::open().await;
    let anna = site.session("anna", Role::Annotator).await;
    for path in [
        "/",
        "/login",
        "/annotate",
        "/guidelines",
        "/static/page.css",
        "/api/me",
        "/nowhere",
        "/api/openapi.json",
    ] {
        let reply = site.get(path, &anna).await;
        let policy = reply.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        let cache = if path.starts_with("/static") {
            "no-cache"
        } else {
            "no-store"
        };
        assert_eq!(reply.header("cache-control"), cache, "{path}");
    }
}

#[tokio::test]
async fn annotators_are_told_nothing_that_gives_an_answer_away() {
    let site = Site::open().await;
    let anna = site.session("anna", Role::Annotator).await;
    let mut said = String::new();
    for path in ["/api/me", "/api/project", "/annotate"] {
        said += &site.get(path, &anna).await.text();
    }
    let mut holding = Vec::new();
    loop {
        let reply = site
            .post("/api/claim", &anna, &json!({"holding": holding}))
            .await;
        said += &reply.text();
        match reply.json()["task"]["assignment"].as_str() {
            Some(task) => {
                let image = site
                    .get(&format!("/api/assignments/{task}/image/0"), &anna)
                    .await;
                let headers = format!("{:?}", image.headers);
                said += &headers;
                holding.push(task.to_owned());
            }
            None => break,
        }
    }
    for word in [
        "model-x", "model-y", "gold", "secret", "a.png", "images", "work-", "data set",
    ] {
        assert!(!said.contains(word), "{word} in {said}");
    }
}

#[tokio::test]
async fn images_belong_to_tasks_and_no_path_leads_elsewhere() {
    let site = Site::open().await;
    let anna = site.session("anna", Role::Annotator).await;
    let bert = site.session("bert", Role::Annotator).await;
    let judge = site.session("judge", Role::Adjudicator).await;
    let claim = site.post("/api/claim", &anna, &json!({})).await.json();
    let path = claim["task"]["image"][0].as_str().unwrap().to_owned();
    let image = site.get(&path, &anna).await;
    assert_eq!(
        (image.status, image.header("content-type")),
        (StatusCode::OK, "image/png")
    );
    assert!(image.body.starts_with(b"\x89PNG"));
    assert_eq!(site.get(&path, &bert).await.code(), "not_found");
    assert_eq!(
        site.get("/api/items/1/image/0", &judge).await.status,
        StatusCode::OK
    );
    for path in [
        "/static/..%2f..%2fCargo.toml",
        "/static/%2e%2e/Cargo.toml",
        "/static/../Cargo.toml",
        "/api/assignments/..%2f..%2fa.png/image/0",
        "/api/items/999/image/0",
        "/api/items/-1/image/0",
    ] {
        assert_eq!(
            site.get(path, &judge).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_administrators_and_people_write_is_text() {
    let site = Site::open().await;
    let anna = site.session("<img src=x>", Role::Annotator).await;
    let page = site.get("/guidelines", &anna).await.text();
    assert!(page.contains("&lt;script&gt;"), "{page}");
    for bad in ["<script>alert", "<img src=x", "=\"javascript:", "T <&> T"] {
        assert!(!page.contains(bad), "{bad} in {page}");
    }
}

#[tokio::test]
async fn no_answer_is_taken_about_a_image_that_cannot_be_shown() {
    let site = Site::open().await;
    let (anna, bert) = (
        site.session("anna", Role::Annotator).await,
        site.session("bert", Role::Annotator).await,
    );
    let judge = site.session("judge", Role::Adjudicator).await;
    let answer = |n: u8| {
        json!({
            "submission": format!("00000000-0000-4000-8000-0000000000{n:02}"), "first": "a", "active_ms": 900
        })
    };
    let claim = async |session: &str| {
        let claimed = site.post("/api/claim", session, &json!({})).await.json();
        claimed["task"]["assignment"].as_str().unwrap().to_owned()
    };
    let (seen, unseen) = (claim(&anna).await, claim(&bert).await);
    let path = format!("/api/assignments/{seen}/image/0");
    assert_eq!(site.get(&path, &anna).await.status, 200);
    let image = site.folder().join("images/a.png");
    let whole = std::fs::read(&image).unwrap();
    std::fs::remove_file(&image).unwrap();

    let path = format!("/api/assignments/{unseen}/image/0");
    let reply = site.get(&path, &bert).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (409, "no_image")
    );
    let path = format!("/api/assignments/{unseen}/answer");
    let reply = site.post(&path, &bert, &answer(1)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (409, "no_image")
    );
    let reply = site
        .post("/api/adjudication/1/decide", &judge, &json!({"first": "a"}))
        .await;
    assert_eq!(reply.code(), "no_image");
    // Who saw it before may say so.
    let seen = format!("/api/assignments/{seen}/answer");
    assert_eq!(site.post(&seen, &anna, &answer(2)).await.status, 200);

    std::fs::write(&image, whole).unwrap();
    assert_eq!(site.post(&path, &bert, &answer(1)).await.status, 200);
}

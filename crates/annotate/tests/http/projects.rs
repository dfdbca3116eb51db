//! Several projects on one server: they share its address and nothing else.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use candor_annotate::store::Role;

use crate::browser::{PUBLIC_URL, Reply, Site};

async fn two() -> (Site, Site) {
    let mut kitchens = Site::open_at("path = \"kitchens\"\n", "").await;
    let mut streets = Site::open_at("path = \"streets\"\n", "").await;
    Site::on_one_server(&mut kitchens, &mut streets);
    (kitchens, streets)
}

async fn ask(site: &Site, method: &str, path: &str, cookie: &str, form: &'static str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("origin", PUBLIC_URL)
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded");
    site.send(request.body(Body::from(form)).unwrap()).await
}

#[tokio::test]
async fn each_lies_below_its_path_and_the_start_lists_them() {
    let (site, _streets) = two().await;
    let start = ask(&site, "GET", "/", "", "").await;
    assert_eq!(start.status, StatusCode::OK);
    for link in ["href=\"/kitchens\"", "href=\"/streets\""] {
        assert!(start.text().contains(link), "{link} in {}", start.text());
    }
    assert!(!start.text().contains("T <&> T"));
    assert!(
        start
            .header("content-security-policy")
            .contains("default-src 'none'")
    );
    for path in [
        "/healthz",
        "/readyz",
        "/static/page.css",
        "/kitchens/readyz",
        "/streets/static/api.js",
    ] {
        assert_eq!(
            ask(&site, "GET", path, "", "").await.status,
            StatusCode::OK,
            "{path}"
        );
    }
    for path in [
        "/login",
        "/api/me",
        "/kitchen",
        "/kitchens/nowhere",
        "/kitchens/static/..%2fCargo.toml",
    ] {
        let reply = ask(&site, "GET", path, "", "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
    }
    for (path, leads) in [
        ("/kitchens/", "/kitchens"),
        ("/kitchens", "/kitchens/login"),
        ("/streets/annotate", "/streets/login"),
    ] {
        let reply = ask(&site, "GET", path, "", "").await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (StatusCode::SEE_OTHER, leads)
        );
    }
    let login = ask(&site, "GET", "/kitchens/login", "", "").await.text();
    assert!(
        login.contains("action=\"/kitchens/login\"")
            && login.contains("\"/kitchens/static/page.css\"")
    );
    assert!(
        !login.contains("=\"/static") && !login.contains("=\"/login"),
        "{login}"
    );
}

#[tokio::test]
async fn who_is_somebody_in_one_is_nobody_in_the_other() {
    let (kitchens, streets) = two().await;
    let (secret, _) = kitchens.store.invite(Role::Admin, 1, None).await.unwrap();
    let form = "name=Anna&password=0123456789";
    let elsewhere = format!("/streets/invite/{secret}");
    assert_eq!(
        ask(&streets, "POST", &elsewhere, "", form).await.status,
        StatusCode::NOT_FOUND
    );
    let joined = ask(
        &kitchens,
        "POST",
        &format!("/kitchens/invite/{secret}"),
        "",
        form,
    )
    .await;
    assert_eq!(
        (joined.status, joined.header("location")),
        (StatusCode::SEE_OTHER, "/kitchens")
    );
    let (pair, rules) = joined.header("set-cookie").split_once("; ").unwrap();
    assert_eq!(rules, "Path=/; HttpOnly; SameSite=Lax; Secure");
    let session = pair.strip_prefix("__Host-candor.kitchens=").unwrap();
    let me = ask(&kitchens, "GET", "/kitchens/api/me", pair, "").await;
    assert_eq!(me.json()["role"], "admin");
    for name in [
        "__Host-candor.kitchens",
        "__Host-candor.streets",
        "__Host-candor",
    ] {
        let cookie = format!("{name}={session}");
        let reply = ask(&streets, "GET", "/streets/api/me", &cookie, "").await;
        assert_eq!(reply.code(), "login_required", "{name}");
    }
    // Links that are made lead to the project.
    let request = Request::builder()
        .method("POST")
        .uri("/kitchens/api/admin/invites")
        .header("origin", PUBLIC_URL)
        .header("cookie", pair)
        .header("content-type", "application/json");
    let body = Body::from("{\"role\": \"annotator\", \"hours\": 1}");
    let made = kitchens.send(request.body(body).unwrap()).await.json();
    let link = made["link"].as_str().unwrap();
    assert!(
        link.starts_with("https://annotate.example/kitchens/invite/"),
        "{link}"
    );
    assert!(streets.store.is_deserted().await.unwrap());
}

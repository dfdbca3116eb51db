//! What the page is answered: curves, samples and images, and nothing else of the machine.

use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use candor_watch::{Watch, router};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// A PNG of one pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 0, 0, 0, 0,
];

fn run(folder: &Path) {
    let images = folder.join("data/images");
    std::fs::create_dir_all(&images).unwrap();
    std::fs::create_dir_all(folder.join("run/samples")).unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(folder.join(name), text).unwrap();
    let recipe = format!(
        "[run]\nsteps = 3\n[data]\nroot = \"{}\"\nimages = \"images\"\n",
        folder.join("data").display()
    );
    write("run/resolved.toml", recipe.as_bytes());
    write(
        "run/metrics.jsonl",
        b"{\"step\":1,\"kl_mean\":0.5}\n{\"step\":2,\"kl_mean\":1.5}\n",
    );
    write(
        "run/timings.jsonl",
        b"{\"step\":1,\"secs\":2.0,\"phase_secs\":{\"update\":1.25}}\n",
    );
    write(
        "run/samples/step-2.jsonl",
        b"{\"id\":\"a\",\"image\":\"x.png\",\"response\":\"<b>\"}\n",
    );
    write("data/images/x.png", PNG);
    write("data/images/notes.txt", b"no image");
    write("data/secret.png", PNG);
}

async fn get(folder: &Path, path: &str) -> (StatusCode, Vec<u8>) {
    let watch = Watch::open(vec![folder.join("run")]).unwrap();
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(watch, false).oneshot(request).await.unwrap();
    assert!(
        response.headers().contains_key("content-security-policy"),
        "{path}"
    );
    let status = response.status();
    (
        status,
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
}

#[tokio::test]
async fn a_name_that_was_pointed_here_is_refused_where_only_this_machine_may_look() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let watch = Watch::open(vec![dir.path().join("run")]).unwrap();
    for (own_names, host, status) in [
        (true, "localhost:8321", StatusCode::OK),
        (true, "127.0.0.1:8321", StatusCode::OK),
        (true, "evil.example:8321", StatusCode::FORBIDDEN),
        (false, "evil.example:8321", StatusCode::OK),
    ] {
        for path in ["/", "/api/runs"] {
            let request = Request::get(path).header("host", host);
            let request = request.body(Body::empty()).unwrap();
            let router = router(watch.clone(), own_names);
            let response = router.oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{own_names} {host} {path}");
        }
    }
    let nameless = Request::get("/").body(Body::empty()).unwrap();
    let response = router(watch, true).oneshot(nameless).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

async fn json(folder: &Path, path: &str) -> Value {
    let (status, body) = get(folder, path).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn a_run_is_told_with_its_curves_and_samples() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let runs = json(dir.path(), "/api/runs").await;
    let only = &runs[0];
    assert_eq!(
        (&only["name"], &only["stage"]),
        (&"run".into(), &"rl".into())
    );
    assert_eq!(
        (&only["step"], &only["n_steps"], &only["secs_left"]),
        (&2.into(), &3.into(), &2.0.into())
    );
    assert_eq!(only["phases"]["update"], 1.25);
    let curves = json(dir.path(), "/api/runs/0/curves").await;
    assert_eq!(curves["metrics"]["steps"], serde_json::json!([1, 2]));
    assert_eq!(
        curves["metrics"]["columns"]["kl_mean"],
        serde_json::json!([0.5, 1.5])
    );
    let samples = json(dir.path(), "/api/runs/0/samples?step=7").await;
    assert_eq!(samples["step"], 2);
    assert_eq!(samples["samples"][0]["response"], "<b>");
    let (status, page) = get(dir.path(), "/").await;
    assert!(status == StatusCode::OK && page.starts_with(b"<!doctype html>"));
    for name in [
        "watch.js",
        "charts.js",
        "element.js",
        "figures.js",
        "watch.css",
        "icon.svg",
    ] {
        assert_eq!(
            get(dir.path(), &format!("/static/{name}")).await.0,
            StatusCode::OK,
            "{name}"
        );
    }
}

#[tokio::test]
async fn only_images_of_the_run_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let (status, bytes) = get(dir.path(), "/api/runs/0/image?name=x.png").await;
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, PNG));
    let absolute = format!(
        "/api/runs/0/image?name={}",
        dir.path().join("data/secret.png").display()
    );
    for path in [
        "/api/runs/0/image?name=../secret.png",
        "/api/runs/0/image?name=..%2Fsecret.png",
        absolute.as_str(),
        "/api/runs/0/image?name=notes.txt",
        "/api/runs/0/image?name=",
        "/api/runs/0/image?name=none.png",
        "/api/runs/7/image?name=x.png",
        "/api/runs/7/curves",
        "/api/runs/7/samples",
        "/static/..%2F..%2FCargo.toml",
        "/static/none.js",
    ] {
        assert_eq!(
            get(dir.path(), path).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

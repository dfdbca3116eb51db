//! Tokens of programs: what one opens, what it does not, and how it ends.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use candor_annotate::server::ROUTES;
use candor_annotate::store::Role;
use serde_json::{Value, json};

use crate::browser::{Reply, Site};

/// A request as a script sends it: no cookie, no origin.
async fn ask(site: &Site, method: &str, path: &str, token: &str, body: impl Into<Body>) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    site.send(request.body(body.into()).unwrap()).await
}

/// The public name and the secret of a new token.
async fn token(site: &Site, admin: &str, scopes: &[&str], days: Option<u32>) -> (String, String) {
    let body = json!({"name": "nightly", "scopes": scopes, "days": days});
    let made = site.post("/api/admin/tokens", admin, &body).await.json();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("token"), text("secret"))
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say_and_nothing_else() {
    let site = Site::open().await;
    let admin = site.session("admin", Role::Admin).await;
    let open = [
        ("get", "/api/admin/overview", "read"),
        ("get", "/api/admin/quality", "read"),
        ("get", "/api/admin/days", "read"),
        ("get", "/api/admin/days.csv", "read"),
        ("post", "/api/admin/import", "import"),
        ("post", "/api/admin/images", "import"),
        ("get", "/api/admin/export", "export"),
        ("get", "/api/admin/events", "export"),
    ];
    for scope in ["read", "import", "export"] {
        let (_, secret) = token(&site, &admin, &[scope], None).await;
        for (method, path, _) in ROUTES.iter().filter(|route| route.1.starts_with("/api/")) {
            if *path == "/api/openapi.json" {
                continue;
            }
            let filled = path.replace("{assignment}", "x").replace("{item}", "1");
            let filled = filled.replace("{person}", "x").replace("{token}", "x");
            let reply = ask(&site, &method.to_uppercase(), &filled, &secret, "{}").await;
            let needed = open.iter().find(|one| (one.0, one.1) == (*method, *path));
            match needed {
                None => assert_eq!(reply.code(), "login_required", "{method} {path}"),
                Some((_, _, needed)) if *needed != scope => {
                    assert_eq!(reply.code(), "scope_missing", "{method} {path} for {scope}");
                }
                Some(_) => assert!(
                    !matches!(reply.status.as_u16(), 401 | 403 | 500..),
                    "{method} {path} for {scope}: {}",
                    reply.text()
                ),
            }
        }
        // Pages are for people.
        let page = ask(&site, "GET", "/admin", &secret, "").await;
        assert_eq!(page.header("location"), "/login");
        let form = ask(&site, "POST", "/logout", &secret, "").await;
        assert_eq!(form.code(), "cross_site");
    }
}

#[tokio::test]
async fn a_cookie_does_not_count_beside_a_token() {
    let site = Site::open().await;
    let admin = site.session("admin", Role::Admin).await;
    let (_, secret) = token(&site, &admin, &["read"], None).await;
    for secret in [secret.as_str(), "candor_0"] {
        let request = Request::builder()
            .method("POST")
            .uri("/api/admin/pause")
            .header("authorization", format!("Bearer {secret}"))
            .header("cookie", format!("__Host-candor={admin}"))
            .header("content-type", "application/json");
        let body = Body::from("{\"paused\": true}");
        let reply = site.send(request.body(body).unwrap()).await;
        assert_eq!(reply.code(), "login_required");
    }
    let overview = site.get("/api/admin/overview", &admin).await.json();
    assert_eq!(overview["paused_at"], Value::Null);
}

#[tokio::test]
async fn tokens_end() {
    let site = Site::open().await;
    let admin = site.session("admin", Role::Admin).await;
    let (public, revoked) = token(&site, &admin, &["read"], None).await;
    let (_, short) = token(&site, &admin, &["read"], Some(1)).await;
    let path = "/api/admin/overview";
    for secret in [&revoked, &short] {
        assert!(secret.starts_with("candor_") && secret.len() == 71);
        let reply = ask(&site, "GET", path, secret, "").await;
        assert_eq!(reply.json()["n_items"], 3);
    }
    let listed = site.get("/api/admin/tokens", &admin).await;
    assert_eq!(listed.json()["tokens"].as_array().unwrap().len(), 2);
    let events = site.get("/api/admin/events", &admin).await.text();
    for secret in [&revoked, &short] {
        assert!(!listed.text().contains(secret) && !events.contains(secret));
    }
    let revoke = format!("/api/admin/tokens/{public}/revoke");
    let done = site.post(&revoke, &admin, &json!({})).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    let twice = site.post(&revoke, &admin, &json!({})).await;
    assert_eq!(twice.code(), "not_found");
    assert_eq!(
        ask(&site, "GET", path, &revoked, "").await.code(),
        "unknown_token"
    );
    assert_eq!(
        ask(&site, "GET", path, &short, "").await.status,
        StatusCode::OK
    );
    site.clock.pass(24 * 3_600_000);
    assert_eq!(
        ask(&site, "GET", path, &short, "").await.code(),
        "unknown_token"
    );
    assert_eq!(
        ask(&site, "GET", path, "candor_no", "").await.code(),
        "unknown_token"
    );
}

#[tokio::test]
async fn a_token_is_as_good_as_whoever_made_it() {
    let site = Site::open().await;
    let boss = site.session("boss", Role::Admin).await;
    let other = site.session("other", Role::Admin).await;
    let (_, secret) = token(&site, &other, &["read"], None).await;
    let people = site.get("/api/admin/people", &boss).await.json();
    let person = &people["people"][1];
    assert_eq!(person["name"], "other");
    let path = format!("/api/admin/people/{}", person["person"].as_str().unwrap());
    let change = json!({"role": "adjudicator", "disabled": null, "retrain": null});
    let changed = site.post(&path, &boss, &change).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text());
    let reply = ask(&site, "GET", "/api/admin/overview", &secret, "").await;
    assert_eq!(reply.code(), "unknown_token");
    // What nobody sees in the list does not come back with the role either.
    let change = json!({"role": "admin", "disabled": null, "retrain": null});
    let changed = site.post(&path, &boss, &change).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text());
    let reply = ask(&site, "GET", "/api/admin/overview", &secret, "").await;
    assert_eq!(reply.code(), "unknown_token");
    let listed = site.get("/api/admin/tokens", &boss).await;
    assert_eq!(listed.json()["tokens"], json!([]));
}

#[tokio::test]
async fn rows_come_in_by_the_rules_of_the_project() {
    let site = Site::open_with(
        "[[import]]\nfile = \"rows.json\"\nformat = \"llava\"\nimages = \"images\"\n",
    )
    .await;
    let admin = site.session("admin", Role::Admin).await;
    let (_, secret) = token(&site, &admin, &["import", "read"], None).await;
    let row = |id: &str, image: &str| {
        json!({
            "id": id, "image": image,
            "conversations": [
                {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cup."}
            ],
            "output_1": {"from": "gpt", "value": "A cup."},
            "output_2": {"from": "gpt", "value": "A cat."},
            "preference": 1, "hallucination": false
        })
    };
    let send = async |like: &str, rows: Value| {
        let path = format!("/api/admin/import{like}");
        ask(&site, "POST", &path, &secret, rows.to_string()).await
    };
    let rows = json!([row("n-1", "a.png"), row("n-2", "a.png")]);
    let done = send("", rows.clone()).await;
    assert_eq!(
        done.json(),
        json!({"n_new": 2, "n_equal": 0, "left_behind": null}),
        "{}",
        done.text()
    );
    assert_eq!(send("?like=rows.json", rows).await.json()["n_new"], 0);
    let overview = ask(&site, "GET", "/api/admin/overview", &secret, "").await;
    assert_eq!(overview.json()["n_items"], 5);

    let many: Value = (0..2001).map(|i| row(&format!("m-{i}"), "a.png")).collect();
    // An image that is not there, one that leads elsewhere, another import, no row at all, too many: nothing of it is taken.
    for (like, rows, word) in [
        (
            "",
            json!([row("n-3", "a.png"), row("n-4", "no.png")]),
            "no.png",
        ),
        ("", json!([row("n-5", "../p.toml")]), "p.toml"),
        (
            "?like=other.json",
            json!([row("n-6", "a.png")]),
            "other.json",
        ),
        ("", json!([]), "body"),
        ("", many, "2001 rows"),
    ] {
        let reply = send(like, rows).await;
        assert_eq!(reply.code(), "invalid", "{}", reply.text());
        assert!(reply.text().contains(word), "{word} in {}", reply.text());
        let place = site.folder().to_str().unwrap();
        assert!(!reply.text().contains(place), "{}", reply.text());
    }
    let overview = ask(&site, "GET", "/api/admin/overview", &secret, "").await;
    assert_eq!(overview.json()["n_items"], 5);
    let kept = std::fs::read_dir(site.folder().join("uploads")).unwrap();
    assert_eq!(kept.count(), 1, "what was refused is not kept");
}

#[tokio::test]
async fn what_of_another_tools_file_is_left_behind_is_said_in_the_answer() {
    let site = Site::open_with(
        "[[import]]\nfile = \"tasks.json\"\nformat = \"label_studio\"\nimages = \"images\"\n",
    )
    .await;
    let admin = site.session("admin", Role::Admin).await;
    let (_, secret) = token(&site, &admin, &["import"], None).await;
    let tasks = json!([{
        "id": 1,
        "data": {"question": "No image?", "answer_a": "Yes.", "answer_b": "No.", "model": "m"},
        "predictions": [{"result": []}]
    }]);
    let path = "/api/admin/import";
    let done = ask(&site, "POST", path, &secret, tasks.to_string()).await;
    let words = "left behind, by name and number: data.model (1), predictions (1)";
    assert_eq!(
        done.json(),
        json!({"n_new": 1, "n_equal": 0, "left_behind": words}),
        "{}",
        done.text()
    );
}

#[tokio::test]
async fn images_come_in_before_the_rows_that_name_them() {
    let site = Site::open_with(
        "[[import]]\nfile = \"rows.json\"\nformat = \"llava\"\nimages = \"images\"\n",
    )
    .await;
    let admin = site.session("admin", Role::Admin).await;
    let (_, secret) = token(&site, &admin, &["import"], None).await;
    let png = |width| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = image::RgbImage::new(width, 2);
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let send = async |query: &str, bytes: Vec<u8>| {
        let path = format!("/api/admin/images{query}");
        ask(&site, "POST", &path, &secret, bytes).await
    };
    for _ in 0..2 {
        let kept = send("?name=new/b.png", png(3)).await;
        assert_eq!(
            kept.json(),
            json!({"image": "new/b.png"}),
            "{}",
            kept.text()
        );
    }
    assert_eq!(
        std::fs::read(site.folder().join("images/new/b.png")).unwrap(),
        png(3)
    );
    let named = send("", png(4)).await.json()["image"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(named.len() == 68 && named.contains(".png"), "{named}");
    for (query, bytes, word) in [
        ("?name=new/b.png", png(5), "another image is"),
        ("?name=../b.png", png(3), "no name in the folder"),
        ("?name=%2Ftmp%2Fb.png", png(3), "no name in the folder"),
        ("?name=new", png(3), "no name in the folder"),
        ("?name=a%00.png", png(3), "no name in the folder"),
        ("?name=c.png", b"<svg/>".to_vec(), "c.png"),
        ("?name=c.png", png(3)[..40].to_vec(), "c.png"),
        ("?name=c.png", Vec::new(), "empty"),
        ("?name=a.png/c.png", png(3), "name"),
    ] {
        let reply = send(query, bytes).await;
        assert_eq!(reply.code(), "invalid", "{query}: {}", reply.text());
        assert!(reply.text().contains(word), "{word} in {}", reply.text());
    }
    assert!(!site.folder().join("images/c.png").exists());
    assert!(!site.folder().join("b.png").exists());
    let rows = json!([{
        "id": "n-1", "image": "new/b.png",
        "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cup."}],
        "output_1": {"from": "gpt", "value": "A cup."},
        "output_2": {"from": "gpt", "value": "A cat."},
        "preference": 1, "hallucination": false
    }]);
    let done = ask(
        &site,
        "POST",
        "/api/admin/import",
        &secret,
        rows.to_string(),
    )
    .await;
    assert_eq!(done.json()["n_new"], 1, "{}", done.text());
}

/// Everywhere `new` instead of `old`, which is as long.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(old) {
            bytes[at..at + new.len()].copy_from_slice(new);
        }
    }
    bytes
}

#[tokio::test]
async fn what_is_refused_leaves_no_image() {
    let open = async |images: &str| {
        let site = Site::open_with(&format!(
            "[[import]]\nfile = \"rows.parquet\"\nformat = \"trl_parquet\"\nimages = {images:?}\n"
        ))
        .await;
        let admin = site.session("admin", Role::Admin).await;
        let (_, secret) = token(&site, &admin, &["import"], None).await;
        (site, secret)
    };
    let rows = include_bytes!("../imports/trl.parquet");
    let (site, secret) = open("images").await;
    let send = async |bytes: Vec<u8>| ask(&site, "POST", "/api/admin/import", &secret, bytes).await;
    let images = || {
        let names = std::fs::read_dir(site.folder().join("images")).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "a.png")
            .collect();
        names.sort();
        names
    };
    let damaged = send(replaced(rows, b"IHDR", b"IHDX")).await;
    assert_eq!(damaged.code(), "invalid", "{}", damaged.text());
    assert!(images().is_empty(), "{:?}", images());

    let done = send(rows.to_vec()).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
    let kept = images();
    assert!(!kept.is_empty());
    // Other content under the same names: what was there stays, and nothing comes.
    let other = replaced(rows, b"A cup.", b"A cow.");
    let changed = send(other.clone()).await;
    assert!(
        changed.text().contains("other content"),
        "{}",
        changed.text()
    );
    assert_eq!(images(), kept);
    for name in &kept {
        std::fs::remove_file(site.folder().join("images").join(name)).unwrap();
    }
    assert_eq!(send(other).await.code(), "invalid");
    assert!(images().is_empty(), "{:?}", images());

    // That no image can be written is not the sender's affair.
    let (site, secret) = open("a.sqlite").await;
    let refused = ask(&site, "POST", "/api/admin/import", &secret, rows.to_vec()).await;
    assert_eq!(refused.code(), "internal");
}

#[tokio::test]
async fn an_image_that_is_not_at_the_url_is_the_senders_affair() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/photos", listener.local_addr().unwrap());
    // It ends with the runtime of the test.
    tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
    let site = Site::open_with(&format!(
        "[[import]]\nfile = \"rows.jsonl\"\nformat = \"trl\"\nimages = {url:?}\n"
    ))
    .await;
    let admin = site.session("admin", Role::Admin).await;
    let (_, secret) = token(&site, &admin, &["import"], None).await;
    let row = json!({"images": ["no.png"], "prompt": [{"role": "user", "content": "What?"}], "chosen": "A cup.", "rejected": "A cat."});
    let reply = ask(&site, "POST", "/api/admin/import", &secret, row.to_string()).await;
    assert_eq!(reply.code(), "invalid", "{}", reply.text());
    assert!(reply.text().contains("no.png") && !reply.text().contains(&url));
}

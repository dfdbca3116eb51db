//! Tasks about several images: each has an address, and all of them must be seen.

use candor_annotate::project::Kind;
use candor_annotate::store::Role;
use candor_data::Turn;
use serde_json::json;

use crate::browser::{Site, item};

#[tokio::test]
async fn every_image_is_sent_before_an_answer_counts() {
    let site = Site::open().await;
    let [a, b] = ["a.png", "b.png"].map(|name| site.folder().join("images").join(name));
    let whole = std::fs::read(&a).unwrap();
    std::fs::write(&b, &whole).unwrap();
    let mut both = item(Kind::Work, 9);
    both.image = Some("a.png\nb.png".into());
    both.turns = vec![Turn::human("<image>\n<image>\nWhich is larger?")];
    both.rank = -1;
    site.store.import(site.folder(), vec![both]).await.unwrap();
    let anna = site.session("anna", Role::Annotator).await;
    let mut holding = Vec::new();
    // The first that is no gold.
    let task = loop {
        let claim = json!({"holding": holding});
        let task = site.post("/api/claim", &anna, &claim).await.json()["task"].clone();
        let name = task["assignment"].as_str().expect("a task").to_owned();
        if task["image"].as_array().unwrap().len() == 2 {
            break task;
        }
        holding.push(name);
    };
    let name = task["assignment"].as_str().unwrap();
    let image = |number: usize| format!("/api/assignments/{name}/image/{number}");
    assert_eq!(task["image"], json!([image(0), image(1)]));
    assert_eq!(
        task["turns"][0]["text"],
        "[Image 1]\n[Image 2]\nWhich is larger?"
    );
    let path = format!("/api/assignments/{name}/answer");
    let answer = json!({
        "submission": "00000000-0000-4000-8000-000000000001", "first": "a", "active_ms": 900
    });

    assert_eq!(site.get(&image(0), &anna).await.status, 200);
    assert_eq!(site.get(&image(2), &anna).await.code(), "not_found");
    std::fs::remove_file(&b).unwrap();
    assert_eq!(site.get(&image(1), &anna).await.code(), "no_image");
    let reply = site.post(&path, &anna, &answer).await;
    assert_eq!(reply.code(), "no_image", "the second was not seen");
    std::fs::write(&b, whole).unwrap();
    assert_eq!(site.get(&image(1), &anna).await.status, 200);
    std::fs::remove_file(&a).unwrap();
    std::fs::remove_file(&b).unwrap();
    let reply = site.post(&path, &anna, &answer).await;
    assert_eq!(reply.status, 200, "both were seen: {}", reply.text());
}

#[tokio::test]
async fn a_number_that_no_image_has_takes_no_item_away() {
    let site = Site::open().await;
    let training = vec![item(Kind::Training, 0)];
    site.store.import(site.folder(), training).await.unwrap();
    let anna = site.session("anna", Role::Annotator).await;
    let admin = site.session("admin", Role::Admin).await;
    let claimed = site.post("/api/claim", &anna, &json!({})).await.json();
    assert_eq!(claimed["task"]["kind"], "training");
    let name = claimed["task"]["assignment"].as_str().unwrap();
    let path = format!("/api/assignments/{name}/image/1");
    assert_eq!(site.get(&path, &anna).await.code(), "not_found");
    let overview = site.get("/api/admin/overview", &admin).await.json();
    assert_eq!(overview["unshown"], json!([]));
}

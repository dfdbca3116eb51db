//! Training items whose image cannot be shown keep nobody from the work.

use candor_annotate::project::Kind;
use candor_annotate::store::Role;
use serde_json::{Value, json};

use crate::browser::{Site, item};

/// Adds training items, each with the image named.
async fn add_training(site: &Site, images: &[&str]) {
    let items = images.iter().enumerate().map(|(i, image)| {
        let mut item = item(Kind::Training, i);
        item.image = Some((*image).into());
        item
    });
    let added = site.store.import(site.folder(), items.collect()).await;
    assert_eq!(added.unwrap(), images.len());
}

async fn claim(site: &Site, session: &str) -> Value {
    site.post("/api/claim", session, &json!({})).await.json()
}

/// Gives the right answer, which is the output that says "one".
async fn answer(site: &Site, session: &str, claimed: &Value, n: u8) -> Value {
    let task = &claimed["task"];
    let is_left = task["answers"]["a"].as_str().unwrap().contains("one");
    let path = format!(
        "/api/assignments/{}/answer",
        task["assignment"].as_str().unwrap()
    );
    let answer = json!({
        "submission": format!("00000000-0000-4000-8000-0000000000{n:02}"),
        "first": if is_left { "a" } else { "b" }, "active_ms": 900
    });
    let reply = site.post(&path, session, &answer).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn unshown(site: &Site, admin: &str) -> Vec<Value> {
    let overview = site.get("/api/admin/overview", admin).await.json();
    let unshown = overview["unshown"].as_array().unwrap();
    unshown.iter().map(|item| item["name"].clone()).collect()
}

#[tokio::test]
async fn what_cannot_be_shown_belongs_to_no_round() {
    let site = Site::open().await;
    std::fs::write(site.folder().join("images/broken.png"), "no image").unwrap();
    add_training(&site, &["broken.png", "a.png", "missing.png", "a.png"]).await;
    let anna = site.session("anna", Role::Annotator).await;
    let admin = site.session("admin", Role::Admin).await;
    // The pass mark is 1.0: one item that counted as failed would be too much.
    for n in 0..2 {
        let claimed = claim(&site, &anna).await;
        assert_eq!(claimed["task"]["kind"], "training", "{claimed}");
        assert_eq!(claimed["task"]["training"]["n_done"], n);
        let feedback = answer(&site, &anna, &claimed, n).await["feedback"].clone();
        let passed = (n == 1).then_some(true);
        assert_eq!(feedback["result"]["passed"].as_bool(), passed);
    }
    assert_eq!(claim(&site, &anna).await["task"]["kind"], "work");
    assert_eq!(unshown(&site, &admin).await, ["training-0", "training-2"]);
    let metrics = site.get("/metrics", &admin).await.text();
    assert!(
        metrics.contains("candor_annotate_items_passed_over 2\n"),
        "{metrics}"
    );
    // The next start of the server looks again.
    site.store.retry_unshown().await.unwrap();
    assert!(unshown(&site, &admin).await.is_empty());
}

#[tokio::test]
async fn an_image_that_breaks_in_somebodys_hands_ends_the_round() {
    let site = Site::open().await;
    let images = site.folder().join("images");
    std::fs::copy(images.join("a.png"), images.join("b.png")).unwrap();
    add_training(&site, &["a.png", "b.png"]).await;
    let anna = site.session("anna", Role::Annotator).await;
    let first = claim(&site, &anna).await;
    answer(&site, &anna, &first, 1).await;
    let second = claim(&site, &anna).await;
    std::fs::remove_file(images.join("b.png")).unwrap();
    let image = second["task"]["image"][0].as_str().unwrap();
    assert_eq!(site.get(image, &anna).await.code(), "no_image");
    let held = json!({"showing": null, "holding": [second["task"]["assignment"]]});
    let beat = site.post("/api/heartbeat", &anna, &held).await.json();
    assert_eq!(beat["lost"], held["holding"], "the page lets go of it");
    assert_eq!(claim(&site, &anna).await["task"]["kind"], "work");
}

#[tokio::test]
async fn a_round_of_which_nothing_can_be_shown_is_not_passed() {
    let site = Site::open().await;
    add_training(&site, &["missing.png"]).await;
    let anna = site.session("anna", Role::Annotator).await;
    let admin = site.session("admin", Role::Admin).await;
    for _ in 0..2 {
        let claimed = claim(&site, &anna).await;
        assert_eq!(claimed["reason"], "training_pending", "{claimed}");
    }
    assert_eq!(unshown(&site, &admin).await, ["training-0"]);
}

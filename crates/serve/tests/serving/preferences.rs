//! What is preferred on the page is read by training.

use candor_data::formats::preference_log;
use candor_data::{Side, Turn, Verdict};
use candor_serve::Models;
use candor_testing::images::wall;
use serde_json::json;

use crate::site::{Site, bundle, data_url, settings};

#[test]
fn preferences_are_rows_of_a_preference_log_with_their_images_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("red.png");
    wall(&image, [200, 20, 20]);
    let kept = folder.path().join("kept");
    let mut settings = settings();
    settings.preferences = Some(kept.clone());
    let site = Site::of(Models::new("tiny", bundle()), settings);
    assert_eq!(site.get("/v1/models").json()["takes_preferences"], true);
    let given = json!({
        "image": data_url(&image), "question": " What is it? ", "outputs": ["A blue bus and a dog.", "A red wall."],
        "fewer_hallucinations": "second", "false_words": [["blue bus", "a dog"], []],
    });
    assert_eq!(site.post("/preferences", &given).status, 200);
    let tie = json!({
        "question": "Why?", "outputs": ["So.", "Because."], "fewer_hallucinations": "tie", "more_helpful": "first",
    });
    assert_eq!(site.post("/preferences", &tie).status, 200);

    for (name, value, param) in [
        (
            "fewer_hallucinations",
            json!("left"),
            "fewer_hallucinations",
        ),
        ("more_helpful", json!(null), "more_helpful"),
        ("false_words", json!([["dog"], []]), "false_words[0][0]"),
        ("outputs", json!(["one"]), "outputs"),
        ("question", json!(" "), "question"),
        ("image", json!("http://example.com/a.png"), "image"),
        ("mood", json!("good"), "mood"),
    ] {
        let mut bad = tie.clone();
        bad[name] = value;
        let reply = site.post("/preferences", &bad);
        assert_eq!(
            (reply.status, &reply.json()["error"]["param"]),
            (400, &json!(param)),
            "{}",
            reply.body
        );
    }

    let rows = preference_log::read(&kept.join("preferences.jsonl")).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].turns, [Turn::human("<image>\nWhat is it?")]);
    assert_eq!(rows[0].outputs, ["A blue bus and a dog.", "A red wall."]);
    assert_eq!(rows[0].fewer_hallucinations, Verdict::Second);
    assert_eq!(
        rows[0].explanation.as_deref(),
        Some("False in the first answer: “blue bus”, “a dog”.")
    );
    let name = rows[0].image.as_deref().unwrap();
    assert_eq!(
        std::fs::read(kept.join("images").join(name)).unwrap(),
        std::fs::read(&image).unwrap()
    );
    assert_eq!(
        (rows[1].image.as_deref(), rows[1].more_helpful),
        (None, Some(Side::First))
    );
    assert_eq!(rows[1].turns, [Turn::human("Why?")]);
}

#[test]
fn without_a_folder_none_are_taken() {
    let site = Site::tiny();
    assert_eq!(site.get("/v1/models").json()["takes_preferences"], false);
    assert_eq!(site.post("/preferences", &json!({})).status, 404);
}

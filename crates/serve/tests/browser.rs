//! The chat page in a real Chromium: an image, two answers, false words, a preference, and axe-core on all of it.

#[path = "serving/site.rs"]
#[allow(dead_code)] // The other half of it is for tests without a browser.
mod site;

use std::path::Path;

use candor_data::formats::preference_log;
use candor_data::{Side, Verdict};
use candor_serve::Models;
use candor_testing::images::paint;
use candor_testing_browser::{ENTER, Page, visit};
use serde_json::json;

use self::site::{Site, adapter, bundle, settings};

#[test]
fn two_answers_are_compared_on_the_page_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("red.png");
    paint(&image, [60, 40], [200, 30, 30]);
    adapter(&bundle(), 1)
        .save(&folder.path().join("a"))
        .unwrap();
    let models = Models::new("tiny", bundle());
    let models = models
        .with_adapter("other", &folder.path().join("a"))
        .unwrap();
    let mut settings = settings();
    settings.preferences = Some(folder.path().join("kept"));
    let site = Site::of(models, settings);

    visit("the chat page", folder.path(), async |page| {
        compare(page, &site, &image).await;
        check_kept(&folder.path().join("kept"), &image);
    });
}

/// What has become of the preference.
fn check_kept(kept: &Path, image: &Path) {
    let rows = preference_log::read(&kept.join("preferences.jsonl")).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].turns[0].value, "<image>\nWhat is in the picture?");
    assert_eq!(rows[0].fewer_hallucinations, Verdict::Tie);
    assert_eq!(rows[0].more_helpful, Some(Side::Second));
    let first_two: Vec<&str> = rows[0].outputs[0].split_whitespace().take(2).collect();
    let told = rows[0].explanation.as_deref().unwrap();
    assert!(
        told.starts_with("False in the first answer: “") && told.contains(first_two[0]),
        "{told}"
    );
    let name = rows[0].image.as_deref().unwrap();
    let kept = kept.join("images").join(name);
    assert_eq!(std::fs::read(kept).unwrap(), std::fs::read(image).unwrap());
}

/// What a person does on the page.
async fn compare(page: &Page, site: &Site, image: &Path) {
    page.go(&format!("http://{}/", site.address)).await;
    page.until("document.querySelector('#first-model option')")
        .await;
    page.until("document.querySelector('#second-name').textContent === 'other'")
        .await;
    page.check("the empty page").await;
    page.type_into("#file", image.to_str().unwrap()).await;
    page.until("!document.querySelector('#shown').hidden").await;
    page.js("document.querySelector('#length').value = 40")
        .await;
    let question = format!("What is in the picture?{ENTER}");
    page.type_into("#question", &question).await;
    page.until("document.querySelector('#notice').textContent === 'Answered.'")
        .await;
    // What the page shows is what the model says.
    let shown = page
        .js("return [...document.querySelectorAll('.words:not(label)')].map((w) => w.textContent)")
        .await;
    for (text, model) in shown.as_array().unwrap().iter().zip(["tiny", "other"]) {
        let content = json!([
            {"type": "image_url", "image_url": {"url": site::data_url(image)}},
            {"type": "text", "text": "What is in the picture?"},
        ]);
        let body = site::question(&json!({
            "model": model, "max_tokens": 40, "messages": [{"role": "user", "content": content}],
        }));
        assert_eq!(*text, site::texts(&site.chat(&body).json())[0], "{model}");
    }
    page.click("#first-log .turn button").await;
    page.until("document.querySelector('#first-log .mark') === document.activeElement")
        .await;
    // With the keyboard, and with the mouse.
    page.type_into("#first-log .mark", " ").await;
    page.until("document.querySelectorAll('.mark[aria-pressed=true]').length === 1")
        .await;
    page.check("two answers").await;
    if let Some(path) = std::env::var_os("CHAT_PAGE_PNG") {
        page.screenshot(Path::new(&path)).await;
    }
    page.click("#preference input[name=fewer][value=tie]").await;
    page.click("#preference button").await;
    page.until("document.querySelector('#notice').textContent.includes('more helpful')")
        .await;
    page.click("#preference input[name=helpful][value=second]")
        .await;
    page.click("#preference button").await;
    page.until("document.querySelector('#notice').textContent === 'Saved.'")
        .await;
    page.until("document.querySelector('#preference').hidden")
        .await;
    // What looks like markup is only text.
    let markup = "<b>Is it</b> moving?<img src=x onerror=\"document.title='taken'\">";
    page.type_into("#question", &format!("{markup}{ENTER}"))
        .await;
    page.until("document.querySelector('#notice').textContent === 'Answered.'")
        .await;
    let shown = page
        .js("return [document.querySelectorAll('.log b, .log img[onerror]').length, document.title === 'taken',
                document.querySelector('#first-log').textContent]")
        .await;
    assert_eq!((&shown[0], &shown[1]), (&json!(0), &json!(false)));
    assert!(shown[2].as_str().unwrap().contains(markup), "{shown}");
}

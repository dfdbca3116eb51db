//! The page of a comparison: self-contained, harmless, and every number with its items.

mod browser;
mod runs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_report::{ComparedRuns, render_comparison};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use runs::{HOSTILE, compared, three};

fn page() -> String {
    let runs = three();
    render_comparison(&ComparedRuns {
        comparison: &compared(&runs),
        runs: &runs,
        images: None,
        version: "1.2.3",
    })
    .unwrap()
}

/// What stands between two marks.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).expect(start) + start.len();
    let to = text[from..].find(end).expect(end);
    &text[from..from + to]
}

fn data(page: &str) -> Value {
    let block = between(
        page,
        "<script type=\"application/json\" id=\"data\">",
        "</script>",
    );
    serde_json::from_str(block).unwrap()
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_allows_its_own_script_alone() {
    let page = page();
    for outside in ["http:", "https:", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Two blocks, whatever the runs' names and answers try.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    let script = between(&page, "<script>", "</script>");
    let hash = STANDARD.encode(Sha256::digest(script.as_bytes()));
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(
        policy.contains(&format!("script-src 'sha256-{hash}';")),
        "{policy}"
    );
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
}

#[test]
fn hostile_texts_arrive_as_they_are_and_are_markup_nowhere() {
    let page = page();
    assert!(!page.contains("<img"), "markup out of an answer");
    let data = data(&page);
    let items = data["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["id"] == "evil").unwrap();
    for text in [
        &item["question"],
        &item["answers"][0]["text"],
        &item["answers"][0]["replies"][0],
    ] {
        assert_eq!(text, HOSTILE);
    }
    // The third run was not asked.
    assert!(item["answers"][2].is_null());
    assert_eq!(data["runs"][1], runs::NAME);
}

#[test]
fn numbers_are_written_with_interval_test_and_a_way_to_their_items() {
    let page = page();
    let numbers = between(&page, "<section id=\"numbers\">", "</section>");
    // Scores 6, 2, 0 of the first run and 6, 6, 2 of the second, by hand.
    for expected in [
        "href=\"#benchmark=mmhal&amp;measure=score&amp;run=0\">2.67</a>",
        "href=\"#benchmark=mmhal&amp;measure=score&amp;run=1\">4.67</a>",
        "score, official",
        // Differences 0, 4, 2: on two images they differ, and 2 of the 4 outcomes are as large.
        "p\u{a0}=\u{a0}0.500",
        "+2.00",
    ] {
        assert!(numbers.contains(expected), "{expected}\n{numbers}");
    }
    let charts = between(&page, "<section id=\"charts\">", "</section>");
    assert!(
        charts.contains("run=1&amp;group=attribute%20%26%20more"),
        "{charts}"
    );
    // MMHal-Bench has three types and a radar, POPE has one split and none.
    assert_eq!(charts.matches("aria-label=\"Radar: ").count(), 1);
    // To each chart of bars a table.
    assert_eq!(
        charts.matches("class=\"bars-chart\"").count(),
        charts.matches("The same as a table").count()
    );
}

#[test]
fn judges_agreement_order_and_training_data_are_told() {
    let page = page();
    let evidence = between(&page, "<section id=\"evidence\">", "</section>");
    for expected in [
        "judge-model",
        "the same in 75.0% of 8 pairs",
        "25.0% of 12 verdicts change with the order",
        "favoured in 60.0%",
        "1 with an answer or a reply that nobody could read",
        "of 3 items, 1 show a training image",
        "href=\"#benchmark=mmhal&amp;item=mmhal%2Fevil\"",
        "The numbers without the items that show a training image",
    ] {
        assert!(evidence.contains(expected), "{expected}\n{evidence}");
    }
    let people = between(&page, "<section id=\"people\">", "</section>");
    assert!(people.contains("href=\"#truer=second\">1</a>"), "{people}");
}

//! The page of a comparison: self-contained, harmless, and every number with its items.

mod browser;
mod runs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_judge::figures::figures;
use candor_judge::results::Scored;
use candor_judge::suite::{NotMeasured, Suite, SuiteFound};
use candor_judge::{Benchmark, Results};
use candor_report::{ComparedRuns, render_comparison};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use runs::{HOSTILE, compared, three};

fn page() -> String {
    let runs = three();
    render_comparison(&ComparedRuns {
        comparison: &compared(&runs),
        runs: &runs,
        images: Vec::new(),
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

#[test]
fn a_suite_shows_published_numbers_as_such_and_what_was_not_measured() {
    let mut runs = three();
    for run in &mut runs[..2] {
        let scored = Scored {
            figures: figures(Benchmark::Mmhal, &run.verdicts[&Benchmark::Mmhal], 0),
            ..Scored::default()
        };
        run.results = Some(Results {
            benchmarks: [(Benchmark::Mmhal, scored)].into(),
            images: None,
        });
    }
    let missing = NotMeasured {
        benchmark: Benchmark::Amber,
        run: None,
        reason: "put there <relation.json>".to_owned(),
    };
    let mut comparison = compared(&runs);
    comparison.suite = Some(SuiteFound::of(Suite::Hallucination, &runs, vec![missing], 0).unwrap());
    let page = render_comparison(&ComparedRuns {
        comparison: &comparison,
        runs: &runs,
        images: Vec::new(),
        version: "1.2.3",
    })
    .unwrap();
    let tables = between(&page, "<section id=\"suite\">", "</section>");
    // The order of the suite: AMBER first, MMHal-Bench last.
    let amber = between(tables, "<h3>AMBER</h3>", "<h3>");
    assert_eq!(amber.matches("href=\"#not-measured\"").count(), 3);
    assert!(
        amber.contains("<td>0.078</td>") && amber.contains("Table 1. Protocol: "),
        "{amber}"
    );
    let mmhal = &tables[tables.find("<h3>MMHal-Bench</h3>").unwrap()..];
    for expected in [
        "<span class=\"value\">2.67</span>",
        "<span class=\"value\">4.67</span>",
        "+2.00",
        // As printed, not as 0.670.
        "<td>0.67</td>",
        "LLaVA-SFT+ 7B <span class=\"tag\">published, note 1</span>",
        "arXiv 2309.14525",
    ] {
        assert!(mmhal.contains(expected), "{expected}\n{mmhal}");
    }
    // The third run has no numbers of it.
    assert_eq!(mmhal.matches("href=\"#not-measured\"").count(), 1);
    let missing = between(&page, "<section id=\"not-measured\">", "</section>");
    assert!(
        missing.contains("<b>AMBER</b>: put there &lt;relation.json&gt;"),
        "{missing}"
    );
    assert!(!page.contains("https:"));
}

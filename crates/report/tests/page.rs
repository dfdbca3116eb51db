//! The page of a small demo: whole, well-formed, self-contained, and honest about what is missing.

mod demo;

use std::path::Path;

use candor_report::{About, ReportInput, Summary, render, write};
use quick_xml::Reader;
use quick_xml::events::Event;

fn about() -> About {
    About {
        version: "1.2.3".to_owned(),
        command: "candor demo --out 'a & b'".to_owned(),
    }
}

fn page(folder: &Path) -> String {
    let path = write(folder, about()).unwrap();
    assert_eq!(path, folder.join("report.html"));
    std::fs::read_to_string(path).unwrap()
}

fn whole() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    demo::write(dir.path());
    let page = page(dir.path());
    (dir, page)
}

/// The part of the page from a section's start to its end.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("<section id=\"{id}\"")).expect(id);
    let end = page[start..].find("</section>").unwrap();
    &page[start..start + end]
}

const IDS: [&str; 9] = [
    "results",
    "reward-models",
    "hacking",
    "tradeoff",
    "ppo",
    "losses",
    "gallery",
    "ablation",
    "again",
];

/// Reads the page as XML, in which only HTML's void elements may stay open.
fn check_well_formed(page: &str) {
    const VOID: [&[u8]; 2] = [b"meta", b"img"];
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = false;
    let mut open: Vec<Vec<u8>> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                for attribute in tag.attributes() {
                    attribute.unwrap().unescape_value().unwrap();
                }
                if !VOID.contains(&tag.name().as_ref()) {
                    open.push(tag.name().as_ref().to_vec());
                }
            }
            Event::End(tag) => {
                let last = open.pop().map(|name| String::from_utf8(name).unwrap());
                let name = String::from_utf8(tag.name().as_ref().to_vec()).unwrap();
                assert_eq!(last, Some(name), "at byte {}", reader.buffer_position());
            }
            Event::Text(text) => {
                text.decode().unwrap();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

#[test]
fn every_section_is_there_and_has_something_to_show() {
    let (_dir, page) = whole();
    for id in IDS {
        let section = section(&page, id);
        assert!(!section.contains("class=\"missing\""), "{id}: {section}");
        assert!(page.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    assert_eq!(section(&page, "results").matches("<svg").count(), 4);
    assert_eq!(section(&page, "reward-models").matches("<svg").count(), 3);
    assert_eq!(section(&page, "hacking").matches("<svg").count(), 2);
    assert_eq!(section(&page, "tradeoff").matches("<svg").count(), 1);
    // A metric that no step has, here the correctness, is not drawn.
    assert_eq!(section(&page, "ppo").matches("<svg").count(), 5);
    assert_eq!(section(&page, "losses").matches("<svg").count(), 7);
    assert_eq!(section(&page, "gallery").matches("<article>").count(), 12);
    assert_eq!(section(&page, "ablation").matches("<tr>").count(), 3);
    assert!(section(&page, "again").contains("candor demo --out 'a &amp; b'"));
    // 80 s and 40 s in 100 s: side by side.
    assert!(section(&page, "again").contains("side by side"));
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_from_elsewhere() {
    let (_dir, page) = whole();
    check_well_formed(&page);
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for piece in page.split("src=\"").skip(1) {
        assert!(
            piece.starts_with("data:image/png;base64,"),
            "{}",
            &piece[..40]
        );
    }
    for number in ["NaN", "inf"] {
        assert!(!page.contains(&format!("{number}\"")) && !page.contains(&format!(">{number}<")));
    }
}

#[test]
fn what_models_say_stays_text() {
    let (_dir, page) = whole();
    let gallery = section(&page, "gallery");
    let expected = "A &lt;b&gt;<span class=\"false\">dog</span><span class=\"wrong\">✗ not there</span>&lt;/b&gt; &amp; \
                    &quot;a &lt;script&gt;alert(1)&lt;/script&gt;&quot;.";
    assert!(gallery.contains(expected), "{gallery}");
    assert!(gallery.contains("What is &lt; the dog?"));
    assert!(gallery.contains("<span class=\"true\">dog</span>"));
    assert!(gallery.contains("left out: boat"));
}

#[test]
fn the_words_follow_the_numbers() {
    let (_dir, page) = whole();
    assert!(page.contains(
        "after PPO with facts 10.0% (5.0% to 15.0%), less than half (the intervals do not overlap)"
    ));
    assert!(
        page.contains("after PPO without 20.0% (15.0% to 25.0%), 33% less (the intervals overlap)")
    );
    assert!(page.contains("68.0% (63.0% to 73.0%), 97% of that"));
    // Lowest by far, and best: with facts. A tie has no best.
    let results = section(&page, "results");
    assert_eq!(results.matches("title=\"best").count(), 0);
    let mut summary = demo::summary();
    summary["policies"]["fact_rlhf"] = demo::results(0.02, 0.68);
    let summary: Summary = serde_json::from_value(summary).unwrap();
    let dir = tempfile::tempdir().unwrap();
    demo::put(
        dir.path(),
        "summary.json",
        &serde_json::to_string(&summary).unwrap(),
    );
    let input = ReportInput::read(dir.path(), about()).unwrap();
    let page = render(&input);
    assert_eq!(section(&page, "results").matches("title=\"best").count(), 1);
}

#[test]
fn what_was_not_run_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    demo::put(
        dir.path(),
        "summary.json",
        r#"{"seed": 0, "wall_secs": 0.0, "stage_secs": {}, "peak_memory_bytes": 0}"#,
    );
    let page = page(dir.path());
    check_well_formed(&page);
    for id in IDS.into_iter().filter(|id| *id != "again") {
        let section = section(&page, id);
        assert!(section.contains("class=\"missing\""), "{id}: {section}");
        assert!(
            !section.contains("<svg") && !section.contains("<table"),
            "{id}"
        );
    }
    assert!(page.contains("candor demo --ablation"));
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    for (name, text, says) in [
        ("summary.json", "{", "summary.json"),
        (
            "sft/metrics.jsonl",
            "{\"step\": 1}\nx",
            "metrics.jsonl, line 2",
        ),
        ("eval/curve-facts.json", "[]", "curve-facts.json"),
        (
            "eval/rlhf/verdicts/chair.jsonl",
            "{}",
            "chair.jsonl, line 1",
        ),
        ("world/images/0.png", "text", "0.png: neither a PNG"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        demo::write(dir.path());
        demo::put(dir.path(), name, text);
        let message = write(dir.path(), about()).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
        assert!(!dir.path().join("report.html").exists());
    }
    let nothing = tempfile::tempdir().unwrap();
    let message = write(nothing.path(), about()).unwrap_err().to_string();
    assert!(message.contains("summary.json"), "{message}");
}

#[test]
fn a_claim_outside_of_its_answer_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    demo::write(dir.path());
    let path = dir.path().join("eval/sft/verdicts/mmhal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"end\":", "\"end\":9", 1)).unwrap();
    let message = write(dir.path(), about()).unwrap_err().to_string();
    assert!(
        message.contains("mmhal.jsonl, line 1") && message.contains("outside"),
        "{message}"
    );
}

#[test]
fn numbers_are_gathered_from_the_stages() {
    let dir = tempfile::tempdir().unwrap();
    demo::write(dir.path());
    let summary = Summary::gather(dir.path()).unwrap();
    let keys: Vec<&str> = summary
        .policies
        .iter()
        .map(|(policy, _)| policy.key())
        .collect();
    assert_eq!(keys, ["sft", "rlhf", "fact_rlhf"]);
    assert_eq!(summary.reward_models.facts.as_ref().unwrap().n_pairs, 1000);
    assert_eq!(summary.reward_models.iter().count(), 2);
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(Summary::gather(nothing.path()).unwrap(), Summary::default());
}

#[test]
fn a_summary_is_written_as_the_design_says_and_reads_back() {
    let summary: Summary = serde_json::from_value(demo::summary()).unwrap();
    let written = serde_json::to_value(&summary).unwrap();
    assert_eq!(written["reward_models"]["no_facts"]["n_pairs"], 1000);
    let figure = |policy: &str, benchmark: &str, key: &str| {
        let results = &written["policies"][policy]["benchmarks"];
        results[benchmark]["figures"][key]["value"].clone()
    };
    assert_eq!(figure("fact_rlhf", "chair", "recall"), 0.68);
    assert_eq!(figure("sft", "llava_bench", "relative"), 60.0);
    assert_eq!(serde_json::from_value::<Summary>(written).unwrap(), summary);
}

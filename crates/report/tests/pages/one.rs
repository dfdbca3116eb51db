//! The page of a small demo: whole, well-formed, self-contained, and honest about what is missing.

use std::path::Path;

use candor_report::{ReportInput, Summary, render, write};

use crate::{about, check_well_formed, demo, section};

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

const IDS: [&str; 10] = [
    "results",
    "reward-models",
    "hacking",
    "tradeoff",
    "ppo",
    "losses",
    "gallery",
    "algorithms",
    "ablation",
    "again",
];

#[test]
fn every_section_is_there_and_has_something_to_show() {
    let (_dir, page) = whole();
    for id in IDS {
        let section = section(&page, id);
        assert!(!section.contains("class=\"missing\""), "{id}: {section}");
        assert!(page.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    assert_eq!(section(&page, "results").matches("<svg").count(), 4);
    let rewards = section(&page, "reward-models");
    assert_eq!(rewards.matches("<svg").count(), 3);
    // By what is asked: with facts, then without.
    for expected in [
        "attribute</th><td>95.0% [90.0%, 100.0%]</td><td>75.0% [70.0%, 80.0%]</td>",
        "place</th><td>50.0% [45.0%, 55.0%]</td>",
        "<td>95.0% [93.0%, 97.0%] of 497 pairs</td>",
        "3 pairs do not fit the model with facts",
    ] {
        assert!(rewards.contains(expected), "{expected}: {rewards}");
    }
    assert_eq!(section(&page, "hacking").matches("<svg").count(), 2);
    assert_eq!(section(&page, "tradeoff").matches("<svg").count(), 1);
    // A metric that no step has, here the correctness, is not drawn.
    assert_eq!(section(&page, "ppo").matches("<svg").count(), 5);
    assert_eq!(section(&page, "losses").matches("<svg").count(), 9);
    assert_eq!(section(&page, "gallery").matches("<article>").count(), 12);
    assert_eq!(section(&page, "ablation").matches("<tr>").count(), 3);
    // The figure, and what the three algorithms are drawn with before their names.
    assert_eq!(section(&page, "algorithms").matches("<svg").count(), 4);
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
    // The curves that they name are not in the new folder.
    summary.as_object_mut().unwrap().remove("algorithms");
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

#[test]
fn algorithms_stand_beside_each_other_with_what_they_cost() {
    let (_dir, page) = whole();
    let section = section(&page, "algorithms");
    assert_eq!(section.matches("<tr>").count(), 4);
    for cell in [
        "<td>1920</td>",
        "<td>6 min 5 s</td>",
        "<td>no reward model</td>",
    ] {
        assert!(section.contains(cell), "{cell}: {section}");
    }
    // PPO alone kept snapshots; GRPO sees no facts, so it is hollow.
    assert_eq!(section.matches("class=\"line thin ppo\" d=\"M").count(), 2);
    assert!(section.contains("<title>GRPO without: CHAIR_i 20.0%, recall 60.0%</title>"));
    assert!(section.contains("<title>DPO: CHAIR_i 10.0%, recall 65.0%</title>"));
    assert!(section.contains("<g class=\"grpo hollow\">"));
    assert!(!section.contains("ppo hollow"));
}

#[test]
fn a_curve_that_the_summary_names_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    demo::write(dir.path());
    std::fs::remove_file(dir.path().join("eval/curve-facts.json")).unwrap();
    let message = write(dir.path(), about()).unwrap_err().to_string();
    assert!(message.contains("curve-facts.json"), "{message}");
}

#[test]
fn another_family_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = r#""seed": 0, "wall_secs": 0.0, "stage_secs": {}, "peak_memory_bytes": 0"#;
    let family = r#", "family": "qwen2_5_vl""#;
    for (more, is_said) in [("", false), (family, true)] {
        demo::put(dir.path(), "summary.json", &format!("{{{numbers}{more}}}"));
        let page = page(dir.path());
        let found = page.contains("model, built as Qwen2.5-VL, learned to");
        assert_eq!((found, page.contains("built as")), (is_said, is_said));
    }
}

#[test]
fn a_quick_demo_claims_nothing() {
    let dir = tempfile::tempdir().unwrap();
    demo::write(dir.path());
    let mut summary = demo::summary();
    summary["quick"] = true.into();
    demo::put(dir.path(), "summary.json", &summary.to_string());
    let page = page(dir.path());
    check_well_formed(&page);
    assert!(page.contains("<b>A quick pass.</b>"));
    assert!(!page.contains("class=\"headline\""));
    let (_dir, whole) = whole();
    assert!(!whole.contains("quick pass") && whole.contains("class=\"headline\""));
}

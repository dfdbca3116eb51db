//! The page in a real Chromium, which says what became of it. Where there is none, each test says that it is skipped.

use std::process::Command;

use candor_judge::compare::{Comparison, compare};
use candor_judge::{Benchmark, Run};
use candor_report::{ComparedRuns, write_comparison};

use crate::between;
use crate::runs::{compared, three, verdict};

/// Names of the program, as Debian and others have it.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The page as the browser has it once the script has run, opened with `choice` behind its `#`.
fn opened(comparison: &Comparison, runs: &[Run], choice: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    let Some(browser) = folders.find_map(|folder| {
        BROWSERS
            .iter()
            .map(|name| folder.join(name))
            .find(|file| file.is_file())
    }) else {
        eprintln!("skipped: Chromium is not installed (scripts/test-programs does it)");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    let compared = ComparedRuns {
        comparison,
        runs,
        images: Vec::new(),
        version: "1.2.3",
    };
    write_comparison(&page, &compared).unwrap();
    // The sandbox needs rights that containers and root do not have; the page is the test's own.
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--window-size=1280,900",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            dir.path().join("profile").display()
        ))
        .arg(format!("file://{}#{choice}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(
        dom.contains("</html>"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(dom)
}

fn of_three(choice: &str) -> Option<String> {
    let runs = three();
    opened(&compared(&runs), &runs, choice)
}

fn count(dom: &str) -> &str {
    between(dom, "<p class=\"count\" role=\"status\">", "</p>")
}

#[test]
fn a_right_b_wrong_is_found_by_the_address() {
    let Some(dom) = of_three("r0=right&r1=wrong") else {
        return;
    };
    // On POPE's only question the first is right and the second wrong; on MMHal-Bench that never happens.
    assert_eq!(count(&dom), "1 of 4 items");
    assert!(dom.contains("POPE · random · item p"), "{dom}");
    let Some(dom) = of_three("r0=hallucinated&r1=right") else {
        return;
    };
    assert_eq!(count(&dom), "1 of 4 items");
    assert!(dom.contains("MMHal-Bench · counting · item two"));
}

#[test]
fn a_number_is_computed_again_from_its_items() {
    let Some(dom) = of_three("benchmark=mmhal&measure=score&run=0") else {
        return;
    };
    let number = between(&dom, "<p class=\"number\">", "</p>");
    // 6 + 2 + 0 over three items.
    assert!(
        number.ends_with("over 3 listed items: 8 / 3 = 2.67"),
        "{number}"
    );
    let Some(dom) = of_three("benchmark=mmhal&measure=score&run=1&group=attribute+%26+more") else {
        return;
    };
    let number = between(&dom, "<p class=\"number\">", "</p>");
    assert!(
        number.ends_with("over 1 listed item: 6 / 1 = 6.00"),
        "{number}"
    );
}

#[test]
fn what_models_say_does_nothing_in_the_browser() {
    let Some(dom) = of_three("item=mmhal%2Fevil") else {
        return;
    };
    assert!(
        !dom.contains("<title>owned"),
        "a script out of an answer has run"
    );
    let answers = between(&dom, "<div class=\"answers\">", "<details class=\"parts\"");
    assert!(answers.contains("&lt;img src=x onerror="), "{answers}");
    assert!(!answers.contains("<img"), "{answers}");
    // The third run was not asked.
    assert!(answers.contains("not asked"), "{answers}");
}

#[test]
fn words_and_opinions_choose_items() {
    for (choice, expected) in [
        ("q=WHAT+two", "1 of 4 items"),
        ("q=nothing+like+it", "0 of 4 items"),
        ("truer=second", "1 of 4 items"),
        ("truer=tie", "0 of 4 items"),
        ("r2=missing", "3 of 4 items"),
        ("benchmark=pope", "1 of 4 items"),
        ("benchmark=mmhal&group=other", "1 of 4 items"),
    ] {
        let Some(dom) = of_three(choice) else { return };
        assert_eq!(count(&dom), expected, "{choice}");
    }
}

#[test]
fn of_thousands_of_items_only_the_visible_ones_exist() {
    let items = (0..5000).map(|i| verdict(&i.to_string(), "random", &[("accuracy", [1.0, 1.0])]));
    let runs = [Run {
        name: "a".to_owned(),
        verdicts: [(Benchmark::Pope, items.collect())].into(),
        ..Run::default()
    }];
    let Some(dom) = opened(&compare(&runs, 0), &runs, "") else {
        return;
    };
    assert_eq!(count(&dom), "5,000 of 5,000 items");
    let n_rows = dom.matches("class=\"row\"").count();
    assert!((5..60).contains(&n_rows), "{n_rows} rows");
}

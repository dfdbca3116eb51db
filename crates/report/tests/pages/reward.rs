//! The page of a measured reward model.

use std::fs;

use candor_report::write_reward;
use serde_json::{Value, json};

use crate::{about, check_well_formed, section};

fn result() -> Value {
    let bin = |low: f64, n: usize, share: Option<f64>| json!({"low": low, "high": low + 0.5, "mean_probability": share, "accuracy": share, "ci95": share.map(|s| [s - 0.1, s + 0.1]), "n": n});
    let group = |accuracy: f64, n: usize| json!({"accuracy": accuracy, "ci95": [accuracy - 0.1, accuracy + 0.1], "n_pairs": n, "margin_mean": 0.25});
    json!({
        "accuracy": 0.625, "ci95": [0.5, 0.75], "n_pairs": 30, "margin_mean": 0.5, "macro_accuracy": 0.65,
        "groups": {"general <b>": group(0.5, 10), "hallucination": group(0.8, 20)},
        "calibration": [bin(0.0, 10, Some(0.25)), bin(0.5, 20, Some(0.75))], "ece": 0.04,
        "margins": [{"low": -1.0, "high": 0.0, "n": 11}, {"low": 0.0, "high": 1.0, "n": 19}],
        "length": {"model_prefers_longer": 0.6, "people_prefer_longer": 0.4, "accuracy_longer": null, "accuracy_shorter": 0.7},
        "n_identical": 3, "n_skipped": 5, "skipped": {"missing_image": 4, "unjudged": 1}, "with_facts": true,
    })
}

#[test]
fn the_page_says_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("result.json"), result().to_string()).unwrap();
    let path = write_reward(folder.path(), &about()).unwrap();
    assert_eq!(path, folder.path().join("report.html"));
    let page = fs::read_to_string(path).unwrap();
    check_well_formed(&page);
    for part in [
        "62.5% [50.0%, 75.0%]",
        "is shown the facts",
        "candor demo --out 'a &amp; b'",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for (id, parts) in [
        (
            "accuracy",
            &[
                "general &lt;b&gt;",
                "80.0% [70.0%, 90.0%]",
                "<td>65.0%</td>",
            ][..],
        ),
        (
            "calibration",
            &[
                "Expected calibration error: 4.0%.",
                ">10</text>",
                ">20</text>",
                "Left of zero (11 pairs)",
                "right of it (19)",
            ],
        ),
        (
            "length",
            &["<td>60.0%</td>", "<td>–</td>", "<td>70.0%</td>"],
        ),
        (
            "left-out",
            &["3 pairs of equal", "5 rows", "4 missing_image, 1 unjudged"],
        ),
    ] {
        for part in parts {
            assert!(section(&page, id).contains(part), "{part} in {id}");
        }
    }
    assert!(!page.contains("<script"));
}

#[test]
fn a_folder_without_a_result_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = write_reward(folder.path(), &about())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("result.json"), "{refused}");
    fs::write(folder.path().join("result.json"), r#"{"accuracy": 1.0}"#).unwrap();
    let refused = write_reward(folder.path(), &about())
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("result.json") && refused.contains("missing field"),
        "{refused}"
    );
}

//! HSA-DPO: the other answer counts as much as its row says that it is bad.

use std::fs;
use std::path::Path;

use candor_data::formats::preference;
use serde_json::{Value, json};

use crate::tiny::{column, json_file, prepared, run};

/// The comparisons as rows of HSA-DPO's; `score` says how bad the other answer of a row is.
fn write_scored(folder: &Path, score: impl Fn(usize) -> Value) {
    let rows = preference::read(&folder.join("preferences.json")).unwrap();
    let scored = rows.iter().enumerate().map(|(i, row)| {
        let preferred = row.preferred().unwrap();
        let [chosen, rejected] = [preferred, preferred.other()].map(|side| &row.outputs[side.index()]);
        json!({"id": row.id, "image": row.image, "question": "What is there?", "chosen": chosen, "rejected": rejected,
            "rejected_score": score(i)})
    });
    let rows: Vec<String> = scored.map(|row| row.to_string()).collect();
    fs::write(folder.join("scored.jsonl"), rows.join("\n")).unwrap();
}

#[test]
fn the_other_answer_counts_as_much_as_its_row_says() {
    let folder = prepared();
    let path = folder.path();
    let data = format!("data.preferences=[{:?}]", path.join("scored.jsonl"));
    let sets = [data.as_str(), "run.steps=6", "dpo.severity=true"];
    // By the seed all rows have one place, whatever they say.
    write_scored(path, |_| json!(1.0));
    run(path, "once", &sets).unwrap();
    run(path, "plain", &[data.as_str(), "run.steps=6"]).unwrap();
    write_scored(path, |_| json!(2.5));
    run(path, "more", &sets).unwrap();
    write_scored(path, |_| json!(0));
    run(path, "none", &sets).unwrap();
    // A severity of 1 is DPO.
    assert_eq!(
        column(&path.join("once"), "loss"),
        column(&path.join("plain"), "loss")
    );
    let reference = |run: &str| json_file(&path.join(run).join("reference.json"))["rows"].clone();
    // Log-probabilities are those of the answers, whatever their rows say.
    let (plain, more) = (reference("plain"), reference("more"));
    for (plain, more) in plain
        .as_array()
        .unwrap()
        .iter()
        .zip(more.as_array().unwrap())
    {
        let of = |row: &Value, side: &str| row[side].as_f64().unwrap();
        assert!((of(plain, "chosen") - of(more, "chosen")).abs() < 1e-5);
        assert!((of(plain, "rejected") - of(more, "rejected")).abs() < 1e-5);
    }
    let first = |run: &str| column(&path.join(run), "rejected_logprob")[0];
    for severe in ["more", "none"] {
        assert!((first("plain") - first(severe)).abs() < 1e-5);
        // Not so what is learned.
        let losses = |run: &str| column(&path.join(run), "loss")[5];
        assert!((losses("plain") - losses(severe)).abs() > 1e-4);
    }
    // Before the first update nothing differs from the reference, so that the loss is log 2 whatever weighs what.
    let losses = column(&path.join("more"), "loss");
    assert!((losses[0] - 2_f64.ln()).abs() < 1e-5, "{losses:?}");
    assert!(losses[5] < losses[0] - 0.05, "{losses:?}");
}

#[test]
fn a_row_that_does_not_say_how_bad_is_named() {
    let folder = prepared();
    let path = folder.path();
    let data = format!("data.preferences=[{:?}]", path.join("scored.jsonl"));
    let sets = [data.as_str(), "run.steps=1", "dpo.severity=true"];
    let bad = [
        (Value::Null, "missing"),
        (json!(-1.5), "found -1.5"),
        (json!("bad"), "found \"bad\""),
        (json!([1, 2]), "found [1,2]"),
    ];
    for (score, found) in bad {
        write_scored(path, |row| if row == 7 { score.clone() } else { json!(1) });
        let message = run(path, "dpo", &sets).unwrap_err().to_string();
        for part in ["scored.jsonl: row 7", "`rejected_score`", found] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
    let mean = [data.as_str(), "dpo.severity=true", "dpo.logprob=\"mean\""];
    let message = run(path, "dpo", &mean).unwrap_err().to_string();
    for part in ["multiply a sum", "use dpo.logprob = \"sum\""] {
        assert!(message.contains(part), "{message}");
    }
}

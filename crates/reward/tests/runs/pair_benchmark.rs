//! A trained reward model on a benchmark with groups of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candor_data::formats::{preference, scores};
use candor_data::rows::OnBadRow;
use candor_reward::{
    PairBenchmark, PairResult, PairScores, RewardError, pair_benchmark, pair_scores,
};
use candor_testing::files::{json, lines};
use candor_train::BasePrecision;
use serde_json::{Value, json};
use tch::Device;

use crate::tiny::{prepared, run};

fn measure(path: &Path, file: &str, on_bad_row: OnBadRow) -> Result<PairResult, RewardError> {
    let plan = PairBenchmark {
        reward: path.join("reward"),
        base_precision: BasePrecision::F32,
        files: vec![path.join(file)],
        images: path.to_owned(),
        facts: Some(path.join("facts.json")),
        on_bad_row,
        out: path.join("measured"),
        pass_rows: 4,
        seed: 0,
    };
    pair_benchmark(&plan, Device::Cpu, |_, _| ())
}

/// Says something of an image that is not there.
fn tell_of_gone(path: &Path) {
    let facts = path.join("facts.json");
    let mut book = json(&facts);
    book["gone.png"] = json!(["There is a dog."]);
    fs::write(&facts, book.to_string()).unwrap();
}

/// Rows of the comparisons as VL-RewardBench has them, and four that cannot be scored.
fn benchmark(path: &Path, odd: bool) -> PathBuf {
    let row = |id: String, image: &str, answers: [&str; 2], ranks: [i64; 2]| json!({"id": id, "image_path": image, "query": "What is there?", "response": answers, "human_ranking": ranks});
    let known = preference::read(&path.join("preferences.json")).unwrap();
    let mut rows: Vec<Value> = known
        .iter()
        .enumerate()
        .map(|(i, known)| {
            let begins = ["RLAIF-V", "mathverse", "wildvision"][i % 3];
            let [one, two] = &known.outputs;
            let ranks = if known.preferred().unwrap().index() == 0 {
                [0, 1]
            } else {
                [1, 0]
            };
            row(
                format!("{begins}-{}", known.id),
                known.image.as_deref().unwrap(),
                [one, two],
                ranks,
            )
        })
        .collect();
    rows.push(row("same".to_owned(), "0.png", ["x", "x "], [0, 1]));
    if odd {
        // Painted, and without facts.
        fs::copy(path.join("0.png"), path.join("strange.png")).unwrap();
        let long = "a dog and a cat ".repeat(60);
        rows.push(row("tied".to_owned(), "0.png", ["x", "y"], [0, 0]));
        rows.push(row("gone".to_owned(), "gone.png", ["x", "y"], [0, 1]));
        rows.push(row("strange".to_owned(), "strange.png", ["x", "y"], [0, 1]));
        rows.push(row("long".to_owned(), "0.png", ["x", &long], [0, 1]));
    }
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    let text = lines.join("\n");
    let file = path.join("vl.jsonl");
    fs::write(&file, text).unwrap();
    file
}

/// What was measured last are the scores of the same pairs without preferences, in the order of the file.
fn are_those_of_pairs_that_nobody_judged(path: &Path) {
    let known = preference::read(&path.join("preferences.json")).unwrap();
    let unjudged: Vec<Value> = known
        .iter()
        .map(|row| {
            json!({
                "id": row.id, "image": row.image, "conversations": row.turns,
                "output_1": row.outputs[0], "output_2": row.outputs[1],
            })
        })
        .collect();
    fs::write(path.join("pairs.json"), json!(unjudged).to_string()).unwrap();
    let plan = PairScores {
        reward: path.join("reward"),
        base_precision: BasePrecision::F32,
        pairs: path.join("pairs.json"),
        images: path.to_owned(),
        facts: Some(path.join("facts.json")),
        on_bad_row: OnBadRow::Stop,
        out: path.join("scores.jsonl"),
        pass_rows: 4,
    };
    let found = pair_scores(&plan, Device::Cpu, |_, _| ()).unwrap();
    assert_eq!((found.n_pairs, found.n_identical), (known.len(), 0));
    let in_order = scores::read(&plan.out).unwrap();
    let measured = lines(&path.join("measured/pairs.jsonl"));
    for ((row, scored), line) in known.iter().zip(&in_order).zip(&measured) {
        assert_eq!(row.id, scored.id);
        let chosen = row.preferred().unwrap().index();
        for (field, side) in [("chosen_score", chosen), ("rejected_score", 1 - chosen)] {
            let (here, there) = (scored.scores[side], line[field].as_f64().unwrap());
            assert!((here - there).abs() < 1e-4, "{}: {here} {there}", row.id);
        }
    }
}

#[test]
fn a_benchmark_is_measured_by_its_own_groups_and_what_cannot_be_scored_is_counted() {
    let folder = prepared();
    let path = folder.path();
    run(path, "reward", &["run.steps=8"]).unwrap();
    tell_of_gone(path);
    benchmark(path, true);
    let refused = measure(path, "vl.jsonl", OnBadRow::Stop)
        .unwrap_err()
        .to_string();
    for part in [
        "4 rows cannot be used (1 too_long, 1 missing_image, 1 no_facts, 1 unjudged)",
        "vl.jsonl: row 49 (id \"tied\"), field `preference`: nobody has said",
        "row 50 (id \"gone\")",
        "row 51 (id \"strange\")",
        "row 52 (id \"long\")",
        "--on-bad-row skip leaves such rows out",
    ] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert!(!path.join("measured").exists());

    let found = measure(path, "vl.jsonl", OnBadRow::Skip).unwrap();
    assert_eq!(
        (found.all.n_pairs, found.n_identical, found.with_facts),
        (48, 1, true)
    );
    let groups: BTreeMap<&str, usize> = found
        .groups
        .iter()
        .map(|(name, group)| (name.as_str(), group.n_pairs))
        .collect();
    assert_eq!(
        groups,
        BTreeMap::from([("general", 16), ("hallucination", 16), ("reasoning", 16)])
    );
    let result = json(&path.join("measured/result.json"));
    assert_eq!(result["n_skipped"], 4);
    assert_eq!(
        result["skipped"],
        json!({"missing_image": 1, "no_facts": 1, "too_long": 1, "unjudged": 1})
    );
    assert_eq!(lines(&path.join("measured/skipped.jsonl")).len(), 4);

    // Counted from the scores, group by group.
    let scored = lines(&path.join("measured/pairs.jsonl"));
    let score = |line: &Value, field: &str| line[field].as_f64().unwrap();
    let right = |line: &&Value| score(line, "chosen_score") > score(line, "rejected_score");
    let mut sum = 0.0;
    for (name, group) in &found.groups {
        let of_group = || scored.iter().filter(|line| line["group"] == name.as_str());
        let share = of_group().filter(right).count() as f64 / of_group().count() as f64;
        assert!(
            (group.accuracy - share).abs() < 1e-12,
            "{name}: {} {share}",
            group.accuracy
        );
        sum += share;
    }
    assert!((found.macro_accuracy - sum / 3.0).abs() < 1e-12);

    // The held-out pairs have the scores that training gave them.
    let held_out = lines(&path.join("reward/held_out.jsonl"));
    assert!(held_out.len() >= 12);
    for known in &held_out {
        let same = scored.iter().find(|line| {
            line["id"]
                .as_str()
                .unwrap()
                .ends_with(&format!("-{}", known["id"].as_str().unwrap()))
        });
        for field in ["chosen_score", "rejected_score"] {
            let (here, there) = (score(same.unwrap(), field), score(known, field));
            assert!((here - there).abs() < 1e-4, "{known}: {here} {there}");
        }
    }

    // The same rows as a file without groups.
    let plain = measure(path, "preferences.json", OnBadRow::Stop).unwrap();
    assert_eq!(plain.groups.keys().collect::<Vec<_>>(), ["preferences"]);
    assert!((plain.all.accuracy - found.all.accuracy).abs() < 1e-12);
    assert_eq!(plain.skipped, None);
    // What was left out before is not said of this measurement.
    assert!(!path.join("measured/skipped.jsonl").exists());

    are_those_of_pairs_that_nobody_judged(path);
}

#[test]
fn ids_and_the_file_of_scores_are_checked_before_the_model_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows = |ids: [&str; 2]| {
        let row = |id| {
            json!({
                "id": id, "conversations": [{"from": "human", "value": "Q"}],
                "output_1": "x", "output_2": "y",
            })
        };
        json!(ids.map(row)).to_string()
    };
    let refused = |ids, out: &str| {
        fs::write(path.join("pairs.json"), rows(ids)).unwrap();
        let plan = PairScores {
            reward: path.join("nowhere"),
            base_precision: BasePrecision::F32,
            pairs: path.join("pairs.json"),
            images: path.to_owned(),
            facts: None,
            on_bad_row: OnBadRow::Stop,
            out: path.join(out),
            pass_rows: 4,
        };
        pair_scores(&plan, Device::Cpu, |_, _| ())
            .unwrap_err()
            .to_string()
    };
    let twice = refused(["a", "a"], "scores.jsonl");
    assert!(
        twice.contains("pairs.json") && twice.contains("duplicate id a, first used at row 0"),
        "{twice}"
    );
    fs::create_dir(path.join("folder")).unwrap();
    let taken = refused(["a", "b"], "folder");
    assert!(taken.contains("it is a folder"), "{taken}");
    let beneath = refused(["a", "b"], "pairs.json/scores.jsonl");
    assert!(beneath.contains("choose a folder"), "{beneath}");
    // What was there stays as it was, and there is no model.
    fs::write(path.join("scores.jsonl"), "old").unwrap();
    let missing = refused(["a", "b"], "scores.jsonl");
    assert!(missing.contains("nowhere"), "{missing}");
    assert_eq!(
        fs::read_to_string(path.join("scores.jsonl")).unwrap(),
        "old"
    );
}

#[test]
fn a_benchmark_of_which_nothing_is_left_is_refused() {
    let folder = prepared();
    let path = folder.path();
    run(path, "reward", &["run.steps=1", "evaluation.every=1"]).unwrap();
    tell_of_gone(path);
    let row = json!({"id": "a", "image_path": "gone.png", "query": "Q", "response": ["x", "y"], "human_ranking": [0, 1]});
    fs::write(path.join("vl.jsonl"), row.to_string()).unwrap();
    let refused = measure(path, "vl.jsonl", OnBadRow::Skip)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains(
            "vl.jsonl: no pair of two different answers is left, 1 row is skipped: 1 missing_image"
        ),
        "{refused}"
    );
}

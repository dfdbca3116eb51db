//! Which step is the best, by figures that are written out.

use std::fs;

use candor_judge::suite::Suite;
use candor_testing::files::json;
use candor_train::tf32;

use super::measuring::main_number;
use super::*;

/// A suite whose best step is chosen by a number of CHAIR, and a weight that it watches.
fn suite(out: &Path, key: &str, live: &Tensor) -> TrainingSuite {
    let by = BestBy::parse(&format!("chair.{key}"), Suite::Paper).unwrap();
    let live = [("w".to_owned(), live.shallow_clone())];
    TrainingSuite {
        recipe: None,
        seed: 0,
        out: out.to_owned(),
        ranks: Ranks::alone(),
        judge: None,
        questions: Vec::new(),
        trained: Vec::new(),
        best: Some((by, Best::on_host(candor_train::BestBy::Accuracy, &live))),
        best_folder: "best/adapter",
    }
}

/// Offers a number after every third step, at which the weight is the step itself; returns the weight that is saved, and where.
fn chosen(out: &Path, key: &str, values: &[Option<f64>]) -> Option<(f64, PathBuf)> {
    let mut live = Tensor::from_slice(&[0.0_f32]);
    let mut suite = suite(out, key, &live);
    for (step, value) in (3_u64..).step_by(3).zip(values) {
        let _ = live.fill_(step as f64);
        let of_step = value.map(|value| (key.to_owned(), value));
        let of_step = of_step.into_iter().collect();
        let figures = SuiteFigures::from([("chair".to_owned(), of_step)]);
        suite.offer(step, &figures).unwrap();
    }
    // Of other benchmarks alone, as where the judge failed.
    let _ = live.fill_(-1.0);
    suite.offer(99, &SuiteFigures::new()).unwrap();
    let mut saved = None;
    let ended = suite.finish(|folder| {
        saved = Some((live.double_value(&[0]), folder.to_owned()));
        Ok(())
    });
    ended.unwrap();
    saved
}

#[test]
fn the_first_of_the_best_steps_is_chosen_whichever_way_the_number_is_good() {
    let values = [
        Some(0.25),
        None,
        Some(0.125),
        Some(0.5),
        Some(0.125),
        Some(0.5),
    ];
    // Less of the one is better, and more of the other.
    for (key, step, value) in [("chair_i", 9, 0.125), ("recall", 12, 0.5)] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let saved = chosen(out, key, &values);
        assert_eq!(saved, Some((f64::from(step), out.join("best"))));
        let expected = serde_json::json!({
            "by": format!("chair.{key}"), "step": step, "value": value, "weights": "best/adapter",
        });
        assert_eq!(json(&out.join("best.json")), expected);
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(chosen(folder.path(), "recall", &[None, None]), None);
    assert!(!folder.path().join("best.json").exists());
}

#[test]
fn steps_without_numbers_are_counted_in_what_is_said_of_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    for (file, step) in [
        ("answers.log", 3),
        ("results.json", 3),
        ("answers.log", 6),
        ("answers.log", 9),
    ] {
        let of_step = out.join(format!("suite/step-{step}/chair"));
        fs::create_dir_all(&of_step).unwrap();
        fs::write(of_step.join(file), "").unwrap();
    }
    // Answers to another benchmark.
    fs::create_dir_all(out.join("suite/step-3/pope")).unwrap();
    fs::write(out.join("suite/step-3/pope/answers.log"), "").unwrap();
    chosen(out, "recall", &[Some(0.5)]).unwrap();
    assert_eq!(json(&out.join("best.json"))["n_not_measured"], 2);
}

#[test]
fn a_benchmark_without_its_main_number_is_named_on_the_terminal() {
    let main = Benchmark::Chair.measures().next().unwrap();
    let told = |found: Option<&BTreeMap<String, f64>>| main_number(Benchmark::Chair, main, found);
    let found = BTreeMap::from([("chair_i".to_owned(), 0.25)]);
    assert_eq!(told(Some(&found)), "chair.chair_i 0.250");
    assert_eq!(told(Some(&BTreeMap::new())), "no chair.chair_i");
    assert_eq!(told(None), "chair not measured");
}

#[test]
fn a_run_that_trains_in_tf32_is_measured_in_f32() {
    for trains in [true, false] {
        set_tf32(trains);
        assert!(!in_f32(trains, tf32));
        assert_eq!(tf32(), trains);
    }
}

//! `candor eval compare` as a user calls it: the page, people as the judge, training data.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candor_annotate::import;
use candor_annotate::project::Project;
use serde_json::{Value, json};

/// A run on two questions of MMHal-Bench, with these answers and ratings.
fn run(folder: &Path, name: &str, answered: [(&str, f64); 2]) -> PathBuf {
    let line = |(id, (answer, score)): (usize, (&str, f64))| {
        let wrong = f64::from(u8::from(score < 3.0));
        json!({
            "id": id.to_string(), "image": format!("{id}.png"), "group": "other", "question": "What is it?",
            "reference": "A cup.", "answer": answer,
            "measures": {"score": [score, 1.0], "hallucination": [wrong, 1.0], "words": [2.0, 1.0]},
        })
        .to_string()
            + "\n"
    };
    let run = folder.join(name);
    let lines: String = answered.into_iter().enumerate().map(line).collect();
    put(&run.join("verdicts/mmhal.jsonl"), lines.as_bytes());
    run
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn compare(arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command.args(["eval", "compare"]).args(arguments);
    command.output().expect("candor runs")
}

fn printed(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn drawn(folder: &Path) -> PathBuf {
    let images = folder.join("images");
    std::fs::create_dir_all(&images).unwrap();
    for id in 0..2 {
        let image = image::RgbImage::new(8, 8);
        image.save(images.join(format!("{id}.png"))).unwrap();
    }
    images
}

#[test]
fn a_page_is_written_and_training_images_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let old = run(dir.path(), "old", [("a dog", 1.0), ("a cup", 5.0)]);
    let new = run(dir.path(), "new", [("a cup", 5.0), ("a cup", 5.0)]);
    let training = dir.path().join("train.json");
    let row = json!([{"id": "1", "image": "0.png", "conversations": [
        {"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cup."}]}]);
    put(&training, row.to_string().as_bytes());
    let out = dir.path().join("compared");
    let output = compare(&[
        &old,
        &new,
        Path::new("--out"),
        &out,
        Path::new("--images"),
        &drawn(dir.path()),
        Path::new("--training"),
        &training,
    ]);
    let table = printed(&output);
    assert!(
        table.contains("of 2 items, 1 show a training image, 1 of these with its question"),
        "{table}"
    );
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert_eq!(page.matches("data:image/png;base64,").count(), 2);
    let results = std::fs::read_to_string(out.join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    let score = |rows: &Value| {
        let cells = &rows[0]["cells"];
        [cells[0]["value"].as_f64(), cells[1]["value"].as_f64()]
    };
    assert_eq!(score(&results["rows"]), [Some(3.0), Some(5.0)]);
    assert_eq!(
        score(&results["leakage"]["without"]),
        [Some(5.0), Some(5.0)]
    );
}

#[test]
fn people_get_a_project_and_what_they_say_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let old = run(dir.path(), "old", [("a dog", 1.0), ("a cup", 5.0)]);
    let new = run(dir.path(), "new", [("a cup", 5.0), ("a cup", 5.0)]);
    let people = dir.path().join("people");
    let (annotate, images) = (Path::new("--annotate"), Path::new("--images"));
    let written = compare(&[&old, &new, annotate, &people, images, &drawn(dir.path())]);
    assert!(printed(&written).contains("1 pairs of answers"));
    // The app takes the project as it is.
    let project = Project::read(&people.join("project.toml")).unwrap();
    let [only] = project.imports.as_slice() else {
        panic!("{:?}", project.imports);
    };
    let items = import::read(&project, only, &project.resolve(&only.file))
        .unwrap()
        .items;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].name, "mmhal/0");
    assert_eq!(items[0].outputs, ["a dog", "a cup"]);
    assert_eq!(items[0].models, Some(["old".to_owned(), "new".to_owned()]));
    let said = json!({
        "id": items[0].name, "image": items[0].image, "conversations": items[0].turns, "outputs": items[0].outputs,
        "fewer_hallucinations": "second",
    });
    let log = dir.path().join("people.log.jsonl");
    put(&log, format!("{said}\n").as_bytes());
    let preferences = Path::new("--preferences");
    let table = printed(&compare(&[&old, &new, preferences, &log]));
    assert!(
        table.contains(
            "people on new against old: 1 items judged, 1 with equal answers, 0 not judged"
        ),
        "{table}"
    );
    assert!(
        table.contains("preferred: 1 wins, 0 ties, 0 losses; win rate 100.0%"),
        "{table}"
    );
    // The other way round it is about other answers.
    let output = compare(&[&new, &old, preferences, &log]);
    assert_eq!(output.status.code(), Some(2));
    let output = compare(&[&old, &new, &old, preferences, &log]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains("people compare two runs, and 3 are named"),
        "{message}"
    );
}

#[test]
fn people_rate_answers_one_by_one_and_stand_beside_the_judge() {
    let dir = tempfile::tempdir().unwrap();
    let old = run(dir.path(), "old", [("a dog", 1.0), ("a cup", 5.0)]);
    let rated = dir.path().join("rated");
    let (rate, images) = (Path::new("--rate"), Path::new("--images"));
    let written = compare(&[&old, rate, &rated, images, &drawn(dir.path())]);
    assert!(printed(&written).contains("2 answers"));
    // The app takes the project as it is.
    let project = Project::read(&rated.join("project.toml")).unwrap();
    let only = &project.imports[0];
    let read = import::read(&project, only, &project.resolve(&only.file)).unwrap();
    assert_eq!(read.items[0].name, "old/mmhal/0");
    assert_eq!(read.items[0].outputs, ["a dog"]);
    let row = |i: usize, rating: u8| {
        let item = &read.items[i];
        json!({
            "id": item.name, "question": "What is it?", "answer": item.outputs[0],
            "ratings": [{"annotator": "anna", "rating": rating, "unix_secs": 1}],
        })
    };
    let file = dir.path().join("ratings.jsonl");
    put(&file, format!("{}\n{}\n", row(0, 0), row(1, 5)).as_bytes());
    let out = dir.path().join("compared");
    let arguments = [Path::new("--ratings"), &file, Path::new("--out"), &out];
    let table = printed(&compare(&[&[old.as_path()], &arguments[..]].concat()));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Ratings by people") && page.contains("2.50"));
    assert!(table.contains("old: score 2.50"), "{table}");
    assert!(table.contains("hallucination 0.50"), "{table}");
    // The judge says 1 and 5, people 0 and 5.
    assert!(
        table.contains("2 answers of MMHal-Bench: its score less people's 0.50"),
        "{table}"
    );
    assert!(table.contains("Pearson's r undefined"), "{table}");
}

#[test]
fn people_need_no_judge_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, answer: &str| {
        let row = json!({"id": "0", "image": "0.png", "question": "What is it?", "answer": answer});
        let run = dir.path().join(name);
        put(&run.join("answers/mmhal.jsonl"), row.to_string().as_bytes());
        run
    };
    let (old, new) = (run("old", "a dog"), run("new", ""));
    let people = dir.path().join("people");
    let images = drawn(dir.path());
    let arguments = [
        Path::new("--annotate"),
        &people,
        Path::new("--images"),
        &images,
    ];
    let written = compare(&[&[old.as_path(), &new], &arguments[..]].concat());
    assert!(printed(&written).contains("1 pairs of answers"));
    assert!(people.join("project.toml").exists());
    let output = compare(&[&old, &new]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nobody has judged"), "{said}");
    assert!(
        said.contains("warning: new, MMHal-Bench: 1 of 1 answers is empty"),
        "{said}"
    );
    assert!(printed(&output).contains("WARNING: new, MMHal-Bench: 1 of 1 answers is empty"));
}

#[test]
fn a_second_benchmark_in_a_folder_leaves_the_numbers_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let pope = json!({"question_id": 1, "image": "0.png", "text": "Is there a cup in the image?", "label": "yes"});
    let own = json!({"id": "a", "image": "0.png", "question": "How many?", "answer": "3", "rule": "exact"});
    let out = dir.path().join("run");
    let score = |benchmark: &str, question: &Value, answer: &Value| {
        let [questions, answers] =
            ["questions_random.jsonl", "answers.jsonl"].map(|name| dir.path().join(name));
        put(&questions, question.to_string().as_bytes());
        put(&answers, answer.to_string().as_bytes());
        let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
        command.args(["eval", "score", "--json", "--benchmark", benchmark]);
        command.arg("--questions").arg(&questions);
        command.arg("--answers").arg(&answers);
        let output = command.arg("--out").arg(&out).output();
        printed(&output.expect("candor runs"))
    };
    let said = score("pope", &pope, &json!({"question_id": 1, "text": "Yes"}));
    assert!(!said.contains("\"own\""), "{said}");
    let said = score("own", &own, &json!({"id": "a", "answer": "4"}));
    let written = std::fs::read_to_string(out.join("results.json")).unwrap();
    for text in [said, written] {
        let results: Value = serde_json::from_str(&text).unwrap();
        let accuracy = |benchmark: &str| {
            results["benchmarks"][benchmark]["figures"]["accuracy"]["value"].as_f64()
        };
        assert_eq!([accuracy("pope"), accuracy("own")], [Some(1.0), Some(0.0)]);
    }
}

use super::*;

fn verdict(id: &str, image: &str, question: &str, right: bool) -> Verdict {
    let mut verdict = Verdict {
        id: id.to_owned(),
        image: image.to_owned(),
        question: question.to_owned(),
        ..Verdict::default()
    };
    verdict.add("accuracy", f64::from(u8::from(right)), 1.0);
    verdict
}

fn run(verdicts: Vec<Verdict>) -> Run {
    Run {
        name: "a".to_owned(),
        verdicts: [(Benchmark::Pope, verdicts)].into(),
        ..Run::default()
    }
}

fn training(folder: &Path, rows: &str) -> Training {
    let path = folder.join("train.json");
    std::fs::write(&path, rows).unwrap();
    Training::read(&[path]).unwrap()
}

const ROWS: &str = r#"[
    {"id": "1", "image": "coco/train2017/000000000042.jpg", "conversations": [
        {"from": "human", "value": "<image>\nIs there a cat?\nAnswer with one word."}, {"from": "gpt", "value": "yes"}]},
    {"id": "2", "image": "vg/VG_100K/7.jpg", "conversations": [
        {"from": "human", "value": "What is this?\n<image>"}, {"from": "gpt", "value": "a dog"}]},
    {"id": "3", "conversations": [
        {"from": "human", "value": "Hello."}, {"from": "gpt", "value": "Hi."}]}]"#;

#[test]
fn images_are_found_by_number_or_name_and_questions_by_their_words() {
    let dir = tempfile::tempdir().unwrap();
    let training = training(dir.path(), ROWS);
    let run = run(vec![
        verdict(
            "both",
            "COCO_val2014_000000000042.jpg",
            "is there a  Cat",
            false,
        ),
        verdict(
            "shown",
            "COCO_val2014_000000000042.jpg",
            "Is there a dog?",
            true,
        ),
        verdict("words", "000000000043.jpg", "Is there a cat?", true),
        // A number that is not COCO's is a name.
        verdict("number", "000000000007.jpg", "What now?", false),
        verdict("name", "other/7.JPG", "What is this?", true),
    ]);
    let found = training.find(&[run], None, 0).unwrap();
    let leaked = &found.benchmarks[&Benchmark::Pope];
    assert_eq!(leaked.images, ["both", "name", "shown"]);
    assert_eq!(leaked.questions, ["both", "name"]);
    assert_eq!((leaked.n, leaked.n_words), (5, 3));
    // Right are 3 of 5; without the three images, "words" of "words" and "number".
    let accuracy = &found.without[0];
    assert_eq!(accuracy.measure, "accuracy");
    assert_eq!(
        (accuracy.cells[0].value, accuracy.cells[0].n),
        (Some(0.5), 2)
    );
}

#[test]
fn training_data_is_looked_for_in_the_files_of_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let row = |image: &str| {
        format!(
            r#"{{"id": "1", "image": "{image}", "conversations": [{{"from": "human", "value": "Q?"}}, {{"from": "gpt", "value": "A"}}]}}"#
        )
    };
    let files = [
        ("train-00000-of-00002", "a.jpg"),
        ("train-00001-of-00002", "b.jpg"),
        ("test", "c.jpg"),
    ];
    for (name, image) in files {
        std::fs::write(dir.path().join(format!("{name}.jsonl")), row(image)).unwrap();
    }
    let training = Training::read(&[dir.path().to_owned()]).unwrap();
    let asked = |image: &str| verdict(image, image, "Q?", true);
    let run = run(vec![asked("a.jpg"), asked("b.jpg"), asked("c.jpg")]);
    let found = training.find(&[run], None, 0).unwrap();
    let leaked = &found.benchmarks[&Benchmark::Pope];
    assert_eq!(leaked.images, ["a.jpg", "b.jpg"]);
    assert_eq!(leaked.questions, ["a.jpg", "b.jpg"]);
}

#[test]
fn a_benchmark_without_training_images_has_no_second_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let training = training(dir.path(), ROWS);
    let found = training
        .find(&[run(vec![verdict("a", "x.jpg", "Q?", true)])], None, 0)
        .unwrap();
    assert!(found.benchmarks[&Benchmark::Pope].images.is_empty());
    assert!(found.without.is_empty());
}

#[test]
fn a_renamed_image_is_told_by_its_bytes_and_not_by_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let training = training(dir.path(), ROWS);
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for (path, bytes) in [
        (ours.join("renamed.jpg"), "same bytes"),
        (ours.join("another.jpg"), "same sized"),
        (theirs.join("vg/VG_100K/7.jpg"), "same bytes"),
    ] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let run = run(vec![
        verdict("a", "renamed.jpg", "What is this?", true),
        verdict("b", "another.jpg", "What is this?", true),
        verdict("c", "not-there.jpg", "What is this?", true),
    ]);
    let runs = [run];
    let found = training.find(&runs, Some((&ours, &theirs)), 0).unwrap();
    let leaked = &found.benchmarks[&Benchmark::Pope];
    assert_eq!(
        (&leaked.images, &leaked.questions),
        (&vec!["a".to_owned()], &vec!["a".to_owned()])
    );
    assert!(found.compared_bytes);
    let by_name = training.find(&runs, None, 0).unwrap();
    assert!(by_name.benchmarks[&Benchmark::Pope].images.is_empty());
}

#[test]
fn a_training_figure_does_not_take_the_others_of_its_set_along() {
    let dir = tempfile::tempdir().unwrap();
    let folders = ["ours", "theirs"].map(|name| dir.path().join(name));
    for (folder, name, bytes) in [
        (0, "3_0.png", "one"),
        (0, "3_1.png", "two"),
        (1, "t.png", "two"),
    ] {
        std::fs::create_dir_all(&folders[folder]).unwrap();
        std::fs::write(folders[folder].join(name), bytes).unwrap();
    }
    let rows = r#"[{"id": "1", "image": "t.png", "conversations": [
        {"from": "human", "value": "<image>\nQ?"}, {"from": "gpt", "value": "A"}]}]"#;
    let training = training(dir.path(), rows);
    let of_set = |id: &str, figure: &str| Verdict {
        image_file: Some(figure.to_owned()),
        ..verdict(id, "VD/chart/3", "Is it?", true)
    };
    let run = run(vec![of_set("a", "3_0.png"), of_set("b", "3_1.png")]);
    let [ours, theirs] = &folders;
    let found = training.find(&[run], Some((ours, theirs)), 0).unwrap();
    assert_eq!(found.benchmarks[&Benchmark::Pope].images, ["b"]);
}

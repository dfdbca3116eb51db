//! CHAIR scored from end to end.

use std::path::Path;

use candor_judge::benchmarks::Files;
use candor_judge::results::Scored;
use candor_judge::score::score;
use candor_judge::{Benchmark, JudgeError};
use serde_json::json;

use crate::scripted::{file, near, value};

#[test]
fn chair_counts_objects_that_are_neither_boxed_nor_captioned() {
    let dir = tempfile::tempdir().unwrap();
    let instances = r#"{"images":[{"id":7,"file_name":"a.jpg"},{"id":8,"file_name":"b.jpg"}],
        "categories":[{"id":1,"name":"cat"}],"annotations":[{"id":1,"image_id":7,"category_id":1,"bbox":[0,0,1,1]}]}"#;
    let captions = r#"{"images":[{"id":7,"file_name":"a.jpg"}],"annotations":[{"image_id":7,"id":1,"caption":"A kitten and two puppies."}]}"#;
    let answers = r#"[{"image_id":7,"caption":"Cats, a dog and a couch."},{"image_id":8,"caption":"Nothing at all."}]"#;
    let files = Files {
        questions: vec![file(dir.path(), "instances.json", instances)],
        context: Some(file(dir.path(), "captions.json", captions)),
        synonyms: Some(file(
            dir.path(),
            "synonyms.txt",
            "cat, kitten\ndog, puppy\ncouch, sofa\n",
        )),
        ..Files::default()
    };
    let given = [file(dir.path(), "answers.json", answers)];
    let (verdicts, scored) = score(Benchmark::Chair, &files, &given, None, 0).unwrap();
    assert_eq!(verdicts[0].read_as, ["couch"]);
    near(value(&scored, "chair_i"), 1.0 / 3.0);
    near(value(&scored, "chair_s"), 0.5);
    near(value(&scored, "recall"), 1.0);
    near(value(&scored, "object_f1"), 4.0 / 5.0);
    let other = [file(
        dir.path(),
        "other.json",
        r#"[{"image_id":9,"caption":"x"}]"#,
    )];
    let message = score(Benchmark::Chair, &files, &other, None, 0)
        .unwrap_err()
        .to_string();
    assert!(message.contains("\"9\""), "{message}");
}

/// An image with one box, and one description of it.
fn boxed(folder: &Path, category: &str, table: &str, said: &str) -> Result<Scored, JudgeError> {
    let instances = json!({
        "images": [{"id": 7, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": category}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]}],
    });
    let files = Files {
        questions: vec![file(folder, "instances.json", &instances.to_string())],
        synonyms: Some(file(folder, "synonyms.txt", table)),
        ..Files::default()
    };
    let answers = json!([{"image_id": 7, "caption": said}]);
    let answers = file(folder, "answers.json", &answers.to_string());
    score(Benchmark::Chair, &files, &[answers], None, 0).map(|(_, scored)| scored)
}

#[test]
fn chair_takes_no_young_animal_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let table = "person, baby, adult\nelephant\n";
    let scored = boxed(dir.path(), "elephant", table, "A baby elephant stands.").unwrap();
    near(value(&scored, "objects"), 1.0);
    near(value(&scored, "chair_i"), 0.0);
    near(value(&scored, "chair_s"), 0.0);
    near(value(&scored, "recall"), 1.0);
    near(value(&scored, "object_f1"), 1.0);
}

#[test]
fn chairs_boxes_are_kinds_by_the_table_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let scored = boxed(dir.path(), "couch", "sofa, couch\n", "A couch.").unwrap();
    near(value(&scored, "chair_i"), 0.0);
    near(value(&scored, "recall"), 1.0);
    let refused = boxed(dir.path(), "couch", "person\n", "A couch.");
    let message = refused.unwrap_err().to_string();
    for part in ["synonyms.txt", "\"couch\""] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

/// Descriptions of images, each with what is there.
fn chair(folder: &Path, rows: &[(&str, &str)]) -> Scored {
    let names = [
        "dog", "cat", "tree", "boat", "fish", "lamp", "book", "cup", "kite",
    ];
    let id = |name: &str| 1 + names.iter().position(|other| *other == name).unwrap();
    let categories = names.map(|name| json!({"id": id(name), "name": name}));
    let (mut images, mut annotations, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for (image, (said, there)) in rows.iter().enumerate() {
        images.push(json!({"id": image, "file_name": format!("{image}.jpg")}));
        for name in there.split_whitespace() {
            annotations.push(json!({
                "id": annotations.len(), "image_id": image, "category_id": id(name), "bbox": [0, 0, 1, 1],
            }));
        }
        answers.push(json!({"image_id": image, "caption": said}));
    }
    let instances = json!({"images": images, "categories": categories, "annotations": annotations});
    let files = Files {
        questions: vec![file(folder, "instances.json", &instances.to_string())],
        synonyms: Some(file(folder, "synonyms.txt", &(names.join("\n") + "\n"))),
        ..Files::default()
    };
    let answers = file(folder, "answers.json", &json!(answers).to_string());
    score(Benchmark::Chair, &files, &[answers], None, 0)
        .unwrap()
        .1
}

#[test]
fn chairs_table_is_worked_by_hand_and_silence_is_not_a_perfect_score() {
    let dir = tempfile::tempdir().unwrap();
    let scored = chair(
        dir.path(),
        &[
            // 2 right of 3 that are there, 1 made up; the dog is named twice and counts once.
            ("A dog, a dog, a cat, a kite.", "dog cat tree"),
            // 2 right of 2.
            ("A boat, a fish.", "boat fish"),
            // Nothing said of 3.
            ("", "lamp book cup"),
        ],
    );
    near(value(&scored, "chair_i"), 1.0 / 5.0);
    near(value(&scored, "chair_s"), 1.0 / 3.0);
    near(value(&scored, "recall"), 4.0 / 8.0);
    // 2 · 0.8 · 0.5 / 1.3
    near(value(&scored, "object_f1"), 8.0 / 13.0);
    near(value(&scored, "objects"), 5.0 / 3.0);

    let scored = chair(dir.path(), &[("", "dog cat")]);
    let figure = |key: &str| &scored.figures[key];
    assert_eq!(
        (figure("chair_i").value, figure("chair_i").ci95),
        (None, None)
    );
    near(value(&scored, "recall"), 0.0);
    assert_eq!(figure("object_f1").ci95, Some([0.0, 0.0]));
}

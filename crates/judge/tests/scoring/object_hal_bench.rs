//! Object-HalBench, with a judge that extracts objects and without one.

use std::path::{Path, PathBuf};

use candor_judge::Benchmark;
use candor_judge::benchmarks::Files;
use candor_judge::score::score;
use candor_judge::settings::Templates;
use serde_json::{Value, json};

use crate::scripted::{Sheet, file, near, run, value};

const TABLE: &str = "person, man, woman\ndog, puppy\nchair, seat\ndining table, table\nskis, ski\nwine glass\nhorse\n";

/// Two questions about images with objects, and one about an image of which nothing is known.
fn files(folder: &Path) -> Files {
    let questions = "{\"image_id\": 7, \"question\": \"Describe it.\", \"image\": \"aGVsbG8=\"}\n{\"image_id\": 9, \"question\": \"What is \
                     there?\"}\n{\"image_id\": 11, \"question\": \"And here?\"}\n";
    let images = json!([{"id": 7, "file_name": "COCO_val2014_000000000007.jpg"}, {"id": 9, "file_name": "nine.jpg"}, {"id": 11, "file_name": "eleven.jpg"}]);
    let instances = json!({"images": images, "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "dining table"}, {"id": 3, "name": "person"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]}, {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]},
            {"id": 3, "image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1]}, {"id": 4, "image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]}]});
    let caption =
        |id: u64, image: u64, said: &str| json!({"id": id, "image_id": image, "caption": said});
    let captions = json!({"images": images, "annotations": [caption(1, 7, "A puppy on a seat."), caption(2, 9, "A man."), caption(3, 11, "Nothing much.")]});
    Files {
        questions: vec![file(folder, "obj_halbench.jsonl", questions)],
        references: Some(file(folder, "instances.json", &instances.to_string())),
        context: Some(file(folder, "captions.json", &captions.to_string())),
        synonyms: Some(file(folder, "synonyms.txt", TABLE)),
        ..Files::default()
    }
}

fn answers(folder: &Path, texts: [&str; 3]) -> Vec<PathBuf> {
    let rows = texts.map(|text| json!({"text": text}).to_string());
    vec![file(folder, "answers.jsonl", &rows.join("\n"))]
}

#[test]
fn without_a_judge_every_word_of_the_table_counts() {
    let dir = tempfile::tempdir().unwrap();
    let answers = answers(
        dir.path(),
        [
            "A dog, a puppy and a cat at the table, with skis.",
            "A woman looks on.",
            "No idea.",
        ],
    );
    let benchmark = Benchmark::ObjectHalBenchClosed;
    let (verdicts, scored) = score(benchmark, &files(dir.path()), &answers, None, 0).unwrap();
    // Of the first image dog, dining table and (a seat) chair are there: dog, puppy and table are right, skis are not.
    near(value(&scored, "chair_s"), 1.0 / 2.0);
    near(value(&scored, "chair_s_all"), 1.0 / 3.0);
    near(value(&scored, "chair_i"), 1.0 / 5.0);
    near(value(&scored, "recall"), (2.0 + 1.0) / (3.0 + 1.0));
    near(value(&scored, "objects"), 5.0 / 3.0);
    assert_eq!(verdicts[0].read_as, ["skis"]);
    assert_eq!(
        verdicts[0].reference.as_deref(),
        Some("chair, dining table, dog")
    );
    assert_eq!(verdicts[0].image, "COCO_val2014_000000000007.jpg");
}

#[test]
fn with_a_judge_its_lists_count_and_what_is_no_list_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let sheet = Sheet {
        files: files(dir.path()),
        answers: answers(
            dir.path(),
            [
                "A dog and a cat beside a wine glass.",
                "A woman looks on calmly.",
                "Three words only",
            ],
        ),
    };
    let reply = |prompt: &str| {
        assert!(
            !prompt.contains("Three words only"),
            "a short answer was asked about"
        );
        let said = if prompt.contains("wine glass") {
            assert!(prompt.contains("Question: Describe it."), "{prompt}");
            "```json\n[\"dog\", \"cat\", \"wine glasses\", \"dogs\"]\n```"
        } else {
            "I cannot see the picture."
        };
        vec![said.to_owned()]
    };
    let scored = run(
        Benchmark::ObjectHalBench,
        &sheet,
        &Templates::default(),
        reply,
    )
    .unwrap();
    // One of two words of the first answer is made up; the third has none; of the second nothing is known.
    near(value(&scored, "chair_s"), 1.0);
    near(value(&scored, "chair_s_all"), 1.0 / 2.0);
    near(value(&scored, "chair_i"), 1.0 / 2.0);
    near(value(&scored, "recall"), 1.0 / 3.0);
    near(value(&scored, "objects"), 2.0 / 2.0);
    near(value(&scored, "unparsed"), 1.0 / 2.0);
    assert_eq!(scored.unparsed, ["9"]);

    // A prompt of one's own, as the official one has its slots.
    let prompt = file(
        dir.path(),
        "extract.txt",
        "<image> {question}\n[Answer] {answer}\nlist [\"object_1\"]",
    );
    let templates = Templates {
        object_hal_bench: Some(prompt),
        ..Templates::default()
    };
    let reply = |prompt: &str| {
        assert!(prompt.starts_with("<image> "), "{prompt}");
        vec!["[]".to_owned()]
    };
    let scored = run(Benchmark::ObjectHalBench, &sheet, &templates, reply).unwrap();
    near(value(&scored, "chair_s_all"), 0.0);
    assert_eq!(scored.figures["chair_i"].value, None);
}

#[test]
fn what_is_missing_is_named() {
    type Change = fn(&mut Files);
    let dir = tempfile::tempdir().unwrap();
    let whole = files(dir.path());
    let answers = answers(dir.path(), ["a", "b", "c"]);
    let refused = |files: &Files| {
        let scored = score(Benchmark::ObjectHalBenchClosed, files, &answers, None, 0);
        scored.unwrap_err().to_string()
    };
    let changes: [(Change, &str); 3] = [
        (|files| files.synonyms = None, "--synonyms"),
        (|files| files.references = None, "--references"),
        (|files| files.context = None, "--context"),
    ];
    for (change, part) in changes {
        let mut files = whole.clone();
        change(&mut files);
        let said = refused(&files);
        assert!(said.contains(part), "{part} in {said}");
    }
    let mut files = whole.clone();
    files.synonyms = Some(file(dir.path(), "short.txt", "person\nchair, seat\n"));
    let said = refused(&files);
    assert!(
        said.contains("short.txt") && said.contains("\"dog\""),
        "{said}"
    );
    let mut files = whole;
    files.questions = vec![file(
        dir.path(),
        "q.jsonl",
        r#"{"image_id": 8, "question": "Q"}"#,
    )];
    let said = refused(&files);
    assert!(
        said.contains("instances.json") && said.contains("no image 8"),
        "{said}"
    );
    let judged = score(
        Benchmark::ObjectHalBench,
        &self::files(dir.path()),
        &self::answers(dir.path(), ["one two three four", "b", "c"]),
        None,
        0,
    );
    let said = judged.unwrap_err().to_string();
    assert!(said.contains("--judge"), "{said}");
}

#[test]
fn images_inside_the_file_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let task = Benchmark::ObjectHalBench
        .open(&files(dir.path()), &Templates::default())
        .unwrap();
    assert_eq!(
        task.image(0).unwrap(),
        candor_judge::benchmarks::Image::Held(b"hello".to_vec())
    );
    assert_eq!(
        task.image(1).unwrap(),
        candor_judge::benchmarks::Image::Named("nine.jpg")
    );
    let asked: Vec<Value> = task
        .items()
        .iter()
        .map(|item| json!([item.id, item.prompt]))
        .collect();
    assert_eq!(
        asked,
        [
            json!(["7", "Describe it."]),
            json!(["9", "What is there?"]),
            json!(["11", "And here?"])
        ]
    );
}

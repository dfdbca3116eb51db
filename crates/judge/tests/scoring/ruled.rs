//! POPE, MMBench and CHAIR.

use candor_judge::measure::Benchmark;
use candor_judge::score::{Files, Scored, score, write};

use crate::{file, near, value};

#[test]
fn pope_takes_its_own_answer_lines_and_writes_what_it_found() {
    let dir = tempfile::tempdir().unwrap();
    let question = |id: u8, text: &str, label: &str| {
        format!(
            "{{\"question_id\":{id},\"image\":\"{id}.jpg\",\"text\":\"{text}\",\"label\":\"{label}\"}}\n"
        )
    };
    let questions = question(1, "Is there a cat?", "yes") + &question(2, "Is there a dog?", "no");
    let answers = "{\"question\":\"Is there a cat?\",\"answer\":\"Yes, there is.\"}\n\
                   {\"question\":\"Is there a dog?\",\"answer\":\"Perhaps\"}\n";
    let files = Files {
        questions: vec![file(dir.path(), "coco_pope_popular.json", &questions)],
        answers: vec![file(dir.path(), "answers.jsonl", answers)],
        ..Files::default()
    };
    let (verdicts, scored) = score(Benchmark::Pope, &files, None, 0).unwrap();
    near(value(&scored, "accuracy"), 0.5);
    near(value(&scored, "precision"), 0.5);
    near(value(&scored, "f1"), 2.0 / 3.0);
    near(value(&scored, "neither"), 0.5);
    assert_eq!(scored.unread, ["popular-2"]);
    let out = dir.path().join("out");
    write(&out, &verdicts, &scored).unwrap();
    let text = std::fs::read_to_string(out.join("results.json")).unwrap();
    assert_eq!(serde_json::from_str::<Scored>(&text).unwrap(), scored);
    let run = candor_judge::compare::Run::open(&out).unwrap();
    assert_eq!(run.verdicts[&Benchmark::Pope], verdicts);
    // A swapped file is noticed, because its lines repeat the questions.
    let swapped: Vec<&str> = answers.lines().rev().collect();
    let swapped = swapped.join("\n");
    let files = Files {
        answers: vec![file(dir.path(), "swapped.jsonl", &swapped)],
        ..files
    };
    assert!(score(Benchmark::Pope, &files, None, 0).is_err());
}

#[test]
fn mmbench_in_circles_is_right_only_if_every_turn_is() {
    let dir = tempfile::tempdir().unwrap();
    let picture = "Y2FuZG9y".repeat(10);
    let table = format!(
        "index\tquestion\tA\tB\tanswer\tcategory\timage\n1\tWhat?\tcup\tdish\tA\tx\t{picture}\n\
         1000001\tWhat?\tdish\tcup\tB\tx\t1\n2\tWhich?\tred\tblue\tB\ty\t{picture}\n1000002\tWhich?\tblue\tred\tA\ty\t2\n"
    );
    let answers = "{\"question_id\":1,\"text\":\"A\"}\n{\"question_id\":1000001,\"text\":\"a cup\"}\n\
                   {\"question_id\":2,\"text\":\"B.\"}\n{\"question_id\":1000002,\"text\":\"both\"}\n";
    let files = Files {
        questions: vec![file(dir.path(), "mmbench.tsv", &table)],
        answers: vec![file(dir.path(), "answers.jsonl", answers)],
        ..Files::default()
    };
    let (_, scored) = score(Benchmark::Mmbench, &files, None, 0).unwrap();
    near(value(&scored, "accuracy"), 0.75);
    near(value(&scored, "circular"), 0.5);
    assert_eq!(
        (scored.figures["circular"].n, scored.unread.as_slice()),
        (2, &["1000002".to_owned()][..])
    );
}

#[test]
fn chair_counts_objects_that_are_neither_boxed_nor_captioned() {
    let dir = tempfile::tempdir().unwrap();
    let instances = r#"{"images":[{"id":7,"file_name":"a.jpg"},{"id":8,"file_name":"b.jpg"}],
        "categories":[{"id":1,"name":"cat"}],"annotations":[{"id":1,"image_id":7,"category_id":1,"bbox":[0,0,1,1]}]}"#;
    let captions = r#"{"images":[{"id":7,"file_name":"a.jpg"}],"annotations":[{"image_id":7,"id":1,"caption":"A kitten and two puppies."}]}"#;
    let answers = r#"[{"image_id":7,"caption":"Cats, a dog and a couch."},{"image_id":8,"caption":"Nothing at all."}]"#;
    let mut files = Files {
        questions: vec![file(dir.path(), "instances.json", instances)],
        answers: vec![file(dir.path(), "answers.json", answers)],
        context: Some(file(dir.path(), "captions.json", captions)),
        synonyms: Some(file(
            dir.path(),
            "synonyms.txt",
            "cat, kitten\ndog, puppy\ncouch, sofa\n",
        )),
        ..Files::default()
    };
    let (verdicts, scored) = score(Benchmark::Chair, &files, None, 0).unwrap();
    assert_eq!(verdicts[0].read_as, ["couch"]);
    near(value(&scored, "chair_i"), 1.0 / 3.0);
    near(value(&scored, "chair_s"), 0.5);
    near(value(&scored, "recall"), 1.0);
    near(value(&scored, "object_f1"), 4.0 / 5.0);
    files.answers = vec![file(
        dir.path(),
        "other.json",
        r#"[{"image_id":9,"caption":"x"}]"#,
    )];
    let message = score(Benchmark::Chair, &files, None, 0)
        .unwrap_err()
        .to_string();
    assert!(message.contains("\"9\""), "{message}");
}

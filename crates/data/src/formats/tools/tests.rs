use std::path::Path;

use super::*;
use crate::DataError;

type Read = fn(&Path) -> Result<Taken, DataError>;

fn read(how: Read, text: &str) -> Result<Taken, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.json");
    std::fs::write(&path, text).unwrap();
    how(&path).map_err(|error| error.to_string())
}

fn left_behind(taken: &Taken) -> Vec<(&str, usize)> {
    let all = taken.left_behind.iter();
    all.map(|(name, &n)| (name.as_str(), n)).collect()
}

/// What was taken over of who is better: by which question, and which.
fn judged(row: &Comparison) -> Option<(Verdict, Option<Side>)> {
    let judgement = row.judgement.as_ref()?;
    Some((judgement.fewer_hallucinations, judgement.more_helpful))
}

const STUDIO: &str = r#"[
{"id": 4, "data": {"id": "p-1", "image": "/data/local-files/?d=set/a.png", "question": "What is it?", "answer_a": "A cup.", "answer_b": "A dog.", "model": "m"},
 "annotations": [
  {"id": 1, "result": [{"id": "x", "from_name": "pw", "to_name": "answer_a,answer_b", "type": "pairwise", "value": {"selected": "left"}},
    {"id": "y", "from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["cup"]}}], "was_cancelled": false},
  {"id": 2, "result": [{"from_name": "first", "type": "choices", "value": {"choices": ["a"]}}], "was_cancelled": false},
  {"id": 3, "result": [], "was_cancelled": true}],
 "predictions": [{"result": []}]},
{"id": 5, "data": {"images": ["https://x.org/b.png?v=2", "c.png"], "prompt": "Which?", "text1": "This.", "text2": "That."},
 "annotations": [{"result": [{"from_name": "first", "type": "choices", "value": {"choices": ["tie"]}},
    {"from_name": "second", "type": "choices", "value": {"choices": ["b"]}}]}]},
{"data": {"question": "No image?", "response_a": "Yes.", "response_b": "No."}}
]"#;

#[test]
fn label_studios_tasks_are_comparisons_and_the_rest_is_counted() {
    let taken = read(label_studio::read, STUDIO).unwrap();
    let [cup, which, bare] = taken.rows.as_slice() else {
        panic!("{:?}", taken.rows);
    };
    assert_eq!(
        (cup.id.as_str(), cup.image.as_deref()),
        ("p-1", Some("a.png"))
    );
    assert_eq!(cup.turns, [Turn::human("<image>\nWhat is it?")]);
    assert_eq!(cup.outputs, ["A cup.", "A dog."]);
    // One by the first question, one by preference alone.
    assert_eq!(taken.bare, [0]);
    assert_eq!(judged(cup), Some((Verdict::Tie, Some(Side::First))));
    assert_eq!(
        (which.id.as_str(), which.image.as_deref()),
        ("5", Some("b.png\nc.png"))
    );
    assert_eq!(which.turns, [Turn::human("<image>\n<image>\nWhich?")]);
    assert_eq!(judged(which), Some((Verdict::Tie, Some(Side::Second))));
    assert_eq!(
        (bare.id.as_str(), bare.image.as_deref(), judged(bare)),
        ("row-2", None, None)
    );
    assert_eq!(
        left_behind(&taken),
        [
            ("cancelled annotations", 1),
            ("data.model", 1),
            ("predictions", 1),
            ("rectanglelabels `box`", 1)
        ]
    );
}

const ARGILLA: &str = r#"{"id": "r-1", "fields": {"image": "https://x.org/a.png", "question": "What is it?", "answer_a": "A cup.", "answer_b": "A dog."}, "metadata": {"split": "train"}, "suggestions": {"first": {"value": "b", "score": 0.5, "agent": "m"}}, "responses": {"first": [{"value": "a", "user_id": "u1"}, {"value": "answer_a", "user_id": "u2"}], "comment": [{"value": "fine", "user_id": "u1"}]}, "vectors": {}, "_server_id": null}
{"id": "r-2", "fields": {"prompt": "Which?", "response_1": "This.", "response_2": "That."}, "responses": {"preference": [{"value": [{"value": "response_2", "rank": 1}, {"value": "response_1", "rank": 2}], "user_id": "u1"}]}}
{"id": "r-3", "fields": {"prompt": "Which?", "response_1": "This.", "response_2": "That."}, "responses": {"preference": [{"value": "a", "user_id": "u1"}, {"value": "b", "user_id": "u2"}]}}
"#;

#[test]
fn argillas_records_are_comparisons_and_the_rest_is_counted() {
    let list = format!("[{}]", ARGILLA.trim_end().replace('\n', ","));
    for text in [ARGILLA, &list] {
        let taken = read(argilla::read, text).unwrap();
        let [cup, ranked, torn] = taken.rows.as_slice() else {
            panic!("{:?}", taken.rows);
        };
        assert_eq!(
            (cup.id.as_str(), cup.image.as_deref()),
            ("r-1", Some("a.png"))
        );
        assert_eq!(judged(cup), Some((Verdict::First, None)));
        assert_eq!(judged(ranked), Some((Verdict::Tie, Some(Side::Second))));
        assert_eq!(taken.bare, [1]);
        assert_eq!(judged(torn), None, "two people disagree");
        assert_eq!(
            left_behind(&taken),
            [
                ("judgements that disagree", 1),
                ("metadata.split", 1),
                ("responses.comment", 1),
                ("suggestions.first", 1)
            ]
        );
    }
}

/// Tasks of Label Studio with these annotations, each with an id of its own.
fn studio(annotations: &[&str]) -> String {
    let task = |(id, annotations): (usize, &&str)| {
        format!(
            r#"{{"id": {id}, "data": {{"question": "q", "answer_a": "x", "answer_b": "y"}}, "annotations": [{annotations}]}}"#
        )
    };
    let tasks: Vec<String> = annotations.iter().enumerate().map(task).collect();
    format!("[{}]", tasks.join(","))
}

#[test]
fn sides_truths_and_ties_of_label_studio_count_as_they_do_there() {
    let turned = r#"{"result": [{"from_name": "p", "to_name": "answer_b, answer_a", "type": "pairwise", "value": {"selected": "left"}}]}"#;
    let says = |word: &str| {
        format!(
            r#"{{"result": [{{"from_name": "first", "type": "choices", "value": {{"choices": ["{word}"]}}}}]}}"#
        )
    };
    let [a, b] = ["a", "b"].map(says);
    let truth = b.replacen('{', r#"{"ground_truth": true, "#, 1);
    let tie = says("tie");
    let after = r#"{"result": [{"from_name": "first", "type": "choices", "value": {"choices": ["tie"]}},
        {"from_name": "p", "to_name": "answer_a,answer_b", "type": "pairwise", "value": {"selected": "left"}}]}"#;
    let text = studio(&[
        turned,
        &format!("{a}, {truth}"),
        after,
        &tie,
        &format!("{a}, {b}"),
    ]);
    let text = text.replacen(r#"{"id": 0"#, r#"{"inner_id": 1, "id": 0"#, 1);
    let taken = read(label_studio::read, &text).unwrap();
    let found: Vec<_> = taken.rows.iter().map(judged).collect();
    let expected = [
        Some((Verdict::Tie, Some(Side::Second))),
        Some((Verdict::Second, None)),
        Some((Verdict::Tie, Some(Side::First))),
        None,
        None,
    ];
    assert_eq!(found, expected);
    assert_eq!(taken.bare, [0, 2]);
    assert_eq!(
        left_behind(&taken),
        [
            ("annotations beside the ground truth", 1),
            ("inner_id", 1),
            ("judgements that are a tie", 1),
            ("judgements that disagree", 1)
        ]
    );
}

#[test]
fn rankings_of_names_are_from_the_best_and_those_of_more_are_counted() {
    let ranked = |names: &str| {
        let value = ARGILLA.lines().nth(1).unwrap().replace(
            r#"[{"value": "response_2", "rank": 1}, {"value": "response_1", "rank": 2}]"#,
            names,
        );
        read(argilla::read, &value)
    };
    let two = ranked(r#"["response_2", "response_1"]"#).unwrap();
    assert_eq!(
        judged(&two.rows[0]),
        Some((Verdict::Tie, Some(Side::Second)))
    );
    let three = ranked(r#"["response_2", "response_3", "response_1"]"#).unwrap();
    assert_eq!(judged(&three.rows[0]), None);
    assert_eq!(
        left_behind(&three),
        [("responses.preference (a ranking of more)", 1)]
    );
    let twice = ranked(r#"["response_2", "response_2"]"#).unwrap_err();
    assert!(twice.contains("responses.preference"), "{twice}");
}

#[test]
fn paths_of_images_are_kept_and_names_are_of_one_address() {
    let shows = |images: [&str; 2]| {
        let row = |(id, image): (usize, &str)| {
            format!(
                r#"{{"id": {id}, "data": {{"image": "{image}", "question": "q", "answer_a": "x", "answer_b": "y"}}}}"#
            )
        };
        let rows: Vec<String> = images.into_iter().enumerate().map(row).collect();
        let taken = read(label_studio::read, &format!("[{}]", rows.join(",")))?;
        let names = taken.rows.into_iter().map(|row| row.image.unwrap());
        Ok::<_, String>(names.collect::<Vec<_>>())
    };
    assert_eq!(
        shows(["one/a.png", "two/a.png"]).unwrap(),
        ["one/a.png", "two/a.png"]
    );
    // What is signed anew is the same.
    assert_eq!(
        shows(["https://x.org/a.png?v=1", "https://x.org/a.png?v=2"]).unwrap(),
        ["a.png", "a.png"]
    );
    for two in [
        ["https://x.org/one/a.png", "https://x.org/two/a.png"],
        [
            "/data/local-files/?d=one/a.png",
            "/data/local-files/?d=two/a.png",
        ],
        ["/data/upload/1/a.png", "a.png"],
    ] {
        let message = shows(two).unwrap_err();
        assert!(message.contains("data.image"), "{message}");
        assert!(message.contains("expected names that differ"), "{message}");
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let (studio, records): (Read, Read) = (label_studio::read, argilla::read);
    for (how, text, words) in [
        (
            studio,
            STUDIO.replace("answer_b", "other"),
            "none of answer_a, ",
        ),
        (
            studio,
            STUDIO.replace("\"left\"", "\"both\""),
            "annotations (pw)",
        ),
        (studio, STUDIO.replace("\"A cup.\"", "7"), "data.answer_a"),
        (
            studio,
            STUDIO.replace("\"second\"", "\"first\""),
            "found a second one in an annotation",
        ),
        (
            studio,
            STUDIO.replace("\"model\": \"m\"", "\"answer_c\": \"A cat.\""),
            "data.answer_c",
        ),
        (
            records,
            ARGILLA.replace("\"question\"", "\"ask\""),
            "none of question, prompt, instruction",
        ),
        (
            records,
            ARGILLA.replace("https://x.org/a.png", "data:image/png;base64,AA=="),
            "an image inside the file",
        ),
        (
            records,
            ARGILLA.replace("\"value\": \"answer_a\"", "\"value\": 3"),
            "responses.first",
        ),
    ] {
        let message = read(how, &text).unwrap_err();
        assert!(message.contains(words), "{words} in {message}");
        assert!(message.contains("docs/formats.md"), "{message}");
    }
}

#[test]
fn a_third_answer_that_is_empty_is_none() {
    let text = STUDIO.replace("\"model\": \"m\"", "\"answer_c\": null");
    let taken = read(label_studio::read, &text).unwrap();
    assert_eq!(taken.rows[0].outputs, ["A cup.", "A dog."]);
    assert_eq!(taken.left_behind["data.answer_c"], 1);
}

#[test]
fn two_tasks_of_one_id_are_refused() {
    let tasks = STUDIO.replace("\"id\": 5", "\"id\": \"p-1\"");
    let message = read(label_studio::read, &tasks).unwrap_err();
    assert!(message.contains("p-1"), "{message}");
    let records = ARGILLA.replace("r-3", "r-1");
    let message = read(argilla::read, &records).unwrap_err();
    assert!(message.contains("r-1"), "{message}");
}

#[test]
fn argillas_records_of_several_answers_are_sets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        argilla::read_sets(&path).map_err(|error| error.to_string())
    };
    let record = r#"{"id": "r-1", "fields": {"image": "https://x.org/a.png", "question": "What is it?", "answer_1": "A cup.", "answer_2": "A dog.", "answer_3": "A cat.", "hint": "h"}, "metadata": {"split": "train"}, "responses": {"ranking": [{"value": [{"value": "answer_2", "rank": 1}], "user_id": "u1"}, {"value": [], "user_id": "u2"}]}}"#;
    let taken = read(record).unwrap();
    let [row] = taken.rows.as_slice() else {
        panic!("{:?}", taken.rows);
    };
    assert_eq!(
        (row.id.as_str(), row.image.as_deref()),
        ("r-1", Some("a.png"))
    );
    assert_eq!(row.turns, [Turn::human("<image>\nWhat is it?")]);
    assert_eq!(row.outputs, ["A cup.", "A dog.", "A cat."]);
    let counted: Vec<(&str, usize)> = taken
        .left_behind
        .iter()
        .map(|(name, &n)| (name.as_str(), n))
        .collect();
    assert_eq!(
        counted,
        [
            ("fields.hint", 1),
            ("metadata.split", 1),
            ("responses.ranking", 2)
        ]
    );
    let letters = record
        .replace("\"answer_1\":", "\"response_a\":")
        .replace("\"answer_2\":", "\"response_b\":")
        .replace("\"answer_3\":", "\"response_c\":");
    assert_eq!(read(&letters).unwrap().rows, taken.rows);
    let empty = read(&record.replace("\"hint\": \"h\"", "\"answer_4\": null")).unwrap();
    assert_eq!(empty.rows, taken.rows);
    assert_eq!(empty.left_behind["fields.answer_4"], 1);
    let more: Vec<String> = (4..10)
        .map(|i| format!("\"answer_{i}\": \"{i}\""))
        .collect();
    let nine = record.replace("\"hint\": \"h\"", &more.join(", "));
    for (text, words) in [
        (
            record.replace("answer_3", "other"),
            "three answers are not in it",
        ),
        (nine, "found 9 answers, expected 3 to 8"),
        (format!("{record}\n{record}"), "r-1"),
    ] {
        let message = read(&text).unwrap_err();
        assert!(message.contains(words), "{words} in {message}");
    }
}

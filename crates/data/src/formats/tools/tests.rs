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
        assert_eq!(judged(torn), None, "two people disagree");
        assert_eq!(
            left_behind(&taken),
            [
                ("metadata.split", 1),
                ("responses.comment", 1),
                ("suggestions.first", 1)
            ]
        );
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

//! Bad rows: how many are named, in which words, and what a run that skips them keeps.

use std::path::Path;

use candor_data::DataError;
use candor_data::rows::{
    LEAVE_OUT, Look, OnBadRow, Reason, Row, RowFault, RowName, Sieve, SourceFile, faults,
};

/// Rows of which every second is bad.
fn rows(n: usize) -> Vec<Row<usize>> {
    let file = SourceFile::of("talk", Path::new("rows.json"));
    let row = |i: usize| Row {
        name: RowName::numbered(&file, i, "0"),
        made: if i.is_multiple_of(2) {
            Ok(i)
        } else {
            Err(RowFault::new(
                Reason::TooLong,
                "conversations",
                format!("{i} tokens"),
                "shorten it",
            ))
        },
    };
    (0..n).map(row).collect()
}

fn sieve(on_bad_row: OnBadRow) -> Sieve<'static> {
    Sieve {
        on_bad_row,
        look: Look::Not,
        images: Path::new("images"),
        remedy: Some(LEAVE_OUT),
    }
}

#[test]
fn a_single_bad_row_is_told_in_a_line_and_many_are_counted() {
    let message = |n| {
        let refused = sieve(OnBadRow::Stop).sift(rows(n), |_| None).unwrap_err();
        assert!(matches!(refused, DataError::BadRows { .. }));
        refused.to_string()
    };
    assert_eq!(
        message(3),
        "rows.json: row 1 (source \"talk\", id \"0\"), field `conversations`: 1 tokens; shorten it; data.on_bad_row = \
         \"skip\" leaves such rows out"
    );
    let many = message(50);
    let lines: Vec<&str> = many.lines().collect();
    assert_eq!(lines[0], "25 rows cannot be used (25 too_long):");
    assert!(lines[20].contains("row 39 "), "{many}");
    assert_eq!(lines[21], "  and 5 more");
    assert!(
        sieve(OnBadRow::Stop)
            .sift(rows(1), |_| None)
            .unwrap()
            .skipped
            .is_none()
    );
}

#[test]
fn what_is_skipped_is_listed_and_counted() {
    let sifted = sieve(OnBadRow::Skip).sift(rows(4), |_| None).unwrap();
    let kept: Vec<usize> = sifted.rows.iter().map(|(_, row)| *row).collect();
    assert_eq!(kept, [0, 2]);
    let skipped = sifted.skipped.unwrap();
    let dir = tempfile::tempdir().unwrap();
    skipped.write(dir.path()).unwrap();
    let first = std::fs::read_to_string(dir.path().join("skipped.jsonl")).unwrap();
    assert_eq!(
        first.lines().next().unwrap(),
        r#"{"source":"talk","file":"rows.json","row":1,"id":"0","reason":"too_long","field":"conversations","found":"1 tokens"}"#
    );
    assert_eq!(
        serde_json::to_value(skipped.counts()).unwrap(),
        serde_json::json!({"n_skipped": 2, "skipped": {"too_long": 2}})
    );
}

#[test]
fn images_are_missing_outside_or_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("words.png"), "no image").unwrap();
    let names = ["gone.png", "../up.png", "words.png", "gone.png"];
    let reasons = |look| {
        let faults = faults(dir.path(), names, look).into_iter();
        faults
            .map(|(name, fault)| (name, fault.reason))
            .collect::<Vec<_>>()
    };
    let missing = |name: &str| (name.to_owned(), Reason::MissingImage);
    assert_eq!(reasons(Look::Not), []);
    assert_eq!(
        reasons(Look::There),
        [missing("../up.png"), missing("gone.png")]
    );
    let unreadable = ("words.png".to_owned(), Reason::UnreadableImage);
    assert_eq!(
        reasons(Look::Decoded),
        [missing("../up.png"), missing("gone.png"), unreadable]
    );
}

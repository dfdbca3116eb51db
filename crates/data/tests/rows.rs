//! Bad rows: how many are named, in which words, and what a run that skips them keeps.

use std::collections::BTreeSet;
use std::path::Path;

use candor_data::comparisons::Purpose;
use candor_data::formats::{folder, llava, ppo_prompts};
use candor_data::rows::{
    KeptRowsWriter, LEAVE_OUT, Look, OnBadRow, Reason, Row, RowFault, RowName, Sieve, Sifting,
    SourceFile, faults,
};
use candor_data::{DataError, sha256};

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
        let refused = sieve(OnBadRow::Stop)
            .sift(rows(n), |_| None, [])
            .unwrap_err();
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
            .sift(rows(1), |_| None, [])
            .unwrap()
            .skipped
            .is_none()
    );
}

#[test]
fn what_is_skipped_is_listed_and_counted() {
    let sifted = sieve(OnBadRow::Skip).sift(rows(4), |_| None, []).unwrap();
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

/// A row that is good, and shows these images.
fn showing(file: &std::sync::Arc<SourceFile>, number: usize, images: &str) -> Row<String> {
    Row {
        name: RowName::numbered(file, number, "0"),
        made: Ok(images.to_owned()),
    }
}

#[test]
fn rows_in_parts_pass_a_sieve_as_they_do_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let file = SourceFile::of("talk", Path::new("rows.json"));
    let shown = ["b.png", "gone.png", "c.png\ngone.png", "a.png\nb.png"];
    let rows = |numbers: std::ops::Range<usize>| -> Vec<Row<String>> {
        numbers.map(|i| showing(&file, i, shown[i])).collect()
    };
    let sieve = Sieve {
        look: Look::There,
        images: dir.path(),
        ..sieve(OnBadRow::Skip)
    };
    let whole = sieve
        .sift(rows(0..4), |row| Some(row.as_str()), [])
        .unwrap();
    let mut sifting = Sifting::new(sieve);
    let mut good = sifting.add(rows(0..2), |row| Some(row.as_str()));
    good.extend(sifting.add(rows(2..4), |row| Some(row.as_str())));
    let (images, skipped) = sifting.end().unwrap();
    assert_eq!(good, whole.rows);
    assert_eq!(skipped, whole.skipped);
    let bad: Vec<String> = skipped
        .unwrap()
        .rows()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        bad[0].contains("row 1 ") && bad[1].contains("row 2 "),
        "{bad:?}"
    );
    assert_eq!(bad.len(), 2);
    // In the order of the rows, each once; what a bad row alone shows is not shown.
    assert_eq!(images.names, ["b.png", "a.png"]);
    assert_eq!(images.of_a_row, 2);
    // Without the file nobody needs to look.
    let mut sifting = Sifting::new(sieve);
    sifting.take_for_good(["gone.png".to_owned()]);
    assert_eq!(sifting.add(rows(1..2), |row| Some(row.as_str())).len(), 1);
}

#[test]
fn beside_images_that_are_inside_a_file_a_plan_looks_at_the_others() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("b.png"), "").unwrap();
    let file = SourceFile::of("talk", Path::new("rows.parquet"));
    let mut noted = BTreeSet::new();
    let named = Purpose::Plan.embedded(dir.path(), &mut noted, b"a picture");
    let inside = named.unwrap();
    assert!(!dir.path().join(&inside).exists());
    let shown = [inside.as_str(), "gone.png", "b.png"];
    let rows: Vec<Row<String>> = (0..3).map(|i| showing(&file, i, shown[i])).collect();
    let sieve = Sieve {
        look: Look::There,
        images: dir.path(),
        ..sieve(OnBadRow::Skip)
    };
    let sifted = sieve.sift(rows, |row| Some(row.as_str()), noted).unwrap();
    let left: Vec<&str> = sifted.rows.iter().map(|(_, row)| row.as_str()).collect();
    assert_eq!(left, [inside.as_str(), "b.png"]);
    assert_eq!(sifted.skipped.unwrap().rows().len(), 1);
}

#[test]
fn kept_rows_come_back_and_leave_nothing_in_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/run");
    let mut writer = KeptRowsWriter::on_disk_of(&folder).unwrap();
    let rows: [&[u8]; 4] = [b"one", b"", b"\0\xFF", b"four"];
    for row in rows {
        writer.add(row).unwrap();
    }
    let kept = writer.finish().unwrap();
    assert_eq!(kept.len(), 4);
    for number in [3, 0, 2, 1] {
        assert_eq!(kept.read(number).unwrap(), rows[number]);
    }
    // Nobody else can meet the rows, now or after the process was killed.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    let message = kept.damaged(2).to_string();
    assert!(message.contains(&folder.display().to_string()), "{message}");

    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let message = KeptRowsWriter::on_disk_of(&file).unwrap_err().to_string();
    for part in ["make a file for rows", &file.display().to_string(), "room"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn rows_of_a_folder_are_read_file_by_file_and_named_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let row = |id: &str, more: &str| {
        format!(r#"{{"id": "{id}"{more}, "conversations": [{{"from": "human", "value": "Q"}}]}}"#)
    };
    let first = [row("a", ""), row("b", r#", "length_bonus": 0.5"#)].join("\n");
    std::fs::write(data.join("train-00000-of-00002.jsonl"), first).unwrap();
    std::fs::write(data.join("train-00001-of-00002.jsonl"), row("c", "")).unwrap();
    std::fs::write(data.join("test-00000-of-00001.jsonl"), row("d", "")).unwrap();
    let expected = [
        "train-00000-of-00002.jsonl: row 0 (id \"a\")",
        "train-00000-of-00002.jsonl: row 1 (id \"b\")",
        "train-00001-of-00002.jsonl: row 0 (id \"c\")",
    ];
    let below = |name: &RowName| {
        let name = name.to_string();
        let folder = format!("{}/", data.display());
        name.strip_prefix(&folder).unwrap().to_owned()
    };
    let mut inside = |_: &[u8]| -> Result<String, DataError> { unreachable!("no image is inside") };
    let mut names = Vec::new();
    let read = llava::each_of_set(dir.path(), &mut inside, |row| {
        names.push(below(&row.name));
        Ok(())
    });
    read.unwrap();
    assert_eq!(names, expected);
    let prompts = ppo_prompts::read_set(dir.path(), &mut inside).unwrap();
    let names: Vec<String> = prompts.iter().map(|(name, _)| below(name)).collect();
    assert_eq!(names, expected);
    let factors: Vec<f64> = prompts.iter().map(|(_, it)| it.length_bonus).collect();
    assert_eq!(factors, [1.0, 0.5, 1.0]);
    let whole = folder::fingerprint(dir.path()).unwrap();
    std::fs::write(data.join("train-00001-of-00002.jsonl"), row("e", "")).unwrap();
    assert_ne!(folder::fingerprint(dir.path()).unwrap(), whole);
    let file = data.join("train-00001-of-00002.jsonl");
    assert_eq!(
        folder::fingerprint(&file).unwrap(),
        sha256::of_file(&file).unwrap()
    );
    std::fs::remove_file(&file).unwrap();
    let message = llava::each_of_set(dir.path(), &mut inside, |_| Ok(()))
        .unwrap_err()
        .to_string();
    assert!(message.contains("1 of the 2 files"), "{message}");
}

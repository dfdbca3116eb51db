//! Telling the format of comparisons, and what a stage gets of them.

mod many;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_data::comparisons::{ComparisonFile, ComparisonFormat, ComparisonSet, KeptRow, Parts};
use candor_data::rows::packing::{add, add_text, number, text};
use candor_data::rows::{OnBadRow, Reason, RowFault};
use candor_data::{Comparison, DataError, Judgement, Side, Turn, Verdict};
use serde_json::{Value, json};

const IMAGE: &[u8] = include_bytes!("../golden/images/one_pixel.png");
/// By `sha256sum`.
const NAME: &str = "9853e99cb7e9817f7ee8b6fb9ade7c8e023d2520647034a098f7f85ed81e9cb0.png";
/// A row about that image, inside, and one without an image.
const PARQUET: &[u8] = include_bytes!("../../../annotate/tests/imports/trl.parquet");

fn told(content: &[u8]) -> Result<ComparisonFormat, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, content).unwrap();
    ComparisonFormat::of(&path).map_err(|error| error.to_string())
}

#[test]
fn the_fields_of_a_row_tell_the_format() {
    let llava = r#"{"output_1": "a", "output_2": "b"}"#;
    let cases = [
        (llava.to_owned(), ComparisonFormat::Llava),
        (
            format!("\u{feff}\r\n [\n{llava}, {{"),
            ComparisonFormat::Llava,
        ),
        (
            r#"{"chosen": [], "rejected": null}"#.into(),
            ComparisonFormat::Trl,
        ),
        (
            r#"[{"y_win": "a", "y_lose": "b"}]"#.into(),
            ComparisonFormat::Trl,
        ),
        (
            r#"[{"ds_name": "x", "text": "{}"}]"#.into(),
            ComparisonFormat::Trl,
        ),
        (
            r#"{"outputs": [], "sampling": {}}"#.into(),
            ComparisonFormat::Candidates,
        ),
        (
            "{\"outputs\": [], \"fewer_hallucinations\": \"tie\"}\n{}".into(),
            ComparisonFormat::PreferenceLog,
        ),
        (
            r#"{"response": ["a"], "human_ranking": []}"#.into(),
            ComparisonFormat::VlRewardBench,
        ),
        (
            r#"[{"Output1": "a", "Output2": "b"}]"#.into(),
            ComparisonFormat::MultimodalRewardBench,
        ),
    ];
    for (text, format) in cases {
        assert_eq!(told(text.as_bytes()), Ok(format), "{text}");
    }
    assert_eq!(told(PARQUET), Ok(ComparisonFormat::Trl));
}

#[test]
fn nothing_is_guessed() {
    let many: Vec<String> = (10..30).map(|i| format!("\"f{i}\": 1")).collect();
    let many = format!("{{{}}}", many.join(","));
    for (text, part) in [
        ("[]", "empty, expected comparisons"),
        (" ", "empty, expected comparisons"),
        (
            "[3]",
            "its first row is no JSON object: invalid type: integer `3`",
        ),
        ("hello", "its first row is no JSON object: expected value"),
        (
            r#"{"chosen": "a", "rej"#,
            "its first row is no JSON object: EOF while parsing a string",
        ),
        ("{}", "its first row has no fields"),
        (r#"{"questions": []}"#, "its first row has `questions`;"),
        (r#"{"chosen": "a"}"#, "its first row has `chosen`;"),
        (many.as_str(), "`f20`, `f21` and more;"),
        (
            r#"{"outputs": 1, "sampling": 1, "fewer_hallucinations": 1}"#,
            "which fits candidates and preference_log;",
        ),
    ] {
        let said = told(text.as_bytes()).unwrap_err();
        assert!(said.contains(part), "{part} in {said}");
        assert!(said.contains("docs/formats.md, \"Comparisons\""), "{said}");
    }
    let said = told(br#"{"id": "s", "conversations": [], "outputs": []}"#).unwrap_err();
    assert!(said.contains("candor annotate new --rank"), "{said}");
    // What KTO has a place for is shown there.
    let said = told(br#"{"prompt": "Q", "completion": "A", "label": true}"#).unwrap_err();
    assert!(said.contains("name the file in data.rated"), "{said}");
    let said = told(b"\x1F\x8B\x08\0").unwrap_err();
    assert!(said.contains("this is a gzip file"), "{said}");
    assert!(told(&PARQUET[..PARQUET.len() / 2]).is_err());
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let docs = fs::read_to_string(docs).unwrap();
    let (_, section) = docs.split_once("\n## Comparisons\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for format in ComparisonFormat::ALL {
        let row = format!("| `{}` |", format.name());
        assert!(
            section.contains(&row),
            "{row} is missing in docs/formats.md"
        );
    }
}

/// A set of one file with this content, in a folder whose images are in `images`.
fn set(folder: &Path, content: &[u8], on_bad_row: OnBadRow) -> ComparisonSet {
    let path = folder.join("rows");
    fs::write(&path, content).unwrap();
    ComparisonSet {
        files: vec![ComparisonFile { path, format: None }],
        images: folder.join("images"),
        on_bad_row,
        seed: 3,
        n_validation: 0,
        n_held_out: 0,
        n_train: None,
    }
}

/// What these tests make of a row.
#[derive(Debug, Clone, PartialEq)]
struct Whole {
    id: String,
    asked: String,
    image: Option<String>,
    preferred: Side,
}

impl KeptRow for Whole {
    type Held = usize;

    fn held(&self) -> usize {
        self.asked.len()
    }

    fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        add_text(&mut bytes, &self.id);
        add_text(&mut bytes, &self.asked);
        add(&mut bytes, self.preferred.index() as u32);
        bytes
    }

    fn unpacked(mut rest: &[u8], shown: Option<&str>, _: usize) -> Option<Self> {
        Some(Self {
            id: text(&mut rest)?,
            asked: text(&mut rest)?,
            image: shown.map(str::to_owned),
            preferred: match number(&mut rest)? {
                0 => Side::First,
                _ => Side::Second,
            },
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as a stage's own may fail")]
fn whole((row, preferred): (Comparison, Side)) -> Result<Whole, RowFault> {
    Ok(Whole {
        asked: row.turns[0].value.clone(),
        id: row.id,
        image: row.image,
        preferred,
    })
}

/// The ids of rows of all parts, in the order of the alphabet.
fn ids(parts: &Parts<Whole>) -> Vec<String> {
    let rows = parts.rows(0..parts.len()).unwrap().into_iter();
    let mut ids: Vec<String> = rows.map(|row| row.id).collect();
    ids.sort();
    ids
}

fn row(id: &str, image: Option<&str>, outputs: [&str; 2]) -> Value {
    json!({"id": id, "image": image, "conversations": [{"from": "human", "value": "Q"}], "output_1": outputs[0],
        "output_2": outputs[1], "preference": 2, "hallucination": true})
}

#[test]
fn equal_answers_are_counted_and_rows_that_nothing_is_made_of_are_named_or_skipped() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    fs::write(folder.path().join("images/a.png"), IMAGE).unwrap();
    let rows = json!([
        row("0", Some("a.png"), ["x", "y"]),
        row("1", None, ["same", " same\n"]),
        row("2", Some("gone.png"), ["x", "y"]),
        row("3", None, ["bad", "y"]),
        row("4", None, ["x", "y"]),
    ]);
    let make = |(row, preferred): (Comparison, Side)| {
        if row.outputs[0] == "bad" {
            return Err(RowFault::new(
                Reason::Template,
                "output_1",
                "found bad",
                "write good",
            ));
        }
        whole((row, preferred))
    };
    let read = |on_bad_row| {
        let set = set(folder.path(), rows.to_string().as_bytes(), on_bad_row);
        set.read(Some(folder.path()), make)
    };
    let said = read(OnBadRow::Stop).unwrap_err().to_string();
    for part in [
        "2 rows cannot be used (1 missing_image, 1 template)",
        "row 2 (id \"2\"), field `image`: there is no image \"gone.png\"",
        "row 3 (id \"3\"), field `output_1`: found bad; write good",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let parts = read(OnBadRow::Skip).unwrap();
    assert_eq!(ids(&parts), ["0", "4"]);
    for row in parts.train() {
        let found = parts.row(row).unwrap();
        let image = (found.id == "0").then(|| "a.png".to_owned());
        assert_eq!(
            (found.image.as_deref(), parts.held(row)),
            (parts.shown(row), 1)
        );
        assert_eq!((found.image, found.preferred), (image, Side::Second));
    }
    assert_eq!((parts.n_equal, parts.train()), (1, 0..2));
    assert_eq!(parts.skipped.unwrap().counts().n_skipped, 2);
}

#[test]
fn only_rows_that_are_used_can_stop_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..6)
        .map(|n| row(&n.to_string(), None, ["x", "y"]))
        .collect();
    let rows = Value::from(rows).to_string();
    let mut set = set(folder.path(), rows.as_bytes(), OnBadRow::Stop);
    set.n_train = Some(1);
    let asked = set.read(Some(folder.path()), whole).unwrap();
    let used = asked.row(0).unwrap();
    // All rows are bad but those of this id, or this row alone is.
    let read = |is_bad: &(dyn Fn(&str) -> bool + Sync)| {
        set.read(Some(folder.path()), |(row, preferred)| {
            if is_bad(&row.id) {
                let fault = RowFault::new(Reason::TooLong, "output_1", "long", "cut it");
                return Err(fault);
            }
            whole((row, preferred))
        })
    };
    let parts = read(&|id| id != used.id).unwrap();
    assert_eq!(
        parts.rows(0..parts.len()).unwrap(),
        std::slice::from_ref(&used)
    );
    assert!(parts.skipped.is_none());
    let said = read(&|id| id == used.id).unwrap_err().to_string();
    let place = format!("row {} (id {:?})", used.id, used.id);
    assert!(said.contains(&place), "{place} in {said}");
    assert!(!said.contains("rows cannot be used"), "{said}");
}

/// An image that is found damaged when it is decoded: neither the row of equal answers nor the one that is too many is to blame.
#[test]
fn rows_that_show_a_damaged_image_are_named_where_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    fs::write(folder.path().join("images/half.png"), &IMAGE[..20]).unwrap();
    let shows = Some("half.png");
    let rows = json!([
        row("equal", shows, ["same", "same"]),
        row("used", shows, ["x", "y"]),
        row("left", shows, ["x", "y"]),
    ]);
    let rows = rows.to_string();
    let mut set = set(folder.path(), rows.as_bytes(), OnBadRow::Stop);
    set.n_train = Some(1);
    let parts = set.read(Some(folder.path()), whole).unwrap();
    assert_eq!(ids(&parts), ["used"]);
    let fault = RowFault::new(Reason::UnreadableImage, "image", "cut off", "save it again");
    let faults = BTreeMap::from([("half.png".to_owned(), fault)]);
    let said = set.showing(&faults, &parts).unwrap().refusal(&faults);
    let expected = format!(
        "{}: row 1 (id \"used\"), field `image`: cut off; save it again; data.on_bad_row = \"skip\" leaves such rows out",
        set.files[0].path.display()
    );
    assert_eq!(said.to_string(), expected);
}

#[test]
fn images_inside_a_file_are_kept_by_a_run_and_only_named_by_a_plan() {
    for on_bad_row in [OnBadRow::Stop, OnBadRow::Skip] {
        let folder = tempfile::tempdir().unwrap();
        let set = set(folder.path(), PARQUET, on_bad_row);
        let images = |keep: Option<&Path>| -> Result<Vec<Option<String>>, DataError> {
            let parts = set.read(keep, whole)?;
            let shown = (0..parts.len()).map(|row| parts.shown(row).map(str::to_owned));
            let mut images: Vec<_> = shown.collect();
            images.sort();
            Ok(images)
        };
        let run = Some(folder.path());
        let expected = [None, Some(NAME.to_owned())];
        assert_eq!(images(None).unwrap(), expected);
        assert!(!set.images.exists(), "a plan writes nothing");
        fs::create_dir(&set.images).unwrap();
        assert_eq!(images(None).unwrap(), expected, "no image is missing");
        assert_eq!(images(run).unwrap(), expected);
        assert_eq!(fs::read(set.images.join(NAME)).unwrap(), IMAGE);
        assert_eq!(fs::read_dir(&set.images).unwrap().count(), 1);
        // Again, as a run that is resumed does.
        assert_eq!(images(run).unwrap(), expected);
    }
}

#[test]
fn a_folder_is_the_files_of_its_training_split() {
    let folder = tempfile::tempdir().unwrap();
    let parts = folder.path().join("set/data");
    fs::create_dir_all(&parts).unwrap();
    let line = |id: &str| {
        let row = json!({"id": id, "prompt": "Q", "chosen": "a", "rejected": "b"});
        row.to_string() + "\n"
    };
    for (name, ids) in [
        ("train-00001-of-00002.jsonl", ["2", "3"]),
        ("train-00000-of-00002.jsonl", ["0", "1"]),
        ("test-00000-of-00001.jsonl", ["4", "5"]),
    ] {
        fs::write(parts.join(name), ids.map(line).concat()).unwrap();
    }
    let mut set = set(folder.path(), b"", OnBadRow::Stop);
    set.files[0].path = folder.path().join("set");
    let read = set.read(Some(folder.path()), whole).unwrap();
    assert_eq!(ids(&read), ["0", "1", "2", "3"]);
    fs::remove_file(parts.join("train-00001-of-00002.jsonl")).unwrap();
    let message = set
        .read(Some(folder.path()), whole)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("1 of the 2 files of \"train\""),
        "{message}"
    );
}

#[test]
fn a_named_format_is_not_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let both = json!([{"id": 1, "conversations": [{"from": "human", "value": "Q"}], "output_1": "a", "output_2": "b",
        "preference": 1, "hallucination": false, "chosen": "a", "rejected": "b", "prompt": "P"}]);
    let mut set = set(folder.path(), both.to_string().as_bytes(), OnBadRow::Stop);
    let asked = |set: &ComparisonSet| {
        let row = set.read(Some(folder.path()), whole)?.row(0)?;
        Ok::<_, DataError>((row.asked, row.preferred))
    };
    assert!(
        asked(&set)
            .unwrap_err()
            .to_string()
            .contains("which fits llava and trl")
    );
    set.files[0].format = Some(ComparisonFormat::Llava);
    assert_eq!(asked(&set).unwrap(), ("Q".into(), Side::First));
    set.files[0].format = Some(ComparisonFormat::Trl);
    assert_eq!(asked(&set).unwrap(), ("P".into(), Side::First));
    set.files[0].format = Some(ComparisonFormat::PreferenceLog);
    assert!(asked(&set).is_err());
}

#[test]
fn comparisons_that_nobody_judged_are_no_comparisons_to_learn_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = json!([row("0", None, ["x", "y"]), row("1", None, ["x", "y"])]);
    let open = rows[1].as_object_mut().unwrap();
    open.remove("preference");
    let message = |rows: &Value| {
        let set = set(folder.path(), rows.to_string().as_bytes(), OnBadRow::Skip);
        set.read(Some(folder.path()), whole)
            .unwrap_err()
            .to_string()
    };
    assert!(message(&rows).contains("rows: row 1, field `preference`: missing"));
    rows[1].as_object_mut().unwrap().remove("hallucination");
    assert!(
        message(&rows).contains("rows: row 1: nobody has said which of the two answers is better")
    );
}

/// The rows of a file of this format.
fn rows(format: ComparisonFormat, content: &str) -> Result<Vec<Comparison>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    fs::write(&path, content).unwrap();
    format.read(&path, &mut |_| unreachable!("no image is inside"))
}

#[test]
fn every_format_says_what_it_knows() {
    let asked = r#""conversations": [{"from": "human", "value": "Q"}"#;
    let expected = Comparison {
        id: "7".into(),
        image: Some("a.png".into()),
        turns: vec![Turn::human("Q")],
        original_answer: Some("A cup.".into()),
        outputs: ["one".into(), "two".into()],
        models: Some(["x".into(), "y".into()]),
        group: None,
        judgement: None,
        severity: None,
    };
    let llava = format!(
        r#"[{{"id": 7, "image": "a.png", {asked}, {{"from": "gpt", "value": "A cup."}}], "model_1": "x", "model_2": "y",
        "output_1": {{"from": "gpt", "value": "one"}}, "output_2": "two"}}]"#
    );
    let read = rows(ComparisonFormat::Llava, &llava).unwrap();
    assert_eq!(read, std::slice::from_ref(&expected));
    assert_eq!(read[0].preferred(), None);
    let judged = llava.replace(
        "\"id\": 7",
        "\"id\": 7, \"preference\": 2, \"hallucination\": true",
    );
    let second = Judgement {
        fewer_hallucinations: Verdict::Second,
        more_helpful: None,
        explanation: None,
    };
    let read = rows(ComparisonFormat::Llava, &judged).unwrap();
    assert_eq!(read[0].judgement, Some(second));

    let sampling = r#""sampling": {"model": "m", "model_fingerprint": "f", "adapter": "l", "adapter_fingerprint": "g", "seed": 1,
        "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 8, "batch_rows": 2, "chunk": 2, "index": 0, "finished": [true, true],
        "n_tokens": [2, 2]}"#;
    let candidate = format!(
        r#"{{"id": "7", "image": "a.png", {asked}], "original_answer": "A cup.", "outputs": ["one", "two"], {sampling}}}"#
    );
    let read = rows(ComparisonFormat::Candidates, &candidate.replace('\n', "")).unwrap();
    let models = Some(["m + l".to_owned(), "m + l".to_owned()]);
    assert_eq!(
        read,
        [Comparison {
            models,
            ..expected.clone()
        }]
    );

    let log = format!(
        r#"{{"id": "7", "image": "a.png", {asked}], "original_answer": "A cup.", "outputs": ["one", "two"],
        "fewer_hallucinations": "tie", "more_helpful": "first", "explanation": "why"}}"#
    );
    let first = Judgement {
        fewer_hallucinations: Verdict::Tie,
        more_helpful: Some(Side::First),
        explanation: Some("why".into()),
    };
    let read = rows(ComparisonFormat::PreferenceLog, &log.replace('\n', "")).unwrap();
    let expected = Comparison {
        models: None,
        judgement: Some(first),
        ..expected
    };
    assert_eq!(read, std::slice::from_ref(&expected));

    let trl =
        r#"{"id": 7, "image": "a.png", "prompt": "<image>", "chosen": "one", "rejected": "two"}"#;
    let read = rows(ComparisonFormat::Trl, trl).unwrap();
    let turns = vec![Turn::human("<image>")];
    let judgement = expected.judgement.clone().map(|said| Judgement {
        explanation: None,
        ..said
    });
    assert_eq!(
        read,
        [Comparison {
            turns,
            judgement,
            original_answer: None,
            ..expected
        }]
    );
}

#[test]
fn benchmarks_of_reward_models_say_their_groups() {
    let expected = |id: &str, question: &str, group: Option<&str>, preferred| Comparison {
        id: id.into(),
        image: Some("images/a.jpg".into()),
        turns: vec![Turn::human(question)],
        original_answer: None,
        outputs: ["one".into(), "two".into()],
        models: None,
        group: group.map(Into::into),
        judgement: preferred,
        severity: None,
    };
    let said = |side| {
        Some(Judgement {
            fewer_hallucinations: Verdict::Tie,
            more_helpful: Some(side),
            explanation: None,
        })
    };
    let vl = r#"{"id": "hallucination_pair-811", "image_path": "images/a.jpg", "query": "<image>\nQ", "response": ["one", "two"], "human_ranking": [0, 1]}
        {"id": "mmmu_pro_test_Art_35", "image_path": "images/a.jpg", "query": "Q", "response": ["one", "two"], "human_ranking": [1, 0]}
        {"id": "LRVInstruction-7", "image": "images/a.jpg", "query": "Q", "response": ["one", "two"], "human_ranking": [0, 0]}"#;
    let rows_of_vl = [
        expected(
            "hallucination_pair-811",
            "<image>\nQ",
            Some("hallucination"),
            said(Side::First),
        ),
        expected(
            "mmmu_pro_test_Art_35",
            "<image>\nQ",
            Some("reasoning"),
            said(Side::Second),
        ),
        expected("LRVInstruction-7", "<image>\nQ", Some("general"), None),
    ];
    let read = rows(ComparisonFormat::VlRewardBench, vl).unwrap();
    assert_eq!(read, rows_of_vl);
    let list = format!("[{}]", vl.replace("}\n", "},\n"));
    let read = rows(ComparisonFormat::VlRewardBench, &list).unwrap();
    assert_eq!(read, rows_of_vl);

    let multimodal = r#"[{"ID": "pairs_1", "Text": "Q", "Image": "images/a.jpg", "Output1": "one", "Output2": "two", "Better": "Output2", "Category": "safety"},
        {"ID": "nocaps_2", "Text": "Q", "Image": "images/a.jpg", "Output1": "one", "Output2": "two", "Better": "Output1"}]"#;
    let read = rows(ComparisonFormat::MultimodalRewardBench, multimodal).unwrap();
    let bias = expected(
        "pairs_1",
        "<image>\nQ",
        Some("safety/bias"),
        said(Side::Second),
    );
    let other = expected("nocaps_2", "<image>\nQ", None, said(Side::First));
    assert_eq!(read, [bias, other]);
}

#[test]
fn images_inside_a_table_of_the_hub_are_kept() {
    // Written by parity/preference_parquet.py.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test-00000-of-00001.parquet");
    fs::write(&path, include_bytes!("../vl_reward_bench.parquet")).unwrap();
    assert_eq!(
        ComparisonFormat::of(&path).unwrap(),
        ComparisonFormat::VlRewardBench
    );
    let mut embedded = |bytes: &[u8]| {
        assert_eq!(bytes, IMAGE);
        Ok::<_, DataError>(NAME.to_owned())
    };
    let read = ComparisonFormat::VlRewardBench.read(&path, &mut embedded);
    let told: Vec<_> = read
        .unwrap()
        .into_iter()
        .map(|row| {
            let preferred = row.preferred();
            (
                row.id,
                row.image.unwrap(),
                row.group.unwrap(),
                row.models,
                preferred,
            )
        })
        .collect();
    let models = Some(["gpt".to_owned(), "qwen".to_owned()]);
    let expected = [
        ("RLAIF-V-14", "hallucination", Some(Side::First)),
        ("wildvision-battle-3", "general", Some(Side::Second)),
    ];
    let expected = expected.map(|(id, group, preferred)| {
        let (id, group) = (id.to_owned(), group.to_owned());
        (id, NAME.to_owned(), group, models.clone(), preferred)
    });
    assert_eq!(told, expected);
}

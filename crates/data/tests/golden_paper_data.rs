//! The paper's data from small public files: every file byte for byte as plain Python makes it
//! (`parity/fixtures/paper_data.py`), and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::DataError;
use candor_data::build::{Manifest, Settings, Slice, Stage, VqaFiles, paper};
use serde_json::Value;

fn golden(below: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/paper_data");
    Path::new(folder).join(below)
}

/// What the Python script has been told, with a folder of images that are there; they need not be images.
fn settings(images: &Path) -> Settings {
    let source = |name: &str| golden("sources").join(name);
    let names = std::fs::read_to_string(source("images.json")).unwrap();
    for name in serde_json::from_str::<Vec<String>>(&names).unwrap() {
        let path = images.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    let counts = [12, 14, 9, 8, 7, 6, 11, 8, 10];
    Settings {
        llava: Some(source("llava_instruct.json")),
        vqa: Some(VqaFiles {
            questions: source("questions.json"),
            annotations: source("annotations.json"),
        }),
        aokvqa: Some(source("aokvqa.json")),
        flickr: Some(source("results.token")),
        coco_captions: vec![source("captions.json")],
        images: Some(images.to_path_buf()),
        evaluation: vec![source("pope.jsonl")],
        held_out: 0.1,
        counts: Slice::ALL.iter().copied().zip(counts).collect(),
        length_bonus: BTreeMap::from([(Slice::RlAokvqa, 0.5)]),
        seed: 2309,
        ..Settings::paper()
    }
}

fn build(settings: &Settings, out: &Path) -> Result<Manifest, DataError> {
    paper(settings, out, &|_| {})
}

/// The files below a folder with their contents; the manifest's is that of another test.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(below) = folders.pop() {
        for entry in below.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("manifest.json") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn every_file_is_the_one_that_plain_python_makes() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir.path().join("images"));
    let out = dir.path().join("out");
    build(&settings, &out).unwrap();
    let (found, expected) = (files(&out), files(&golden("built")));
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (name, text) in &expected {
        assert_eq!(&found[name], text, "{name}");
    }
}

#[test]
fn the_manifest_counts_as_plain_python_does() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir.path().join("images"));
    let out = dir.path().join("out");
    build(&settings, &out).unwrap();
    let read = |path: &Path| -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let (mut found, expected) = (
        read(&out.join("manifest.json")),
        read(&golden("built/manifest.json")),
    );
    let written = found["files"].take();
    let rows: serde_json::Map<String, Value> = written
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            (
                file["file"].as_str().unwrap().to_owned(),
                file["rows"].clone(),
            )
        })
        .collect();
    found["files"] = Value::Object(rows);
    let sources = found.as_object_mut().unwrap().remove("sources").unwrap();
    assert_eq!(found, expected);
    let sources = sources.as_array().unwrap();
    let names: Vec<&str> = sources
        .iter()
        .filter_map(|of| of["file"].as_str())
        .collect();
    let read = [
        "llava_instruct.json",
        "aokvqa.json",
        "questions.json",
        "annotations.json",
    ];
    assert_eq!(names[..4], read);
    assert_eq!(names[4..], ["results.token", "captions.json"]);
    // By `sha256sum`.
    assert_eq!(
        sources[4]["sha256"],
        "f1ca8b67ba5bd451d3fa840a57f58e1e3eb031f7117dfa42e00962bafe865b0d"
    );
}

#[test]
fn a_stage_alone_has_the_rows_that_it_has_among_all() {
    let dir = tempfile::tempdir().unwrap();
    let all = settings(&dir.path().join("images"));
    for stage in Stage::ALL {
        let out = dir.path().join(stage.name());
        let settings = Settings {
            stages: vec![stage],
            ..all.clone()
        };
        build(&settings, &out).unwrap();
        let expected = files(&golden("built"));
        let found = files(&out);
        let of_stage = |name: &&String| name.starts_with(stage.name());
        let names: Vec<_> = expected.keys().filter(of_stage).collect();
        assert!(!names.is_empty());
        assert_eq!(found.keys().filter(of_stage).collect::<Vec<_>>(), names);
        for name in names {
            assert_eq!(found[name], expected[name], "{name}");
        }
    }
}

#[test]
fn all_slices_that_are_short_are_named_at_once_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir.path().join("images"));
    settings.counts.insert(Slice::RlLlava, 500);
    settings.counts.remove(&Slice::SftFlickr);
    let out = dir.path().join("out");
    let message = build(&settings, &out).unwrap_err().to_string();
    // 55 rows may be drawn (the manifest's golden), of which 12 and 7 are taken before, and one is the second of an image that
    // ends the first slice.
    for told in [
        "rl.llava: 500 rows are wanted and 35 are there",
        "sft.flickr: 23000 rows are wanted and 10 are there",
        "--count rl.llava=35 --count sft.flickr=10",
    ] {
        assert!(message.contains(told), "{message}");
    }
    assert!(!out.exists());
    let left: Vec<_> = dir.path().read_dir().unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_damaged_source_is_named_with_row_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let good = settings(&dir.path().join("images"));
    let refused = |name: &str, text: &[u8], change: &dyn Fn(&mut Settings, PathBuf)| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut settings = good.clone();
        change(&mut settings, path);
        build(&settings, &dir.path().join("out"))
            .unwrap_err()
            .to_string()
    };
    let llava = |settings: &mut Settings, path| settings.llava = Some(path);
    let row = r#"{"id":"a","image":"a.jpg","conversations":[{"from":"human","value":"<image>"}]}"#;
    let message = refused(
        "a.json",
        format!("[{row},\n{{\"id\":\"b\"}}]").as_bytes(),
        &llava,
    );
    for told in ["a.json: row 1 (line 2)", "`conversations`"] {
        assert!(message.contains(told), "{message}");
    }
    let turned = row.replace("human", "gpt");
    let message = refused(
        "b.json",
        format!("\u{feff}[{row}, {turned}]").as_bytes(),
        &llava,
    );
    assert!(
        message.contains("b.json: row 1, field `conversations[0].from`"),
        "{message}"
    );
    let message = refused("c.json", format!("[{row}").as_bytes(), &llava);
    assert!(message.contains("cut off"), "{message}");
    assert!(refused("d.json", b"PAR1abcd", &llava).contains("this is a parquet file"));
    assert!(refused("e.json", b"[]", &llava).contains("e.json"));
    let annotated = |settings: &mut Settings, path| {
        settings.vqa.as_mut().unwrap().annotations = path;
    };
    let row =
        r#"{"question_id":1,"image_id":2,"question_type":"a","answer_type":"b","answers":[]}"#;
    let message = refused(
        "f.json",
        format!("{{\"annotations\":[{row}]}}").as_bytes(),
        &annotated,
    );
    assert!(
        message.contains("annotations row 0, field `answers`: found no answer"),
        "{message}"
    );
    let message = refused("g.json", b"{\"other\":[1,2]}", &annotated);
    assert!(message.contains("`annotations`: missing"), "{message}");
    let evaluated = |settings: &mut Settings, path| settings.evaluation = vec![path];
    let message = refused("h.json", b"[{\"text\":\"a.jpg\"}]", &evaluated);
    assert!(message.contains("no image is named"), "{message}");
}

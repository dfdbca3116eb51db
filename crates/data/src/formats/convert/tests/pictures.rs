//! Pictures inside parquet files.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::{Value, json};

use super::{Folder, From, Options, To};
use crate::comparisons::ComparisonFormat;
use crate::formats::trl;

/// What a parquet file says of its columns in the words of `datasets`.
fn told_to_datasets(path: &Path) -> Value {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let about = reader.metadata().file_metadata().key_value_metadata();
    let mut about = about.unwrap().iter();
    let about = about.find(|about| about.key == "huggingface").unwrap();
    serde_json::from_str(about.value.as_deref().unwrap()).unwrap()
}

#[test]
fn pictures_are_put_into_parquet_and_taken_out_again() {
    let folder = Folder::new();
    fs::create_dir(folder.at("images")).unwrap();
    let pictures: [(&str, &[u8]); 2] = [
        ("images/a.png", b"\x89PNG one"),
        ("images/b.jpg", b"\xFF\xD8\xFF two"),
    ];
    for (name, bytes) in pictures {
        folder.write(name, bytes);
    }
    let rows = [
        json!({"id": "1", "prompt": "What?", "chosen": "A cup.", "rejected": "A dog.", "images": ["a.png", "b.jpg"], "rejected_score": 2.5}),
        json!({"id": "2", "prompt": "Who?", "chosen": "", "rejected": "You."}),
        json!({"id": "3", "prompt": "What?", "chosen": "A cat.", "rejected": "A dog.", "image": "a.png"}),
    ];
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    folder.write("in", lines.join("\n"));
    let images = folder.at("images");
    let embedded = |input: &str, output: &str, images: Option<&Path>| {
        let options = Options {
            images,
            embed: true,
            strict: true,
        };
        folder.with(input, From::Trl, output, To::Trl, options)
    };
    let message = embedded("in", "no.parquet", None).unwrap_err().to_string();
    assert!(message.contains("missing image \"a.png\""), "{message}");
    let converted = embedded("in", "inside.parquet", Some(&images)).unwrap();
    assert_eq!((converted.rows_read, converted.rows_written), (3, 3));
    // Once more without the folder: the bytes are inside.
    embedded("inside.parquet", "again.parquet", None).unwrap();

    for name in ["inside.parquet", "again.parquet"] {
        let path = folder.at(name);
        assert_eq!(ComparisonFormat::of(&path).unwrap(), ComparisonFormat::Trl);
        let mut found = Vec::new();
        let read = trl::read(&path, &mut |bytes| {
            found.push(bytes.to_vec());
            Ok(format!("{}.png", found.len()))
        })
        .unwrap();
        assert_eq!(found, [pictures[0].1, pictures[1].1, pictures[0].1]);
        let told: Vec<_> = read
            .iter()
            .map(|row| {
                let question = row.turns[0].value.as_str();
                (
                    row.id.as_str(),
                    row.image.as_deref(),
                    question,
                    row.outputs[0].as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "1",
                    Some("1.png\n2.png"),
                    "<image>\n<image>\nWhat?",
                    "A cup."
                ),
                ("2", None, "Who?", ""),
                ("3", Some("3.png"), "<image>\nWhat?", "A cat."),
            ]
        );
        let severities: Vec<Option<f64>> = read
            .iter()
            .map(|row| row.severity.as_ref().and_then(Value::as_f64))
            .collect();
        assert_eq!(severities, [Some(2.5), None, None]);
    }

    // `datasets` is told what the columns are.
    let text = json!({"dtype": "string", "_type": "Value"});
    let messages = json!([{"role": text, "content": [{"type": text, "text": text}]}]);
    let features = json!({
        "id": text, "prompt": messages, "chosen": messages, "rejected": messages, "images": [{"_type": "Image"}],
        "rejected_score": {"dtype": "float64", "_type": "Value"},
    });
    let told = told_to_datasets(&folder.at("inside.parquet"));
    assert_eq!(told, json!({"info": {"features": features}}));

    // Without --embed they are written to the folder under the names of their content, and not asked for otherwise.
    let taken = folder.at("taken");
    let out = |images: Option<&Path>| {
        let options = Options {
            images,
            ..Options::default()
        };
        folder.with("inside.parquet", From::Trl, "out.jsonl", To::Trl, options)
    };
    let message = out(None).unwrap_err().to_string();
    assert!(message.contains("has pictures inside"), "{message}");
    out(Some(&taken)).unwrap();
    let rows = folder.rows("out.jsonl");
    let names = rows[0]["images"].as_array().unwrap();
    for (name, (_, bytes)) in names.iter().zip(pictures) {
        assert_eq!(fs::read(taken.join(name.as_str().unwrap())).unwrap(), bytes);
    }
    assert_eq!((names.len(), rows.len()), (2, 3));
    assert_eq!(rows[2]["images"][0], names[0]);
}

#[test]
fn rows_of_several_groups_are_all_there() {
    let folder = Folder::new();
    let row = |i: usize| {
        let images = if i.is_multiple_of(3) {
            json!(["a.png"])
        } else {
            json!([])
        };
        json!({"id": i, "prompt": "What?", "chosen": format!("A {i}."), "rejected": "", "images": images})
    };
    // One more than a group has.
    let lines: Vec<String> = (0..10_001).map(|i| row(i).to_string()).collect();
    folder.write("in", lines.join("\n"));
    assert!(
        folder
            .convert("in", From::Trl, "all.parquet", To::TrlStandard)
            .is_empty()
    );
    let file = fs::File::open(folder.at("all.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let groups: Vec<i64> = reader
        .metadata()
        .row_groups()
        .iter()
        .map(RowGroupMetaData::num_rows)
        .collect();
    assert_eq!(groups, [10_000, 1]);
    let read = trl::read(&folder.at("all.parquet"), &mut |_| {
        unreachable!("no picture is inside")
    })
    .unwrap();
    assert_eq!(read.len(), 10_001);
    for (i, row) in read.iter().enumerate() {
        let image = i.is_multiple_of(3).then_some("a.png");
        assert_eq!((&row.id, row.image.as_deref()), (&i.to_string(), image));
        assert_eq!(row.outputs[0], format!("A {i}."));
    }
}

#[test]
fn what_goes_wrong_with_a_picture_is_not_blamed_on_the_file() {
    let folder = Folder::new();
    folder.write("a.png", b"\x89PNG one");
    let row = json!({"id": "1", "prompt": "What?", "chosen": "A cup.", "rejected": "A dog.", "images": ["a.png"]});
    folder.write("in", row.to_string());
    let images = folder.at("");
    let options = Options {
        images: Some(&images),
        embed: true,
        strict: true,
    };
    folder
        .with("in", From::Trl, "a.parquet", To::Trl, options)
        .unwrap();
    let path = folder.at("a.parquet");
    let read = || trl::read(&path, &mut |_| panic!("not of the decoder"));
    let said = catch_unwind(AssertUnwindSafe(read)).unwrap_err();
    assert_eq!(said.downcast_ref::<&str>(), Some(&"not of the decoder"));
}

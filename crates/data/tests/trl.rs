//! TRL's preferences and their like: where the image goes, what is preferred, and what cannot be trained on.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use candor_data::formats::trl::{self, unpaired};
use candor_data::preference::placeholder_fault;
use candor_data::{Comparison, DataError, RatedAnswer, Side, Turn};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

fn read(row: &Value) -> Result<Comparison, DataError> {
    trl::parse(Path::new("a.jsonl"), &row.to_string()).map(|mut rows| rows.remove(0))
}

/// The only turn of a row, and its image.
fn asked(row: &Value) -> (String, Option<String>) {
    let pair = read(row).unwrap();
    let [turn] = pair.turns.as_slice() else {
        panic!("{:?}", pair.turns)
    };
    (turn.value.clone(), pair.image)
}

fn with_answers(mut row: Value) -> Value {
    row["chosen"] = json!("A cup.");
    row["rejected"] = json!("A dog.");
    row
}

#[test]
fn an_image_is_found_wherever_it_is_named_and_has_one_place() {
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    let text = json!({"type": "text", "text": "What?"});
    let named = |field: &str, name: Value| json!({"type": "image", field: name});
    let rows = [
        // Plain messages say nowhere where it goes: TRL puts it before the first of a user.
        json!({"images": ["a.png"], "prompt": "What?"}),
        json!({"image": "a.png", "prompt": "What?"}),
        json!({"images": "a.png", "prompt": user(json!("What?"))}),
        json!({"images": [{"path": "a.png", "bytes": null}], "prompt": user(json!([text]))}),
        json!({"image": "a.png", "prompt": "<image>\nWhat?"}),
        // As a part, with its name there, in the row, or in both.
        json!({"images": ["a.png"], "prompt": user(json!([{"type": "image"}, text]))}),
        json!({"prompt": user(json!([named("image", json!("a.png")), text]))}),
        json!({"prompt": user(json!([named("path", json!("a.png")), text]))}),
        json!({"prompt": user(json!([named("url", json!("a.png")), text]))}),
        json!({"prompt": user(json!([{"type": "image_url", "image_url": {"url": "a.png"}}, text]))}),
        json!({"images": ["a.png"], "prompt": user(json!([named("image", json!("a.png")), text]))}),
        // RLAIF-V.
        json!({"image": "a.png", "question": "What?", "ds_name": "x", "idx": 3}),
    ];
    for row in rows {
        let expected = ("<image>\nWhat?".to_owned(), Some("a.png".to_owned()));
        assert_eq!(asked(&with_answers(row.clone())), expected, "{row}");
    }
    let after = json!({"images": ["a.png"], "prompt": user(json!([text, {"type": "image"}]))});
    assert_eq!(asked(&with_answers(after)).0, "What?\n<image>");
    // Where there are blanks between words and image, they are all that there is.
    let among = json!([{"type": "text", "text": "What is on "}, {"type": "image"}, {"type": "text", "text": "?"}]);
    let among = json!({"images": ["a.png"], "prompt": user(among)});
    assert_eq!(asked(&with_answers(among)).0, "What is on <image>?");
    assert_eq!(
        asked(&with_answers(json!({"prompt": "What?", "images": []}))),
        ("What?".into(), None)
    );
}

#[test]
fn parts_with_names_say_which_image_is_where() {
    let part = |name: &str| json!({"type": "image", "path": name});
    let text = json!({"type": "text", "text": "Which?"});
    let row = |images: Value, content: Value| {
        let prompt = json!([{"role": "user", "content": content}]);
        with_answers(json!({"images": images, "prompt": prompt}))
    };
    let both = json!([part("b.png"), part("a.png"), text]);
    let places = "<image>\n<image>\nWhich?".to_owned();
    let expected = (places.clone(), Some("b.png\na.png".to_owned()));
    let lists = [
        json!([]),
        json!(["a.png", "b.png"]),
        json!(["b.png", "a.png"]),
    ];
    for images in lists {
        assert_eq!(asked(&row(images, both.clone())), expected);
    }
    // Without names in the parts the order is the row's; and an image may stand in two places.
    let bare = json!([{"type": "image"}, {"type": "image"}, text]);
    let found = asked(&row(json!(["a.png", "b.png"]), bare));
    assert_eq!(found, (places.clone(), Some("a.png\nb.png".to_owned())));
    let twice = row(json!([]), json!([part("a.png"), part("a.png"), text]));
    assert_eq!(asked(&twice), (places, Some("a.png\na.png".to_owned())));
    let others = [
        json!(["a.png"]),
        json!(["a.png", "c.png"]),
        json!(["a.png", "b.png", "b.png"]),
    ];
    for images in others {
        let message = read(&row(images, both.clone())).unwrap_err().to_string();
        let said = r#"but ["b.png", "a.png"] in the parts of messages"#;
        for part in ["field `images`", said] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}

#[test]
fn the_first_message_of_a_user_has_the_image_and_the_system_comes_before_it() {
    let row = json!({"id": 12, "images": ["a.png"], "prompt": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "A cup."},
        {"role": "user", "content": "What colour?"},
    ], "chosen": "Red.", "rejected": "Blue."});
    let pair = read(&row).unwrap();
    assert_eq!(
        pair.turns,
        [
            Turn::human("Be brief.\n\n<image>\nWhat?"),
            Turn::gpt("A cup."),
            Turn::human("What colour?"),
        ]
    );
    assert_eq!(pair.id, "12");
    assert_eq!(pair.outputs, ["Red.", "Blue."]);
    assert_eq!(pair.preferred(), Some(Side::First));
    let [first, second] = &pair.outputs;
    let image = pair.image.as_deref();
    assert_eq!(placeholder_fault(&pair.turns, image, [first, second]), None);
}

#[test]
fn a_prompt_may_be_what_both_begin_with() {
    let said = |answer: &str| json!([{"role": "user", "content": "What?"}, {"role": "assistant", "content": answer}]);
    let row = json!({"image": "a.png", "chosen": said("one"), "rejected": said("two")});
    let pair = read(&row).unwrap();
    assert_eq!(pair.turns, [Turn::human("<image>\nWhat?")]);
    assert_eq!(pair.outputs, ["one", "two"]);
    assert_eq!(pair.id, "row-0");
}

#[test]
fn other_words_for_the_same_are_understood() {
    let sentinel = json!({"question": "Describe it.", "context": "A table. ", "y_win": "On it is a cup.",
        "y_lose": "On it is a dog.", "image_path": "a.png"});
    let pair = read(&sentinel).unwrap();
    assert_eq!(pair.turns, [Turn::human("<image>\nDescribe it.")]);
    let expected = ["A table. On it is a cup.", "A table. On it is a dog."];
    assert_eq!(pair.outputs, expected);
    let bare = json!({"question": "Q", "context": "One.", "y_win": "Two.", "y_lose": ""});
    assert_eq!(read(&bare).unwrap().outputs[0], "One. Two.");
    let inner = json!({"question": "What?", "chosen": "A cup.", "rejected": "A dog."});
    let rlhf_v = json!({"ds_name": "x", "image_path": "a.png", "text": inner.to_string()});
    let pair = read(&rlhf_v).unwrap();
    assert_eq!(pair.image.as_deref(), Some("a.png"));
    assert_eq!(pair.outputs, ["A cup.", "A dog."]);
}

/// Only a run that asks for it minds what it is.
#[test]
fn how_bad_an_answer_is_may_be_anything() {
    for score in [json!(2.5), json!("high"), json!([1, 2])] {
        let row = with_answers(json!({"prompt": "Q", "rejected_score": score}));
        assert_eq!(read(&row).unwrap().severity, Some(score));
    }
    let row = with_answers(json!({"prompt": "Q", "rejected_score": null}));
    assert_eq!(read(&row).unwrap().severity, None);
}

#[test]
fn a_list_is_read_as_lines_are() {
    let rows = json!([
        with_answers(json!({"prompt": "Q"})),
        with_answers(json!({"prompt": "R"}))
    ]);
    let rows = trl::parse(Path::new("a.json"), &rows.to_string()).unwrap();
    assert_eq!(rows[1].turns, [Turn::human("R")]);
    assert_eq!(rows[1].id, "row-1");
    let bad = json!([with_answers(json!({"prompt": "Q"})), {"prompt": "R"}]);
    let message = trl::parse(Path::new("a.json"), &bad.to_string()).unwrap_err();
    assert!(
        message
            .to_string()
            .contains("a.json: row 1, field `chosen`: missing"),
        "{message}"
    );
}

fn rated(id: &str, image: Option<&str>, asked: &str, answer: &str, good: bool) -> RatedAnswer {
    RatedAnswer {
        id: id.to_owned(),
        image: image.map(str::to_owned),
        turns: vec![Turn::human(asked)],
        answer: answer.to_owned(),
        is_desirable: good,
    }
}

#[test]
fn unpaired_rows_are_answers_with_labels() {
    let message = |role: &str, content: Value| json!([{"role": role, "content": content}]);
    let text = |text: &str| json!({"type": "text", "text": text});
    let rows = json!([
        {"prompt": "What?", "completion": "A cup.", "label": true, "image": "a.png"},
        {"id": 7, "prompt": message("user", json!([{"type": "image"}, text("What?")])), "images": ["a.png"],
            "completion": message("assistant", json!([text("A dog.")])), "label": false},
        {"id": "c", "prompt": "Who?", "completion": "Me.", "label": false, "score": 0.25},
        {"id": "d", "prompt": "What?", "completion": "A cup.", "label": true, "image_path": "a.png"},
    ]);
    let expected = [
        rated("row-0", Some("a.png"), "<image>\nWhat?", "A cup.", true),
        rated("7", Some("a.png"), "<image>\nWhat?", "A dog.", false),
        rated("c", None, "Who?", "Me.", false),
        rated("d", Some("a.png"), "<image>\nWhat?", "A cup.", true),
    ];
    let path = Path::new("a.json");
    assert_eq!(unpaired::parse(path, &rows.to_string()).unwrap(), expected);
    let lines: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(unpaired::parse(path, &lines.join("\n")).unwrap(), expected);
}

/// Columns of texts and booleans, as `datasets` writes them.
fn parquet(path: &Path, texts: [(&str, &[&str]); 3], labels: &[bool]) {
    let columns = texts.map(|(name, _)| format!("REQUIRED BYTE_ARRAY {name} (UTF8);"));
    let schema = format!(
        "message rows {{ {} REQUIRED BOOLEAN label; }}",
        columns.join(" ")
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let file = fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, texts) in texts {
        let texts: Vec<ByteArray> = texts.iter().map(|&text| ByteArray::from(text)).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, None, None)
            .unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<BoolType>()
        .write_batch(labels, None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_column_of_another_type_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let schema = parse_message_type("message rows { REQUIRED INT64 label; }").unwrap();
    let file = fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let labels = column.typed::<Int64Type>();
    labels.write_batch(&[1, 0], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let read = unpaired::read(&path, &mut |_| unreachable!("no image is inside"));
    let message = read.unwrap_err().to_string();
    let expected = "rows: row 0, field `label`: invalid type: integer `1`, expected a boolean";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn unpaired_rows_are_read_from_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let texts: [(&str, &[&str]); 3] = [
        ("prompt", &["What?", "Who?"]),
        ("completion", &["A cup.", "Me."]),
        ("image", &["a.png", "b.png"]),
    ];
    parquet(&path, texts, &[true, false]);
    let read = unpaired::read(&path, &mut |_| unreachable!("no image is inside")).unwrap();
    let expected = [
        rated("row-0", Some("a.png"), "<image>\nWhat?", "A cup.", true),
        rated("row-1", Some("b.png"), "<image>\nWho?", "Me.", false),
    ];
    assert_eq!(read, expected);
}

/// Reads a parquet file of one comparison whose column of images has this schema and these values.
fn with_image(
    schema: &str,
    image: impl FnOnce(&mut SerializedColumnWriter<'_>),
) -> Result<Comparison, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let texts = [
        ("question", "What differs?"),
        ("chosen", "A cup."),
        ("rejected", "A dog."),
    ];
    let columns = texts.map(|(name, _)| format!("REQUIRED BYTE_ARRAY {name} (UTF8);"));
    let schema = format!("message rows {{ {schema} {} }}", columns.join(" "));
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let file = fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    image(&mut column);
    column.close().unwrap();
    for (_, text) in texts {
        let mut column = group.next_column().unwrap().unwrap();
        let texts = column.typed::<ByteArrayType>();
        texts
            .write_batch(&[ByteArray::from(text)], None, None)
            .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let read = trl::read(&path, &mut |_| unreachable!("no image is inside"));
    let read = read.map_err(|error| error.to_string());
    read.map(|mut rows| rows.remove(0))
}

#[test]
fn a_column_of_images_names_all_of_them_or_is_refused() {
    let list = "REQUIRED GROUP image (LIST) { REPEATED GROUP list { REQUIRED BYTE_ARRAY element (UTF8); } }";
    let both = with_image(list, |column| {
        let names = ["a.png", "b.png"].map(ByteArray::from);
        let names =
            column
                .typed::<ByteArrayType>()
                .write_batch(&names, Some(&[1, 1]), Some(&[0, 1]));
        names.unwrap();
    });
    let both = both.unwrap();
    assert_eq!(both.image.as_deref(), Some("a.png\nb.png"));
    let asked = [Turn::human("<image>\n<image>\nWhat differs?")];
    assert_eq!(both.turns, asked);

    let object = |field: &str| {
        let schema = format!("REQUIRED GROUP image {{ REQUIRED BYTE_ARRAY {field} (UTF8); }}");
        with_image(&schema, |column| {
            let name = [ByteArray::from("a.jpg")];
            let name = column
                .typed::<ByteArrayType>()
                .write_batch(&name, None, None);
            name.unwrap();
        })
    };
    let addressed = object("url").unwrap();
    assert_eq!(addressed.image.as_deref(), Some("a.jpg"));
    let message = object("caption").unwrap_err();
    let expected = "row 0, field `image`: found an image without `bytes`, `path` and `url`";
    assert!(message.contains(expected), "{message}");

    let number = with_image("REQUIRED INT64 image;", |column| {
        let number = column.typed::<Int64Type>().write_batch(&[7], None, None);
        number.unwrap();
    });
    let message = number.unwrap_err();
    let expected = "row 0, field `image`: found 7 in the place of an image";
    assert!(message.contains(expected), "{message}");
}

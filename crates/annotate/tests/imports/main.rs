//! Files of other tools as items, and what is wrong with files that are not.

mod damage;
mod new;
mod web;

use std::collections::HashSet;
use std::path::Path;

use candor_annotate::AnnotateError;
use candor_annotate::answer::Pick;
use candor_annotate::import::{self, Comparisons};
use candor_annotate::project::{Import, Project};
use candor_annotate::store::NewItem;

/// SHA-256 of the image inside `trl.parquet`, by `sha256sum`.
const IMAGE: &str = "9853e99cb7e9817f7ee8b6fb9ade7c8e023d2520647034a098f7f85ed81e9cb0.png";

const WEBP: &[u8] = include_bytes!("../../../data/tests/golden/webp/lossy.webp");

/// The items of a file in a folder of its own, with a folder of images.
fn import_text(
    name: &str,
    content: &[u8],
    format: &str,
    more: &str,
) -> Result<Vec<NewItem>, AnnotateError> {
    let folder = tempfile::tempdir().unwrap();
    import_in(folder.path(), name, content, format, more)
}

fn import_in(
    folder: &Path,
    name: &str,
    content: &[u8],
    format: &str,
    more: &str,
) -> Result<Vec<NewItem>, AnnotateError> {
    Ok(counted_in(folder, name, content, format, more)?.items)
}

/// As [`import_in`], with the rows that are left out.
fn counted_in(
    folder: &Path,
    name: &str,
    content: &[u8],
    format: &str,
    more: &str,
) -> Result<Comparisons, AnnotateError> {
    std::fs::write(folder.join(name), content).unwrap();
    let text = format!(
        "title = \"t\"\ndatabase = \"d\"\nseed = 1\n[protocol]\noverlap = 1\ngold_rate = 0.0\nmin_reading_secs = 0\n\
         dispute = \"never\"\n[training]\npass_mark = 1.0\nattempts = 1\n[guidelines]\ntext = \"x\"\n\
         [[import]]\nfile = \"{name}\"\nformat = \"{format}\"\n{more}"
    );
    let project = Project::parse(&folder.join("p.toml"), &text).unwrap();
    let import: &Import = &project.imports[0];
    let file = project.resolve(&import.file);
    let read = import::read(&project, import, &file)?;
    let known = HashSet::new();
    let images = import::provide_images(&project, import, &file, &read, &known, &|_, _| ());
    tokio::runtime::Runtime::new().unwrap().block_on(images)?;
    Ok(read)
}

#[test]
fn parquet_with_images_inside() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = include_bytes!("trl.parquet");
    let items = import_in(
        folder.path(),
        "a.parquet",
        bytes,
        "trl_parquet",
        "images = \"images\"",
    )
    .unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].turns[0].value, "<image>\nWhat is it?");
    assert_eq!(items[0].outputs, ["A cup.", "A dog."]);
    assert_eq!(
        items[0].image.as_deref(),
        Some(IMAGE),
        "never the name that the file gives"
    );
    assert!(folder.path().join("images").join(IMAGE).is_file());
    assert_eq!(
        (items[1].image.as_deref(), items[1].name.as_str()),
        (None, "row-1")
    );
    assert_eq!(items[1].turns[0].value, "Say <b>hello</b>.");
}

#[test]
fn damaged_parquet_is_an_error_and_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let whole = include_bytes!("trl.parquet").to_vec();
    let read = |bytes: &[u8]| {
        import_in(
            folder.path(),
            "a.parquet",
            bytes,
            "trl_parquet",
            "images = \"images\"",
        )
    };
    for n in (0..whole.len()).step_by(7) {
        assert!(read(&whole[..n]).is_err(), "cut off after {n} bytes");
    }
    let mut n_refused = 0;
    for i in (0..whole.len()).step_by(3) {
        let mut flipped = whole.clone();
        flipped[i] ^= 0x55;
        // A flip inside a text or an image makes another text or image, which is no damage that shows.
        n_refused += usize::from(read(&flipped).is_err());
    }
    assert!(n_refused > 100, "{n_refused}");
}

#[test]
fn a_preference_log_is_gold_with_reasons() {
    let log = r#"{"id": "g", "conversations": [{"from": "human", "value": "q"}], "outputs": ["one", "two"], "fewer_hallucinations": "tie", "more_helpful": "second", "explanation": "two says more"}
{"id": "h", "conversations": [{"from": "human", "value": "q"}], "outputs": ["one", "two"], "fewer_hallucinations": "first", "more_helpful": "second"}"#;
    let items = import_text(
        "g.jsonl",
        log.as_bytes(),
        "preference_log",
        "kind = \"gold\"",
    )
    .unwrap();
    let known: Vec<_> = items
        .iter()
        .map(|item| item.known.clone().unwrap())
        .collect();
    let expected = |i: usize| serde_json::to_string(&known[i].expected).unwrap();
    assert_eq!(expected(0), r#"{"first":"tie","second":"b"}"#);
    assert_eq!(
        expected(1),
        r#"{"first":"a","second":null}"#,
        "after a decided first the second is not asked"
    );
    assert_eq!(known[0].explanation.as_deref(), Some("two says more"));
    let work = import_text("g.jsonl", log.as_bytes(), "preference_log", "").unwrap();
    assert!(
        work.iter().all(|item| item.known.is_none()),
        "as work they are asked afresh"
    );
}

/// A row in LLaVA's manner about an image.
fn row_about(image: &str) -> String {
    format!(
        r#"[{{"id": 1, "image": "{image}", "conversations": [{{"from": "human", "value": "<image>\nq"}}], "output_1": "x",
        "output_2": "y"}}]"#
    )
}

#[test]
fn equal_answers_are_left_out_and_missing_images_refused() {
    let rows = r#"[{"id": 1, "conversations": [{"from": "human", "value": "q"}], "output_1": "x", "output_2": "x "},
        {"id": 2, "conversations": [{"from": "human", "value": "How many?"}], "output_1": "x", "output_2": "y"}]"#;
    let folder = tempfile::tempdir().unwrap();
    let read = counted_in(folder.path(), "a.json", rows.as_bytes(), "llava", "").unwrap();
    let items = read.items;
    assert_eq!((items.len(), read.n_equal), (1, 1));
    assert_eq!(
        (items[0].name.as_str(), items[0].question_type.as_deref()),
        ("2", Some("count"))
    );
    for (image, expected) in [
        ("nowhere.png", "row 0: image \"nowhere.png\" is not in "),
        ("../p.toml", "not a file name inside"),
    ] {
        let rows = row_about(image);
        let refused =
            import_text("a.json", rows.as_bytes(), "llava", "images = \".\"").unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    let refused = import_text("a.json", row_about("a.png").as_bytes(), "llava", "").unwrap_err();
    assert!(
        refused.to_string().contains("give the import `images`"),
        "{refused}"
    );
}

#[test]
fn rows_with_several_images_need_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.webp", "b.webp"] {
        std::fs::write(folder.path().join(name), WEBP).unwrap();
    }
    let read = |images: &[&str]| {
        let question = format!("{}Which is larger?", "<image>\n".repeat(images.len()));
        let rows = serde_json::json!([{
            "id": 1, "image": images, "conversations": [{"from": "human", "value": question}],
            "output_1": "x", "output_2": "y",
        }]);
        let rows = rows.to_string();
        import_in(
            folder.path(),
            "a.json",
            rows.as_bytes(),
            "llava",
            "images = \".\"",
        )
    };
    let items = read(&["a.webp", "b.webp"]).unwrap();
    assert_eq!(items[0].image.as_deref(), Some("a.webp\nb.webp"));
    assert_eq!(items[0].image_folder.as_deref(), Some("."));
    let refused = read(&["a.webp", "c.webp"]).unwrap_err().to_string();
    assert!(refused.contains("image \"c.webp\" is not in"), "{refused}");
    let refused = read(&["a.webp"; 21]).unwrap_err().to_string();
    assert!(refused.contains("found 21 images"), "{refused}");
}

#[test]
fn tasks_of_other_tools_are_compared() {
    let task = r#"[{"id": 1, "data": {"image": "https://x.org/set/a.webp", "question": "q", "answer_a": "x", "answer_b": "y"},
        "annotations": [{"result": [{"from_name": "p", "type": "pairwise", "value": {"selected": "right"}}]}]}]"#;
    let record = r#"{"id": "1", "fields": {"image": "a.webp", "prompt": "q", "answer_a": "x", "answer_b": "y"},
        "responses": {"preference": [{"value": "b", "user_id": "u"}]}}"#
        .replace('\n', " ");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.webp"), WEBP).unwrap();
    // The same by the first question.
    let first_task = task
        .replace(
            r#""from_name": "p", "type": "pairwise""#,
            r#""from_name": "first", "type": "choices""#,
        )
        .replace(r#"{"selected": "right"}"#, r#"{"choices": ["b"]}"#);
    let first_record = record.replace(r#""preference""#, r#""first""#);
    for (text, by_first, format) in [
        (task, first_task, "label_studio"),
        (record.as_str(), first_record, "argilla"),
    ] {
        let read = |text: &str, more: &str| {
            let more = format!("images = \".\"\n{more}");
            import_in(folder.path(), "a.json", text.as_bytes(), format, &more)
        };
        let items = read(text, "").unwrap();
        assert_eq!(
            (items[0].name.as_str(), items[0].image.as_deref()),
            ("1", Some("a.webp"))
        );
        assert_eq!(items[0].outputs, ["x", "y"]);
        assert_eq!(items[0].known, None, "asked anew");
        for kind in ["gold", "training"] {
            let kind = format!("kind = \"{kind}\"");
            // A bare preference says nothing of hallucinations, so that nobody is measured by it.
            let refused = read(text, &kind).unwrap_err().to_string();
            assert!(refused.contains("the two questions"), "{refused}");
            let gold = read(&by_first, &kind).unwrap();
            let expected = gold[0].known.as_ref().unwrap().expected;
            assert_eq!((expected.first, expected.second), (Pick::B, None));
        }
    }
}

#[test]
fn answers_to_rate_have_an_id_and_a_question() {
    let read = |rows: &str| import_text("a.jsonl", rows.as_bytes(), "answers", "");
    let items = read(r#"{"id": 7, "question": "How many?", "text": "Two."}"#).unwrap();
    assert_eq!(
        (items[0].name.as_str(), items[0].outputs.as_slice()),
        ("7", &["Two.".to_owned()][..])
    );
    assert_eq!(items[0].question_type.as_deref(), Some("count"));
    for (rows, words) in [
        (r#"{"question": "q", "text": "a"}"#, "`id`"),
        (r#"{"id": "1", "text": "a"}"#, "`question`"),
        (
            r#"{"id": "1", "question": "<image> q", "text": "a"}"#,
            "no image",
        ),
        (
            r#"{"id": "1", "image": "a.png\nb.png", "question": "<image><image> q", "text": "a"}"#,
            "one at most",
        ),
        (
            "{\"id\": \"1\", \"question\": \"q\", \"text\": \"a\"}\n{\"id\": \"1\", \"question\": \"r\", \"text\": \"b\"}",
            "which row 0 has too",
        ),
    ] {
        let message = read(rows).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn scores_put_the_uncertain_first() {
    let folder = tempfile::tempdir().unwrap();
    let scores = "{\"id\": \"row-0\", \"scores\": [3.0, 0.0]}\n{\"id\": \"row-1\", \"scores\": [0.1, 0.0]}\n";
    std::fs::write(folder.path().join("s.jsonl"), scores).unwrap();
    let rows = "{\"prompt\": \"p\", \"chosen\": \"x\", \"rejected\": \"y\"}\n".repeat(3);
    let more = "scores = \"s.jsonl\"";
    let items = import_in(folder.path(), "a.jsonl", rows.as_bytes(), "trl_jsonl", more).unwrap();
    // σ(3) − ½ = 0.452574, σ(0.1) − ½ = 0.024979; without scores an item is last.
    let ranks: Vec<i64> = items.iter().map(|item| item.rank).collect();
    assert_eq!(ranks, [452_574, 24_979, 1_000_000]);
    for (scores, words) in [
        (
            "{\"id\": \"other\", \"scores\": [3.0, 0.0]}\n".to_owned(),
            "none of the 3 items",
        ),
        (scores.replace("row-1", "row-0"), "duplicate id row-0"),
    ] {
        std::fs::write(folder.path().join("s.jsonl"), scores).unwrap();
        let refused = import_in(folder.path(), "a.jsonl", rows.as_bytes(), "trl_jsonl", more);
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn images_of_a_web_server_are_copied_once() {
    let web = web::Server::start();
    let folder = tempfile::tempdir().unwrap();
    let more = format!("images = \"{}/images\"", web.url);
    let read = |image: &str| {
        let rows = row_about(image);
        import_in(folder.path(), "a.json", rows.as_bytes(), "llava", &more)
    };
    let items = read("sub/a.png").unwrap();
    let copies = items[0]
        .image_folder
        .as_deref()
        .expect("a folder of copies");
    let copy = folder.path().join(copies).join("sub/a.png");
    assert_eq!(std::fs::read(&copy).unwrap(), web::IMAGE);
    read("sub/a.png").unwrap();
    assert_eq!(web.asked(), ["/images/sub/a.png"], "asked for once");

    let missing = read("b.png").unwrap_err();
    assert!(
        missing.to_string().contains("cannot fetch the image b.png"),
        "{missing}"
    );
    let outside = read("../a.png").unwrap_err();
    assert!(
        outside.to_string().contains("not a file name inside"),
        "{outside}"
    );
    let large = read("large.png").unwrap_err();
    let reason = std::error::Error::source(&large).unwrap().to_string();
    assert_eq!(reason, "more than 67108864 bytes");
    assert!(!folder.path().join(copies).join("large.png").exists());
}

/// A row of TRL's about `image`, whose prompt is this JSON.
fn trl_row(image: Option<&str>, prompt: &str) -> String {
    let images = image.map_or_else(String::new, |image| format!(r#""images": ["{image}"], "#));
    format!(r#"{{"id": 3, {images}"prompt": {prompt}, "chosen": "A cup.", "rejected": "A dog."}}"#)
}

#[test]
fn questions_about_images_have_their_image_and_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.webp"), WEBP).unwrap();
    let read = |row: &str| {
        let more = "images = \".\"";
        import_in(folder.path(), "a.jsonl", row.as_bytes(), "trl", more)
    };
    let items = read(&trl_row(Some("a.webp"), "\"What?\"")).unwrap();
    assert_eq!(
        items[0].turns[0].value, "<image>\nWhat?",
        "as TRL places it"
    );
    assert_eq!(
        (items[0].name.as_str(), items[0].image.as_deref()),
        ("3", Some("a.webp"))
    );
    let part = r#"[{"role": "user", "content": [{"type": "image", "path": "a.webp"}, {"type": "text", "text": "What?"}]}]"#;
    let items = read(&trl_row(None, part)).unwrap();
    assert_eq!(items[0].turns[0].value, "<image>\nWhat?");
    assert_eq!(items[0].image.as_deref(), Some("a.webp"));

    let without = part.replace(r#", "path": "a.webp""#, "");
    let refused = read(&trl_row(None, &without)).unwrap_err().to_string();
    assert!(
        refused.contains("a.jsonl: line 1, field `prompt`: found 1 <image> and no image"),
        "{refused}"
    );
    let rows = row_about("a.webp").replace("<image>\\n", "");
    let refused = import_in(
        folder.path(),
        "b.json",
        rows.as_bytes(),
        "llava",
        "images = \".\"",
    );
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains(
            "b.json: row 0, field `conversations`: item \"1\": found 0 <image> and an image"
        ),
        "{refused}"
    );
}

#[test]
fn images_that_cannot_be_shown_are_refused_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("whole.webp"), WEBP).unwrap();
    std::fs::write(folder.path().join("cut.webp"), &WEBP[..WEBP.len() / 2]).unwrap();
    std::fs::write(folder.path().join("page.png"), "<html>not found</html>").unwrap();
    let names = ["whole.webp", "cut.webp", "page.png", "gone.webp"];
    let rows = names.map(|image| trl_row(Some(image), "\"Q\"") + "\n");
    // Left out, and a row of the file all the same.
    let equal = trl_row(Some("whole.webp"), "\"Q\"").replace("A dog.", "A cup.") + "\n";
    let rows = equal + &rows.concat();
    let more = "images = \".\"";
    let refused = import_in(folder.path(), "a.jsonl", rows.as_bytes(), "trl_jsonl", more);
    let refused = refused.unwrap_err().to_string();
    for part in [
        "a.jsonl: 3 of 4 images cannot be used",
        "row 2: image \"cut.webp\" is not a readable JPEG, PNG or WebP: the image is cut off",
        "row 3: image \"page.png\" is not a readable JPEG, PNG or WebP",
        "row 4: image \"gone.webp\" is not in ",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    let bomb = format!("{more}\n[server]\nmax_megapixels = 1\n");
    let large = image::RgbImage::new(1001, 1000);
    large.save(folder.path().join("large.png")).unwrap();
    let row = trl_row(Some("large.png"), "\"Q\"");
    let refused = import_in(folder.path(), "a.jsonl", row.as_bytes(), "trl", &bomb).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("1001 x 1000 pixels, expected 1 to 1000000"),
        "{refused}"
    );
}

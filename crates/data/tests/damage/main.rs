//! Damaged files: every reader names the file, the row, the field and the remedy, and none panics.

mod cases;

use std::path::Path;

use candor_data::formats::{
    candidates, captions, coco, flickr30k, images, llava, llava_bench, ppo_prompts, text,
};
use candor_data::image::ImageLimits;
use proptest::prelude::*;

use cases::{BENCH_C, CANDIDATES, CAPTIONS, CASES, COCO_I, Case, FLICKR, LLAVA, MMBENCH, MME, PPO};

/// Reads `content` from a file of this name; the error must name the file.
fn read(case: &Case, content: &[u8]) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(case.name);
    std::fs::write(&path, content).unwrap();
    (case.read)(&path).map_err(|error| {
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
        message
    })
}

#[test]
fn valid_files_read_with_fields_candor_does_not_know() {
    for case in CASES {
        read(case, case.valid.as_bytes()).unwrap_or_else(|message| panic!("{message}"));
    }
}

#[test]
fn wrong_values_are_named_with_row_field_and_remedy() {
    for case in CASES {
        for (old, new, expected) in case.damages {
            assert!(
                case.valid.contains(old),
                "{}: nothing to damage: {old}",
                case.name
            );
            let message = read(case, case.valid.replacen(old, new, 1).as_bytes())
                .expect_err(&format!("{} with {new} was accepted", case.name));
            for part in *expected {
                assert!(message.contains(part), "{message}\nlacks {part:?}");
            }
            // A remedy follows the last semicolon.
            let remedy = message.rsplit("; ").next().unwrap_or_default();
            let verbs = ["correct", "give", "merge", "keep", "write"];
            assert!(
                verbs.iter().any(|verb| remedy.starts_with(verb)),
                "no remedy: {message}"
            );
        }
    }
}

#[test]
fn empty_files_are_refused() {
    for case in CASES {
        for content in ["", " \r\n\n", "\u{feff}"] {
            let message = read(case, content.as_bytes()).unwrap_err();
            assert!(message.contains("empty, expected"), "{message}");
            assert!(message.contains("write the file again"), "{message}");
        }
        // Lists and objects without rows are empty too.
        let bare = match case.valid.as_bytes()[0] {
            b'[' => "[]",
            b'{' if case.valid.contains("\"conv\":{") || case.valid.contains("aok_") => "{}",
            _ => continue,
        };
        let message = read(case, bare.as_bytes()).unwrap_err();
        assert!(message.contains("empty, expected"), "{message}");
    }
}

#[test]
fn files_cut_off_anywhere_are_refused_with_the_row() {
    for case in CASES {
        let whole = case.valid.trim_end();
        for end in 1..whole.len() {
            let Err(message) = read(case, &whole.as_bytes()[..end]) else {
                // Lines are rows of their own, so a file of whole lines is a shorter file, and a caption
                // cut short is a shorter caption. Nothing can be known of that. Nor of the last field of a table.
                let is_lines =
                    valid_lines_before(whole, end) || [FLICKR, MMBENCH, MME].contains(&case.valid);
                assert!(is_lines, "{} cut at {end} was accepted", case.name);
                continue;
            };
            assert!(
                message.contains("row ") || message.contains("line "),
                "{} cut at {end}: {message}",
                case.name
            );
            if message.contains("the text ends here") {
                assert!(message.contains("it is cut off"), "{message}");
            }
        }
    }
}

/// Whether the text is JSON lines, cut between two of them.
fn valid_lines_before(whole: &str, end: usize) -> bool {
    let first = whole.lines().next().unwrap_or_default();
    let is_json_lines =
        first.ends_with('}') && serde_json::from_str::<serde_json::Value>(first).is_ok();
    let between = whole[..end].ends_with(['\r', '\n']) || whole[end..].starts_with(['\r', '\n']);
    is_json_lines && between
}

#[test]
fn a_cut_in_the_middle_of_a_row_names_the_field() {
    let whole = LLAVA.find("B\"}").unwrap();
    let message = read(&CASES[0], &LLAVA.as_bytes()[..whole]).unwrap_err();
    assert!(
        message.contains("row 1 (line 3), field `conversations[1].value`: the text ends here"),
        "{message}"
    );
    assert!(
        message.contains("fetch or write the file again"),
        "{message}"
    );
    // Where no name can be told of what comes next, the place is the list's.
    let second = LLAVA.find("{\"from\":\"gpt\"").unwrap();
    let message = read(&CASES[0], &LLAVA.as_bytes()[..=second]).unwrap_err();
    assert!(
        message.contains("field `conversations[1]`: the text ends here"),
        "{message}"
    );
}

#[test]
fn what_is_no_row_is_told_without_names_from_the_code() {
    let message = read(&CASES[0], b"[5]").unwrap_err();
    assert!(
        message.contains("row 0 (line 1): invalid type: integer `5`, expected an object"),
        "{message}"
    );
}

#[test]
fn something_else_altogether_is_refused() {
    for case in CASES {
        for content in [
            "hello\n",
            "[[",
            "42",
            "{\"a\": 1}",
            "[1]",
            "\"text\"",
            "null",
            "[{}]",
        ] {
            let message = read(case, content.as_bytes()).unwrap_err();
            assert!(
                message.contains("docs/formats.md"),
                "{}: {message}",
                case.name
            );
        }
        let after = format!("{}\n[]", case.valid);
        let message = read(case, after.as_bytes()).unwrap_err();
        assert!(message.contains("line "), "{message}");
        let message = read(case, b"\n[\"\xff\"]").unwrap_err();
        assert!(
            message.contains("line 2") && message.contains("convert the file to UTF-8"),
            "{message}"
        );
    }
}

#[test]
fn a_byte_of_a_large_list_that_is_no_text_is_told_with_its_place() {
    // A character of two bytes lies across the end of the first piece of 1 MB that is looked at.
    let blanks = |n: usize| vec![b' '; n];
    let mut content = [b"[\n".to_vec(), blanks((1 << 20) - 5), b"\"".to_vec()].concat();
    assert_eq!(content.len(), (1 << 20) - 2);
    content.extend(b"a\xC3\xA9\xFF\"]");
    let message = read(&CASES[0], &content).unwrap_err();
    // Behind two bytes fewer than a piece has, and the letter and the character before it.
    for part in ["line 2", "offset 1048577 is not UTF-8", "convert the file"] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

/// The remedy sends people to a section of docs/formats.md: it is there, and its example is valid.
#[test]
fn documented_examples_read() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    for case in CASES {
        let message = read(case, b"!").unwrap_err();
        let heading = message
            .split_once("docs/formats.md, \"")
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap();
        let (_, section) = docs
            .split_once(&format!("\n## {heading}\n"))
            .unwrap_or_else(|| panic!("docs/formats.md has no section {heading:?}"));
        let section = section.split("\n## ").next().unwrap();
        let example = section.split("```").nth(1).unwrap();
        let (_, example) = example.split_once('\n').unwrap();
        read(case, example.as_bytes()).unwrap_or_else(|message| panic!("{heading}: {message}"));
    }
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("absent"), dir.path().to_path_buf()] {
            let message = (case.read)(&path).unwrap_err().to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            // Prompts may be a folder, but not one without files of rows.
            let remedies = ["check the path", "name the file, or the folder"];
            assert!(
                remedies.iter().any(|remedy| message.contains(remedy)),
                "{message}"
            );
        }
    }
}

#[test]
fn a_file_beyond_the_bound_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.json");
    // A file with a hole: it has the size without the bytes.
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(text::MAX_FILE_BYTES + 1).unwrap();
    let message = llava::read(&path).unwrap_err().to_string();
    assert!(
        message.contains("more than the limit") && message.contains("split the file"),
        "{message}"
    );
}

#[test]
fn all_images_that_cannot_be_used_are_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let whole = include_bytes!("../golden/webp/lossy.webp");
    std::fs::write(dir.path().join("whole.webp"), whole).unwrap();
    std::fs::write(dir.path().join("cut.webp"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(dir.path().join("page.jpg"), "<html>404</html>").unwrap();
    let decode = |names: &[Option<&str>]| {
        let limits = ImageLimits::default();
        let names = names.iter().copied();
        images::decode_all(
            Path::new("set.json"),
            names,
            dir.path(),
            &limits,
            &|_, _| (),
        )
    };
    let good = [None, Some("whole.webp"), Some("whole.webp")];
    assert_eq!(
        decode(&good).unwrap(),
        1,
        "an image of two rows is one image"
    );
    assert_eq!(decode(&[None, None]).unwrap(), 0);
    let bad = [
        Some("cut.webp"),
        Some("whole.webp"),
        Some("page.jpg"),
        Some("cut.webp"),
        Some("gone.png"),
        Some("../x"),
    ];
    let message = decode(&bad).unwrap_err().to_string();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 5, "{message}");
    assert!(
        lines[0].starts_with("set.json: 4 of 5 images cannot be used; replace them"),
        "{message}"
    );
    for (line, parts) in lines[1..].iter().zip([
        ["row 0: image \"cut.webp\"", "cut off"],
        [
            "row 2: image \"page.jpg\"",
            "not a readable JPEG, PNG or WebP",
        ],
        ["row 4: image \"gone.png\"", "is not in"],
        ["row 5: image \"../x\"", "not a file name inside"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    assert!(
        lines[3].contains(&dir.path().display().to_string()),
        "{message}"
    );
    for outside in ["../whole.webp", "/etc/passwd", "", "x/../../whole.webp"] {
        let message = decode(&[None, Some("whole.webp"), Some(outside)]).unwrap_err();
        let message = message.to_string();
        let words = format!("row 2: image {outside:?} is not a file name inside");
        assert!(message.contains(&words), "{message}");
    }
    let nowhere = decode(&[None, Some("a"), Some("b")])
        .unwrap_err()
        .to_string();
    assert!(
        nowhere.contains("row 1") && nowhere.contains("none of the 2 images is in this one"),
        "{nowhere}"
    );
}

#[test]
fn files_of_another_kind_are_called_what_they_are() {
    let kinds: [(&[u8], &str); 6] = [
        (b"PAR1\x15\x04\x15", "this is a parquet file, expected"),
        (b"\x1F\x8B\x08\0\0", "this is a gzip file"),
        (b"PK\x03\x04\x14\0", "this is a zip file"),
        (
            b"\n<!DOCTYPE html>\n<html>",
            "this is a page of a website (HTML)",
        ),
        (b"\x89PNG\r\n\x1A\n\0\0", "this is a PNG image"),
        (b"\xFF\xFE[\0]\0", "this is text in UTF-16"),
    ];
    for case in CASES {
        for (content, expected) in kinds {
            // Parquet is what some of them may be; a piece of one is damaged.
            let may_be = [
                "llava.json",
                "ppo.json",
                "messages.jsonl",
                "trl.jsonl",
                "trl_unpaired.jsonl",
                "vl_reward_bench.jsonl",
            ];
            let may_be = may_be.contains(&case.name) && content.starts_with(b"PAR1");
            let expected = if may_be { "parquet file" } else { expected };
            let message = read(case, content).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}

#[test]
fn ids_and_placeholders_of_conversations_are_checked_on_demand() {
    let path = Path::new("set.json");
    let mut rows = llava::parse(path, LLAVA).unwrap();
    llava::check_unique_ids(path, &rows).unwrap();
    llava::check_placeholders(path, &rows).unwrap();
    rows[1].id = "a".into();
    // The public sets repeat ids, so reading allows it.
    let again = llava::parse(path, &llava::render(path, &rows).unwrap()).unwrap();
    let message = llava::check_unique_ids(path, &again)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("row 1, field `id`: duplicate id a, first used at row 0"),
        "{message}"
    );
    rows[1].turns[0].value = "no image".into();
    let message = llava::check_placeholders(path, &rows)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("row 1, field `conversations`: found 0 `<image>`"),
        "{message}"
    );
}

#[test]
fn writers_refuse_what_readers_would() {
    let path = Path::new("out");
    let mut rows = llava::parse(path, LLAVA).unwrap();
    rows[1].turns.clear();
    assert!(llava::render(path, &rows).is_err());
    assert!(llava::render(path, &[]).is_err());
    let mut prompts = ppo_prompts::parse(path, PPO).unwrap();
    prompts[0].length_bonus = f64::NAN;
    assert!(ppo_prompts::render(path, &prompts).is_err());
    let mut instances = coco::parse_instances(path, COCO_I).unwrap();
    instances.annotations[0].bbox[0] = f64::INFINITY;
    assert!(coco::render_instances(path, &instances).is_err());
    let mut lines = flickr30k::parse(path, FLICKR).unwrap();
    lines[0].text = "two\nlines".into();
    assert!(flickr30k::render(path, &lines).is_err());
    let mut context = llava_bench::parse_contexts(path, BENCH_C).unwrap();
    context[0].instances[0].bbox[2] = f64::NAN;
    assert!(llava_bench::render_contexts(path, &context).is_err());
    let mut book = captions::parse(path, CAPTIONS).unwrap();
    book.entry("aok_image.jpg")
        .captions
        .push("named like a rationale".into());
    assert!(captions::render(path, &book).is_err());
    let mut pairs = candidates::parse(path, CANDIDATES).unwrap();
    pairs[0].sampling.temperature = f64::NAN;
    assert!(candidates::render(path, &pairs).is_err());
    // Nothing is written where nothing may be.
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out.json");
    assert!(llava::write(&target, &[]).is_err());
    assert!(!target.exists());
    llava::write(&target, &llava::parse(path, LLAVA).unwrap()).unwrap();
    assert_eq!(
        llava::read(&target).unwrap(),
        llava::parse(path, LLAVA).unwrap()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Damage nobody thought of: readers may accept or refuse it, but they come back.
    #[test]
    fn no_damage_makes_a_reader_panic(
        case in 0..CASES.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let case = &CASES[case];
        let mut content = case.valid.as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(content.len());
            content[at] = byte;
        }
        content.truncate(cut.index(content.len()) + 1);
        let _ = read(case, &content);
    }
}

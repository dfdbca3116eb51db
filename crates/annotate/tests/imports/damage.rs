//! Files of every format with random damage: read or refused with the file's name, never a crash.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::import_in;
use crate::web::IMAGE;

const CANDIDATES: &str = concat!(
    r#"{"id": "p-0", "image": "a.png", "conversations": [{"from": "human", "value": "<image>\nWhat?"}], "#,
    r#""outputs": ["A cup.", "A dog."], "sampling": {"model": "m", "model_fingerprint": "f", "seed": 1, "#,
    r#""temperature": 1.0, "top_p": 1.0, "max_new_tokens": 8, "batch_rows": 2, "chunk": 2, "index": 0, "#,
    r#""finished": [true, true], "n_tokens": [2, 2]}}"#,
    "\n"
);
const LLAVA: &str = concat!(
    r#"[{"id": 1, "image": "a.png", "conversations": [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}], "#,
    r#""output_1": {"from": "gpt", "value": "x"}, "output_2": {"from": "gpt", "value": "y"}, "hallucination": true, "preference": 1}]"#
);
const TRL: &str = concat!(
    r#"{"id": "t", "images": ["a.png"], "prompt": [{"role": "user", "content": [{"type": "image"}, "#,
    r#"{"type": "text", "text": "What?"}]}], "chosen": "x", "rejected": [{"role": "assistant", "content": "y"}]}"#,
    "\n"
);
const LOG: &str = concat!(
    r#"{"id": "g", "image": "a.png", "conversations": [{"from": "human", "value": "<image>\nq"}], "outputs": ["x", "y"], "#,
    r#""fewer_hallucinations": "tie", "more_helpful": "second", "explanation": "because"}"#,
    "\n"
);
const SCORES: &str = "{\"id\": \"t\", \"scores\": [1.5, -0.5]}\n";

/// A text that is put in the place of another.
fn any_patch() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("null".to_owned()),
        Just("1e999".to_owned()),
        Just("\\ud800".to_owned()),
        Just("\\u0000".to_owned()),
        Just("\u{0}".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("../../x".to_owned()),
        Just("[".repeat(300)),
        Just("<image><image>".to_owned()),
        Just("\n".to_owned()),
        "[\\[\\]{}\",:a-z0-9 ]{1,12}",
    ]
}

/// Where, how much of it goes, and what comes there instead.
type Edit = (Index, usize, String);

fn any_edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec((any::<Index>(), 0..20_usize, any_patch()), 1..4)
}

fn damaged(text: &str, edits: &[Edit]) -> String {
    edits
        .iter()
        .fold(text.to_owned(), |text, (at, length, patch)| {
            // All of the texts are ASCII before the first edit; after it a cut may need to move.
            let whole = |mut at: usize| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let start = whole(at.index(text.len() + 1));
            let end = whole((start + length).min(text.len())).max(start);
            format!("{}{patch}{}", &text[..start], &text[end..])
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_refused_with_the_name_of_the_file(edits in any_edits(), kind in 0..6_usize) {
        let (format, text, more) = [
            ("candidates", CANDIDATES, ""),
            ("llava", LLAVA, ""),
            ("llava", LLAVA, "kind = \"gold\""),
            ("trl_jsonl", TRL, ""),
            ("preference_log", LOG, "kind = \"training\""),
            ("preference_log", LOG, ""),
        ][kind];
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("images")).unwrap();
        std::fs::write(folder.path().join("images/a.png"), IMAGE).unwrap();
        let more = format!("images = \"images\"\n{more}");
        let whole = import_in(folder.path(), "whole", text.as_bytes(), format, &more);
        prop_assert_eq!(whole.unwrap().len(), 1);
        match import_in(folder.path(), "the.file", damaged(text, &edits).as_bytes(), format, &more) {
            Ok(items) => for item in items {
                prop_assert_ne!(&item.outputs[0], &item.outputs[1]);
                prop_assert!(item.image.is_none_or(|image| image == "a.png" || image == "./a.png"));
            },
            Err(error) => prop_assert!(error.to_string().contains("the.file"), "{error}"),
        }
    }

    #[test]
    fn damaged_scores_are_refused_with_the_name_of_the_file(edits in any_edits()) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.jsonl"), damaged(SCORES, &edits)).unwrap();
        let rows = "{\"id\": \"t\", \"prompt\": \"p\", \"chosen\": \"x\", \"rejected\": \"y\"}\n";
        match import_in(folder.path(), "a.jsonl", rows.as_bytes(), "trl_jsonl", "scores = \"s.jsonl\"") {
            Ok(items) => prop_assert!((0..=1_000_000).contains(&items[0].rank)),
            Err(error) => prop_assert!(error.to_string().contains("s.jsonl"), "{error}"),
        }
    }
}

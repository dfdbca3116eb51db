//! TRL's preference format: prompt, chosen and rejected as messages, the image by name.
//!
//! candor's reader of the format makes the same comparison of a row again. What it cannot have back is which of the two
//! questions decided, who judged, and the data set's own answer; and where there is no blank at all between an image and
//! the words around it, it finds a line break there.

use candor_data::Preference;
use candor_data::formats::trl::written::{answer, message};
use serde_json::{Value, json};

/// A comparison as TRL's trainers read it; none where nothing is preferred.
pub(super) fn row(preference: &Preference) -> Option<Value> {
    let prompt: Vec<Value> = preference.turns.iter().map(message).collect();
    let mut row = json!({
        "id": preference.id,
        "prompt": prompt,
        "chosen": answer(preference.chosen()?),
        "rejected": answer(preference.rejected()?),
    });
    if let Some(image) = &preference.image {
        row["images"] = json!([image]);
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_data::formats::trl;
    use candor_data::{Side, Turn, Verdict};

    use super::*;

    #[test]
    fn an_image_is_a_part_of_its_message() {
        let preference = Preference {
            id: "p".into(),
            image: Some("a.png".into()),
            turns: vec![Turn::human("<image>\nWhat is it?")],
            original_answer: None,
            outputs: ["A cat.".into(), "A dog.".into()],
            fewer_hallucinations: Verdict::Second,
            more_helpful: None,
            record: None,
            explanation: None,
        };
        let expected = json!({
            "id": "p",
            "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}],
            "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "A dog."}]}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}],
            "images": ["a.png"],
        });
        assert_eq!(row(&preference), Some(expected));
    }

    fn preference(turns: Vec<Turn>, image: Option<&str>, more_helpful: Side) -> Preference {
        Preference {
            id: "p".into(),
            image: image.map(str::to_owned),
            turns,
            original_answer: Some("A horse.".into()),
            outputs: ["A cat.\n".into(), String::new()],
            fewer_hallucinations: Verdict::Tie,
            more_helpful: Some(more_helpful),
            record: None,
            explanation: None,
        }
    }

    #[test]
    fn what_is_exported_is_read_as_the_same_comparison() {
        for question in [
            "<image>\nWhat is it?",
            "What is it?\n<image>",
            "Be brief.\n\n<image>\nWhat is it?",
            "What is on <image>?",
            "<image> is what?",
            "<image>",
            "<image>\n",
            "\n<image>\n\nWhat is it?\n",
            "<image>\n Indented.",
        ] {
            let turns = vec![
                Turn::human(question),
                Turn::gpt(" A cat.\n"),
                Turn::human("\nReally?\n"),
            ];
            for more_helpful in [Side::First, Side::Second] {
                let preference = preference(turns.clone(), Some("a.png"), more_helpful);
                let text = row(&preference).unwrap().to_string();
                let read = trl::parse(Path::new("export"), &text).unwrap();
                let [read] = read.as_slice() else {
                    panic!("{read:?}")
                };
                assert_eq!(read.turns, turns, "{text}");
                assert_eq!(
                    (read.id.as_str(), read.image.as_deref()),
                    ("p", Some("a.png"))
                );
                let chosen = read
                    .preferred()
                    .map(|side| read.outputs[side.index()].as_str());
                assert_eq!(chosen, preference.chosen());
                let rejected = read
                    .preferred()
                    .map(|side| read.outputs[side.other().index()].as_str());
                assert_eq!(rejected, preference.rejected());
            }
        }
        let text = preference(vec![Turn::human("Say hello.")], None, Side::First);
        let text = row(&text).unwrap().to_string();
        let read = trl::parse(Path::new("export"), &text).unwrap().remove(0);
        assert_eq!(
            (read.image, read.turns),
            (None, vec![Turn::human("Say hello.")])
        );
    }
}

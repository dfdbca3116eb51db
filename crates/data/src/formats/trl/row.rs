//! Rows as TRL's trainers read them: prompt, chosen and rejected as messages, images by name.
//!
//! candor's reader of the format makes the same comparison of a row again. What it cannot have back is which of the two
//! questions decided, who judged, and the data set's own answer; and where there is no blank at all between an image and
//! the words around it, it finds a line break there.

use serde_json::{Value, json};

use super::written::{answer, message};
use crate::comparison::Comparison;
use crate::shown;

/// A comparison as TRL's trainers read it; none where nothing is preferred.
#[must_use]
pub fn row(comparison: &Comparison) -> Option<Value> {
    let preferred = comparison.preferred()?;
    let prompt: Vec<Value> = comparison.turns.iter().map(message).collect();
    let mut row = json!({
        "id": comparison.id,
        "prompt": prompt,
        "chosen": answer(&comparison.outputs[preferred.index()]),
        "rejected": answer(&comparison.outputs[preferred.other().index()]),
    });
    if let Some(image) = &comparison.image {
        row["images"] = shown::names(image).collect();
    }
    if let Some(severity) = &comparison.severity {
        row["rejected_score"] = severity.clone();
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::comparison::Judgement;
    use crate::conversation::Turn;
    use crate::formats::trl;
    use crate::preference::{Side, Verdict};

    fn comparison(turns: Vec<Turn>, image: Option<&str>, judgement: Judgement) -> Comparison {
        Comparison {
            id: "p".into(),
            image: image.map(str::to_owned),
            turns,
            original_answer: Some("A horse.".into()),
            outputs: ["A cat.\n".into(), String::new()],
            models: None,
            group: None,
            judgement: Some(judgement),
            severity: None,
        }
    }

    #[test]
    fn an_image_is_a_part_of_its_message() {
        let judgement = Judgement {
            fewer_hallucinations: Verdict::Second,
            more_helpful: None,
            explanation: None,
        };
        let turns = vec![Turn::human("<image>\nWhat is it?")];
        let mut compared = comparison(turns, Some("a.png"), judgement);
        compared.outputs = ["A cat.".into(), "A dog.".into()];
        let mut expected = json!({
            "id": "p",
            "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}],
            "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "A dog."}]}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}],
            "images": ["a.png"],
        });
        assert_eq!(row(&compared), Some(expected.clone()));
        compared.image = Some("a.png\nb.png".into());
        compared.severity = Some(json!(2.5));
        expected["images"] = json!(["a.png", "b.png"]);
        expected["rejected_score"] = json!(2.5);
        assert_eq!(row(&compared), Some(expected));
        compared.judgement = None;
        assert_eq!(row(&compared), None);
    }

    #[test]
    fn images_one_after_another_have_no_text_between_them() {
        let turns = vec![Turn::human("<image>\n<image>\nWhich is larger?")];
        let judgement = Judgement::for_side(Side::First);
        let compared = comparison(turns.clone(), Some("a.png\nb.png"), judgement);
        let written = row(&compared).unwrap();
        let parts = json!([{"type": "image"}, {"type": "image"}, {"type": "text", "text": "Which is larger?"}]);
        assert_eq!(written["prompt"][0]["content"], parts);
        let read = trl::parse(Path::new("export"), &written.to_string()).unwrap();
        assert_eq!(read[0].turns, turns);
    }

    #[test]
    fn what_is_written_is_read_as_the_same_comparison() {
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
            for side in [Side::First, Side::Second] {
                let judgement = Judgement::for_side(side);
                let written = comparison(turns.clone(), Some("a.png"), judgement);
                let text = row(&written).unwrap().to_string();
                let read = trl::parse(Path::new("export"), &text).unwrap();
                let [read] = read.as_slice() else {
                    panic!("{read:?}")
                };
                assert_eq!(read.turns, turns, "{text}");
                assert_eq!(
                    (read.id.as_str(), read.image.as_deref()),
                    ("p", Some("a.png"))
                );
                // The preferred answer comes first.
                assert_eq!(read.preferred(), Some(Side::First));
                assert_eq!(read.outputs[0], written.outputs[side.index()]);
                assert_eq!(read.outputs[1], written.outputs[side.other().index()]);
            }
        }
        let judgement = Judgement::for_side(Side::First);
        let turns = vec![Turn::human("Say hello.")];
        let text = row(&comparison(turns.clone(), None, judgement));
        let text = text.unwrap().to_string();
        let read = trl::parse(Path::new("export"), &text).unwrap().remove(0);
        assert_eq!((read.image, read.turns), (None, turns));
    }
}

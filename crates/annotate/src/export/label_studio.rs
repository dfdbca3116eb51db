//! Label Studio's JSON, from which a project of that tool is made: a task for each item with an annotation for each person.
//!
//! The names of the controls are those of the labelling interface in `docs/formats.md`. Positions of marked words count UTF-16 units, as
//! that tool's browser does. Who said it is not there, because the tool would look for its own user of that name.

use candor_data::{Turn, shown};
use serde_json::{Value, json};

use crate::answer::{Answer, Mark, Which};
use crate::store::{Given, Judged};
use crate::task::ShownTurn;

/// The tasks of all closed items.
pub(super) fn tasks(items: &[Judged]) -> Vec<Value> {
    let closed = items.iter().filter(|item| item.is_closed);
    closed.map(task).collect()
}

fn task(item: &Judged) -> Value {
    let given = item
        .answers
        .iter()
        .map(|given| annotation(item, given, false));
    let decided = item
        .decision
        .iter()
        .map(|given| annotation(item, given, true));
    json!({"data": fields(item), "annotations": given.chain(decided).collect::<Vec<_>>()})
}

/// What people were shown, by names that both tools' files have.
pub(super) fn fields(item: &Judged) -> Value {
    let image = item.image.as_deref();
    let mut fields = json!({
        "id": item.name, "question": question(&item.turns, image), "answer_a": item.outputs[0], "answer_b": item.outputs[1],
    });
    add_context(&mut fields, &item.turns, image);
    fields
}

/// What people were asked.
pub(super) fn asked(turns: &[Turn], image: Option<&str>) -> Value {
    let mut fields = json!({"question": question(turns, image)});
    add_context(&mut fields, turns, image);
    fields
}

/// The last question. Several images are named in it, as on the page.
fn question(turns: &[Turn], image: Option<&str>) -> String {
    let read = ShownTurn::all(turns, shown::count(image));
    read.last()
        .map_or_else(String::new, |turn| turn.text.clone())
}

/// Adds what is shown beside a question and what was said before it.
fn add_context(fields: &mut Value, turns: &[Turn], image: Option<&str>) {
    match image {
        Some(several) if shown::count(Some(several)) > 1 => {
            fields["images"] = shown::names(several).collect();
        }
        Some(one) => fields["image"] = one.into(),
        None => {}
    }
    // Earlier turns have no place in a question.
    if let [earlier @ .., _] = turns
        && !earlier.is_empty()
    {
        fields["conversation"] = json!(earlier);
    }
}

/// What one person said; what an adjudicator decided is the ground truth.
fn annotation(item: &Judged, given: &Given, is_decision: bool) -> Value {
    json!({
        "result": result(item, &given.answer), "was_cancelled": false, "ground_truth": is_decision,
        "lead_time": given.active_ms as f64 / 1000.0,
    })
}

fn result(item: &Judged, answer: &Answer) -> Vec<Value> {
    let mut all = Vec::new();
    let mut say = |kind: &str, name: &str, of: &str, value: Value| {
        let id = format!("r{}", all.len());
        all.push(json!({"id": id, "type": kind, "from_name": name, "to_name": of, "value": value}));
    };
    if let Some(side) = answer.preference().side() {
        let selected = ["left", "right"][side.index()];
        let both = "answer_a,answer_b";
        say("pairwise", "preferred", both, json!({"selected": selected}));
    }
    say(
        "choices",
        "first",
        "question",
        json!({"choices": [answer.first]}),
    );
    if let Some(second) = answer.second {
        say(
            "choices",
            "second",
            "question",
            json!({"choices": [second]}),
        );
    }
    for mark in &answer.marks {
        let (start, end, text) = utf16(&item.outputs[mark.answer.index()], mark);
        let value = json!({"start": start, "end": end, "text": text, "labels": [mark.kind]});
        say("labels", "false_words", name(mark.answer), value);
    }
    let corrections = [
        (Which::A, "correction_a", &answer.corrections.a),
        (Which::B, "correction_b", &answer.corrections.b),
    ];
    for (which, control, text) in corrections {
        if let Some(text) = text {
            say("textarea", control, name(which), json!({"text": [text]}));
        }
    }
    if let Some(note) = &answer.note {
        say("textarea", "note", "question", json!({"text": [note]}));
    }
    all
}

fn name(which: Which) -> &'static str {
    match which {
        Which::A => "answer_a",
        Which::B => "answer_b",
    }
}

/// Where marked words begin and end in UTF-16 units, and they themselves.
fn utf16(text: &str, mark: &Mark) -> (usize, usize, String) {
    let units = |n: usize| text.chars().take(n).map(char::len_utf16).sum::<usize>();
    let words = text.chars().skip(mark.start).take(mark.end - mark.start);
    (units(mark.start), units(mark.end), words.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::MarkType;

    #[test]
    fn questions_name_their_images_where_there_are_several() {
        let asked = |image: &str, question: &str| {
            fields(&Judged {
                item: 1,
                name: "p".into(),
                image: Some(image.into()),
                turns: vec![Turn::human(question)],
                outputs: ["x".into(), "y".into()],
                original_answer: None,
                question_type: None,
                models: None,
                is_closed: true,
                is_disputed: false,
                answers: Vec::new(),
                decision: None,
            })
        };
        let two = asked("a.png\nb.png", "<image>\nIs it the one in <image>?");
        assert_eq!(two["question"], "[Image 1]\nIs it the one in [Image 2]?");
        assert_eq!(two["images"], json!(["a.png", "b.png"]));
        let one = asked("a.png", "<image>\nWhat is it?");
        assert_eq!(one["question"], "What is it?");
        assert_eq!(one["image"], "a.png");
        let names: Vec<&String> = one.as_object().unwrap().keys().collect();
        assert_eq!(names, ["id", "question", "answer_a", "answer_b", "image"]);
    }

    #[test]
    fn marks_count_as_browsers_do() {
        let mark = Mark {
            answer: Which::A,
            start: 2,
            end: 5,
            kind: MarkType::Object,
        };
        // The emoji is two UTF-16 units and one character.
        assert_eq!(utf16("😀 cup", &mark), (3, 6, "cup".to_owned()));
    }
}

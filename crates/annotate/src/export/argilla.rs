//! Argilla's records, as its `from_json` reads them: a record for each item, with everybody's responses by question.
//!
//! The tool wants a UUID for whoever responds, and knows its own users alone: here one is made of the person's id, and who it stands for
//! is in the metadata.

use std::collections::BTreeMap;

use candor_data::sha256;
use serde_json::{Map, Value, json};

use super::label_studio::{asked, fields};
use crate::store::{Given, Judged, Ranked};

/// The records of all closed items.
pub(super) fn records(items: &[Judged]) -> Vec<Value> {
    let closed = items.iter().filter(|item| item.is_closed);
    closed.map(record).collect()
}

fn record(item: &Judged) -> Value {
    let mut responses: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut people = Map::new();
    for given in &item.answers {
        let user = user(given);
        let mut say = |question, value: Value| {
            let all = responses.entry(question).or_default();
            all.push(json!({"value": value, "user_id": user}));
        };
        say("first", json!(given.answer.first));
        if let Some(second) = given.answer.second {
            say("second", json!(second));
        }
        if let Some(note) = &given.answer.note {
            say("note", json!(note));
        }
        people.insert(user, given.name.as_str().into());
    }
    // What an adjudicator decided is suggested.
    let mut suggestions = Map::new();
    if let Some(given) = &item.decision {
        let suggest = |value: Value| json!({"value": value, "score": null, "agent": "adjudicator"});
        suggestions.insert("first".into(), suggest(json!(given.answer.first)));
        if let Some(second) = given.answer.second {
            suggestions.insert("second".into(), suggest(json!(second)));
        }
    }
    let mut fields = fields(item);
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("id");
    }
    json!({
        "id": item.name, "fields": fields, "metadata": {"annotators": Value::Object(people).to_string()},
        "suggestions": suggestions, "responses": responses, "vectors": {},
    })
}

/// The records of all closed items whose answers were ranked, for a question of rankings of the name `ranking`.
pub(super) fn ranked_records(items: &[Ranked]) -> Vec<Value> {
    let closed = items.iter().filter(|item| item.is_closed);
    closed.map(ranked_record).collect()
}

fn ranked_record(item: &Ranked) -> Value {
    let mut people = Map::new();
    let mut responses: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for given in &item.answers {
        let user = user(given);
        let mut say = |question, value: Value| {
            let all = responses.entry(question).or_default();
            all.push(json!({"value": value, "user_id": user}));
        };
        if let Some(ranking) = &given.answer.ranking {
            say("ranking", ranks(ranking));
        }
        if let Some(note) = &given.answer.note {
            say("note", json!(note));
        }
        people.insert(user, given.name.as_str().into());
    }
    let mut suggestions = Map::new();
    let decided = item.decision.as_ref();
    if let Some(ranking) = decided.and_then(|given| given.answer.ranking.as_ref()) {
        let suggested = json!({"value": ranks(ranking), "score": null, "agent": "adjudicator"});
        suggestions.insert("ranking".into(), suggested);
    }
    let mut fields = asked(&item.turns, item.image.as_deref());
    for (number, output) in (1..).zip(&item.outputs) {
        fields[answer_field(number)] = output.as_str().into();
    }
    json!({
        "id": item.name, "fields": fields, "metadata": {"annotators": Value::Object(people).to_string()},
        "suggestions": suggestions, "responses": responses, "vectors": {},
    })
}

/// What a ranked answer is called, from 1.
fn answer_field(number: usize) -> String {
    format!("answer_{number}")
}

/// A ranking as the tool has it: each answer's field with its rank.
fn ranks(ranking: &[u8]) -> Value {
    let ranks = (1..).zip(ranking);
    ranks
        .map(|(number, rank)| json!({"value": answer_field(number), "rank": rank}))
        .collect()
}

/// A UUID that stands for a person: of the fourth version by its form.
fn user(given: &Given) -> String {
    let hash = sha256::of(&given.person);
    let part = |from: usize, to: usize| &hash[from..to];
    format!(
        "{}-{}-4{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

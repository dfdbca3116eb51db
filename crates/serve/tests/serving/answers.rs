//! What is answered is what the model says where nobody serves it.

use std::path::Path;

use candor_data::random;
use candor_model::{Adapter, Answerer, Bundle, Decoding, Dialogue, Query, Written};
use candor_serve::Models;
use candor_testing::images::paint;
use serde_json::{Value, json};

use crate::site::{Reply, Site, adapter, bundle, data_url, question, settings, texts};

/// What `candor chat` answers.
fn chat(
    bundle: &Bundle,
    system: Option<&str>,
    images: &[&Path],
    ask: &str,
    n: usize,
) -> candor_model::Answer {
    let mut dialogue = Dialogue::new(bundle, None, system).unwrap();
    for image in images {
        dialogue.show(image).unwrap();
    }
    let decoding = Decoding {
        max_new_tokens: n,
        temperature: 0.0,
        top_p: 1.0,
        ends: bundle.tokenizer.ends,
    };
    dialogue.ask(ask, decoding, 0, |_| true).unwrap()
}

/// What is drawn for `Is it moving?` where it is answered alone.
fn drawn(
    bundle: &Bundle,
    adapter: Option<&Adapter>,
    seed: u64,
    n: usize,
    n_tokens: usize,
) -> Vec<Written> {
    let text = "<s>Be honest. USER: Is it moving? ASSISTANT:";
    let query = Query {
        ids: bundle.tokenizer.encode(text).unwrap().ids,
        features: None,
        image: None,
    };
    let answerer = Answerer {
        bundle,
        adapter,
        max_new_tokens: n_tokens,
        temperature: 0.9,
        top_p: 0.95,
        n_samples: n,
        batch_rows: 1,
    };
    let uniform = |_, sample: usize, position: usize| {
        random::uniform(seed, "serve", &[sample as u64, position as u64])
    };
    answerer
        .answer(&[query], uniform, |_| "x".to_owned())
        .unwrap()
}

fn sampled(more: &Value) -> Value {
    let mut body =
        question(&json!({"temperature": 0.9, "top_p": 0.95, "seed": 7, "max_tokens": 20}));
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The text of a stream's answers, and the reason of each.
fn streamed(reply: &Reply, n: usize) -> (Vec<String>, Vec<Value>) {
    let (mut texts, mut reasons) = (vec![String::new(); n], vec![Value::Null; n]);
    let events = reply.events();
    let (last, parts) = events.split_last().unwrap();
    assert_eq!(*last, "[DONE]");
    for part in parts {
        let part: Value = serde_json::from_str(part).unwrap();
        assert_eq!(part["object"], "chat.completion.chunk");
        for choice in part["choices"].as_array().unwrap() {
            let index = choice["index"].as_u64().unwrap() as usize;
            texts[index].push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            if !choice["finish_reason"].is_null() {
                reasons[index] = choice["finish_reason"].clone();
            }
        }
    }
    (texts, reasons)
}

#[test]
fn greedy_answers_are_those_of_candor_chat() {
    let site = Site::tiny();
    let alone = bundle();
    let folder = tempfile::tempdir().unwrap();
    let [red, blue] =
        [("red.png", [220, 30, 30]), ("blue.png", [20, 30, 220])].map(|(name, rgb)| {
            let path = folder.path().join(name);
            paint(&path, [20, 16], rgb);
            path
        });
    let image = |path: &Path| json!({"type": "image_url", "image_url": {"url": data_url(path)}});
    let text = json!({"type": "text", "text": "Is it moving?"});
    for (system, images, content) in [
        (None, vec![], json!("Is it moving?")),
        (None, vec![red.as_path()], json!([image(&red), text])),
        (
            Some("No."),
            vec![&red, &blue],
            json!([text, image(&red), image(&blue)]),
        ),
    ] {
        let expected = chat(&alone, system, &images, "Is it moving?", 12);
        let mut messages = vec![json!({"role": "user", "content": content})];
        if let Some(system) = system {
            messages.insert(0, json!({"role": "system", "content": system}));
        }
        let reply = site.chat(&question(
            &json!({"messages": messages, "logprobs": true, "top_logprobs": 2}),
        ));
        assert_eq!(reply.status, 200, "{}", reply.body);
        let found = reply.json();
        assert_eq!(texts(&found), [expected.text.as_str()]);
        assert_eq!(found["usage"]["prompt_tokens"], expected.n_read);
        let said = found["choices"][0]["logprobs"]["content"]
            .as_array()
            .unwrap();
        let n_said = expected
            .ids
            .iter()
            .filter(|&&id| id != alone.tokenizer.eos)
            .count();
        assert_eq!(said.len(), n_said);
        assert_eq!(found["usage"]["completion_tokens"], n_said);
        for (token, expected) in said.iter().zip(&expected.logprobs) {
            let logprob = token["logprob"].as_f64().unwrap();
            assert!(
                (logprob - f64::from(*expected)).abs() < 1e-4,
                "{logprob} is not {expected}"
            );
            // The likeliest token is the one that greedy decoding takes.
            assert_eq!(token["top_logprobs"][0]["token"], token["token"]);
            assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 2);
            let second = token["top_logprobs"][1]["logprob"].as_f64().unwrap();
            assert!(second <= logprob, "{second} is above {logprob}");
        }
        let joined: String = said
            .iter()
            .map(|token| token["token"].as_str().unwrap())
            .collect();
        if !joined.contains(char::REPLACEMENT_CHARACTER) {
            assert_eq!(joined.trim(), expected.text);
        }
    }
}

#[test]
fn a_later_turn_is_answered_as_in_a_conversation() {
    let site = Site::tiny();
    let alone = bundle();
    let decoding = Decoding {
        max_new_tokens: 8,
        temperature: 0.0,
        top_p: 1.0,
        ends: alone.tokenizer.ends,
    };
    let mut dialogue = Dialogue::new(&alone, None, None).unwrap();
    let first = dialogue
        .ask("Is it moving?", decoding, 0, |_| true)
        .unwrap()
        .text;
    let second = dialogue
        .ask("What is it?", decoding, 0, |_| true)
        .unwrap()
        .text;
    let messages = json!([
        {"role": "user", "content": "Is it moving?"},
        {"role": "assistant", "content": first},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}]},
    ]);
    let reply = site.chat(&question(&json!({"messages": messages, "max_tokens": 8})));
    assert_eq!(texts(&reply.json()), [second]);
}

#[test]
fn a_stream_says_what_a_whole_answer_says() {
    let site = Site::tiny();
    let body = sampled(&json!({"n": 3}));
    let whole = site.chat(&body).json();
    let mut body = body;
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let reply = site.chat(&body);
    assert!(
        reply.head.contains("content-type: text/event-stream"),
        "{}",
        reply.head
    );
    let (streamed, reasons) = streamed(&reply, 3);
    assert_eq!(streamed, texts(&whole));
    let choices = whole["choices"].as_array().unwrap().iter();
    assert!(choices.map(|choice| &choice["finish_reason"]).eq(&reasons));
    let events = reply.events();
    let usage: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    assert_eq!(usage["usage"], whole["usage"]);
    assert_eq!(usage["choices"], json!([]));
}

#[test]
fn draws_depend_on_seed_and_answer_and_on_nothing_else_in_the_batch() {
    let models = Models::new("tiny", bundle());
    let folder = tempfile::tempdir().unwrap();
    for (name, seed) in [("a", 1), ("b", 2)] {
        adapter(&bundle(), seed)
            .save(&folder.path().join(name))
            .unwrap();
    }
    let models = models.with_adapter("a", &folder.path().join("a")).unwrap();
    let models = models.with_adapter("b", &folder.path().join("b")).unwrap();
    let site = Site::of(models, settings());
    let alone = bundle();
    let adapters = [adapter(&alone, 1), adapter(&alone, 2)];
    // All at once: three models, seeds, numbers of answers and lengths.
    let mut asked = Vec::new();
    for (model, adapter) in [
        ("tiny", None),
        ("a", Some(&adapters[0])),
        ("b", Some(&adapters[1])),
    ] {
        for (seed, n, n_tokens) in [(7, 1, 20), (7, 3, 20), (8, 2, 33)] {
            let body =
                sampled(&json!({"model": model, "seed": seed, "n": n, "max_tokens": n_tokens}));
            asked.push((body, drawn(&alone, adapter, seed, n, n_tokens)));
        }
    }
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let site = &site;
        let asking: Vec<_> = asked
            .iter()
            .map(|(body, _)| scope.spawn(move || site.chat(body)))
            .collect();
        asking
            .into_iter()
            .map(|asking| asking.join().unwrap())
            .collect()
    });
    let mut distinct = std::collections::BTreeSet::new();
    for (reply, (body, expected)) in replies.iter().zip(&asked) {
        assert_eq!(reply.status, 200, "{}", reply.body);
        let expected: Vec<&str> = expected
            .iter()
            .map(|written| written.text.as_str())
            .collect();
        assert_eq!(texts(&reply.json()), expected, "{body}");
        distinct.extend(texts(&reply.json()));
    }
    // Three models with five answers that differ: seed 7 has three, its first again alone, seed 8 has two.
    assert_eq!(distinct.len(), 15);
}

#[test]
fn a_seed_of_the_servers_own_choice_is_told() {
    let site = Site::tiny();
    let mut body = sampled(&json!({"seed": null}));
    let first = site.chat(&body).json();
    body["seed"] = first["seed"].clone();
    assert_eq!(texts(&site.chat(&body).json()), texts(&first));
}

#[test]
fn an_answer_ends_before_a_stop_string() {
    let site = Site::tiny();
    let whole = texts(&site.chat(&question(&json!({"max_tokens": 40}))).json()).remove(0);
    // A word from its middle, with what stands before it.
    let middle = whole
        .char_indices()
        .nth(whole.chars().count() / 2)
        .unwrap()
        .0;
    let stop = &whole[middle..].chars().take(3).collect::<String>();
    let before = whole[..whole.find(stop.as_str()).unwrap()].trim_end();
    for stops in [json!(stop), json!(["never said", stop])] {
        let reply = site
            .chat(&question(&json!({"max_tokens": 40, "stop": stops})))
            .json();
        assert_eq!(texts(&reply), [before]);
        assert_eq!(reply["choices"][0]["finish_reason"], "stop");
    }
    let cut = site.chat(&question(&json!({"max_tokens": 3}))).json();
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert_eq!(cut["usage"]["completion_tokens"], 3);
}

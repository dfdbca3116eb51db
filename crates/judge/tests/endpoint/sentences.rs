//! Labels of a judge for sentences: each is asked about by itself, and nothing is paid for twice.

use std::path::Path;

use candor_data::formats::captions;
use candor_data::{Comparison, RatedAnswer, Turn};
use candor_judge::sentence_labels::{Kind, LabelSummary, SentenceLabels};

use crate::stub::{Act, Stub, judge, settings};

fn pair(id: &str, outputs: [&str; 2]) -> Comparison {
    Comparison {
        id: id.to_owned(),
        image: Some("a.jpg".to_owned()),
        turns: vec![Turn::human("<image>\nWhat is there?")],
        original_answer: None,
        outputs: outputs.map(str::to_owned),
        models: None,
        group: None,
        judgement: None,
        severity: None,
    }
}

/// What is said of the sentence, by its words.
fn reply(prompt: &str) -> &'static str {
    assert!(prompt.contains("- A clock hangs.") && prompt.contains("What is there?"));
    let (before, sentence) = prompt.split_once("The sentence:\n").unwrap();
    let (_, before) = before.split_once("refers to:\n").unwrap();
    match sentence {
        sentence if sentence.contains("a clock") => "It hangs.\nSentence: clean",
        sentence if sentence.contains("a cat") => {
            assert!(before.contains("There is a clock."), "{before}");
            "Nobody saw one.\nSentence: false"
        }
        sentence if sentence.contains("Ask me") => "Sentence: nothing",
        _ => "I would rather not say.",
    }
}

fn asked(stub: &Stub, cache: &Path, kind: Option<Kind>) -> (Vec<RatedAnswer>, LabelSummary, usize) {
    let pairs = [
        pair(
            "one",
            ["There is a clock. There is a cat. Ask me", "It is mist."],
        ),
        pair("two", [" It is mist.\n", "There is a clock."]),
    ];
    let spend = "[spend]\ntokens = 240000\n";
    let settings = settings(&stub.address, cache, spend);
    let facts = r#"{"a.jpg": ["A clock hangs."]}"#;
    let book = captions::parse(Path::new("f.json"), facts).unwrap();
    let facts = Some((Path::new("f.json"), &book));
    let path = Path::new("pairs.jsonl");
    let labels = SentenceLabels::new(path, &pairs, &settings, facts, None, kind).unwrap();
    let (judge, _) = judge(&stub.address, cache, spend);
    let (n, _) = labels.outstanding(&judge).unwrap();
    let (rows, summary) = labels.ask(&judge, &|_| ()).unwrap();
    (rows, summary, n)
}

#[test]
fn sentences_are_labelled_with_the_answer_up_to_them() {
    let stub = Stub::new(|prompt, _| Act::Say(reply(prompt)));
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("replies.jsonl");
    let (rows, summary, n) = asked(&stub, &cache, None);
    let said: Vec<(&str, &str, bool)> = rows
        .iter()
        .map(|row| (row.id.as_str(), row.answer.as_str(), row.is_desirable))
        .collect();
    let expected = [
        ("one-a-0", "There is a clock.", true),
        ("one-a-1", "There is a clock. There is a cat.", false),
        ("two-b-0", "There is a clock.", true),
    ];
    assert_eq!(said, expected);
    // One text that two rows give counts once.
    let counts = (summary.n_answers, summary.n_sentences);
    assert_eq!(counts, (3, 5));
    let labels = (
        summary.n_clean,
        summary.n_false,
        summary.n_nothing,
        summary.n_undecided,
    );
    assert_eq!(labels, (2, 1, 1, 1));
    assert_eq!((summary.n_replies, summary.n_unparsed), (5, 1));
    // Two sentences of five are asked about in the same words: once.
    assert_eq!((n, stub.seen().len()), (4, 4));
    let (again, _, n) = asked(&stub, &cache, None);
    assert_eq!((again, n), (rows, 0));
    // A kind of falsehoods by itself is another question, and each kind one of its own.
    let mut templates = vec![summary.template];
    for (kind, words) in [
        (Kind::Objects, "names are in the picture"),
        (Kind::Attributes, "colour, number, size"),
        (Kind::Relations, "stand to each other"),
    ] {
        let n_before = stub.seen().len();
        let (_, summary, n) = asked(&stub, &cache, Some(kind));
        assert_eq!((n, stub.seen().len() - n_before), (4, 4));
        let seen = stub.seen();
        let about = seen[n_before..]
            .iter()
            .filter(|seen| seen.prompt().contains(words));
        assert_eq!(about.count(), 4, "{words}");
        assert!(!templates.contains(&summary.template));
        templates.push(summary.template);
    }
}

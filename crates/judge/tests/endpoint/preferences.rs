//! Preferences of a judge: two orders, ties, what could not be read, and nothing paid for twice.

use std::path::Path;

use candor_data::formats::{captions, preference_log};
use candor_data::{Comparison, FactBook, Side, Turn, Verdict};
use candor_judge::Judge as _;
use candor_judge::feedback::{Feedback, Summary};

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

fn book() -> FactBook {
    captions::parse(
        Path::new("f.json"),
        r#"{"a.jpg": ["A clock hangs.", "It is noon."]}"#,
    )
    .unwrap()
}

/// What is said of the answer that is shown first, by its words.
fn reply(prompt: &str) -> &'static str {
    assert!(
        prompt.contains("- A clock hangs.\n- It is noon.") && prompt.contains("What is there?")
    );
    let (_, shown) = prompt.split_once("Answer A:\n").unwrap();
    let (a, b) = shown.split_once("Answer B:\n").unwrap();
    let b = b.split("First: which").next().unwrap();
    match (a, b) {
        // A true answer wins wherever it stands.
        (a, _) if a.contains("a clock") => "Fewer hallucinations: A\nMore helpful: A",
        (_, b) if b.contains("a clock") => "Fewer hallucinations: B\nMore helpful: B",
        // Leans to the first answer, but knows which one helps.
        (a, _) if a.contains("a lamp") => "Fewer hallucinations: A\nMore helpful: B",
        (_, b) if b.contains("a lamp") => "Fewer hallucinations: A\nMore helpful: A",
        // Leans to the first in everything.
        (a, _) if a.contains("a cat") || a.contains("a dog") => {
            "Fewer hallucinations: A\nMore helpful: A"
        }
        (a, _) if a.contains("mist") => "I would rather not say.",
        _ => "Fewer hallucinations: tie\nMore helpful: B",
    }
}

fn asked(stub: &Stub, cache: &Path) -> (Vec<candor_data::Preference>, Summary, usize) {
    let pairs = vec![
        pair("true", ["It is a rug", "It is a clock"]),
        pair("lean", ["It is a lamp", "It is a vase"]),
        pair("blind", ["It is a cat", "It is a dog"]),
        pair("same", ["It is a fan", " It is a fan\n"]),
        pair("half", ["It is mist", "It is fog"]),
    ];
    let settings = settings(&stub.address, cache, "[spend]\ntokens = 60000\n");
    let book = book();
    let facts = Some((Path::new("f.json"), &book));
    let feedback = Feedback::new(Path::new("pairs.jsonl"), pairs, &settings, facts, None).unwrap();
    let (judge, _) = judge(&stub.address, cache, "[spend]\ntokens = 60000\n");
    let (n, most) = feedback.outstanding(&judge).unwrap();
    // Twenty tokens of a reply at most, and a prompt of more than a kilobyte.
    assert_eq!(most.completion, 20 * n as u64);
    assert!(n == 0 || most.prompt > 1000 * n as u64, "{most:?}");
    let (preferences, summary) = feedback.ask(&judge, &|_| ()).unwrap();
    assert_eq!(judge.cost().n_sent, n);
    (preferences, summary, n)
}

#[test]
fn what_both_orders_say_is_preferred_and_the_rest_is_counted() {
    let stub = Stub::new(|prompt, _| Act::Say(reply(prompt)));
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("replies.jsonl");
    let (preferences, summary, n) = asked(&stub, &cache);
    let said: Vec<_> = preferences
        .iter()
        .map(|row| (row.id.as_str(), row.fewer_hallucinations, row.more_helpful))
        .collect();
    let second = Some(Side::Second);
    assert_eq!(
        said,
        [
            ("true", Verdict::Second, second),
            ("lean", Verdict::Tie, second)
        ]
    );
    assert_eq!((n, stub.seen().len()), (8, 8));
    assert_eq!(
        (
            summary.n_pairs,
            summary.n_identical,
            summary.n_undecided,
            summary.n_preferences
        ),
        (5, 1, 2, 2)
    );
    // Asked: true, lean, blind, half. The first question of all but the first is a tie.
    assert_eq!(
        (summary.tie_share, summary.first_question_share),
        (Some(0.75), Some(0.5))
    );
    // Both orders of true, lean and blind were read: only true says the same. The second question: true and lean.
    assert_eq!(summary.order_agreement, Some(1.0 / 3.0));
    assert_eq!(summary.order_agreement_helpful, Some(2.0 / 3.0));
    // Of true one of two, of lean and blind both; "tie" of half is neither.
    assert_eq!(summary.favours_first, Some(5.0 / 6.0));
    assert_eq!((summary.n_replies, summary.n_unparsed), (8, 1));
    // As people's preferences are read.
    let log = dir.path().join("preferences.log.jsonl");
    preference_log::write(&log, &preferences).unwrap();
    let format = candor_data::ComparisonFormat::of(&log).unwrap();
    let read = format.read(&log, &mut |_| unreachable!()).unwrap();
    assert_eq!(read[1].preferred(), second);
    // Again: everything is there.
    let (again, _, n) = asked(&stub, &cache);
    assert_eq!((again, n, stub.seen().len()), (preferences, 0, 8));
}

#[test]
fn facts_that_are_not_there_are_missed_before_anything_is_paid_for() {
    let settings = settings("http://localhost/v1", Path::new("c"), "");
    let told = |pairs: Vec<Comparison>, facts: Option<&FactBook>| {
        let facts = facts.map(|book| (Path::new("f.json"), book));
        let made = Feedback::new(Path::new("pairs.jsonl"), pairs, &settings, facts, None);
        made.unwrap_err().to_string()
    };
    let other = Comparison {
        image: Some("b.jpg".to_owned()),
        ..pair("p7", ["one", "two"])
    };
    let book = book();
    let message = told(vec![other], Some(&book));
    assert!(
        message.contains("f.json: it has no captions of b.jpg, which p7 is about"),
        "{message}"
    );
    let message = told(vec![pair("p", ["one", "two"])], None);
    assert!(message.contains("--facts"), "{message}");
    let twice = vec![pair("p", ["one", "two"]), pair("p", ["one", "three"])];
    let message = told(twice, Some(&book));
    assert!(message.contains("two pairs have the id \"p\""), "{message}");
}

#[test]
fn a_judge_is_shown_every_image_of_a_pair() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let paint = |name: &str| std::fs::write(path(name), [0x89, b'P', b'N', b'G', 1]).unwrap();
    std::fs::write(path("prompt.txt"), "{question} {answer} {other}").unwrap();
    paint("a.png");
    let (stub, cache) = ("http://localhost/v1", path("replies.jsonl"));
    let mut settings = settings(stub, &cache, "[spend]\ntokens = 60000\n");
    settings.request.images = true;
    settings.templates.preference = Some(path("prompt.txt"));
    let both = Comparison {
        image: Some("a.png\nb.png".to_owned()),
        ..pair("p", ["one", "two"])
    };
    let file = Path::new("pairs.jsonl");
    let feedback = Feedback::new(file, vec![both], &settings, None, Some(dir.path())).unwrap();
    let (judge, _) = judge(stub, &cache, "[spend]\ntokens = 60000\n");
    // The second is missed by a name of its own.
    let missed = feedback.outstanding(&judge).unwrap_err().to_string();
    let second = path("b.png").display().to_string();
    assert!(missed.contains(&second), "{missed}");
    paint("b.png");
    assert_eq!(feedback.outstanding(&judge).unwrap().0, 2);
}

//! Rewards of a judge that is told the facts.

use std::fs;
use std::path::Path;

use candor_data::AnswerType;
use candor_judge::reward::{Answered, Rewards, Term};
use candor_recipe::Reader;

use crate::stub::{Act, Stub};

fn terms(stub: &str, folder: &Path, extra: &str) -> Vec<Term> {
    let settings = format!(
        "cache = 'replies.jsonl'\n[endpoint]\nurl = \"{stub}\"\nmodel = \"m\"\n[request]\ntemperature = 0.0\n\
         max_tokens = 20\nsamples = 2\nseed = 1\nimages = false\n[limits]\nconcurrency = 1\n[spend]\ntokens = 20000\n"
    );
    fs::write(folder.join("judge.toml"), settings).unwrap();
    let text = format!(
        "[[rewards]]\nname = \"honest\"\nkind = \"judge\"\nweight = 1.0\njudge = '{}/judge.toml'\n{extra}",
        folder.display()
    );
    let mut reader = Reader::parse("recipe.toml", &text, &[]);
    let terms = Term::read_all(&mut reader);
    reader.finish().unwrap();
    terms
}

fn rewards(stub: &str, folder: &Path, extra: &str) -> Rewards {
    Rewards::open(&terms(stub, folder, extra), Path::new("images")).unwrap()
}

fn response<'a>(id: &'a str, answer: &'a str, facts: &'a [String]) -> Answered<'a> {
    Answered {
        id,
        image: Some("a.jpg"),
        question: "What is on the wall?",
        answer,
        facts,
        reference: Some("A clock."),
        answer_type: AnswerType::General,
        n_tokens: 3,
    }
}

#[test]
fn a_judge_is_told_the_facts_and_its_ratings_are_rewards() {
    let stub = Stub::new(|prompt, n| {
        let told = [
            "- A clock hangs.",
            "- The wall is red.",
            "What is on the wall?",
            "A clock.",
        ];
        assert!(told.iter().all(|part| prompt.contains(part)), "{prompt}");
        match (prompt.contains("a lamp"), n) {
            (true, 0) => Act::Say("It is false.\nRating: 1"),
            (true, _) => Act::Say("Rating: 2"),
            (false, 0) => Act::Say("Rating: 6"),
            (false, _) => Act::Say("No idea."),
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let facts = ["A clock hangs.".to_owned(), "The wall is red.".to_owned()];
    let responses = [
        response("a", "It is a clock", &facts),
        response("b", "It is a lamp", &facts),
    ];
    let mut terms = rewards(&stub.address, dir.path(), "");
    // 6/6, its other reply left out; and the mean of 1/6 and 2/6.
    assert_eq!(terms.of(&responses).unwrap(), [[Some(1.0), Some(0.25)]]);
    drop(terms);
    let mut again = rewards(&stub.address, dir.path(), "");
    assert_eq!(again.of(&responses).unwrap(), [[Some(1.0), Some(0.25)]]);
    assert_eq!(stub.seen().len(), 4);
}

#[test]
fn a_reply_without_a_rating_is_no_zero() {
    let stub = Stub::new(|_, _| Act::Say("Rating: 7"));
    let dir = tempfile::tempdir().unwrap();
    let facts = ["A clock hangs.".to_owned()];
    let asked = [response("a", "It is a clock", &facts)];
    let mut strict = rewards(&stub.address, dir.path(), "");
    let message = strict.of(&asked).unwrap_err().to_string();
    for part in [
        "reward \"honest\"",
        "about a holds no rating",
        "Rating: 7",
        "unparsed",
        "replies.jsonl",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    drop(strict);
    let mut lenient = rewards(&stub.address, dir.path(), "unparsed = -0.5\n");
    assert_eq!(lenient.of(&asked).unwrap(), [[Some(-0.5)]]);
    assert_eq!(stub.seen().len(), 2);
}

#[test]
fn an_endpoint_that_refuses_stops_with_the_name_of_the_term() {
    let stub = Stub::new(|_, _| Act::Status(401, "", "{\"error\": {\"message\": \"Wrong key\"}}"));
    let dir = tempfile::tempdir().unwrap();
    let mut terms = rewards(&stub.address, dir.path(), "");
    let message = terms
        .of(&[response("a", "A clock", &[])])
        .unwrap_err()
        .to_string();
    for part in [
        "reward \"honest\"",
        "status 401: Wrong key",
        "0 of 2 replies",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn a_response_that_the_judge_refuses_is_worth_what_one_without_a_rating_is() {
    let stub = Stub::new(|prompt, _| {
        if prompt.contains("zebra") {
            Act::Status(400, "", "{\"error\": {\"message\": \"filtered\"}}")
        } else {
            Act::Say("Rating: 3")
        }
    });
    let dir = tempfile::tempdir().unwrap();
    // More refusals in a row than an endpoint that does not work is sent questions.
    let texts: Vec<String> = (0..6).map(|i| format!("{i} zebras")).collect();
    let refused: Vec<Answered<'_>> = texts.iter().map(|text| response("z", text, &[])).collect();
    let all = [&refused[..], &[response("a", "It is a clock", &[])]].concat();

    let mut strict = rewards(&stub.address, dir.path(), "");
    let message = strict.of(&all[5..]).unwrap_err().to_string();
    for part in ["status 400: filtered", "`unparsed`", "replies.jsonl"] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    drop(strict);
    let mut lenient = rewards(&stub.address, dir.path(), "unparsed = -0.5\n");
    let mut expected = vec![Some(-0.5); 6];
    expected.push(Some(0.5));
    assert_eq!(lenient.of(&all).unwrap(), [expected]);
    // Where nothing else comes, it is not the responses.
    let message = lenient.of(&refused).unwrap_err().to_string();
    assert!(message.contains("status 400: filtered"), "{message}");
}

#[test]
fn who_judges_is_known_without_asking_while_another_process_asks() {
    let dir = tempfile::tempdir().unwrap();
    let asks = rewards("http://127.0.0.1:1", dir.path(), "");
    let terms = terms("http://127.0.0.1:1", dir.path(), "");
    let other = Rewards::open_without_asking(&terms).unwrap();
    assert_eq!(other.fingerprints().unwrap(), asks.fingerprints().unwrap());
    assert_eq!(other.fingerprints().unwrap()[0].0, "reward honest");
}

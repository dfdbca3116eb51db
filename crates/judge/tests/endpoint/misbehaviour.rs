//! Servers that refuse, stumble, cut off, say nothing, or say too much.

use candor_judge::{Judge as _, Reply};

use crate::stub::{Act, Stub, ask, judge};

fn texts(replies: &[Vec<Reply>]) -> Vec<Vec<&str>> {
    replies
        .iter()
        .map(|of| of.iter().map(|reply| reply.text.as_str()).collect())
        .collect()
}

const LIMITS: &str = "[limits]\nconcurrency = 1\nattempts = 4\n";

#[test]
fn replies_come_back_in_the_order_of_the_questions() {
    let stub = Stub::new(|prompt, _| {
        if prompt == "a" {
            Act::Say("1")
        } else {
            Act::Say("2")
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (judge, clock) = judge(&stub.address, &dir.path().join("c"), "");
    let heard = std::sync::Mutex::new(Vec::new());
    let replies = judge
        .replies(&ask(&["a", "b", "a"]), &|n| heard.lock().unwrap().push(n))
        .unwrap();
    assert_eq!(texts(&replies), [["1"], ["2"], ["1"]]);
    // The same question twice is paid once.
    assert_eq!(stub.counts(&["a", "b"]), [1, 1]);
    let mut heard = heard.into_inner().unwrap();
    heard.sort_unstable();
    assert_eq!(heard, [0, 1, 2]);
    assert!(clock.waited() == 0.0);
    let seen = &stub.seen()[0];
    assert!(
        seen.head.contains("post /v1/chat/completions"),
        "{}",
        seen.head
    );
    assert!(seen.head.contains("authorization: bearer sk-very-secret"));
    assert_eq!(replies[0][0].tokens.unwrap().prompt, 10);
}

#[test]
fn samples_are_asked_with_seeds_of_their_own() {
    let stub = Stub::new(|_, n| Act::Say(["x", "y", "z"][n]));
    let dir = tempfile::tempdir().unwrap();
    let settings = "seed = 7\n[limits]\nconcurrency = 1\n";
    let (mut settings, clock) = (
        crate::stub::settings(&stub.address, &dir.path().join("c"), settings),
        crate::stub::Jumping::default(),
    );
    settings.request.samples = 3;
    let judge = candor_judge::ChatJudge::with(settings, None, Box::new(clock), 0).unwrap();
    let replies = judge.replies(&ask(&["a"]), &|_| ()).unwrap();
    assert_eq!(texts(&replies), [["x", "y", "z"]]);
    let seeds: Vec<u64> = stub
        .seen()
        .iter()
        .map(|s| s.body["seed"].as_u64().unwrap())
        .collect();
    assert_eq!(seeds, [7, 8, 9]);
    assert!(
        stub.seen()
            .iter()
            .all(|s| !s.head.contains("authorization"))
    );
}

#[test]
fn a_pause_that_the_server_asks_for_is_kept() {
    for (header, expected) in [
        ("Retry-After: 17\r\n", 17.0),
        // 37 seconds after what the clock says.
        ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 37.0),
    ] {
        let stub = Stub::new(move |_, n| match n {
            0 => Act::Status(429, header, "{}"),
            _ => Act::Say("ok"),
        });
        let dir = tempfile::tempdir().unwrap();
        let (judge, clock) = judge(&stub.address, &dir.path().join("c"), LIMITS);
        let replies = judge.replies(&ask(&["a"]), &|_| ()).unwrap();
        assert_eq!(texts(&replies), [["ok"]]);
        assert!(
            (clock.waited() - expected).abs() < 0.01,
            "{header}: {}",
            clock.waited()
        );
    }
}

#[test]
fn without_such_a_pause_each_wait_is_longer_than_the_last() {
    let stub = Stub::new(|_, n| match n {
        0 => Act::Status(429, "", ""),
        1 => Act::Status(500, "", "<html>"),
        2 => Act::Status(503, "Retry-After: rubbish\r\n", "{}"),
        _ => Act::Say("ok"),
    });
    let dir = tempfile::tempdir().unwrap();
    let (judge, clock) = judge(&stub.address, &dir.path().join("c"), LIMITS);
    assert_eq!(
        texts(&judge.replies(&ask(&["a"]), &|_| ()).unwrap()),
        [["ok"]]
    );
    let naps: Vec<f64> = clock
        .naps
        .lock()
        .unwrap()
        .iter()
        .map(std::time::Duration::as_secs_f64)
        .collect();
    assert_eq!(naps.len(), 3);
    for (nap, [low, high]) in naps.iter().zip([[0.5, 1.0], [1.0, 2.0], [2.0, 4.0]]) {
        assert!((low..=high).contains(nap), "{naps:?}");
    }
}

#[test]
fn answers_that_are_cut_off_slow_or_no_json_are_asked_for_again() {
    let stub = Stub::new(|_, n| match n {
        0 => Act::CutOff,
        1 => Act::Body("{\"choices\":[{\"message\":{\"content\":\"Rating: 6"),
        2 => Act::Stall,
        _ => Act::Say("ok"),
    });
    let dir = tempfile::tempdir().unwrap();
    let limits = format!("{LIMITS}timeout_secs = 0.3\n");
    let (judge, _) = judge(&stub.address, &dir.path().join("c"), &limits);
    assert_eq!(
        texts(&judge.replies(&ask(&["a"]), &|_| ()).unwrap()),
        [["ok"]]
    );
    assert_eq!(stub.counts(&["a"]), [4]);
    // Three times at most 1 + 128 for the prompt and 20 for the reply, and 15 that were counted.
    assert_eq!(judge.cost().tokens.total(), 3 * 149 + 15);
    assert_eq!(judge.cost().n_sent, 4);
}

#[test]
fn silence_and_refusals_are_kept_as_what_they_are() {
    let stub = Stub::new(|prompt, _| match prompt {
        "silent" => Act::Say(""),
        _ => Act::Body(r#"{"choices":[{"message":{"content":null,"refusal":"No."}}]}"#),
    });
    let dir = tempfile::tempdir().unwrap();
    let (judge, _) = judge(&stub.address, &dir.path().join("c"), LIMITS);
    let replies = judge
        .replies(&ask(&["silent", "refused"]), &|_| ())
        .unwrap();
    assert_eq!(texts(&replies), [[""], [""]]);
    assert_eq!(replies[1][0].refusal.as_deref(), Some("No."));
    assert_eq!(stub.counts(&["silent", "refused"]), [1, 1]);
    // No usage was told, so the most it can have cost is reckoned: 7 + 128 + 20.
    assert_eq!(judge.cost().tokens.total(), 15 + 155);
}

#[test]
fn one_question_that_cannot_be_asked_stops_no_other_and_is_named() {
    let stub = Stub::new(|prompt, _| match prompt {
        "bad" => Act::Status(400, "", r#"{"error":{"message":"too long"}}"#),
        _ => Act::Say("ok"),
    });
    let dir = tempfile::tempdir().unwrap();
    let (judge, _) = judge(&stub.address, &dir.path().join("c"), LIMITS);
    let message = judge
        .replies(&ask(&["a", "bad", "b"]), &|_| ())
        .unwrap_err()
        .to_string();
    for part in [
        "item bad",
        "status 400: too long",
        "2 of 3 replies are kept",
        "asks only for the others",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    assert_eq!(stub.counts(&["a", "bad", "b"]), [1, 1, 1]);
}

#[test]
fn an_endpoint_where_nothing_works_is_left_alone_soon() {
    let prompts: Vec<String> = (0..40).map(|i| i.to_string()).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    for (status, body, n_expected, words) in [
        (
            401,
            r#"{"error":{"message":"wrong key sk-very-secret"}}"#,
            1,
            "wrong key [key]",
        ),
        (302, "", 1, "status 302"),
        (
            429,
            r#"{"error":{"message":"empty","code":"insufficient_quota"}}"#,
            1,
            "empty",
        ),
        (422, "no", 5, "5 questions in a row"),
        (500, "no", 20, "no reply after 4 tries"),
    ] {
        let stub =
            Stub::new(move |_, _| Act::Status(status, "Location: http://127.0.0.1:1/\r\n", body));
        let dir = tempfile::tempdir().unwrap();
        let (judge, _) = judge(&stub.address, &dir.path().join("c"), LIMITS);
        let message = judge
            .replies(&ask(&prompts), &|_| ())
            .unwrap_err()
            .to_string();
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("secret"), "{message}");
        assert_eq!(stub.seen().len(), n_expected, "{status}");
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_said_to_be_unreachable_and_costs_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let (judge, _) = judge(&address, &dir.path().join("c"), LIMITS);
    let message = judge
        .replies(&ask(&["a"]), &|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("cannot be reached") && message.contains(&address),
        "{message}"
    );
    assert_eq!(judge.cost().tokens.total(), 0);
}

#[test]
fn a_pause_beyond_patience_ends_the_run() {
    let stub = Stub::new(|_, _| Act::Status(429, "Retry-After: 86400\r\n", "{}"));
    let dir = tempfile::tempdir().unwrap();
    let (judge, clock) = judge(&stub.address, &dir.path().join("c"), LIMITS);
    let message = judge
        .replies(&ask(&["a"]), &|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("86400 seconds") && message.contains("longest_pause_secs"),
        "{message}"
    );
    assert!(clock.waited() == 0.0);
}

#[test]
fn speed_limits_hold() {
    let stub = Stub::new(|_, _| Act::Say("ok"));
    let dir = tempfile::tempdir().unwrap();
    let prompts: Vec<String> = (0..7).map(|i| i.to_string()).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let limits = "[limits]\nconcurrency = 1\nrequests_per_minute = 3\n";
    let (judge, clock) = judge(&stub.address, &dir.path().join("c"), limits);
    judge.replies(&ask(&prompts), &|_| ()).unwrap();
    // Three at once, three a minute later, the last after another minute.
    assert!((clock.waited() - 120.0).abs() < 0.1, "{}", clock.waited());
}

#[test]
fn no_more_requests_are_open_than_allowed() {
    let stub = Stub::new(|_, _| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        Act::Say("ok")
    });
    let dir = tempfile::tempdir().unwrap();
    let prompts: Vec<String> = (0..12).map(|i| i.to_string()).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let (judge, _) = judge(
        &stub.address,
        &dir.path().join("c"),
        "[limits]\nconcurrency = 3\n",
    );
    judge.replies(&ask(&prompts), &|_| ()).unwrap();
    assert!(
        (2..=3).contains(&stub.most_at_once()),
        "{}",
        stub.most_at_once()
    );
}

#[test]
fn the_key_is_nowhere_to_be_seen() {
    let stub = Stub::new(|_, _| {
        Act::Body(r#"{"choices":[{"message":{"content":"your key is sk-very-secret"}}]}"#)
    });
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("c");
    let (judge, _) = judge(&stub.address, &cache, "");
    let replies = judge.replies(&ask(&["a"]), &|_| ()).unwrap();
    assert_eq!(replies[0][0].text, "your key is [key]");
    assert!(!format!("{judge:?} {:?}", judge.identity()).contains("secret"));
    drop(judge);
    assert!(!std::fs::read_to_string(&cache).unwrap().contains("secret"));
}

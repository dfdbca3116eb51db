//! Clients that leave, queues that are full, and the end of a server.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;

use candor_serve::Models;
use serde_json::json;

use crate::site::{JSON, Site, bundle, question, read, settings};

/// A stream that goes on for long, after its first part.
fn long(site: &Site) -> BufReader<TcpStream> {
    let body = question(&json!({"stream": true, "temperature": 2, "seed": 1, "max_tokens": 4000}));
    let mut stream =
        BufReader::new(site.send("POST", "/v1/chat/completions", &[JSON], &body.to_string()));
    let mut line = String::new();
    while !line.contains("\"content\":\"") || line.contains("\"content\":\"\"") {
        line.clear();
        assert_ne!(
            stream.read_line(&mut line).unwrap(),
            0,
            "the stream has ended"
        );
    }
    stream
}

#[test]
fn a_client_that_leaves_frees_its_place() {
    let site = Site::tiny();
    let stream = long(&site);
    site.wait_for("running", 1.0);
    // The prompt and the longest answer.
    let held = site.figure("prompt_tokens_total") + 4000.0;
    site.wait_for("positions", held);
    drop(stream);
    site.wait_for("cancelled_total", 1.0);
    site.wait_for("running", 0.0);
    site.wait_for("positions", 0.0);
    // Far fewer than were asked for.
    assert!(site.figure("answer_tokens_total") < 3999.0);
    assert_eq!(site.chat(&question(&json!({}))).status, 200);
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let mut settings = settings();
    settings.batch_rows = 1;
    settings.max_waiting = 1;
    let site = Site::of(Models::new("tiny", bundle()), settings);
    let running = long(&site);
    let body = question(&json!({})).to_string();
    let waiting = site.send("POST", "/v1/chat/completions", &[JSON], &body);
    site.wait_for("waiting", 1.0);
    let refused = site.chat(&question(&json!({})));
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.head.contains("retry-after: 2"), "{}", refused.head);
    assert_eq!(refused.json()["error"]["code"], "queue_full");
    assert_eq!(site.get("/ready").status, 503);
    // Whoever waits is served once there is room.
    drop(running);
    assert_eq!(read(waiting).status, 200);
    site.wait_for("waiting", 0.0);
    assert_eq!(site.get("/ready").status, 200);
}

#[test]
fn a_server_that_stops_finishes_what_is_under_way() {
    let mut site = Site::tiny();
    let body = question(&json!({"stream": true, "temperature": 2, "seed": 1, "max_tokens": 300}));
    let mut stream =
        BufReader::new(site.send("POST", "/v1/chat/completions", &[JSON], &body.to_string()));
    let mut text = String::new();
    while !text.contains("data: ") {
        stream.read_line(&mut text).unwrap();
    }
    site.stop();
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap() > 0 {
        text.push_str(&line);
        line.clear();
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    site.ended().unwrap();
    assert!(TcpStream::connect(site.address).is_err(), "nobody listens");
}

#[test]
fn what_is_still_under_way_at_the_end_of_its_time_is_cut_off() {
    let mut settings = settings();
    settings.drain = std::time::Duration::ZERO;
    let mut site = Site::of(Models::new("tiny", bundle()), settings);
    let mut stream = long(&site);
    site.stop();
    site.ended().unwrap();
    let mut rest = String::new();
    // Cut off by a reset, or by the end of the stream.
    let _ = std::io::Read::read_to_string(&mut stream, &mut rest);
    assert!(!rest.contains("[DONE]"), "{rest}");
}

#[test]
fn an_address_has_so_many_connections() {
    let mut settings = settings();
    settings.connections_per_address = 2;
    let site = Site::of(Models::new("tiny", bundle()), settings);
    let first = long(&site);
    let second = long(&site);
    let mut third = TcpStream::connect(site.address).unwrap();
    let mut byte = [0];
    let closed = std::io::Read::read(&mut third, &mut byte);
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    drop((first, second));
}

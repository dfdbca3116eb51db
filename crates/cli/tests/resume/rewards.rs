//! `rl` with a reward from an address, killed at random moments: it ends in the same bytes, and is not asked twice.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::reinforcement::judged;
use crate::runs::{assert_same, candor, run, run_with_kills, sets};

/// A server that rewards by the length of the answer, and the lines that it was asked, without their numbers.
fn server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A process that was killed in the middle says nothing more.
            let Some(line) = body(&mut stream) else {
                continue;
            };
            let row: serde_json::Value = serde_json::from_str(&line).unwrap();
            let length = row["answer"].as_str().unwrap().len();
            let reply = format!("{{\"n\": {}, \"reward\": {length}.25}}\n", row["n"]);
            told.lock()
                .unwrap()
                .push(format!("{} {}", row["id"], row["answer"]));
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                reply.len()
            );
            let _ = stream.write_all((head + &reply).as_bytes());
        }
    });
    (url, asked)
}

/// The body of a request, once all of it is there.
pub fn body(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1)?;
        let length: usize = length.split("\r\n").next()?.parse().ok()?;
        let body = &bytes[head.len() + 4..];
        if body.len() >= length {
            return String::from_utf8(body.to_vec()).ok();
        }
    }
}

/// The run of leave-one-out on what the address says, without a reward model.
fn arguments(out: &str, url: &str) -> Vec<String> {
    let term = format!(
        "[{{name = \"mine\", kind = \"http\", weight = 0.1, url = \"{url}\", batch = 1, cache = \"{out}-rewards.jsonl\"}}]"
    );
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resume/rules.toml");
    let command = ["rl", recipe].map(str::to_owned).to_vec();
    [command, sets(&[("run.out", out), ("rewards", &term)])].concat()
}

#[test]
fn a_killed_run_ends_in_the_same_bytes_and_asks_its_address_nothing_twice() {
    let folder = judged();
    let (url, asked) = server();
    run(candor(folder).args(arguments("rules-whole", &url)));
    let sorted = || {
        let mut lines = std::mem::take(&mut *asked.lock().unwrap());
        lines.sort();
        lines
    };
    let whole = sorted();
    let kills = run_with_kills(folder, &arguments("rules-killed", &url), 23, 200);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    let results = [
        "metrics.jsonl",
        "result.json",
        "adapter/adapter_model.safetensors",
        "samples/step-12.jsonl",
    ];
    // All but the place of the cache, which no result holds.
    assert_same(folder, "rules-whole", "rules-killed", &results);
    let mut killed = sorted();
    let n_asked = killed.len();
    killed.dedup();
    assert_eq!(killed, whole);
    // What was in flight when a process was killed is all that is asked again: one line for each kill, of which there may be a
    // few more than those after a checkpoint.
    assert!(
        n_asked - whole.len() <= kills + 5,
        "{n_asked} for {}",
        whole.len()
    );
}

//! `candor serve` as a program: what it says, what it answers, how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use candor_testing::model::TinyModel;
use serde_json::{Value, json};

/// A folder with a tiny model in `model`.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words =
        "USER: What is in the picture? ASSISTANT: A red bus. Is it moving? No. Rating: 1 2 3 4 5 6";
    let tiny = TinyModel {
        n_positions: 16_000,
        ..TinyModel::knowing(words)
    };
    tiny.write(&folder.path().join("model"));
    folder
}

fn candor(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command
        .current_dir(folder)
        .args(arguments)
        .env("OMP_NUM_THREADS", "1");
    command
}

/// A server, which ends with the test in any case.
struct Served {
    process: Child,
    said: Value,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn serve(folder: &Path, more: &[&str]) -> Served {
    let arguments = [
        "serve",
        "model",
        "--name",
        "tiny",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ];
    let mut process = candor(folder, &arguments)
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = process.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    Served {
        process,
        said: serde_json::from_str(&line).unwrap(),
    }
}

#[test]
fn the_program_says_where_it_listens_answers_as_chat_does_and_ends_well() {
    let scene = scene();
    let mut served = serve(scene.path(), &[]);
    assert_eq!(served.said["models"], json!(["tiny"]));
    let address = served.said["url"]
        .as_str()
        .unwrap()
        .strip_prefix("http://")
        .unwrap();
    let chat = [
        "chat",
        "model",
        "--prompt",
        "Is it moving?",
        "--max-new-tokens",
        "9",
        "--json",
    ];
    let chat = candor(scene.path(), &chat).output().unwrap();
    let chat: Value = serde_json::from_slice(&chat.stdout).unwrap();

    let body = json!({
        "model": "tiny", "temperature": 0, "max_tokens": 9,
        "messages": [{"role": "user", "content": "Is it moving?"}],
    })
    .to_string();
    let mut connection = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all((head + &body).as_bytes()).unwrap();
    let mut reply = String::new();
    connection.read_to_string(&mut reply).unwrap();
    let (_, reply) = reply.split_once("\r\n\r\n").unwrap();
    let reply: Value = serde_json::from_str(reply).unwrap();
    assert_eq!(reply["choices"][0]["message"]["content"], chat["text"]);

    let id = served.process.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert!(
        served.process.wait().unwrap().success(),
        "SIGTERM is how a server ends"
    );
}

#[test]
fn a_served_model_is_a_judge_like_any_other() {
    let scene = scene();
    let folder = scene.path();
    let served = serve(folder, &[]);
    let url = served.said["url"].as_str().unwrap();
    let files = [
        (
            "judge.toml",
            format!(
                "cache = \"replies.jsonl\"\n[endpoint]\nurl = \"{url}/v1\"\nmodel = \"tiny\"\n[request]\ntemperature = 0.0\n\
                 max_tokens = 5\nsamples = 1\nimages = false\n"
            ),
        ),
        (
            "questions.jsonl",
            "{\"id\": \"a\", \"image\": \"a.png\", \"question\": \"Is it moving?\", \"reference\": \"No.\", \"rule\": \"judge\"}\n".to_owned(),
        ),
        ("answers.jsonl", "{\"id\": \"a\", \"answer\": \"No.\"}\n".to_owned()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let score = [
        "eval",
        "score",
        "--benchmark",
        "own",
        "--out",
        "out",
        "--questions",
        "questions.jsonl",
        "--answers",
        "answers.jsonl",
        "--judge",
        "judge.toml",
    ];
    let scored = candor(folder, &score).output().unwrap();
    assert!(
        scored.status.success(),
        "{}",
        String::from_utf8_lossy(&scored.stderr)
    );
    // What it replied is of no interest, only that it was asked and has.
    let reply = std::fs::read_to_string(folder.join("replies.jsonl")).unwrap();
    let last: Value = serde_json::from_str(reply.lines().last().unwrap()).unwrap();
    assert!(
        last.to_string().contains("\"length\"") || last.to_string().contains("\"stop\""),
        "{last}"
    );
}

/// Gives a preference; its id, if it was accepted.
fn prefer(address: &str, question: &str) -> Option<String> {
    let body = json!({"question": question, "outputs": ["So.", "Because."], "fewer_hallucinations": "first"}).to_string();
    let head = format!(
        "POST /preferences HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = TcpStream::connect(address).ok()?;
    connection.write_all((head + &body).as_bytes()).ok()?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    if !head.contains(" 200 ") {
        return None;
    }
    // Cut off in the middle it is no answer.
    let body: Value = serde_json::from_str(body).ok()?;
    body["id"].as_str().map(str::to_owned)
}

#[test]
fn killed_under_load_it_loses_no_accepted_preference() {
    let scene = scene();
    let folder = scene.path();
    let mut served = serve(folder, &["--preferences", "kept"]);
    let url = served.said["url"].as_str().unwrap().to_owned();
    let address = url.strip_prefix("http://").unwrap();
    let (accepted, ids) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let accepted = accepted.clone();
            // Until the server is gone.
            scope.spawn(move || {
                let questions = (0..).map(|at| format!("Why {client}, and why {at}?"));
                for id in questions.map_while(|question| prefer(address, &question)) {
                    accepted.send(id).unwrap();
                }
            });
        }
        drop(accepted);
        let mut before: Vec<String> = ids.iter().take(60).collect();
        served.process.kill().unwrap();
        served.process.wait().unwrap();
        before.extend(ids.iter());
        // A line that was being written is cut off when the next server opens the file, which goes on with it.
        let again = serve(folder, &["--preferences", "kept"]);
        let address = again.said["url"].as_str().unwrap();
        let last = prefer(address.strip_prefix("http://").unwrap(), "And now?");
        before.push(last.unwrap());
        let log = folder.join("kept/preferences.jsonl");
        let rows = std::fs::read_to_string(&log).unwrap();
        let rows = rows.lines().map(|row| serde_json::from_str(row).unwrap());
        let kept: Vec<Value> = rows.collect();
        let kept: Vec<&str> = kept.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert!(before.len() >= 60, "{} were accepted", before.len());
        for id in &before {
            let n = kept.iter().filter(|kept| *kept == id).count();
            assert_eq!(n, 1, "{id} in {kept:?}");
        }
        // What was written and never confirmed is one row a client at most.
        assert!(kept.len() <= before.len() + 4);
    });
    let check = [
        "data",
        "check",
        "--format",
        "preference-log",
        "kept/preferences.jsonl",
    ];
    let checked = candor(folder, &check).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn what_cannot_be_served_is_said_before_a_model_is_read() {
    let scene = scene();
    for (arguments, words) in [
        (&["--listen", "0.0.0.0:0"][..], "--api-key-file"),
        (&["--adapter", "honest"], "NAME=PATH"),
        (&["--api-key-file", "nothing"], "nothing"),
        (&["--batch-rows", "0"], "--batch-rows is 0"),
        (&["--adapter", "a=nothing"], "nothing"),
        (
            &["--name", "a", "--adapter", "a=model"],
            "two models are called `a`",
        ),
    ] {
        let arguments: Vec<&str> = ["serve", "model"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let output = candor(scene.path(), &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains(words) && !said.contains("panicked"),
            "{arguments:?}: {said}"
        );
    }
}

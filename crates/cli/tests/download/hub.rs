//! A server that answers as Hugging Face's hub does.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// SHA-256 of the three bytes `abc` (FIPS 180-2, appendix B.1).
pub const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// What is answered to who asks for a path.
pub enum Answer {
    /// A list of files.
    List(String),
    /// A file: its content, and its `ETag`.
    File(String, String),
    /// A file whose connection ends after as many bytes, the first time that it is asked for as a whole.
    Cut(String, String, Mutex<Option<usize>>),
    /// A refusal, such as `403 Forbidden`.
    Refusal(&'static str),
}

pub struct Hub {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// Serves these answers by path.
    pub fn serve(answers: Vec<(String, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answers: HashMap<String, Answer> = answers.into_iter().collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &answers, &log);
            }
        });
        Self { address, asked }
    }

    /// The paths that were asked for, those of files with the range of bytes.
    pub fn asked(&self) -> MutexGuard<'_, Vec<String>> {
        self.asked.lock().unwrap()
    }

    /// Runs candor with this server as the hub.
    pub fn candor(&self, cache: &Path, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_candor"))
            .args(arguments)
            .env("HF_HUB_CACHE", cache)
            .env("HF_ENDPOINT", &self.address)
            .env("HF_TOKEN", "hf_secret")
            .env_remove("HF_HUB_OFFLINE")
            .output()
            .unwrap()
    }
}

fn answer(mut stream: TcpStream, answers: &HashMap<String, Answer>, log: &Mutex<Vec<String>>) {
    let head: Vec<String> = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = head[0].split(' ').nth(1).unwrap().to_owned();
    let header = |name: &str| {
        head.iter()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    assert_eq!(header("authorization").as_deref(), Some("Bearer hf_secret"));
    let range = header("range");
    log.lock().unwrap().push(match &range {
        Some(range) => format!("{path} {range}"),
        None => path.clone(),
    });
    let (content, etag, cut) = match answers.get(&path) {
        Some(Answer::List(list)) => return send(&mut stream, "200 OK", "", list, list.len()),
        Some(Answer::Refusal(status)) => return send(&mut stream, status, "", "", 0),
        None => return send(&mut stream, "404 Not Found", "", "", 0),
        Some(Answer::File(content, etag)) => (content, etag, None),
        Some(Answer::Cut(content, etag, cut)) => (content, etag, Some(cut)),
    };
    // `bytes=FROM-` or `bytes=FROM-TO`
    let range = range.unwrap();
    let (from, to) = range
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let is_whole = to.is_empty();
    let from: usize = from.parse().unwrap();
    let to = to.parse().map_or(content.len(), |to: usize| to + 1);
    let (_, revision) = path.split_once("/resolve/").unwrap();
    let (commit, _) = revision.split_once('/').unwrap();
    let headers = format!(
        "ETag: \"{etag}\"\r\nX-Repo-Commit: {commit}\r\nContent-Range: bytes {from}-{}/{}\r\n",
        to - 1,
        content.len()
    );
    let cut = cut
        .filter(|_| is_whole)
        .and_then(|cut| cut.lock().unwrap().take());
    let end = cut.map_or(to, |n| from + n);
    let body = &content[from..end];
    send(
        &mut stream,
        "206 Partial Content",
        &headers,
        body,
        to - from,
    );
}

/// Sends `body`, which is promised to have `length` bytes.
fn send(stream: &mut TcpStream, status: &str, headers: &str, body: &str, length: usize) {
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
}

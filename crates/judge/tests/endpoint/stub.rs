//! A judge's endpoint that misbehaves on command, and a clock that only pretends to wait.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use candor_judge::clock::Clock;
use candor_judge::{ChatJudge, Request, Settings};
use serde_json::{Value, json};

/// What the stub does with a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Replies with this text, and counts 10 tokens for the prompt and 5 for the reply.
    Say(&'static str),
    /// Answers with a status, headers and a body.
    Status(u16, &'static str, &'static str),
    /// Promises more bytes than it sends.
    CutOff,
    /// Answers 200 with this body.
    Body(&'static str),
    /// Takes the request, and closes only when the stub goes.
    Stall,
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub body: Value,
}

impl Seen {
    pub fn prompt(&self) -> &str {
        let messages = self.body["messages"].as_array().unwrap();
        messages.last().unwrap()["content"].as_str().unwrap()
    }
}

pub struct Stub {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    most_at_once: Arc<AtomicU64>,
    closing: Arc<AtomicBool>,
}

impl Stub {
    /// A server whose n-th request with a prompt is answered by `act(prompt, n)`, n from 0.
    pub fn new(act: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        let stub = Self {
            address,
            seen: Arc::default(),
            most_at_once: Arc::default(),
            closing: Arc::default(),
        };
        let (seen, most, closing) = (
            stub.seen.clone(),
            stub.most_at_once.clone(),
            stub.closing.clone(),
        );
        let act = Arc::new(act);
        let at_once = Arc::new(AtomicU64::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (act, seen, most) = (act.clone(), seen.clone(), most.clone());
                let (at_once, closing) = (at_once.clone(), closing.clone());
                std::thread::spawn(move || {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    serve(stream, &*act, &seen, &closing);
                    at_once.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        stub
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How often each of these prompts came in.
    pub fn counts(&self, prompts: &[&str]) -> Vec<usize> {
        let seen = self.seen();
        let count = |prompt: &&str| seen.iter().filter(|s| s.prompt() == *prompt).count();
        prompts.iter().map(count).collect()
    }

    pub fn most_at_once(&self) -> u64 {
        self.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
    }
}

fn serve(
    mut stream: TcpStream,
    act: &(dyn Fn(&str, usize) -> Act + Send + Sync),
    seen: &Mutex<Vec<Seen>>,
    closing: &AtomicBool,
) {
    let Some(request) = read(&mut stream) else {
        return;
    };
    let prompt = request.prompt().to_owned();
    let n = {
        let mut seen = seen.lock().unwrap();
        seen.push(request);
        seen.iter().filter(|s| s.prompt() == prompt).count() - 1
    };
    let answer = match act(&prompt, n) {
        Act::Say(text) => {
            let body = json!({
                "model": "stub-1",
                "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            });
            http(200, "", &body.to_string())
        }
        Act::Status(status, headers, body) => http(status, headers, body),
        Act::Body(body) => http(200, "", body),
        Act::CutOff => "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{\"choices\":[{\"mess".to_owned(),
        Act::Stall => {
            while !closing.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            return;
        }
    };
    let _ = stream.write_all(answer.as_bytes());
}

fn http(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))?;
            let length: usize = length.trim().parse().ok()?;
            if bytes.len() >= end + 4 + length {
                let body = serde_json::from_slice(&bytes[end + 4..]).ok()?;
                return Some(Seen { head, body });
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
}

/// A clock that jumps when somebody waits, and remembers how long it would have been.
#[derive(Debug, Clone, Default)]
pub struct Jumping {
    millis: Arc<AtomicU64>,
    pub naps: Arc<Mutex<Vec<Duration>>>,
}

impl Jumping {
    /// Seconds that were waited altogether.
    pub fn waited(&self) -> f64 {
        self.naps
            .lock()
            .unwrap()
            .iter()
            .map(Duration::as_secs_f64)
            .sum()
    }
}

impl Clock for Jumping {
    fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn unix_secs(&self) -> u64 {
        784_111_740
    }

    fn sleep(&self, time: Duration) {
        self.naps.lock().unwrap().push(time);
        let millis = time.as_micros().div_ceil(1000) as u64;
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

/// Settings for a stub; `extra` goes after the sections `endpoint` and `request`.
pub fn settings(stub: &str, cache: &Path, extra: &str) -> Settings {
    let text = format!(
        "cache = '{}'\n[endpoint]\nurl = \"{stub}\"\nmodel = \"m\"\n[request]\ntemperature = 0.0\n\
         max_tokens = 20\nsamples = 1\nimages = false\n{extra}",
        cache.display()
    );
    Settings::parse(Path::new("judge.toml"), &text).unwrap()
}

/// A judge of a stub, with a key and a clock that does not wait.
pub fn judge(stub: &str, cache: &Path, extra: &str) -> (ChatJudge, Jumping) {
    let clock = Jumping::default();
    let settings = settings(stub, cache, extra);
    let key = Some("sk-very-secret".to_owned());
    let judge = ChatJudge::with(settings, key, Box::new(clock.clone()), 0).unwrap();
    (judge, clock)
}

pub fn ask(prompts: &[&str]) -> Vec<Request> {
    let request = |prompt: &&str| Request {
        id: format!("item {prompt}"),
        system: None,
        user: (*prompt).to_owned(),
        images: Vec::new(),
        template: "t".to_owned(),
    };
    prompts.iter().map(request).collect()
}

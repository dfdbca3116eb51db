//! A server on a free port, and a client that speaks HTTP/1.0.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_model::{Adapter, Bundle, LoraConfig, TARGETS};
use candor_serve::{Models, ServeError, Server, Settings};
use candor_testing::model::TinyModel;
use serde_json::{Value, json};
use tch::Tensor;
use tokio::sync::oneshot;

/// What the tiny model's tokenizer knows.
const WORDS: &str =
    "USER: What is in the picture? ASSISTANT: A red bus. Is it moving? No. There is a dog, too.";

/// A tiny model, always the same one.
pub fn bundle() -> Bundle {
    // Threads gain nothing on matrices this small, and tests run side by side.
    tch::set_num_threads(1);
    TinyModel {
        n_positions: 4096,
        ..TinyModel::knowing(WORDS)
    }
    .bundle()
}

/// An adapter on it that changes what is said.
pub fn adapter(bundle: &Bundle, seed: u64) -> Adapter {
    let config = LoraConfig::new(4, 32.0, &TARGETS.map(str::to_owned));
    let adapter = Adapter::fresh(config, &bundle.model, seed).unwrap();
    for (at, tensor) in adapter.parameters().values().enumerate() {
        let mut tensor = tensor.shallow_clone();
        let n = tensor.numel() as i64;
        // A fresh adapter is none: its second matrices are zero.
        let values =
            Tensor::arange(n, (tch::Kind::Float, tch::Device::Cpu)) + (at as f64 + seed as f64);
        tch::no_grad(|| tensor.copy_(&(values.sin() * 0.6).reshape(tensor.size())));
    }
    adapter
}

/// A server that runs.
pub struct Site {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
}

/// What was answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The data of the events of a stream.
    pub fn events(&self) -> Vec<&str> {
        let lines = self.body.lines();
        lines
            .filter_map(|line| line.strip_prefix("data: "))
            .collect()
    }

    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {text}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

/// Settings for a free port.
pub fn settings() -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        max_new_tokens: 4000,
        batch_positions: 1 << 20,
        ..Settings::default()
    }
}

impl Site {
    /// Serves `models`.
    pub fn of(models: Models, settings: Settings) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, address) = mpsc::channel();
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let server = Server::bind(models, settings).await?;
                told.send(server.address()).unwrap();
                server.serve(async { drop(stopped.await) }).await
            })
        });
        Self {
            address: address.recv().unwrap(),
            stop: Some(stop),
            serving: Some(serving),
        }
    }

    /// Serves the tiny model as `tiny`.
    pub fn tiny() -> Self {
        Self::of(Models::new("tiny", bundle()), settings())
    }

    /// Sends a request and leaves the connection open.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in headers {
            head.extend([*name, ": ", *value, "\r\n"]);
        }
        connection
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .unwrap();
        connection
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        read(self.send(method, path, headers, body))
    }

    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path, &[JSON], &body.to_string())
    }

    pub fn chat(&self, body: &Value) -> Reply {
        self.post("/v1/chat/completions", body)
    }

    /// A figure of `/metrics`.
    pub fn figure(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").body;
        let prefix = format!("candor_serve_{name} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("{name} in {metrics}"))
            .parse()
            .unwrap()
    }

    /// Waits until a figure is what it should be.
    pub fn wait_for(&self, name: &str, value: f64) {
        for _ in 0..3000 {
            if (self.figure(name) - value).abs() < 0.5 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{name} is {}, expected {value}", self.figure(name));
    }

    /// Tells it to stop.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits for it to end.
    pub fn ended(&mut self) -> Result<(), ServeError> {
        self.serving.take().unwrap().join().unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
        if let Some(serving) = self.serving.take() {
            drop(serving.join());
        }
    }
}

pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Reads an answer to its end.
pub fn read(mut connection: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).unwrap();
    Reply::of(&String::from_utf8(bytes).unwrap())
}

/// A question without an image, decoded greedily, with more fields.
pub fn question(more: &Value) -> Value {
    let mut body = json!({
        "model": "tiny", "temperature": 0, "max_tokens": 12,
        "messages": [{"role": "user", "content": "Is it moving?"}],
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The file as a data: URL.
pub fn data_url(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

/// The text of each answer of a chat completion.
pub fn texts(completion: &Value) -> Vec<String> {
    let choices = completion["choices"].as_array().unwrap();
    let text = |choice: &Value| choice["message"]["content"].as_str().unwrap().to_owned();
    choices.iter().map(text).collect()
}

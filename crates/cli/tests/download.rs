//! `candor download` from a server of the test.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

/// SHA-256 of the three bytes `abc` (FIPS 180-2, appendix B.1).
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

const LIST: &str = r#"{"sha": "c0ffee", "siblings": [{"rfilename": "config.json"}, {"rfilename": "README.md"},
    {"rfilename": "model.safetensors"}, {"rfilename": "pytorch_model.bin"}]}"#;

struct Hub {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// Serves `files`, each a name, a content and an `ETag`, of the model `org/name`.
    fn serve(files: &[(&str, &str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let files: HashMap<String, (String, String)> = files
            .iter()
            .map(|(name, content, etag)| {
                let path = format!("/org/name/resolve/main/{name}");
                (path, ((*content).to_owned(), (*etag).to_owned()))
            })
            .collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, &log);
            }
        });
        Self { address, asked }
    }

    fn download(&self, cache: &Path, name: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_candor"))
            .args(["download", name])
            .env("HF_HUB_CACHE", cache)
            .env("HF_ENDPOINT", &self.address)
            .env("HF_TOKEN", "hf_secret")
            .env_remove("HF_HUB_OFFLINE")
            .output()
            .unwrap()
    }
}

fn answer(
    mut stream: TcpStream,
    files: &HashMap<String, (String, String)>,
    log: &Mutex<Vec<String>>,
) {
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
    log.lock().unwrap().push(path.clone());
    let (status, headers, body) = if path == "/api/models/org/name/revision/main" {
        ("200 OK", String::new(), LIST.to_owned())
    } else if let Some((content, etag)) = files.get(&path) {
        // `bytes=FROM-` or `bytes=FROM-TO`
        let range = header("range").unwrap();
        let (from, to) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(content.len(), |to: usize| to + 1);
        let headers = format!(
            "ETag: \"{etag}\"\r\nX-Repo-Commit: c0ffee\r\nContent-Range: bytes {from}-{}/{}\r\n",
            to - 1,
            content.len()
        );
        ("206 Partial Content", headers, content[from..to].to_owned())
    } else {
        ("404 Not Found", String::new(), String::new())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}

#[test]
fn a_model_comes_once_and_is_then_found_by_its_name() {
    let hub = Hub::serve(&[
        ("config.json", "{}", "44136fa3"),
        ("model.safetensors", "abc", ABC),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let done = hub.download(dir.path(), "org/name");
    let errors = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{errors}");
    assert!(!errors.contains("hf_secret"));
    let folder = dir.path().join("models--org--name/snapshots/c0ffee");
    assert_eq!(
        String::from_utf8(done.stdout).unwrap().trim(),
        folder.to_str().unwrap()
    );
    assert_eq!(
        fs::read_to_string(folder.join("config.json")).unwrap(),
        "{}"
    );
    assert_eq!(
        fs::read_to_string(folder.join("model.safetensors")).unwrap(),
        "abc"
    );
    assert!(!folder.join("README.md").exists() && !folder.join("pytorch_model.bin").exists());

    hub.asked.lock().unwrap().clear();
    assert!(hub.download(dir.path(), "org/name@main").status.success());
    assert_eq!(
        *hub.asked.lock().unwrap(),
        ["/api/models/org/name/revision/main"]
    );
}

#[test]
fn a_damaged_file_is_removed_and_named() {
    let hub = Hub::serve(&[
        ("config.json", "{}", "44136fa3"),
        ("model.safetensors", "abd", ABC),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let refused = hub.download(dir.path(), "org/name");
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(
        errors.contains("model.safetensors") && errors.contains("damaged"),
        "{errors}"
    );
    let folder = dir.path().join("models--org--name");
    assert!(fs::symlink_metadata(folder.join("snapshots/c0ffee/model.safetensors")).is_err());
    assert!(!folder.join("blobs").join(ABC).exists());
    assert!(!folder.join("snapshots/c0ffee/config.json").exists());
}

#[test]
fn what_cannot_be_downloaded_says_why() {
    let hub = Hub::serve(&[]);
    let dir = tempfile::tempdir().unwrap();
    let message = |name: &str| {
        let refused = hub.download(dir.path(), name);
        assert!(!refused.status.success());
        String::from_utf8(refused.stderr).unwrap()
    };
    assert!(
        message("org/other").contains("no such model"),
        "{}",
        message("org/other")
    );
    assert!(message("org/name").contains("model.safetensors cannot be downloaded"));
    assert!(message("llava").contains("org/name"));
    assert!(message("../etc").contains("org/name"));
}

//! What a server is told when it starts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use candor_data::bounded::{self, Bound};
use candor_data::sha256;

use crate::ServeError;

/// How a server behaves. The defaults are those of `candor serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may ask; everybody if absent, which is allowed on this machine alone.
    pub keys: Option<ApiKeys>,
    /// Whether images at `http` and `https` addresses are fetched.
    pub allow_remote_images: bool,
    /// Answers that are written together.
    pub batch_rows: usize,
    /// Positions that are held for answers in progress: their number times the longest of them, prompt and answer.
    pub batch_positions: usize,
    /// Requests that wait at most.
    pub max_waiting: usize,
    /// Longest answer, and what a request without a length gets.
    pub max_new_tokens: usize,
    /// Connections that one address may have.
    pub connections_per_address: usize,
    /// How long requests under way may go on after SIGTERM.
    pub drain: Duration,
    /// Folder to which preferences given on the page are appended; without it none are taken.
    pub preferences: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000),
            keys: None,
            allow_remote_images: false,
            batch_rows: 16,
            batch_positions: 32_768,
            max_waiting: 256,
            max_new_tokens: 1024,
            connections_per_address: 64,
            drain: Duration::from_secs(30),
            preferences: None,
        }
    }
}

impl Settings {
    /// Whether they can be served by.
    ///
    /// # Errors
    /// A number is 0, or others than this machine would be served without a key.
    pub fn check(&self) -> Result<(), ServeError> {
        let refuse = |problem: String, remedy| Err(ServeError::Settings { problem, remedy });
        let numbers = [
            ("--batch-rows", self.batch_rows),
            ("--batch-positions", self.batch_positions),
            ("--max-waiting", self.max_waiting),
            ("--max-new-tokens", self.max_new_tokens),
            ("--connections-per-address", self.connections_per_address),
        ];
        if let Some((name, _)) = numbers.iter().find(|(_, number)| *number == 0) {
            return refuse(format!("{name} is 0"), "give at least 1");
        }
        if self.keys.is_none() && !self.listen.ip().is_loopback() {
            return refuse(
                format!(
                    "--listen {} serves other machines, and there is no key",
                    self.listen
                ),
                "give --api-key-file, or listen at 127.0.0.1 behind a proxy that knows who asks",
            );
        }
        Ok(())
    }
}

/// The keys that requests may carry, of which only the SHA-256 is kept.
#[derive(Clone)]
pub struct ApiKeys(Vec<String>);

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl ApiKeys {
    /// Reads a file with a key on each line; lines that are empty or begin with `#` are passed over.
    ///
    /// # Errors
    /// The file cannot be read, holds no key, or one that no header can carry or that is too short to be secret.
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        const SHORTEST: usize = 16;
        const BOUND: Bound = Bound {
            max_bytes: 1 << 20,
            action: "read the API keys",
            unreadable: "check --api-key-file",
            too_large: "is this a file of keys, one a line?",
        };
        let unfit = |problem: String, remedy| ServeError::Unfit {
            path: path.to_owned(),
            problem,
            remedy,
        };
        let bytes = bounded::read(path, &BOUND).map_err(candor_model::ModelError::from)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| unfit("not UTF-8".to_owned(), "write one key a line"))?;
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let key = line.trim();
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            // The key itself is said nowhere.
            if key.len() < SHORTEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(unfit(
                    format!(
                        "line {}: no key of at least {SHORTEST} visible ASCII characters",
                        at + 1
                    ),
                    "make one with `openssl rand -hex 32`",
                ));
            }
            keys.push(sha256::of(key));
        }
        if keys.is_empty() {
            return Err(unfit("it holds no key".to_owned(), "write one key a line"));
        }
        Ok(Self(keys))
    }

    /// Which key this is. All keys are compared, and each as a whole, so that the time taken says nothing.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<usize> {
        let given = sha256::of(key);
        let mut found = None;
        for (at, known) in self.0.iter().enumerate() {
            let pairs = known.bytes().zip(given.bytes());
            let differing = pairs.fold(0, |bits, (a, b)| bits | (a ^ b));
            if std::hint::black_box(differing) == 0 {
                found = Some(at);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines_and_are_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            ApiKeys::read(&path)
        };
        let keys = read("# first\nsk-0123456789abcdef\n\n  sk-fedcba9876543210 \n").unwrap();
        assert_eq!(keys.find("sk-fedcba9876543210"), Some(1));
        assert_eq!(keys.find("sk-0123456789abcdef"), Some(0));
        for other in ["", "sk-0123456789abcde", "sk-0123456789abcdefg", "# first"] {
            assert_eq!(keys.find(other), None, "{other}");
        }
        assert_eq!(format!("{keys:?}"), "2 keys");
        for (text, words) in [
            ("", "it holds no key"),
            ("\nshort\n", "line 2: no key of at least 16"),
            ("a key with some spaces\n", "line 1: no key of at least 16"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
            assert!(!message.contains("short"), "{message}");
        }
    }

    #[test]
    fn others_are_served_with_a_key_only() {
        let open = Settings {
            listen: "0.0.0.0:8000".parse().unwrap(),
            ..Settings::default()
        };
        let message = open.check().unwrap_err().to_string();
        assert!(message.contains("--api-key-file"), "{message}");
        let keyed = Settings {
            keys: Some(ApiKeys(vec![sha256::of("sk-0123456789abcdef")])),
            ..open
        };
        keyed.check().unwrap();
        Settings::default().check().unwrap();
        let none = Settings {
            batch_rows: 0,
            ..Settings::default()
        };
        assert_eq!(
            none.check().unwrap_err().to_string(),
            "--batch-rows is 0 (give at least 1)"
        );
    }
}

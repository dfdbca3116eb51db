//! `judge.toml`: who judges, with which parameters, how fast, and for how much at most.
//!
//! Whatever changes a reply must be written out. The key is never part of the file: the file names the
//! environment variable that holds it.

use std::path::{Path, PathBuf};

use candor_data::formats::text::{self, Format};
use serde::Deserialize;

use crate::JudgeError;
use crate::budget::{Cap, Prices};

/// The settings as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Who is asked.
    pub endpoint: Endpoint,
    /// What decides the replies.
    pub request: Parameters,
    /// The prompts; candor's own where none is named.
    #[serde(default)]
    pub templates: Templates,
    /// How fast.
    #[serde(default)]
    pub limits: Limits,
    /// For how much at most.
    #[serde(default)]
    pub spend: Spend,
    /// Where replies are kept, relative to this file.
    pub cache: PathBuf,
}

/// An OpenAI-compatible endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Its address up to and without `/chat/completions`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The environment variable that holds the key; left out for a server without keys.
    pub key_env: Option<String>,
}

/// What decides a reply besides the prompt.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Sampling temperature.
    pub temperature: f64,
    /// Longest reply.
    pub max_tokens: u64,
    /// Replies to each question.
    pub samples: u32,
    /// Whether the judge is shown the pictures.
    pub images: bool,
    /// Whether a judge of two answers is asked in both orders.
    #[serde(default)]
    pub swap: bool,
    /// The seed of the first sample, the next ones counting up; not sent when left out.
    pub seed: Option<u64>,
    /// The name under which the endpoint takes `max_tokens`.
    #[serde(default = "max_tokens_field")]
    pub max_tokens_field: String,
}

fn max_tokens_field() -> String {
    "max_tokens".to_owned()
}

/// Prompt templates of one's own, or the scripts and rules that official ones are read out of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// For MMHal-Bench.
    pub mmhal: Option<PathBuf>,
    /// For LLaVA-Bench.
    pub llava_bench: Option<PathBuf>,
    /// For a user's own questions.
    pub own: Option<PathBuf>,
}

/// How fast the endpoint is asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests at a time.
    pub concurrency: usize,
    /// Requests in any sixty seconds.
    pub requests_per_minute: Option<usize>,
    /// Tokens in any sixty seconds.
    pub tokens_per_minute: Option<u64>,
    /// Seconds after which an answer is no longer waited for.
    pub timeout_secs: f64,
    /// Tries of a request.
    pub attempts: u32,
    /// The longest pause that the endpoint may ask for.
    pub longest_pause_secs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 4,
            requests_per_minute: None,
            tokens_per_minute: None,
            timeout_secs: 120.0,
            attempts: 6,
            longest_pause_secs: 900,
        }
    }
}

/// The cap, and what its money is counted by.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    /// Tokens of prompts and replies together.
    pub tokens: Option<u64>,
    /// Money; needs both prices.
    pub money: Option<f64>,
    /// Money for a million tokens of what is asked.
    pub prompt_price: Option<f64>,
    /// Money for a million tokens of what is replied.
    pub completion_price: Option<f64>,
    /// The most tokens that the endpoint counts for one picture.
    pub image_tokens: Option<u64>,
}

const FORMAT: Format = Format {
    name: "judge.toml",
    expected: "the settings of a judge",
};

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is not TOML, has a field that is not known, or values that cannot be: all of
    /// these are listed.
    pub fn read(path: &Path) -> Result<Self, JudgeError> {
        let mut settings = Self::parse(path, &text::read(path, &FORMAT)?)?;
        let beside = path.parent().unwrap_or(Path::new(""));
        settings.cache = beside.join(&settings.cache);
        for template in [
            &mut settings.templates.mmhal,
            &mut settings.templates.llava_bench,
            &mut settings.templates.own,
        ] {
            *template = template.take().map(|file| beside.join(file));
        }
        Ok(settings)
    }

    /// Parses the text of a file; its paths stay as written.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, JudgeError> {
        let refuse = |mistakes| JudgeError::Settings {
            path: path.to_owned(),
            mistakes,
        };
        let settings: Self = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            refuse(vec![format!("line {line}: {}", error.message())])
        })?;
        let mistakes = settings.mistakes();
        if mistakes.is_empty() {
            Ok(settings)
        } else {
            Err(refuse(mistakes))
        }
    }

    /// The money a million tokens cost; nothing where no price is given.
    #[must_use]
    pub fn prices(&self) -> Prices {
        Prices {
            prompt: self.spend.prompt_price.unwrap_or_default(),
            completion: self.spend.completion_price.unwrap_or_default(),
        }
    }

    /// The cap.
    #[must_use]
    pub fn cap(&self) -> Cap {
        Cap {
            tokens: self.spend.tokens,
            money: self.spend.money,
        }
    }

    fn mistakes(&self) -> Vec<String> {
        let (request, limits, spend) = (&self.request, &self.limits, &self.spend);
        let mut mistakes = self.endpoint.mistakes();
        let mut must = |holds: bool, mistake: &str| {
            if !holds {
                mistakes.push(mistake.to_owned());
            }
        };
        let amount = |value: Option<f64>| value.is_none_or(|v| v.is_finite() && v >= 0.0);
        must(
            request.temperature.is_finite() && (0.0..=2.0).contains(&request.temperature),
            "request.temperature must be from 0 to 2",
        );
        must(
            (1..=1_000_000).contains(&request.max_tokens),
            "request.max_tokens must be from 1 to 1000000",
        );
        must(
            (1..=100).contains(&request.samples),
            "request.samples must be from 1 to 100",
        );
        must(
            ["max_tokens", "max_completion_tokens"].contains(&request.max_tokens_field.as_str()),
            "request.max_tokens_field must be max_tokens or max_completion_tokens",
        );
        must(
            (1..=256).contains(&limits.concurrency),
            "limits.concurrency must be from 1 to 256",
        );
        must(
            limits.requests_per_minute != Some(0),
            "limits.requests_per_minute must not be 0",
        );
        must(
            limits.tokens_per_minute != Some(0),
            "limits.tokens_per_minute must not be 0",
        );
        must(
            limits.timeout_secs > 0.0 && limits.timeout_secs <= 86_400.0,
            "limits.timeout_secs must be above 0, and 86400 at most",
        );
        must(
            (1..=100).contains(&limits.attempts),
            "limits.attempts must be from 1 to 100",
        );
        for (name, value) in [
            ("money", spend.money),
            ("prompt_price", spend.prompt_price),
            ("completion_price", spend.completion_price),
        ] {
            must(
                amount(value),
                &format!("spend.{name} must be a number of at least 0"),
            );
        }
        must(
            spend.money.is_none()
                || (spend.prompt_price.is_some() && spend.completion_price.is_some()),
            "spend.money needs spend.prompt_price and spend.completion_price",
        );
        must(
            spend.image_tokens.is_some()
                || !request.images
                || (spend.money.is_none() && spend.tokens.is_none()),
            "a cap on a judge that sees pictures needs spend.image_tokens, the most a picture can cost",
        );
        must(!self.cache.as_os_str().is_empty(), "cache must name a file");
        mistakes
    }
}

impl Endpoint {
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.model.trim().is_empty() {
            mistakes.push("endpoint.model must name a model".to_owned());
        }
        let rest = self.url.split_once("://");
        let Some((scheme @ ("http" | "https"), rest)) = rest else {
            mistakes.push("endpoint.url must begin with http:// or https://".to_owned());
            return mistakes;
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') || rest.contains(['?', '#']) {
            // Not quoted: what stands there may be a password.
            mistakes.push(
                "endpoint.url must hold no user, password, query or fragment; name the key in \
                 endpoint.key_env"
                    .to_owned(),
            );
        } else if host.is_empty() {
            mistakes.push("endpoint.url names no host".to_owned());
        } else if scheme == "http" && self.key_env.is_some() && !is_local(host) {
            mistakes.push(
                "endpoint.url would send the key unencrypted; use https, or leave endpoint.key_env out"
                    .to_owned(),
            );
        }
        if self.key_env.as_ref().is_some_and(|name| !is_variable(name)) {
            mistakes.push(
                "endpoint.key_env must be the name of an environment variable, not the key"
                    .to_owned(),
            );
        }
        mistakes
    }
}

/// Whether a host with or without a port is this machine.
pub(crate) fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Upper-case letters, digits and `_`: what a key never looks like.
fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
cache = "replies.jsonl"
[endpoint]
url = "https://judge.example/v1"
model = "m"
key_env = "JUDGE_KEY"
[request]
temperature = 0.0
max_tokens = 300
samples = 1
images = false
"#;

    fn message(text: &str) -> String {
        Settings::parse(Path::new("judge.toml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_changes_replies_must_be_there_and_limits_have_defaults() {
        let settings = Settings::parse(Path::new("judge.toml"), GOOD).unwrap();
        assert_eq!(
            (settings.limits.concurrency, settings.request.seed),
            (4, None)
        );
        for field in [
            "temperature = 0.0",
            "max_tokens = 300",
            "samples = 1",
            "model = \"m\"",
        ] {
            let name = field.split(' ').next().unwrap();
            let message = message(&GOOD.replace(field, ""));
            assert!(
                message.contains(name) && message.contains("line "),
                "{message}"
            );
        }
        assert!(message(&GOOD.replace("samples", "sample")).contains("sample"));
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let text = GOOD
            .replace("0.0", "-1.0")
            .replace("300", "0")
            .replace("images = false", "images = true\n[spend]\nmoney = 1.0");
        let message = message(&text);
        for part in [
            "temperature",
            "max_tokens",
            "prompt_price",
            "image_tokens",
            "judge.toml",
        ] {
            assert!(message.contains(part), "{message}\nlacks {part}");
        }
    }

    #[test]
    fn keys_do_not_belong_into_the_file_and_are_not_repeated() {
        for (old, new, expected) in [
            ("https://judge", "https://u:secret1@judge", "no user"),
            ("/v1", "/v1?api-key=secret1", "query"),
            ("JUDGE_KEY", "sk-secret1", "environment variable"),
            ("https", "http", "unencrypted"),
            ("https", "ftp", "http://"),
        ] {
            let message = message(&GOOD.replace(old, new));
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("secret1"), "{message}");
        }
        let local = GOOD.replace("https://judge.example", "http://127.0.0.1:8000");
        assert!(Settings::parse(Path::new("judge.toml"), &local).is_ok());
    }
}

//! `judge.toml`: who judges, with which parameters, how fast, and for how much at most.
//!
//! Whatever changes a reply must be written out. The key is never part of the file: the file names the
//! environment variable that holds it.

mod file;

use std::path::{Path, PathBuf};

use candor_data::formats::text::{self, Format};

use crate::JudgeError;
use crate::budget::{Cap, Prices};
use file::{File, NUMBER, SWITCH, TEXT, WHOLE};

/// The settings as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Who is asked.
    pub endpoint: Endpoint,
    /// What decides the replies.
    pub request: Parameters,
    /// The prompts; candor's own where none is named.
    pub templates: Templates,
    /// How fast.
    pub limits: Limits,
    /// For how much at most.
    pub spend: Spend,
    /// Where replies are kept, relative to this file.
    pub cache: PathBuf,
}

/// An OpenAI-compatible endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address up to and without `/chat/completions`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The environment variable that holds the key; left out for a server without keys.
    pub key_env: Option<String>,
}

/// What decides a reply besides the prompt.
#[derive(Debug, Clone, PartialEq)]
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
    pub swap: bool,
    /// The seed of the first sample, the next ones counting up; not sent when left out.
    pub seed: Option<u64>,
    /// The name under which the endpoint takes `max_tokens`.
    pub max_tokens_field: String,
}

/// Prompt templates of one's own, or the scripts and rules that official ones are read out of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Templates {
    /// For MMHal-Bench.
    pub mmhal: Option<PathBuf>,
    /// For LLaVA-Bench.
    pub llava_bench: Option<PathBuf>,
    /// For a user's own questions.
    pub own: Option<PathBuf>,
}

/// How fast the endpoint is asked.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq, Default)]
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
        let mut file = File::parse(path.display().to_string(), text);
        let settings = Self::of(&mut file);
        settings.check(&mut file);
        match file.finish() {
            Ok(()) => Ok(settings),
            Err(mistakes) => Err(JudgeError::Settings {
                path: path.to_owned(),
                mistakes,
            }),
        }
    }

    fn of(file: &mut File) -> Self {
        let limits = Limits::default();
        let count = |value: Option<u64>| value.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let few = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let path = |value: Option<String>| value.map(PathBuf::from);
        Self {
            cache: file.required("cache", &TEXT, "x".to_owned()).into(),
            endpoint: Endpoint {
                url: file.required("endpoint.url", &TEXT, "https://x".to_owned()),
                model: file.required("endpoint.model", &TEXT, "x".to_owned()),
                key_env: file.optional("endpoint.key_env", &TEXT),
            },
            request: Parameters {
                temperature: file.required("request.temperature", &NUMBER, 0.0),
                max_tokens: file.required("request.max_tokens", &WHOLE, 1),
                samples: few(file.required("request.samples", &WHOLE, 1)),
                images: file.required("request.images", &SWITCH, false),
                swap: file.optional("request.swap", &SWITCH).unwrap_or_default(),
                seed: file.optional("request.seed", &WHOLE),
                max_tokens_field: file
                    .optional("request.max_tokens_field", &TEXT)
                    .unwrap_or_else(|| "max_tokens".to_owned()),
            },
            templates: Templates {
                mmhal: path(file.optional("templates.mmhal", &TEXT)),
                llava_bench: path(file.optional("templates.llava_bench", &TEXT)),
                own: path(file.optional("templates.own", &TEXT)),
            },
            limits: Limits {
                concurrency: count(file.optional("limits.concurrency", &WHOLE))
                    .unwrap_or(limits.concurrency),
                requests_per_minute: count(file.optional("limits.requests_per_minute", &WHOLE)),
                tokens_per_minute: file.optional("limits.tokens_per_minute", &WHOLE),
                timeout_secs: file
                    .optional("limits.timeout_secs", &NUMBER)
                    .unwrap_or(limits.timeout_secs),
                attempts: file
                    .optional("limits.attempts", &WHOLE)
                    .map_or(limits.attempts, few),
                longest_pause_secs: file
                    .optional("limits.longest_pause_secs", &WHOLE)
                    .unwrap_or(limits.longest_pause_secs),
            },
            spend: Spend {
                tokens: file.optional("spend.tokens", &WHOLE),
                money: file.optional("spend.money", &NUMBER),
                prompt_price: file.optional("spend.prompt_price", &NUMBER),
                completion_price: file.optional("spend.completion_price", &NUMBER),
                image_tokens: file.optional("spend.image_tokens", &WHOLE),
            },
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

    fn check(&self, file: &mut File) {
        let (request, limits, spend) = (&self.request, &self.limits, &self.spend);
        self.endpoint.check(file);
        file.check(
            "request.temperature",
            (0.0..=2.0).contains(&request.temperature),
            "out of range (use a value from 0 to 2)",
        );
        file.check(
            "request.max_tokens",
            (1..=1_000_000).contains(&request.max_tokens),
            "out of range (use a value from 1 to 1000000)",
        );
        file.check(
            "request.samples",
            (1..=100).contains(&request.samples),
            "out of range (use a value from 1 to 100)",
        );
        file.check(
            "request.max_tokens_field",
            ["max_tokens", "max_completion_tokens"].contains(&request.max_tokens_field.as_str()),
            "not a name that endpoints have (use \"max_tokens\" or \"max_completion_tokens\")",
        );
        file.check(
            "limits.concurrency",
            (1..=256).contains(&limits.concurrency),
            "out of range (use a value from 1 to 256)",
        );
        let none = "0 lets no request go (use a value above 0, or leave it out)";
        let (requests, tokens) = (limits.requests_per_minute, limits.tokens_per_minute);
        file.check("limits.requests_per_minute", requests != Some(0), none);
        file.check("limits.tokens_per_minute", tokens != Some(0), none);
        file.check(
            "limits.timeout_secs",
            limits.timeout_secs > 0.0 && limits.timeout_secs <= 86_400.0,
            "out of range (use a value above 0 and at most 86400)",
        );
        file.check(
            "limits.attempts",
            (1..=100).contains(&limits.attempts),
            "out of range (use a value from 1 to 100)",
        );
        for (key, value) in [
            ("spend.money", spend.money),
            ("spend.prompt_price", spend.prompt_price),
            ("spend.completion_price", spend.completion_price),
        ] {
            let is_amount = value.is_none_or(|v| v.is_finite() && v >= 0.0);
            file.check(key, is_amount, "no amount (use a number of at least 0)");
        }
        file.check(
            "spend.money",
            spend.money.is_none()
                || (spend.prompt_price.is_some() && spend.completion_price.is_some()),
            "a cap in money without prices (add prompt_price and completion_price to [spend])",
        );
        let capped = spend.money.is_some() || spend.tokens.is_some();
        file.check(
            "spend",
            spend.image_tokens.is_some() || !request.images || !capped,
            "a cap on a judge that sees pictures (add image_tokens to [spend], the most that a picture can cost)",
        );
        let cached = !self.cache.as_os_str().is_empty();
        file.check("cache", cached, "empty (name a file)");
    }
}

impl Endpoint {
    fn check(&self, file: &mut File) {
        let named = !self.model.trim().is_empty();
        file.check("endpoint.model", named, "empty (name a model)");
        if let Some(problem) = self.wrong_url() {
            file.check("endpoint.url", false, problem);
        }
        file.check(
            "endpoint.key_env",
            self.key_env.as_ref().is_none_or(|name| is_variable(name)),
            "not a name (write the name of an environment variable, not the key)",
        );
    }

    /// What is wrong with the address; it is not repeated, because a password may stand in it.
    fn wrong_url(&self) -> Option<&'static str> {
        let Some((scheme @ ("http" | "https"), rest)) = self.url.split_once("://") else {
            return Some("not an address (begin with http:// or https://)");
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') || rest.contains(['?', '#']) {
            return Some(
                "it must hold no user, password, query or fragment (name the key in endpoint.key_env)",
            );
        }
        if host.is_empty() {
            return Some("no host (write one after ://)");
        }
        let exposed = scheme == "http" && self.key_env.is_some() && !is_local(host);
        exposed.then_some(
            "the key would be sent unencrypted (use https, or leave endpoint.key_env out)",
        )
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
mod tests;

//! `judge.toml`: who judges, with which parameters, how fast, and for how much at most.
//!
//! Whatever changes a reply must be written out. The key is never part of the file: the file names the
//! environment variable that holds it.

use std::path::{Path, PathBuf};

use candor_data::formats::text::{self, Format};
use candor_recipe::Reader;

use crate::JudgeError;
use crate::address::{checked, refuse_bare_key, wrong_url, wrong_variable};
use crate::budget::{Cap, Prices};

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
    /// Whether the judge is shown the images.
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
    /// For Object-HalBench.
    pub object_hal_bench: Option<PathBuf>,
    /// For a user's own questions.
    pub own: Option<PathBuf>,
    /// For a reward.
    pub reward: Option<PathBuf>,
    /// For preferences.
    pub preference: Option<PathBuf>,
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
    /// The most tokens that the endpoint counts for one image.
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
            &mut settings.templates.object_hal_bench,
            &mut settings.templates.own,
            &mut settings.templates.reward,
            &mut settings.templates.preference,
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
        let mut file = Reader::parse(&path.display().to_string(), text, &[]).discreet();
        let settings = Self::of(&mut file);
        file.finish().map_err(JudgeError::Settings)?;
        Ok(settings)
    }

    fn of(file: &mut Reader) -> Self {
        let settings = Self {
            cache: file
                .path("cache", "Every reply that was paid for.")
                .required(),
            endpoint: Endpoint::of(file),
            request: Parameters::of(file),
            templates: Templates::of(file),
            limits: Limits::of(file),
            spend: Spend::of(file),
        };
        if settings.request.images && settings.spend.is_capped_without_images() {
            file.mistake(
                "spend",
                "a cap on a judge that sees images",
                "add image_tokens to [spend], the most that an image can cost",
            );
        }
        settings
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
}

impl Endpoint {
    fn of(file: &mut Reader) -> Self {
        let endpoint = Self {
            url: file
                .string("endpoint.url", "Address, without /chat/completions.")
                .check(|url| checked(wrong_url(url, "endpoint.key_env")))
                .required(),
            model: file
                .string("endpoint.model", "The model's name there.")
                .check(|name| checked(name.trim().is_empty().then_some(("empty", "name a model"))))
                .required(),
            key_env: file
                .string(
                    "endpoint.key_env",
                    "The environment variable that holds the key.",
                )
                .check(|name| checked(wrong_variable(name)))
                .optional(),
        };
        let has_key = endpoint.key_env.is_some();
        refuse_bare_key(file, "endpoint", &endpoint.url, has_key);
        endpoint
    }
}

impl Parameters {
    fn of(file: &mut Reader) -> Self {
        let field = "max_tokens";
        let fields = [field, "max_completion_tokens"].map(|name| (name, name.to_owned()));
        Self {
            temperature: file
                .f64("request.temperature", "Sampling temperature.")
                .within(0.0..=2.0)
                .required(),
            max_tokens: file
                .u64("request.max_tokens", "Longest reply.")
                .within(1..=1_000_000)
                .required(),
            samples: file
                .u64("request.samples", "Replies to each question.")
                .within(1..=100)
                .required() as u32,
            images: file
                .bool("request.images", "Whether the judge is shown the images.")
                .required(),
            swap: file
                .bool(
                    "request.swap",
                    "Whether a judge of two answers is asked in both orders.",
                )
                .or(false, "false"),
            seed: file
                .u64(
                    "request.seed",
                    "The seed of the first sample; the next ones count up.",
                )
                .optional(),
            max_tokens_field: file
                .one_of(
                    "request.max_tokens_field",
                    &fields,
                    "The name under which the endpoint takes `max_tokens`.",
                )
                .or(field.to_owned(), field),
        }
    }
}

impl Templates {
    fn of(file: &mut Reader) -> Self {
        let mut of = |key, meaning| file.path(key, meaning).optional();
        Self {
            mmhal: of("templates.mmhal", "The prompt for MMHal-Bench."),
            llava_bench: of("templates.llava_bench", "The prompts for LLaVA-Bench."),
            object_hal_bench: of(
                "templates.object_hal_bench",
                "The prompt by which a judge extracts objects for Object-HalBench.",
            ),
            own: of("templates.own", "The prompt for questions of your own."),
            reward: of("templates.reward", "The prompt for a reward."),
            preference: of("templates.preference", "The prompt for two answers."),
        }
    }
}

impl Limits {
    fn of(file: &mut Reader) -> Self {
        Self {
            concurrency: file
                .usize("limits.concurrency", "Requests at a time.")
                .within(1..=256)
                .or(4, "4"),
            requests_per_minute: file
                .usize(
                    "limits.requests_per_minute",
                    "Requests in any sixty seconds.",
                )
                .positive()
                .optional(),
            tokens_per_minute: file
                .u64("limits.tokens_per_minute", "Tokens in any sixty seconds.")
                .positive()
                .optional(),
            timeout_secs: file
                .f64(
                    "limits.timeout_secs",
                    "Seconds that an answer is waited for.",
                )
                .positive()
                .within(..=86_400.0)
                .or(120.0, "120"),
            attempts: file
                .u64("limits.attempts", "Tries of a request.")
                .within(1..=100)
                .or(6, "6") as u32,
            longest_pause_secs: file
                .u64(
                    "limits.longest_pause_secs",
                    "The longest pause that the endpoint may ask for.",
                )
                .or(900, "900"),
        }
    }
}

impl Spend {
    fn of(file: &mut Reader) -> Self {
        let mut money = |key, meaning| file.f64(key, meaning).within(0.0..).optional();
        let spend = Self {
            money: money("spend.money", "The cap in money."),
            prompt_price: money(
                "spend.prompt_price",
                "Money for a million tokens of what is asked.",
            ),
            completion_price: money(
                "spend.completion_price",
                "Money for a million tokens of what is replied.",
            ),
            tokens: file
                .u64(
                    "spend.tokens",
                    "The cap in tokens of prompts and replies together.",
                )
                .optional(),
            image_tokens: file
                .u64(
                    "spend.image_tokens",
                    "The most tokens that the endpoint counts for one image.",
                )
                .optional(),
        };
        let has_prices = spend.prompt_price.is_some() && spend.completion_price.is_some();
        if spend.money.is_some() && !has_prices {
            file.mistake(
                "spend.money",
                "a cap in money without prices",
                "add prompt_price and completion_price to [spend]",
            );
        }
        spend
    }

    fn is_capped_without_images(&self) -> bool {
        (self.money.is_some() || self.tokens.is_some()) && self.image_tokens.is_none()
    }
}

#[cfg(test)]
mod tests;

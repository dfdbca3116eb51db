//! The one shape of everything that judges in words.

use candor_data::sha256;
use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::budget::Tokens;
use crate::reply::Reply;
use crate::request::Request;
use crate::template::Template;

/// Who judged, as written into results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The model's name.
    pub model: String,
    /// Where it was asked.
    pub endpoint: String,
    /// Sampling temperature.
    pub temperature: f64,
    /// Longest reply, in tokens.
    pub max_tokens: u64,
    /// Replies to each question.
    pub samples: u32,
    /// Seed of the first sample, where one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether it was shown the images.
    pub images: bool,
    /// Whether it compared two answers in both orders.
    #[serde(default)]
    pub swap: bool,
}

impl Identity {
    /// SHA-256 of who judges, how, and by which prompt.
    pub(crate) fn fingerprint(&self, template: &Template) -> String {
        let who = serde_json::to_string(self).unwrap_or_default();
        sha256::of(format!("{who}\n{}", template.sha256))
    }
}

/// What judging has cost, everything that the cache remembers included.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Tokens.
    pub tokens: Tokens,
    /// Money by the prices of the settings.
    pub money: f64,
    /// Requests that this process sent.
    pub n_sent: usize,
}

/// Something that replies to prompts, to any thread that asks.
pub trait Judge: Sync {
    /// Who it is.
    fn identity(&self) -> Identity;

    /// What it has cost so far.
    fn cost(&self) -> Cost;

    /// The replies to each request, as many as [`Identity::samples`], in the order of the requests.
    /// `progress` hears how many replies are there.
    ///
    /// # Errors
    /// Not every reply could be had. Those that could are kept where the judge keeps them.
    fn replies(
        &self,
        requests: &[Request],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Reply>>, JudgeError>;
}

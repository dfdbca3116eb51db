//! What the engine is sent, and what it tells those who asked.

use std::net::IpAddr;
use std::time::Instant;

use candor_data::{Facts, Turn};
use candor_model::ShownImage;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::api::chat::ChatRequest;
use crate::api::refusal::Refusal;

/// Who asks, for the turns that clients take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// Whoever holds the key of this number.
    Key(usize),
    /// Whoever is at this address.
    Address(IpAddr),
}

/// A token that was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub text: String,
    pub logprob: f32,
    /// The likeliest at its position, the likeliest first.
    pub likeliest: Vec<(String, f32)>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, or before a stop string.
    Finished,
    /// At the longest length allowed, or at the model's last position.
    Length,
}

/// What whoever asked is told, as it happens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The prompt has so many tokens.
    Read { n_prompt: usize },
    /// An answer goes on. What is said and not yet certain comes with a later part.
    Part {
        sample: usize,
        text: String,
        said: Vec<Said>,
    },
    /// An answer has ended, after so many tokens.
    Ended {
        sample: usize,
        n_tokens: usize,
        end: End,
    },
    /// There are no answers.
    Failed(Refusal),
}

/// A request for answers that waits.
pub(crate) struct Asked {
    pub client: Client,
    pub request: ChatRequest,
    /// Those of the request's messages.
    pub images: Vec<ShownImage>,
    /// The memory that they take while they wait.
    pub memory: Option<OwnedSemaphorePermit>,
    pub seed: u64,
    pub arrived: Instant,
    /// Closed when nobody listens.
    pub listener: UnboundedSender<Event>,
    /// Its place among those who wait.
    pub place: OwnedSemaphorePermit,
}

/// A request for a score that waits.
pub(crate) struct Scored {
    pub client: Client,
    /// Which reward model.
    pub reward: usize,
    /// The conversation, which ends in the answer.
    pub turns: Vec<Turn>,
    pub image: Option<ShownImage>,
    /// The memory that it takes while it waits.
    pub memory: Option<OwnedSemaphorePermit>,
    pub facts: Facts,
    pub listener: oneshot::Sender<Result<Score, Refusal>>,
    /// Its place among those who wait.
    pub place: OwnedSemaphorePermit,
}

/// A score with the scale of the held-out ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    pub raw: f64,
    pub mean: f64,
    pub std: f64,
}

/// What the thread is sent.
pub(crate) enum Order {
    Answer(Box<Asked>),
    Score(Box<Scored>),
}

impl Order {
    pub(super) fn client(&self) -> Client {
        match self {
            Self::Answer(asked) => asked.client,
            Self::Score(scored) => scored.client,
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        match self {
            Self::Answer(asked) => !asked.listener.is_closed(),
            Self::Score(scored) => !scored.listener.is_closed(),
        }
    }
}

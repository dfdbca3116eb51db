//! The one thread that owns the models.
//!
//! It writes all answers together: a token of each, then the next. Between two tokens it takes in what has arrived, drops
//! what nobody waits for any more, and reads new prompts where there is room. Answers with one adapter (or none) make a
//! lane: those of a lane share their passes, and the lanes take turns, a token each.
//!
//! What is drawn for a token is a function of seed, answer and position, so that an answer's draws do not depend on what
//! else is written; the last bits of its logits may.

mod lane;
mod order;
mod queue;
mod settling;
mod writing;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use axum::http::StatusCode;
use candor_data::Conversation;
use candor_model::{ImageFeatures, ModelError, Query, conversation_query};
use candor_reward::{Judged, RewardError};
use candor_run::Ranks;
use tokio::sync::mpsc::UnboundedSender;

use self::lane::Lane;
pub(crate) use self::order::{Asked, Client, End, Event, Order, Said, Score, Scored};
use self::queue::Queue;
use crate::api::refusal::Refusal;
use crate::http::Metrics;
use crate::models::Models;
use crate::settings::Settings;

/// Prompts that are read between two tokens.
const READ_AT_A_TIME: usize = 8;
/// What a score's row is called.
const SCORED: &str = "score";

/// A request whose prompt is known.
struct Ready {
    asked: Asked,
    query: Query,
    /// Longest answer: what was asked for, or what the model has positions for.
    max_new_tokens: usize,
}

impl Ready {
    /// Positions that each of its answers may take.
    fn len(&self) -> usize {
        self.query.ids.len() + self.max_new_tokens
    }
}

/// Starts the thread. It ends when no sender is left and all is answered.
///
/// # Errors
/// The system has no more threads.
pub(crate) fn start(
    models: Models,
    settings: &Settings,
    metrics: Arc<Metrics>,
) -> std::io::Result<(Sender<Order>, JoinHandle<()>)> {
    let (sender, inbox) = mpsc::channel();
    let room = Room {
        rows: settings.batch_rows,
        positions: settings.batch_positions,
    };
    let engine = thread::Builder::new().name("engine".to_owned());
    let thread = engine.spawn(move || {
        tch::no_grad(|| Engine::new(&models, room, &metrics).run(&inbox));
    })?;
    Ok((sender, thread))
}

/// What answers in progress may take.
#[derive(Debug, Clone, Copy)]
struct Room {
    rows: usize,
    positions: usize,
}

struct Engine<'a> {
    models: &'a Models,
    room: Room,
    metrics: &'a Metrics,
    waiting: Queue<Client, Order>,
    /// The next one, where there was no room for it yet.
    next: Option<Ready>,
    /// One for the model and one for each adapter, as [`Models::names`].
    lanes: Vec<Lane<'a>>,
}

impl<'a> Engine<'a> {
    fn new(models: &'a Models, room: Room, metrics: &'a Metrics) -> Self {
        let adapters = models.adapters.iter().map(Some);
        let lanes = std::iter::once(None).chain(adapters);
        Self {
            models,
            room,
            metrics,
            waiting: Queue::new(),
            next: None,
            lanes: lanes
                .map(|adapter| Lane::new(&models.bundle, adapter, metrics))
                .collect(),
        }
    }

    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            if self.is_idle() {
                match inbox.recv() {
                    Ok(order) => self.waiting.push(order.client(), order),
                    Err(_) => return,
                }
            }
            while let Ok(order) = inbox.try_recv() {
                self.waiting.push(order.client(), order);
            }
            let n_gone = self.waiting.retain(Order::is_wanted);
            self.metrics.cancelled.inc_by(n_gone as u64);
            let gone = self.next.take_if(|ready| ready.asked.listener.is_closed());
            if gone.is_some() {
                self.metrics.cancelled.inc();
            }
            self.let_in();
            for lane in &mut self.lanes {
                lane.step();
            }
            let n_rows: usize = self.lanes.iter().map(Lane::n_rows).sum();
            self.metrics.running.set(n_rows as i64);
            let n_positions = self.lanes.iter().map(Lane::n_positions).sum::<usize>();
            self.metrics.positions.set(n_positions as i64);
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.next.is_none()
            && self.lanes.iter().all(|lane| lane.n_rows() == 0)
    }

    /// Reads prompts of those whose turn it is while there is room, and computes scores. A score counts as a prompt, so that
    /// answers in progress wait for a few of them at most.
    fn let_in(&mut self) {
        let mut batches: Vec<Vec<Ready>> = self.lanes.iter().map(|_| Vec::new()).collect();
        for _ in 0..READ_AT_A_TIME {
            let ready = if let Some(ready) = self.next.take() {
                ready
            } else {
                let Some(order) = self.take() else {
                    break;
                };
                let Some(ready) = self.begin(order) else {
                    continue;
                };
                ready
            };
            if !self.has_room_for(&ready, &batches) {
                self.next = Some(ready);
                break;
            }
            batches[ready.asked.request.model].push(ready);
        }
        for (lane, batch) in self.lanes.iter_mut().zip(batches) {
            lane.read(batch);
        }
    }

    /// The next request that somebody waits for; those before it are dropped.
    fn take(&mut self) -> Option<Order> {
        loop {
            let order = self.waiting.pop()?;
            if order.is_wanted() {
                return Some(order);
            }
            self.metrics.cancelled.inc();
        }
    }

    /// A request for answers, prepared where it fits the model; a score is computed.
    fn begin(&self, order: Order) -> Option<Ready> {
        match order {
            Order::Score(scored) => {
                self.score(*scored);
                None
            }
            Order::Answer(asked) => match self.prepare(*asked) {
                Ok(ready) => Some(ready),
                Err((listener, refusal)) => {
                    drop(listener.send(Event::Failed(refusal)));
                    None
                }
            },
        }
    }

    /// Whether the answers fit beside those in progress and those of `batches`. What would never fit beside others is
    /// answered alone.
    fn has_room_for(&self, ready: &Ready, batches: &[Vec<Ready>]) -> bool {
        let (mut n_rows, mut n_positions) = (0, 0);
        for (at, (lane, batch)) in self.lanes.iter().zip(batches).enumerate() {
            let mine = (at == ready.asked.request.model).then_some(ready);
            let new = || batch.iter().chain(mine);
            let rows = lane.n_rows() + new().map(|ready| ready.asked.request.n).sum::<usize>();
            let longest = new().map(Ready::len).chain([lane.longest()]).max();
            n_rows += rows;
            n_positions += rows * longest.unwrap_or(0);
        }
        let alone = n_rows == ready.asked.request.n;
        alone || (n_rows <= self.room.rows && n_positions <= self.room.positions)
    }

    fn prepare(&self, mut asked: Asked) -> Result<Ready, (UnboundedSender<Event>, Refusal)> {
        let bundle = &self.models.bundle;
        let messages = &asked.request.messages;
        let (images, memory) = (std::mem::take(&mut asked.images), asked.memory.take());
        let template = match &messages.system {
            Some(system) => bundle.template.clone().with_system(system),
            None => Ok(bundle.template.clone()),
        };
        let query = template
            .and_then(|template| conversation_query(bundle, &template, &messages.turns, images));
        drop(memory);
        match query {
            Ok(query) => {
                let room = bundle.model.n_positions() - query.ids.len();
                drop(asked.listener.send(Event::Read {
                    n_prompt: query.ids.len(),
                }));
                self.metrics.prompt_tokens.inc_by(query.ids.len() as u64);
                Ok(Ready {
                    max_new_tokens: asked.request.max_new_tokens.min(room),
                    asked,
                    query,
                })
            }
            Err(error) => Err((asked.listener, unfit(&error))),
        }
    }

    fn score(&self, order: Scored) {
        let Scored {
            reward,
            turns,
            image,
            memory,
            facts,
            listener,
            place,
            ..
        } = order;
        drop(place);
        let reward = &self.models.rewards[reward];
        let bundle = reward.base.as_ref().unwrap_or(&self.models.bundle);
        let conversation = Conversation {
            id: SCORED.to_owned(),
            image: image.as_ref().map(|image| image.name.clone()),
            turns,
        };
        let features = ImageFeatures::of_shown(bundle, image.into_iter().collect());
        drop(memory);
        let judged = Judged {
            id: SCORED,
            conversation: &conversation,
            facts: &facts,
        };
        let scores = reward
            .model
            .score(bundle, &features, &[judged], 1, &Ranks::alone());
        let score = scores.map_err(|error| unscored(&error));
        let score = score.map(|scores| Score {
            raw: scores[0],
            mean: reward.model.score_mean,
            std: reward.model.score_std,
        });
        self.metrics.scores.inc();
        drop(listener.send(score));
    }
}

/// The refusal of messages that do not fit the model.
fn unfit(error: &ModelError) -> Refusal {
    let message = match error {
        ModelError::Prompt {
            problem, remedy, ..
        } => format!("{problem} ({remedy})"),
        other => other.to_string(),
    };
    let code = if message.contains("leave no room") {
        "context_length_exceeded"
    } else {
        "invalid_value"
    };
    Refusal {
        code,
        param: Some("messages".to_owned()),
        ..Refusal::new(StatusCode::BAD_REQUEST, code, message)
    }
}

/// The refusal where there is no score: of a model that is damaged, or of messages that do not fit it.
fn unscored(error: &RewardError) -> Refusal {
    let message = error.to_string();
    if matches!(error, RewardError::NotFinite { .. }) {
        tracing::error!("candor serve: {message}");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return Refusal::new(status, "model_failed", message);
    }
    Refusal::field("messages", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_that_is_no_number_is_the_fault_of_the_model() {
        let damaged = unscored(&RewardError::NotFinite {
            row: SCORED.to_owned(),
            score: f64::NAN,
        });
        assert_eq!(
            (damaged.status.as_u16(), damaged.code, damaged.param),
            (500, "model_failed", None)
        );
        let unfit = unscored(&RewardError::NoFacts {
            row: SCORED.to_owned(),
            image: None,
            remedy: "send facts",
        });
        assert_eq!((unfit.status.as_u16(), unfit.code), (400, "invalid_value"));
    }
}

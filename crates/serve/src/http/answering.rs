//! `POST /v1/chat/completions`: a request goes to the engine, and what happens there comes back whole or as a stream.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures_util::stream;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::images::Loaded;
use super::{App, body};
use crate::api::chat::ChatRequest;
use crate::api::chunks::{Answer, Head, Usage};
use crate::api::refusal::Refusal;
use crate::engine::{Asked, Client, Event, Order};

/// When to ask again where the queue is full.
const RETRY_AFTER_SECS: u64 = 2;

/// Answers a request.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    match begin(&app, client, request).await {
        Ok(begun) if begun.stream => begun.into_stream(),
        Ok(begun) => match begun.whole().await {
            Ok(whole) => Json(whole).into_response(),
            Err(refusal) => refusal.into_response(),
        },
        Err(refusal) => refusal.into_response(),
    }
}

/// A place among those who wait.
///
/// # Errors
/// There is none.
pub(super) fn place(app: &App) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(&app.places)
        .try_acquire_owned()
        .map_err(|_| Refusal {
            retry_after_secs: Some(RETRY_AFTER_SECS),
            ..Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "queue_full",
                format!(
                    "{} requests wait already; ask again in {RETRY_AFTER_SECS} s",
                    app.settings.max_waiting
                ),
            )
        })
}

async fn begin(app: &App, client: Client, request: Request) -> Result<Begun, Refusal> {
    let arrived = Instant::now();
    let (value, permit) = body::json(app, request).await?;
    let mut request = ChatRequest::read(value, &app.catalogue, &app.settings)?;
    let place = place(app)?;
    // As they were sent they are most of the request, which stays until its last answer ends.
    let links = std::mem::take(&mut request.messages.images);
    let Loaded { images, memory } = app.images.load(&links, None).await?;
    drop(links);
    drop(permit);
    let seed = request.seed.unwrap_or_else(|| {
        // 53 bits, which every JSON reader keeps.
        rand::rng().random::<u64>() >> 11
    });
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let head = Head {
        id: format!("chatcmpl-{:032x}", rand::rng().random::<u128>()),
        created_unix_secs: now.as_secs(),
        model: app.catalogue.names[request.model].clone(),
        seed,
    };
    let (listener, events) = unbounded_channel();
    let mut begun = Begun {
        head,
        events,
        n: request.n,
        told: request.n_likeliest.is_some(),
        stream: request.stream,
        include_usage: request.include_usage,
        usage: Usage::default(),
    };
    let asked = Asked {
        client,
        request,
        images,
        memory,
        seed,
        arrived,
        listener,
        place,
    };
    let sent = app.orders.send(Order::Answer(Box::new(asked)));
    sent.map_err(|_| Refusal::stopping())?;
    // What is wrong with the prompt is known before anything is said.
    match begun.events.recv().await {
        Some(Event::Read { n_prompt }) => begun.usage.n_prompt = n_prompt,
        Some(Event::Failed(refusal)) => return Err(refusal),
        _ => return Err(Refusal::stopping()),
    }
    Ok(begun)
}

/// A request whose prompt was read.
struct Begun {
    head: Head,
    events: UnboundedReceiver<Event>,
    /// Answers.
    n: usize,
    /// Whether log-probabilities are told.
    told: bool,
    stream: bool,
    include_usage: bool,
    usage: Usage,
}

impl Begun {
    /// All answers at once.
    async fn whole(mut self) -> Result<Value, Refusal> {
        let mut answers = vec![Answer::default(); self.n];
        let mut n_ended = 0;
        while n_ended < self.n {
            match self.events.recv().await.ok_or_else(Refusal::stopping)? {
                Event::Read { .. } => {}
                Event::Part { sample, text, said } => {
                    answers[sample].text.push_str(&text);
                    answers[sample].said.extend(said);
                }
                Event::Ended {
                    sample,
                    n_tokens,
                    end,
                } => {
                    answers[sample].end = Some(end);
                    self.usage.n_answers += n_tokens;
                    n_ended += 1;
                }
                Event::Failed(refusal) => return Err(refusal),
            }
        }
        Ok(self.head.whole(&answers, self.usage, self.told))
    }

    /// The answers as they are written, `[DONE]` at the end.
    fn into_stream(self) -> Response {
        let first = (0..self.n).map(|index| {
            let delta = json!({"role": "assistant", "content": ""});
            self.head
                .chunk(index, &delta, &[], self.told, None)
                .to_string()
        });
        let streaming = Streaming {
            ready: first.collect(),
            n_open: self.n,
            begun: self,
        };
        let events = stream::unfold(streaming, |mut streaming| async {
            let data = streaming.next().await?;
            Some((
                Ok::<_, Infallible>(SseEvent::default().data(data)),
                streaming,
            ))
        });
        // A proxy closes what is silent; a comment now and then is not.
        Sse::new(events)
            .keep_alive(KeepAlive::default())
            .into_response()
    }
}

/// A stream of answers.
struct Streaming {
    begun: Begun,
    /// What is sent next.
    ready: VecDeque<String>,
    /// Answers that have not ended.
    n_open: usize,
}

impl Streaming {
    async fn next(&mut self) -> Option<String> {
        while self.ready.is_empty() {
            if self.n_open == 0 {
                return None;
            }
            let event = self.begun.events.recv().await;
            self.take(event.unwrap_or_else(|| Event::Failed(Refusal::stopping())));
        }
        self.ready.pop_front()
    }

    fn take(&mut self, event: Event) {
        let Begun {
            head, told, usage, ..
        } = &mut self.begun;
        match event {
            Event::Read { .. } => {}
            Event::Part { sample, text, said } => {
                let delta = json!({"content": text});
                let chunk = head.chunk(sample, &delta, &said, *told, None);
                self.ready.push_back(chunk.to_string());
            }
            Event::Ended {
                sample,
                n_tokens,
                end,
            } => {
                usage.n_answers += n_tokens;
                self.n_open -= 1;
                let chunk = head.chunk(sample, &json!({}), &[], *told, Some(end));
                self.ready.push_back(chunk.to_string());
                if self.n_open == 0 {
                    if self.begun.include_usage {
                        let chunk = self.begun.head.usage(self.begun.usage);
                        self.ready.push_back(chunk.to_string());
                    }
                    self.ready.push_back("[DONE]".to_owned());
                }
            }
            Event::Failed(refusal) => {
                // Clients take an event with an error for one; there is no `[DONE]` after it.
                self.ready.push_back(refusal.body().to_string());
                self.n_open = 0;
            }
        }
    }
}

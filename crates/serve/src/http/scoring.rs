//! `POST /v1/score`: an answer goes to a reward model.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::Value;
use tokio::sync::oneshot;

use super::answering::place;
use super::images::Loaded;
use super::{App, body};
use crate::api::refusal::Refusal;
use crate::api::score::{self, ScoreRequest};
use crate::engine::{Client, Order, Scored};

/// Scores an answer.
pub(super) async fn score(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    match scored(&app, client, request).await {
        Ok(value) => Json(value).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn scored(app: &App, client: Client, request: Request) -> Result<Value, Refusal> {
    let (value, permit) = body::json(app, request).await?;
    let ScoreRequest {
        reward,
        messages,
        facts,
    } = ScoreRequest::read(value, &app.catalogue)?;
    let place = place(app)?;
    let scorer = &app.catalogue.rewards[reward];
    let Loaded { images, memory } = app
        .images
        .load(&messages.images, scorer.processor.as_ref())
        .await?;
    drop(messages.images);
    drop(permit);
    let (listener, reply) = oneshot::channel();
    let order = Scored {
        client,
        reward,
        turns: messages.turns,
        image: images.into_iter().next(),
        memory,
        facts,
        listener,
        place,
    };
    let sent = app.orders.send(Order::Score(Box::new(order)));
    sent.map_err(|_| Refusal::stopping())?;
    let score = reply.await.map_err(|_| Refusal::stopping())??;
    Ok(score::answer(
        &scorer.name,
        score.raw,
        score.mean,
        score.std,
    ))
}

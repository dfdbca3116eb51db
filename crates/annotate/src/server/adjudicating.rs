//! The endpoints of adjudicators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::App;
use super::body::Body;
use super::images;
use super::reply::Failure;
use super::session::Adjudicator;
use crate::answer::{Answer, Draft, MAX_NOTE_CHARS, check_length};
use crate::error::Refusal;
use crate::store::{Case, Queue};

/// `GET /api/adjudication`
pub(super) async fn queue(
    State(app): State<Arc<App>>,
    Adjudicator(person): Adjudicator,
) -> Result<Json<Queue>, Failure> {
    Ok(Json(app.store.queue(&person.person).await?))
}

/// `GET /api/adjudication/{item}`
pub(super) async fn case(
    State(app): State<Arc<App>>,
    _: Adjudicator,
    Path(item): Path<i64>,
) -> Result<Json<Case>, Failure> {
    Ok(Json(app.store.case(item).await?))
}

/// `POST /api/adjudication/{item}/decide`
pub(super) async fn decide(
    State(app): State<Arc<App>>,
    Adjudicator(person): Adjudicator,
    Path(item): Path<i64>,
    Body(said): Body<Draft>,
) -> Result<StatusCode, Failure> {
    let answer = Answer::try_from(said)?;
    images::require_of_item(&app, item).await?;
    app.store.decide(person.person, item, answer).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of `POST …/send_back`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendBackBody {
    judgement: String,
    note: String,
}

/// `POST /api/adjudication/{item}/send_back`
pub(super) async fn send_back(
    State(app): State<Arc<App>>,
    Adjudicator(person): Adjudicator,
    Path(item): Path<i64>,
    Body(body): Body<SendBackBody>,
) -> Result<StatusCode, Failure> {
    let note = short(body.note)?;
    app.store
        .send_back(person.person, item, body.judgement, note)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of `POST …/withdraw` and `POST …/reopen`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoteBody {
    note: String,
}

/// `POST /api/adjudication/{item}/withdraw`
pub(super) async fn withdraw(
    State(app): State<Arc<App>>,
    Adjudicator(person): Adjudicator,
    Path(item): Path<i64>,
    Body(body): Body<NoteBody>,
) -> Result<StatusCode, Failure> {
    app.store
        .withdraw(person.person, item, short(body.note)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/adjudication/{item}/reopen`
pub(super) async fn reopen(
    State(app): State<Arc<App>>,
    Adjudicator(person): Adjudicator,
    Path(item): Path<i64>,
    Body(body): Body<NoteBody>,
) -> Result<StatusCode, Failure> {
    app.store
        .reopen(person.person, item, short(body.note)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn short(note: String) -> Result<String, Refusal> {
    check_length("note", Some(&note), MAX_NOTE_CHARS)?;
    Ok(note)
}

//! The endpoints of annotators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::body::Body;
use super::images;
use super::reply::Failure;
use super::session::Annotator;
use crate::answer::{
    Answer, Corrections, Draft, MAX_CORRECTION_CHARS, MAX_MARKS, MAX_NOTE_CHARS, Mark, MarkType,
    Pick, check_length,
};
use crate::error::Refusal;
use crate::store::{Claim, FlagReason, Leases, Receipt, Submission};

/// `GET /api/me`
pub(super) async fn me(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
) -> Result<Json<Value>, Failure> {
    let standing = app.store.standing(&person).await?;
    Ok(Json(json!({
        "name": person.name, "role": person.role, "stage": standing.stage, "n_answered": standing.n_answered,
        "n_left": standing.n_left, "undo_left": standing.undo_left,
    })))
}

/// `GET /api/project`
pub(super) async fn project(State(app): State<Arc<App>>, _: Annotator) -> Json<Value> {
    let project = &app.project;
    Json(json!({
        "title": project.title,
        "min_reading_ms": project.protocol.min_reading_secs * 1000,
        "heartbeat_ms": project.protocol.heartbeat_secs * 1000,
        "n_hold": project.protocol.hold,
        "questions": project.questions,
        "scale": project.scale,
        "ranking": {"text": project.ranking.text, "ties": project.protocol.ranking_ties},
        "mark_types": MarkType::ALL,
        "flag_reasons": FlagReason::ALL,
        "keys": project.keys,
        "limits": {"correction_chars": MAX_CORRECTION_CHARS, "note_chars": MAX_NOTE_CHARS, "marks": MAX_MARKS},
    }))
}

/// Body of `POST /api/claim`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimBody {
    #[serde(default)]
    holding: Vec<String>,
}

/// `POST /api/claim`
pub(super) async fn claim(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
    Body(body): Body<ClaimBody>,
) -> Result<Json<Value>, Failure> {
    let holding = few(body.holding)?;
    let person = person.person;
    loop {
        match app.store.claim(person.clone(), holding.clone()).await? {
            Claim::Nothing(reason) => return Ok(Json(json!({"task": null, "reason": reason}))),
            Claim::Task(task) => {
                if !images::passed_over(&app, &person, &task.assignment).await? {
                    return Ok(Json(json!({"task": task, "reason": null})));
                }
            }
        }
    }
}

/// Body of `POST /api/heartbeat`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeartbeatBody {
    showing: Option<String>,
    #[serde(default)]
    holding: Vec<String>,
}

/// `POST /api/heartbeat`
pub(super) async fn heartbeat(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
    Body(body): Body<HeartbeatBody>,
) -> Result<Json<Leases>, Failure> {
    let holding = few(body.holding)?;
    Ok(Json(
        app.store
            .heartbeat(person.person, body.showing, holding)
            .await?,
    ))
}

/// A page holds a handful of tasks; a longer list is no page's.
fn few(holding: Vec<String>) -> Result<Vec<String>, Refusal> {
    if holding.len() > 200 {
        let found = format!("{} tasks", holding.len());
        return Err(Refusal::invalid("holding", found, "load the page again"));
    }
    Ok(holding)
}

/// `PUT /api/assignments/{assignment}/draft`
pub(super) async fn draft(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
    Path(assignment): Path<String>,
    Body(draft): Body<Draft>,
) -> Result<StatusCode, Failure> {
    app.store
        .keep_draft(person.person, assignment, draft)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of `POST …/answer`: an [`Answer`] and its name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerBody {
    submission: String,
    #[serde(default)]
    first: Option<Pick>,
    #[serde(default)]
    second: Option<Pick>,
    #[serde(default)]
    rating: Option<u8>,
    #[serde(default)]
    ranking: Option<Vec<u8>>,
    #[serde(default)]
    marks: Vec<Mark>,
    #[serde(default)]
    corrections: Corrections,
    #[serde(default)]
    note: Option<String>,
    active_ms: u32,
}

/// `POST /api/assignments/{assignment}/answer`
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
    Path(assignment): Path<String>,
    Body(body): Body<AnswerBody>,
) -> Result<Json<Receipt>, Failure> {
    if !is_uuid(&body.submission) {
        let remedy = "make one with crypto.randomUUID()";
        return Err(Refusal::invalid("submission", "not a UUID", remedy).into());
    }
    let draft = Draft {
        first: body.first,
        second: body.second,
        rating: body.rating,
        ranking: body.ranking,
        marks: Some(body.marks),
        corrections: Some(body.corrections),
        note: body.note,
    };
    let answer = Answer::try_from(draft)?;
    images::require_of_task(&app, &person.person, &assignment).await?;
    let submission = Submission {
        assignment,
        id: body.submission.to_ascii_lowercase(),
        answer,
        active_ms: i64::from(body.active_ms),
    };
    Ok(Json(app.store.submit(person.person, submission).await?))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Body of `POST …/skip`: nothing yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoBody {}

/// `POST /api/assignments/{assignment}/skip`
pub(super) async fn skip(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
    Path(assignment): Path<String>,
    Body(NoBody {}): Body<NoBody>,
) -> Result<StatusCode, Failure> {
    app.store.skip(person.person, assignment).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of `POST …/flag`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlagBody {
    reason: FlagReason,
    #[serde(default)]
    note: Option<String>,
}

/// `POST /api/assignments/{assignment}/flag`
pub(super) async fn flag(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
    Path(assignment): Path<String>,
    Body(body): Body<FlagBody>,
) -> Result<StatusCode, Failure> {
    check_length("note", body.note.as_deref(), MAX_NOTE_CHARS)?;
    app.store
        .flag(person.person, assignment, body.reason, body.note)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/undo`
pub(super) async fn undo(
    State(app): State<Arc<App>>,
    Annotator(person): Annotator,
) -> Result<Json<Value>, Failure> {
    let task = app.store.undo(person.person).await?;
    Ok(Json(json!({"task": task})))
}

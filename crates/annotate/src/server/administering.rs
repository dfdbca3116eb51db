//! The endpoints of administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::bearer::{MayExport, MayRead};
use super::body::Body;
use super::reply::Failure;
use super::session::Admin;
use crate::error::Refusal;
use crate::export::{self, Aggregate, Format};
use crate::quality::{self, Aged};
use crate::store::{Amendment, Overview, Role};

/// `GET /api/admin/overview`
pub(super) async fn overview(
    State(app): State<Arc<App>>,
    _: MayRead,
) -> Result<Json<Overview>, Failure> {
    Ok(Json(app.store.overview().await?))
}

/// `GET /api/admin/quality`
pub(super) async fn quality(
    State(app): State<Arc<App>>,
    _: MayRead,
) -> Result<Json<Aged>, Failure> {
    Ok(Json(app.quality.look(&app.store, app.project.seed).await?))
}

/// `GET /api/admin/days`
pub(super) async fn days(State(app): State<Arc<App>>, _: MayRead) -> Result<Json<Value>, Failure> {
    let pay = app.project.pay.as_ref();
    let days = quality::by_day(&app.store.timed_answers().await?, pay);
    let currency = pay.map(|pay| &pay.currency);
    Ok(Json(json!({"days": days, "currency": currency})))
}

/// `GET /api/admin/days.csv`
pub(super) async fn days_csv(
    State(app): State<Arc<App>>,
    _: MayRead,
) -> Result<impl IntoResponse, Failure> {
    let pay = app.project.pay.as_ref();
    let days = quality::by_day(&app.store.timed_answers().await?, pay);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"days.csv\"",
        ),
    ];
    Ok((headers, quality::days_csv(&days, pay)))
}

/// `GET /api/admin/people`
pub(super) async fn people(State(app): State<Arc<App>>, _: Admin) -> Result<Json<Value>, Failure> {
    let (people, invites) = app.store.members().await?;
    Ok(Json(json!({"people": people, "invites": invites})))
}

/// Body of `POST /api/admin/invites`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InviteBody {
    role: Role,
    hours: u32,
}

/// `POST /api/admin/invites`
pub(super) async fn invite(
    State(app): State<Arc<App>>,
    Admin(person): Admin,
    Body(body): Body<InviteBody>,
) -> Result<Json<Value>, Failure> {
    if !(1..=24 * 90).contains(&body.hours) {
        let found = format!("{} hours", body.hours);
        return Err(Refusal::invalid("hours", found, "give 1 hour to 90 days").into());
    }
    let (secret, expires_at) = app
        .store
        .invite(body.role, body.hours, Some(person.person))
        .await?;
    let link = format!("{}/invite/{secret}", app.project.url());
    Ok(Json(json!({"link": link, "expires_at": expires_at})))
}

/// Body of `POST /api/admin/pause`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseBody {
    paused: bool,
}

/// `POST /api/admin/pause`
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Admin(by): Admin,
    Body(body): Body<PauseBody>,
) -> Result<StatusCode, Failure> {
    app.store.pause(by.person, body.paused).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of `POST /api/admin/people/{person}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AmendBody {
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    retrain: Option<bool>,
}

/// `POST /api/admin/people/{person}`
pub(super) async fn amend(
    State(app): State<Arc<App>>,
    Admin(by): Admin,
    Path(person): Path<String>,
    Body(body): Body<AmendBody>,
) -> Result<StatusCode, Failure> {
    let change = Amendment {
        role: body.role,
        disabled: body.disabled,
        retrain: body.retrain.unwrap_or(false),
    };
    app.store.amend(by.person, person, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/admin/people/{person}/renewal`
pub(super) async fn offer_renewal(
    State(app): State<Arc<App>>,
    Admin(by): Admin,
    Path(person): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (secret, expires_at) = app.store.offer_renewal(by.person, person).await?;
    let link = format!("{}/renew/{secret}", app.project.url());
    Ok(Json(json!({"link": link, "expires_at": expires_at})))
}

/// Query of `GET /api/admin/export`.
#[derive(Deserialize)]
pub(super) struct ExportQuery {
    format: Format,
    aggregate: Option<Aggregate>,
}

/// `GET /api/admin/export`
pub(super) async fn export(
    State(app): State<Arc<App>>,
    _: MayExport,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Failure> {
    let exported =
        export::render(&app.store, query.format, query.aggregate, app.project.seed).await?;
    let attachment = format!("attachment; filename=\"{}\"", query.format.file_name());
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, attachment),
    ];
    let ranked = exported.ranked.unwrap_or_default();
    let counts = [
        ("x-candor-rows", exported.n_rows.to_string()),
        ("x-candor-undecided", exported.n_undecided.to_string()),
        ("x-candor-pairs-undecided", ranked.n_undecided.to_string()),
        ("x-candor-pairs-circular", ranked.n_circular.to_string()),
        ("x-candor-unfit", exported.n_unfit.to_string()),
    ];
    Ok((headers, counts, exported.text).into_response())
}

/// Query of `GET /api/admin/events`.
#[derive(Deserialize)]
pub(super) struct EventsQuery {
    #[serde(default)]
    after: i64,
}

/// `GET /api/admin/events`
pub(super) async fn events(
    State(app): State<Arc<App>>,
    _: MayExport,
    Query(query): Query<EventsQuery>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(
        json!({"events": app.store.events(query.after).await?}),
    ))
}

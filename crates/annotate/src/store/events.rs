//! The event log: what happened, in order, never changed.

use serde_json::Value as Json;

use super::Rules;
use super::database::{Connection, json, values};
use crate::error::AnnotateError;

/// Something that happened.
pub(crate) struct Event<'a> {
    pub kind: &'static str,
    pub person: Option<&'a str>,
    pub item: Option<i64>,
    pub data: Json,
}

/// Adds an event, in the transaction of the change that it tells of, and returns its number.
pub(crate) async fn add(
    connection: &mut Connection,
    rules: &Rules,
    event: Event<'_>,
) -> Result<i64, AnnotateError> {
    let sql = "INSERT INTO events (at, person, kind, item, data) VALUES ($1, $2, $3, $4, $5) RETURNING seq";
    let values = values![
        rules.unix_now(),
        event.person,
        event.kind,
        event.item,
        json(&event.data)
    ];
    connection.int(sql, values).await
}

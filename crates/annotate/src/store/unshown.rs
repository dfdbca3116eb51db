//! Gold and training items whose image cannot be shown: passed over, never failed, and told to administrators.
//!
//! In training nobody may skip or report, so that one such item would keep everybody from the work. Its state is `unshown`
//! until the server starts again: it is handed out to nobody, belongs to no round of training, and whoever has it in hand
//! loses it. Answers that were given to it while it could be shown stay.

use serde::Serialize;
use serde_json::json as object;

use super::database::{Connection, values};
use super::events::{self, Event};
use super::{Rules, Store};
use crate::error::AnnotateError;

/// A gold or training item that is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unshown {
    /// Its number.
    pub item: i64,
    /// `gold` or `training`.
    pub kind: String,
    /// Its id in the file.
    pub name: String,
    /// File name of the image, or the names of several, between commas.
    pub image: Option<String>,
}

impl Store {
    /// Passes over the item of a person's task from now on, if it is gold or training; says whether it is.
    ///
    /// # Errors
    /// As the database says.
    pub async fn pass_over(
        &self,
        person: String,
        assignment: String,
    ) -> Result<bool, AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move { pass_over(connection, rules, &person, &assignment).await })
        })
        .await
    }

    /// Hands out again what was passed over: somebody may have put the images right.
    ///
    /// # Errors
    /// As the database says.
    pub async fn retry_unshown(&self) -> Result<(), AnnotateError> {
        self.write(|connection, _| {
            Box::pin(async move {
                let sql = "UPDATE items SET state = 'open' WHERE state = 'unshown'";
                connection.execute(sql, values![]).await.map(drop)
            })
        })
        .await
    }
}

async fn pass_over(
    connection: &mut Connection,
    rules: &Rules,
    person: &str,
    assignment: &str,
) -> Result<bool, AnnotateError> {
    let sql = "UPDATE items SET state = 'unshown' WHERE state = 'open' AND kind <> 'work' \
               AND item = (SELECT item FROM slots WHERE assignment = $1 AND person = $2) \
               RETURNING item, kind, name, image";
    let Some(row) = connection.row(sql, values![assignment, person]).await? else {
        return Ok(false);
    };
    let item = row.int("item")?;
    let event = Event {
        kind: "unshown",
        person: Some(person),
        item: Some(item),
        data: object!({
            "kind": row.text("kind")?, "name": row.text("name")?, "image": row.maybe_text("image")?
        }),
    };
    events::add(connection, rules, event).await?;
    Ok(true)
}

/// All that are passed over.
pub(super) async fn all(connection: &mut Connection) -> Result<Vec<Unshown>, AnnotateError> {
    let sql = "SELECT item, kind, name, image FROM items WHERE state = 'unshown' ORDER BY item";
    let rows = connection.rows(sql, values![]).await?;
    rows.iter()
        .map(|row| {
            Ok(Unshown {
                item: row.int("item")?,
                kind: row.text("kind")?,
                name: row.text("name")?,
                image: row
                    .maybe_text("image")?
                    .map(|image| image.replace('\n', ", ")),
            })
        })
        .collect()
}

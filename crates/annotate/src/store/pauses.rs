//! Pauses: while one lasts, nobody is given anything new. What people have in hand they may finish, send and take back.

use serde_json::json as object;

use super::Store;
use super::database::{Alone, Connection, values};
use super::events::{self, Event};
use crate::error::AnnotateError;

impl Store {
    /// Pauses the project, or lets it go on; nothing happens where it is so already.
    ///
    /// # Errors
    /// As the database says.
    pub async fn pause(&self, by: String, paused: bool) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                connection.alone(Alone::Pause).await?;
                if since(connection).await?.is_some() == paused {
                    return Ok(());
                }
                let event = Event {
                    kind: if paused { "pause" } else { "resume" },
                    person: Some(&by),
                    item: None,
                    data: object!({}),
                };
                let number = events::add(connection, rules, event).await?;
                let now = rules.unix_now();
                if paused {
                    let sql = "INSERT INTO pauses (number, began_at) VALUES ($1, $2)";
                    connection.execute(sql, values![number, now]).await?;
                } else {
                    let sql = "UPDATE pauses SET ended_at = $1 WHERE ended_at IS NULL";
                    connection.execute(sql, values![now]).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// Since when the project is paused, in Unix milliseconds; none where it is not.
pub(super) async fn since(connection: &mut Connection) -> Result<Option<i64>, AnnotateError> {
    let sql = "SELECT began_at FROM pauses WHERE ended_at IS NULL ORDER BY number LIMIT 1";
    let row = connection.row(sql, values![]).await?;
    row.map(|row| row.int("began_at")).transpose()
}

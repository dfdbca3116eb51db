//! What webhooks are to be told. It is written in the transaction of the change that it tells of, so nothing is told that did not
//! happen and nothing that happened is forgotten, and it stays until it was told or given up. Telling is somebody else's work
//! (`server/webhooks.rs`), so nobody's answer waits for it.

use jiff::Timestamp;
use serde_json::json as object;

use super::database::{Connection, Dialect, json, values};
use super::events::{self, Event};
use super::{Rules, Store};
use crate::error::AnnotateError;
use crate::project::HookEvent;
use crate::token;

/// How long whoever tries has the delivery for itself.
const TRY_MS: i64 = 60_000;
/// How long the second try waits; each one after it twice as long.
const FIRST_PAUSE_MS: i64 = 10_000;
/// The longest that a try waits.
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// Tries before a delivery is given up, half a day after the first.
const MAX_TRIES: i64 = 20;
/// The number of PostgreSQL's advisory lock of whoever looks whether the project is finished: "finish" in ASCII.
const FINISH_LOCK: i64 = 0x66_69_6e_69_73_68;

/// Something to tell a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// A name of its own, the same at every try.
    pub delivery: String,
    /// The webhook's name.
    pub hook: String,
    /// JSON.
    pub body: String,
    /// Which try this is, from 1.
    pub tries: i64,
}

/// Queues what there is to tell when an item of work has come to a state.
pub(super) async fn item_is(
    connection: &mut Connection,
    rules: &Rules,
    item: i64,
    state: &str,
) -> Result<(), AnnotateError> {
    if rules.hooks.is_empty() {
        return Ok(());
    }
    let event = match state {
        "complete" | "decided" => Some(HookEvent::ItemDecided),
        "disputed" => Some(HookEvent::ItemDisputed),
        _ => None,
    };
    let sql = "SELECT name FROM items WHERE item = $1 AND kind = 'work'";
    let Some(row) = connection.row(sql, values![item]).await? else {
        return Ok(());
    };
    if let Some(event) = event {
        let name = row.text("name")?;
        let data = object!({"project": rules.title, "item": item, "name": name, "state": state});
        queue(connection, rules, event, data).await?;
    }
    if state != "disputed" && is_finished(connection).await? {
        let data = object!({"project": rules.title});
        queue(connection, rules, HookEvent::ProjectFinished, data).await?;
    }
    Ok(())
}

/// Whether nobody has to answer or decide anything any more.
async fn is_finished(connection: &mut Connection) -> Result<bool, AnnotateError> {
    if connection.dialect() == Dialect::Postgres {
        // Of two last items that are closed at once, one would not see the other.
        let sql = "SELECT pg_advisory_xact_lock($1)";
        connection.execute(sql, values![FINISH_LOCK]).await?;
    }
    let sql = "SELECT item FROM items WHERE kind = 'work' AND state NOT IN ('complete', 'decided', 'withdrawn') LIMIT 1";
    Ok(connection.row(sql, values![]).await?.is_none())
}

async fn queue(
    connection: &mut Connection,
    rules: &Rules,
    event: HookEvent,
    data: serde_json::Value,
) -> Result<(), AnnotateError> {
    let now = rules.unix_now();
    let at = Timestamp::from_millisecond(now).map_or_else(|_| now.to_string(), |at| at.to_string());
    let body = json(&object!({"type": event.name(), "timestamp": at, "data": data}));
    for hook in rules
        .hooks
        .iter()
        .filter(|hook| hook.events.contains(&event))
    {
        let sql = "INSERT INTO deliveries (delivery, hook, body, made_at, next_at) VALUES ($1, $2, $3, $4, $4)";
        let values = values![token::secret(), &hook.name, &body, now];
        connection.execute(sql, values).await?;
    }
    Ok(())
}

impl Store {
    /// Takes what a webhook is to be told next, if anything is due. For a minute nobody else is given it.
    ///
    /// # Errors
    /// As the database says.
    pub async fn due_delivery(&self, hook: &str) -> Result<Option<Delivery>, AnnotateError> {
        let now = self.rules.unix_now();
        let sql = "SELECT delivery FROM deliveries WHERE hook = $1 AND next_at <= $2 \
                   ORDER BY next_at, made_at, delivery LIMIT 1";
        let row = self.read().await?.row(sql, values![hook, now]).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let delivery = row.text("delivery")?;
        self.write(move |connection, _| {
            Box::pin(async move {
                let sql = "UPDATE deliveries SET tries = tries + 1, next_at = $1 WHERE delivery = $2 AND next_at <= $3 \
                           RETURNING hook, body, tries";
                let row = connection.row(sql, values![now + TRY_MS, &delivery, now]).await?;
                let Some(row) = row else {
                    return Ok(None);
                };
                Ok(Some(Delivery {
                    hook: row.text("hook")?,
                    body: row.text("body")?,
                    tries: row.int("tries")?,
                    delivery,
                }))
            })
        })
        .await
    }

    /// Forgets what was told.
    ///
    /// # Errors
    /// As the database says.
    pub async fn delivered(&self, delivery: String) -> Result<(), AnnotateError> {
        self.write(move |connection, _| {
            Box::pin(async move {
                let sql = "DELETE FROM deliveries WHERE delivery = $1";
                connection.execute(sql, values![delivery]).await.map(drop)
            })
        })
        .await
    }

    /// Has what could not be told tried again later, or gives it up, which is an event.
    ///
    /// # Errors
    /// As the database says.
    pub async fn not_delivered(&self, failed: Delivery) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                if failed.tries < MAX_TRIES {
                    let sql = "UPDATE deliveries SET next_at = $1 WHERE delivery = $2";
                    let next_at = rules.unix_now() + pause_ms(failed.tries);
                    let values = values![next_at, &failed.delivery];
                    return connection.execute(sql, values).await.map(drop);
                }
                give_up(connection, rules, &failed).await
            })
        })
        .await
    }

    /// Gives up what webhooks are to be told that the project does not have, or not under that name: nobody tells it.
    ///
    /// # Errors
    /// As the database says.
    pub async fn give_up_on_removed_webhooks(&self) -> Result<(), AnnotateError> {
        self.write(|connection, rules| {
            Box::pin(async move {
                let sql =
                    "SELECT delivery, hook, body, tries FROM deliveries ORDER BY made_at, delivery";
                let rows = connection.rows(sql, values![]).await?;
                for row in rows {
                    let hook = row.text("hook")?;
                    if rules.hooks.iter().any(|known| known.name == hook) {
                        continue;
                    }
                    let waits = Delivery {
                        delivery: row.text("delivery")?,
                        hook,
                        body: row.text("body")?,
                        tries: row.int("tries")?,
                    };
                    give_up(connection, rules, &waits).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// Forgets a delivery, of which nothing but an event is left.
async fn give_up(
    connection: &mut Connection,
    rules: &Rules,
    delivery: &Delivery,
) -> Result<(), AnnotateError> {
    let sql = "DELETE FROM deliveries WHERE delivery = $1";
    if connection.execute(sql, values![&delivery.delivery]).await? == 0 {
        // Another server was faster: it was told, or given up, there.
        return Ok(());
    }
    let event = Event {
        kind: "webhook_given_up",
        person: None,
        item: None,
        data: object!({
            "webhook": delivery.hook, "delivery": delivery.delivery, "tries": delivery.tries, "body": delivery.body
        }),
    };
    events::add(connection, rules, event).await.map(drop)
}

/// How long the next try waits after so many.
fn pause_ms(tries: i64) -> i64 {
    let doublings = (tries - 1).clamp(0, 30);
    (FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let pauses = [1, 2, 3, 9, 10, 19].map(pause_ms);
        assert_eq!(
            pauses,
            [10_000, 20_000, 40_000, 2_560_000, 3_600_000, 3_600_000]
        );
    }
}

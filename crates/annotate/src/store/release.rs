//! Giving an item back: skipped, or flagged for an adjudicator.

use serde::{Deserialize, Serialize};
use serde_json::json as object;

use super::database::{Connection, values};
use super::events::{self, Event};
use super::tasks::{self, Held};
use super::{Rules, Store};
use crate::error::{AnnotateError, Refusal};
use crate::project::Kind;

/// What is wrong with a flagged item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlagReason {
    /// The image is missing, broken or the wrong one.
    Image,
    /// The texts cannot be read or make no sense.
    Text,
    /// Nobody should have to look at this.
    Offensive,
    /// Anything else.
    Other,
}

impl FlagReason {
    /// All reasons, in the order they are offered.
    pub const ALL: [Self; 4] = [Self::Image, Self::Text, Self::Offensive, Self::Other];

    fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Text => "text",
            Self::Offensive => "offensive",
            Self::Other => "other",
        }
    }
}

impl Store {
    /// Gives an item back; it does not come to this person again. Skipped too often, it waits for an adjudicator.
    ///
    /// # Errors
    /// [`Refusal::LeaseLost`], [`Refusal::NotInTraining`].
    pub async fn skip(&self, person: String, assignment: String) -> Result<(), AnnotateError> {
        self.give_back(person, assignment, None).await
    }

    /// Gives an item back with a complaint; it waits for an adjudicator.
    ///
    /// # Errors
    /// [`Refusal::LeaseLost`], [`Refusal::NotInTraining`].
    pub async fn flag(
        &self,
        person: String,
        assignment: String,
        reason: FlagReason,
        note: Option<String>,
    ) -> Result<(), AnnotateError> {
        self.give_back(person, assignment, Some((reason, note)))
            .await
    }

    async fn give_back(
        &self,
        person: String,
        assignment: String,
        flag: Option<(FlagReason, Option<String>)>,
    ) -> Result<(), AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let held = tasks::held(connection, &person, &assignment).await?;
                let held = held.filter(Held::is_unfinished).ok_or(Refusal::LeaseLost)?;
                if held.kind == Kind::Training {
                    return Err(Refusal::NotInTraining.into());
                }
                release(connection, &held).await?;
                let (reason, note) = flag.unzip();
                let sql = "INSERT INTO skips (item, person, reason, note, at) VALUES ($1, $2, $3, $4, $5) \
                           ON CONFLICT (item, person) DO UPDATE \
                           SET reason = excluded.reason, note = excluded.note, at = excluded.at, solved = 0";
                let note = note.flatten();
                let values = values![
                    held.item,
                    &person,
                    reason.map(FlagReason::name),
                    note.as_deref(),
                    rules.unix_now(),
                ];
                connection.execute(sql, values).await?;
                hold_back(connection, rules, &held, reason.is_some()).await?;
                let event = Event {
                    kind: if reason.is_some() { "flag" } else { "skip" },
                    person: Some(&person),
                    item: Some(held.item),
                    data: object!({"reason": reason, "note": note}),
                };
                events::add(connection, rules, event).await.map(drop)
            })
        })
        .await
    }
}

/// Opens a slot to others. Gold is nobody else's, so its slot is only closed.
async fn release(connection: &mut Connection, held: &Held) -> Result<(), AnnotateError> {
    let sql = if held.kind == Kind::Work {
        "UPDATE slots SET state = 'open', person = NULL, assignment = NULL, draft = NULL, again = NULL \
         WHERE assignment = $1 AND state IN ('leased', 'open')"
    } else {
        "UPDATE slots SET state = 'skipped', draft = NULL, again = NULL \
         WHERE assignment = $1 AND state IN ('leased', 'open')"
    };
    if connection.execute(sql, values![&held.assignment]).await? == 0 {
        return Err(Refusal::LeaseLost.into());
    }
    Ok(())
}

/// Lets a flagged item, or one that too many people skipped, wait for an adjudicator.
async fn hold_back(
    connection: &mut Connection,
    rules: &Rules,
    held: &Held,
    flagged: bool,
) -> Result<(), AnnotateError> {
    // Writes nothing new, but locks the row: of two who skip it at once, one sees the other's.
    let sql = "UPDATE items SET state = state WHERE item = $1";
    connection.execute(sql, values![held.item]).await?;
    let sql = "SELECT COUNT(*) AS n FROM skips WHERE item = $1 AND solved = 0";
    let n_skips = connection.int(sql, values![held.item]).await?;
    if flagged || (held.kind == Kind::Work && n_skips >= i64::from(rules.protocol.skip_limit)) {
        let sql = "UPDATE items SET state = 'held' WHERE item = $1 AND state = 'open'";
        connection.execute(sql, values![held.item]).await?;
    }
    Ok(())
}

//! Items: what is compared, and the slots in which it is.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use candor_data::{IMAGE_PLACEHOLDER, Turn};
use serde_json::json as object;

use super::database::{Connection, json, values};
use super::events::{self, Event};
use super::{Rules, Store};
use crate::error::AnnotateError;
use crate::project::Kind;
use crate::task::Expected;
use crate::token;

/// What is known of a gold or training item: its right answer, where `a` is the first output.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The right answer.
    pub expected: Expected,
    /// Why it is right, shown after a training item.
    pub explanation: Option<String>,
}

/// An item to import.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    /// What it is for.
    pub kind: Kind,
    /// Its id in the file.
    pub name: String,
    /// File name of the image.
    pub image: Option<String>,
    /// Folder of the image, as the project names it.
    pub image_folder: Option<String>,
    /// What both answers respond to.
    pub turns: Vec<Turn>,
    /// The two answers.
    pub outputs: [String; 2],
    /// The data set's own answer.
    pub original_answer: Option<String>,
    /// The right answer, for gold and training.
    pub known: Option<Known>,
    /// What kind of question it is, for statistics.
    pub question_type: Option<String>,
    /// Which model wrote which answer, for statistics.
    pub models: Option<[String; 2]>,
    /// Items with a smaller one are handed out earlier; equal ones in the order of import.
    pub rank: i64,
}

impl NewItem {
    /// Equal for equal content: rank, image folder and statistics may change between imports.
    fn fingerprint(&self) -> String {
        self.fingerprint_with(&self.turns)
    }

    /// The fingerprint of the same item without the placeholder of its image: people are shown the same.
    fn fingerprint_without_placeholder(&self) -> String {
        let bare = |turn: &Turn| Turn {
            from: turn.from,
            value: turn.value.replace(&format!("{IMAGE_PLACEHOLDER}\n"), ""),
        };
        self.fingerprint_with(&self.turns.iter().map(bare).collect::<Vec<_>>())
    }

    fn fingerprint_with(&self, turns: &[Turn]) -> String {
        let expected = self.known.as_ref().map(|known| known.expected);
        token::hashed(&json(&(
            &self.image,
            turns,
            &self.outputs,
            &self.original_answer,
            expected,
        )))
    }
}

impl Store {
    /// Adds the items of the file `origin` that are not there yet, and ranks those that are; returns how many are new.
    ///
    /// # Errors
    /// [`AnnotateError::Changed`] if one is there with other content; nothing is added then.
    pub async fn import(&self, origin: &Path, items: Vec<NewItem>) -> Result<usize, AnnotateError> {
        let origin = origin.to_owned();
        self.write(move |connection, rules| {
            Box::pin(async move {
                let next = "SELECT COALESCE(MAX(item), 0) + 1 AS next FROM items";
                let mut item = connection.int(next, values![]).await?;
                let before = item;
                for new in &items {
                    let fingerprint = new.fingerprint();
                    let sql = "SELECT fingerprint FROM items WHERE kind = $1 AND name = $2";
                    let found = connection
                        .row(sql, values![new.kind.name(), &new.name])
                        .await?;
                    match found.map(|row| row.text("fingerprint")).transpose()? {
                        Some(old) if old == fingerprint => rank(connection, new).await?,
                        Some(old) if old == new.fingerprint_without_placeholder() => {
                            add_placeholder(connection, new, fingerprint).await?;
                            rank(connection, new).await?;
                        }
                        Some(_) => {
                            return Err(AnnotateError::Changed {
                                path: origin,
                                kind: new.kind.name(),
                                name: new.name.clone(),
                            });
                        }
                        None => {
                            insert(connection, rules, item, new, fingerprint).await?;
                            item += 1;
                        }
                    }
                }
                let n = item - before;
                if n > 0 {
                    let event = Event {
                        kind: "import",
                        person: None,
                        item: None,
                        data: object!({"n": n, "first": before}),
                    };
                    events::add(connection, rules, event).await?;
                }
                Ok(n as usize)
            })
        })
        .await
    }

    /// The ids in their files of all items of a kind.
    ///
    /// # Errors
    /// As the database says.
    pub async fn item_names(&self, kind: Kind) -> Result<HashSet<String>, AnnotateError> {
        let sql = "SELECT name FROM items WHERE kind = $1";
        let rows = self.read().await?.rows(sql, values![kind.name()]).await?;
        rows.iter().map(|row| row.text("name")).collect()
    }

    /// The ranks of all items of a kind, by their ids in their files.
    ///
    /// # Errors
    /// As the database says.
    pub async fn item_ranks(&self, kind: Kind) -> Result<HashMap<String, i64>, AnnotateError> {
        let sql = "SELECT name, rank FROM items WHERE kind = $1";
        let rows = self.read().await?.rows(sql, values![kind.name()]).await?;
        rows.iter()
            .map(|row| Ok((row.text("name")?, row.int("rank")?)))
            .collect()
    }

    /// Where an item's image is: its folder, as the project names it, and its name.
    ///
    /// # Errors
    /// As the database says.
    pub async fn image_of_item(&self, item: i64) -> Result<Option<Image>, AnnotateError> {
        let sql = "SELECT image, image_folder FROM items WHERE item = $1";
        image(&mut self.read().await?, sql, values![item]).await
    }

    /// Where the image of a person's task is.
    ///
    /// # Errors
    /// As the database says.
    pub async fn image_of_task(
        &self,
        person: &str,
        assignment: &str,
    ) -> Result<Option<Image>, AnnotateError> {
        let sql = "SELECT i.image, i.image_folder FROM items i JOIN slots s ON s.item = i.item \
                   WHERE s.assignment = $1 AND s.person = $2";
        image(&mut self.read().await?, sql, values![assignment, person]).await
    }
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its folder, as the project names it.
    pub folder: String,
    /// Its name in the folder.
    pub image: String,
}

async fn image(
    connection: &mut Connection,
    sql: &'static str,
    values: &[super::database::Value],
) -> Result<Option<Image>, AnnotateError> {
    let Some(row) = connection.row(sql, values).await? else {
        return Ok(None);
    };
    let image = row.maybe_text("image")?;
    let folder = row.maybe_text("image_folder")?;
    Ok(image
        .zip(folder)
        .map(|(image, folder)| Image { folder, image }))
}

/// An item that was imported without the placeholder of its image gets it, and keeps its answers.
async fn add_placeholder(
    connection: &mut Connection,
    new: &NewItem,
    fingerprint: String,
) -> Result<(), AnnotateError> {
    let sql = "UPDATE items SET turns = $1, fingerprint = $2 WHERE kind = $3 AND name = $4";
    let values = values![json(&new.turns), fingerprint, new.kind.name(), &new.name];
    connection.execute(sql, values).await.map(drop)
}

/// Items that are there already may come earlier or later now.
async fn rank(connection: &mut Connection, new: &NewItem) -> Result<(), AnnotateError> {
    let sql = "UPDATE items SET rank = $1 WHERE kind = $2 AND name = $3 AND rank <> $1";
    let values = values![new.rank, new.kind.name(), &new.name];
    if connection.execute(sql, values).await? > 0 {
        let sql = "UPDATE slots SET rank = $1 \
                   WHERE item = (SELECT item FROM items WHERE kind = $2 AND name = $3)";
        connection.execute(sql, values).await?;
    }
    Ok(())
}

async fn insert(
    connection: &mut Connection,
    rules: &Rules,
    item: i64,
    new: &NewItem,
    fingerprint: String,
) -> Result<(), AnnotateError> {
    let overlap = match new.kind {
        Kind::Work => i64::from(rules.protocol.overlap),
        Kind::Gold | Kind::Training => 0,
    };
    let sql = "INSERT INTO items (item, kind, name, fingerprint, rank, overlap, state, image, image_folder, turns, \
               outputs, original_answer, expected, explanation, question_type, models) \
               VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let values = values![
        item,
        new.kind.name(),
        &new.name,
        fingerprint,
        new.rank,
        overlap,
        new.image.as_deref(),
        new.image_folder.as_deref(),
        json(&new.turns),
        json(&new.outputs),
        new.original_answer.as_deref(),
        new.known.as_ref().map(|known| json(&known.expected)),
        new.known
            .as_ref()
            .and_then(|known| known.explanation.as_deref()),
        new.question_type.as_deref(),
        new.models.as_ref().map(json),
    ];
    connection.execute(sql, values).await?;
    for slot in 0..overlap {
        let sql = "INSERT INTO slots (item, slot, rank, state) VALUES ($1, $2, $3, 'open')";
        connection
            .execute(sql, values![item, slot, new.rank])
            .await?;
    }
    Ok(())
}

//! Items: what is compared, and the slots in which it is.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candor_data::{IMAGE_PLACEHOLDER, Turn, shown};
use serde_json::json as object;
use tokio::time::sleep;

use super::database::{Alone, Connection, Dialect, json, values, was_in_the_way};
use super::events::{self, Event};
use super::{Rules, Store};
use crate::error::AnnotateError;
use crate::project::Kind;
use crate::task::Expected;
use crate::token;

/// On PostgreSQL people go on working at other servers while one imports. New ranks change rows in another order than
/// answers do, so an import gives way before PostgreSQL would end either of the two, and is tried again.
const GIVE_WAY: &str = "SET LOCAL lock_timeout = '500ms'";
/// How often an import that gave way is tried again, and after what pause.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(200);

/// How many items get new ranks or folders in one transaction: people at other servers wait for the rows until it ends.
const RANKED_AT_ONCE: usize = 50;

/// What an import did, and what is left of it.
struct Added {
    /// How many items are new.
    n: usize,
    /// Which of the file's items were there at another rank, or with another folder of images.
    displaced: Vec<usize>,
}

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
    /// File name of the image, or the names of several ([`shown`]).
    pub image: Option<String>,
    /// Folder of the images, as the project names it.
    pub image_folder: Option<String>,
    /// What both answers respond to.
    pub turns: Vec<Turn>,
    /// The two answers that are compared, the one that is rated, or the several that are ranked.
    pub outputs: Vec<String>,
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
    /// Adds the items of the file `origin` that are not there yet, and gives those that are there their ranks and folders of
    /// images; returns how many are new.
    ///
    /// # Errors
    /// [`AnnotateError::Changed`] if one is there with other content; nothing is added then.
    pub async fn import(&self, origin: &Path, items: Vec<NewItem>) -> Result<usize, AnnotateError> {
        let items = Arc::new(items);
        let added = giving_way(|| self.add(origin, Arc::clone(&items))).await?;
        for some in added.displaced.chunks(RANKED_AT_ONCE) {
            giving_way(|| self.rank(Arc::clone(&items), some.to_vec())).await?;
        }
        Ok(added.n)
    }

    async fn add(&self, origin: &Path, items: Arc<Vec<NewItem>>) -> Result<Added, AnnotateError> {
        let origin = origin.to_owned();
        self.write(move |connection, rules| {
            Box::pin(async move {
                connection.alone(Alone::Import).await?;
                give_way(connection).await?;
                let next = "SELECT COALESCE(MAX(item), 0) + 1 AS next FROM items";
                let mut item = connection.int(next, values![]).await?;
                let before = item;
                let mut displaced = Vec::new();
                for (i, new) in items.iter().enumerate() {
                    let fingerprint = new.fingerprint();
                    let sql = "SELECT fingerprint, rank, image_folder FROM items WHERE kind = $1 AND name = $2";
                    let found = connection
                        .row(sql, values![new.kind.name(), &new.name])
                        .await?;
                    let Some(row) = found else {
                        insert(connection, rules, item, new, fingerprint).await?;
                        item += 1;
                        continue;
                    };
                    let (old, rank) = (row.text("fingerprint")?, row.int("rank")?);
                    if rank != new.rank || row.maybe_text("image_folder")? != new.image_folder {
                        displaced.push(i);
                    }
                    if old == fingerprint {
                        continue;
                    }
                    if old != new.fingerprint_without_placeholder() {
                        return Err(AnnotateError::Changed {
                            path: origin,
                            kind: new.kind.name(),
                            name: new.name.clone(),
                        });
                    }
                    add_placeholder(connection, new, fingerprint).await?;
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
                let n = n as usize;
                Ok(Added { n, displaced })
            })
        })
        .await
    }

    /// Gives some of the items the ranks and the folder of images that they have now. Done twice, it changes nothing more.
    async fn rank(&self, items: Arc<Vec<NewItem>>, some: Vec<usize>) -> Result<(), AnnotateError> {
        self.write(move |connection, _| {
            Box::pin(async move {
                give_way(connection).await?;
                for i in some {
                    rank(connection, &items[i]).await?;
                    move_images(connection, &items[i]).await?;
                }
                Ok(())
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

    /// How many items of work came when `protocol.overlap` was another: they keep that.
    ///
    /// # Errors
    /// As the database says.
    pub async fn n_of_other_overlap(&self) -> Result<i64, AnnotateError> {
        let sql = "SELECT COUNT(*) AS n FROM items WHERE kind = 'work' AND overlap <> $1";
        let overlap = i64::from(self.rules.protocol.overlap);
        self.read().await?.int(sql, values![overlap]).await
    }

    /// Where an item's images are, in their order; none for an item without one, or where there is no such item.
    ///
    /// # Errors
    /// As the database says.
    pub async fn images_of_item(&self, item: i64) -> Result<Vec<Image>, AnnotateError> {
        let sql = "SELECT image, image_folder FROM items WHERE item = $1";
        images(&mut self.read().await?, sql, values![item]).await
    }

    /// Where the images of a person's task are, as [`Store::images_of_item`] says it.
    ///
    /// # Errors
    /// As the database says.
    pub async fn images_of_task(
        &self,
        person: &str,
        assignment: &str,
    ) -> Result<Vec<Image>, AnnotateError> {
        let sql = "SELECT i.image, i.image_folder FROM items i JOIN slots s ON s.item = i.item \
                   WHERE s.assignment = $1 AND s.person = $2";
        images(&mut self.read().await?, sql, values![assignment, person]).await
    }
}

/// Does what may have to give way, again where it had to.
async fn giving_way<T, W>(work: impl Fn() -> W) -> Result<T, AnnotateError>
where
    W: Future<Output = Result<T, AnnotateError>>,
{
    for _ in 0..TRIES {
        let done = work().await;
        if !done.as_ref().is_err_and(was_in_the_way) {
            return done;
        }
        sleep(PAUSE).await;
    }
    work().await
}

async fn give_way(connection: &mut Connection) -> Result<(), AnnotateError> {
    if connection.dialect() == Dialect::Postgres {
        connection.execute(GIVE_WAY, &[]).await?;
    }
    Ok(())
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its folder, as the project names it.
    pub folder: String,
    /// Its name in the folder.
    pub image: String,
}

async fn images(
    connection: &mut Connection,
    sql: &'static str,
    values: &[super::database::Value],
) -> Result<Vec<Image>, AnnotateError> {
    let Some(row) = connection.row(sql, values).await? else {
        return Ok(Vec::new());
    };
    let Some(folder) = row.maybe_text("image_folder")? else {
        return Ok(Vec::new());
    };
    let image = row.maybe_text("image")?;
    let names = image.iter().flat_map(|image| shown::names(image));
    Ok(names
        .map(|name| Image {
            folder: folder.clone(),
            image: name.to_owned(),
        })
        .collect())
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

/// The images of items that are there already may lie elsewhere now.
async fn move_images(connection: &mut Connection, new: &NewItem) -> Result<(), AnnotateError> {
    let sql = "UPDATE items SET image_folder = $1 \
               WHERE kind = $2 AND name = $3 AND COALESCE(image_folder, '') <> COALESCE($1, '')";
    let folder = new.image_folder.as_deref();
    let values = values![folder, new.kind.name(), &new.name];
    connection.execute(sql, values).await.map(drop)
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

//! Whole databases: copied while they are in use, or moved to another kind.

use std::path::Path;

use super::Store;
use super::database::{Column, Connection, Dialect, Value, values};
use super::together::MOVED;
use crate::error::AnnotateError;

/// Rows that are copied at a time.
const PAGE: i64 = 500;

/// Waits for the changes under way of a server that was cut off, and lets none begin: all of [`TABLES`].
const KEEP_STILL: &str = "LOCK TABLE people, invites, sessions, items, slots, skips, answers, decisions, events, pauses, \
    tokens, identities, deliveries, lease_clock, login_failures IN SHARE MODE";
/// Keeps such a server from coming back to the database that was left ([`MOVED`]).
const LEAVE: &str = "INSERT INTO lease_clock (clock, now_ms, rules) VALUES (1, 0, $1) \
    ON CONFLICT (clock) DO UPDATE SET rules = excluded.rules";

/// A table: its name, what orders its rows, and its columns.
struct Table {
    name: &'static str,
    key: &'static str,
    columns: &'static [Column],
}

/// Declares a table: columns of text and of integers, in any order.
macro_rules! table {
    ($name:literal by $key:literal: text [$($text:literal)*] int [$($int:literal)*]) => {
        Table {
            name: $name,
            key: $key,
            columns: &[$(Column::Text($text),)* $(Column::Int($int),)*],
        }
    };
}

/// All tables, those that others refer to first; but for `sign_ins`, whose rows last for minutes.
const TABLES: [Table; 15] = [
    table!("people" by "number": text ["person" "name" "name_key" "role" "password"]
        int ["number" "attempt" "attempts_from" "n_claims" "guidelines_at" "trained_at" "disabled" "created_at"]),
    table!("invites" by "token_hash": text ["token_hash" "role" "used_by" "renews"] int ["created_at" "expires_at"]),
    table!("sessions" by "token_hash": text ["token_hash" "person"] int ["created_at" "seen_at"]),
    table!("items" by "item": text ["kind" "name" "fingerprint" "state" "image" "image_folder" "turns" "outputs"
        "original_answer" "expected" "explanation" "question_type" "models"]
        int ["item" "rank" "overlap" "n_answers"]),
    table!("slots" by "item, slot": text ["state" "person" "assignment" "shown_order" "draft" "again" "note"]
        int ["item" "slot" "attempt" "rank" "lease_from" "lease_until" "claimed_at" "shown_from" "shown_left"]),
    table!("skips" by "item, person": text ["person" "reason" "note"] int ["item" "at" "solved"]),
    table!("answers" by "number": text ["submission" "fingerprint" "person" "state" "answer" "shown_order"]
        int ["number" "item" "slot" "attempt" "shown_left" "active_ms" "answered_at"]),
    table!("decisions" by "item": text ["person" "answer"] int ["item" "decided_at"]),
    table!("events" by "seq": text ["person" "kind" "data"] int ["seq" "at" "item"]),
    table!("pauses" by "number": text [] int ["number" "began_at" "ended_at"]),
    table!("tokens" by "token": text ["token" "token_hash" "name" "scopes" "made_by"]
        int ["created_at" "expires_at" "revoked_at" "used_at"]),
    table!("identities" by "issuer, subject": text ["issuer" "subject" "person"] int ["linked_at"]),
    table!("deliveries" by "delivery": text ["delivery" "hook" "body"] int ["tries" "made_at" "next_at"]),
    table!("lease_clock" by "clock": text ["rules"] int ["clock" "now_ms"]),
    table!("login_failures" by "key_hash": text ["key_hash"] int ["n" "since"]),
];

impl Table {
    fn select(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(Column::name).collect();
        format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT {PAGE} OFFSET $1",
            names.join(", "),
            self.name,
            self.key
        )
    }

    fn insert(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(Column::name).collect();
        let marks: Vec<String> = (1..=names.len()).map(|i| format!("${i}")).collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.name,
            names.join(", "),
            marks.join(", ")
        )
    }
}

impl Store {
    /// Copies everything into another, empty database, all or nothing; returns the number of rows. A PostgreSQL database is
    /// served by nobody afterwards.
    ///
    /// # Errors
    /// [`AnnotateError::Database`] if the other one is not empty.
    pub async fn copy_to(&self, other: &Self) -> Result<u64, AnnotateError> {
        let mut source = self.read().await?;
        if let Err(error) = begin(&mut source).await {
            drop(source.execute("ROLLBACK", values![]).await);
            return Err(error);
        }
        let (mut source, n_rows) = other
            .write(move |connection, _| {
                Box::pin(async move {
                    let copied = leave(&mut source, connection).await;
                    if copied.is_err() {
                        drop(source.execute("ROLLBACK", values![]).await);
                    }
                    Ok((source, copied?))
                })
            })
            .await?;
        // A server that was cut off could change nothing here until all was there.
        source.execute("COMMIT", values![]).await?;
        Ok(n_rows)
    }

    /// Copies a SQLite database to a new file, at one moment, while it may be in use.
    ///
    /// # Errors
    /// [`AnnotateError::Database`] for PostgreSQL, [`AnnotateError::Io`] if the file exists or cannot be written.
    pub async fn backup(&self, path: &Path) -> Result<(), AnnotateError> {
        let refused = |source| AnnotateError::Io {
            action: "write the backup",
            place: path.display().to_string(),
            remedy: "name a file that does not exist yet, in a folder that you may write to",
            source,
        };
        let mut connection = self.writer_pool.acquire().await?;
        if connection.dialect() == Dialect::Postgres {
            return Err(AnnotateError::Database {
                action: "back up",
                database: "at a postgres:// URL".into(),
                remedy: "use pg_dump, which does it online too",
                source: "only SQLite databases are copied as files".into(),
            });
        }
        // Claims the name, so that no older backup is ever written over.
        std::fs::File::create_new(path).map_err(refused)?;
        let part = path.with_extension("part");
        drop(std::fs::remove_file(&part));
        let target = part.to_string_lossy().into_owned();
        connection
            .execute("VACUUM INTO $1", values![target])
            .await?;
        std::fs::File::open(&part)
            .and_then(|file| file.sync_all())
            .map_err(refused)?;
        std::fs::rename(&part, path).map_err(refused)
    }
}

/// Begins to read the database as it is at one moment; from then on nobody changes a PostgreSQL database.
async fn begin(source: &mut Connection) -> Result<(), AnnotateError> {
    source.hold_still().await?;
    if source.dialect() == Dialect::Postgres {
        source.execute(KEEP_STILL, values![]).await?;
    }
    Ok(())
}

/// Copies everything, and marks a PostgreSQL database as left.
async fn leave(source: &mut Connection, target: &mut Connection) -> Result<u64, AnnotateError> {
    let n_rows = copy(source, target).await?;
    if source.dialect() == Dialect::Postgres {
        source.execute(LEAVE, values![MOVED]).await?;
    }
    Ok(n_rows)
}

async fn copy(source: &mut Connection, target: &mut Connection) -> Result<u64, AnnotateError> {
    let sql = "SELECT (SELECT COUNT(*) FROM people) + (SELECT COUNT(*) FROM items) \
               + (SELECT COUNT(*) FROM events) + (SELECT COUNT(*) FROM lease_clock) AS n";
    if target.int(sql, values![]).await? > 0 {
        return Err(AnnotateError::Database {
            action: "copy into",
            database: "that is to be filled".into(),
            remedy: "name an empty one",
            source: "it holds people, items or events already, or had a server".into(),
        });
    }
    let mut n_rows = 0;
    for table in &TABLES {
        let (select, insert) = (table.select(), table.insert());
        let mut offset = 0;
        loop {
            let page: Vec<Vec<Value>> = source.columns(&select, offset, table.columns).await?;
            for row in &page {
                target.insert_row(&insert, row).await?;
            }
            n_rows += page.len() as u64;
            offset += PAGE;
            if page.len() < PAGE as usize {
                break;
            }
        }
    }
    if target.dialect() == Dialect::Postgres {
        let sql = "SELECT setval(pg_get_serial_sequence('events', 'seq'), \
                   (SELECT COALESCE(MAX(seq), 0) + 1 FROM events), false) AS next";
        target.int(sql, values![]).await?;
    }
    Ok(n_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_changes_a_table_while_it_is_copied() {
        let names = KEEP_STILL
            .strip_prefix("LOCK TABLE ")
            .and_then(|rest| rest.strip_suffix(" IN SHARE MODE"))
            .unwrap();
        let mut locked: Vec<&str> = names.split(", ").collect();
        let mut copied = TABLES.map(|table| table.name);
        locked.sort_unstable();
        copied.sort_unstable();
        assert_eq!(locked, copied);
    }
}

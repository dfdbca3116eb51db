//! How far the project is.

use serde::Serialize;
use serde_json::Value as Json;

use super::Store;
use super::database::{Row, values};
use super::pauses;
use super::unshown::{self, Unshown};
use crate::error::AnnotateError;

/// The time that the pace is taken from.
const PACE_MS: i64 = 3_600_000;
/// Answers that came closer together than this are taken for as slow: a pace is no matter of seconds.
const MIN_PACE_MS: i64 = 60_000;
/// Fewer answers in that time make no pace.
const MIN_FOR_PACE: i64 = 5;
/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// Most events that are told at once.
const MAX_EVENTS: i64 = 500;

/// How far the project is. Only items of work count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Items.
    pub n_items: i64,
    /// Items with all answers, or decided.
    pub n_done: i64,
    /// Items that somebody has in hand.
    pub n_in_work: i64,
    /// Items that wait for an adjudicator.
    pub n_waiting: i64,
    /// Items that were withdrawn.
    pub n_withdrawn: i64,
    /// Answers.
    pub n_answers: i64,
    /// Answers that there will be in the end.
    pub n_needed: i64,
    /// An estimate of how long it will take: at the pace of the last hour, or of the part of it since its first answer.
    /// None after too few answers.
    pub eta_ms: Option<i64>,
    /// Answers of each day (UTC) that had any.
    pub answers_by_day: Vec<Day>,
    /// Gold and training items that are passed over, because their image cannot be shown.
    pub unshown: Vec<Unshown>,
    /// Since when nobody is given anything new, in Unix milliseconds, because the project is paused.
    pub paused_at: Option<i64>,
}

/// The answers of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day {
    /// Its midnight (UTC), in Unix milliseconds.
    pub day_at: i64,
    /// Answers.
    pub n: i64,
}

/// An answer to work: whose, on which day, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Midnight (UTC) of its day, in Unix milliseconds.
    pub day_at: i64,
    /// The person.
    pub person: String,
    /// Their name.
    pub name: String,
    /// How long the task was on screen.
    pub active_ms: i64,
}

/// Something that happened, for administrators.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// Its place in the order of events.
    pub seq: i64,
    /// When, in Unix milliseconds.
    pub at: i64,
    /// Whose doing it was.
    pub who: Option<String>,
    /// What happened.
    pub kind: String,
    /// To which item.
    pub item: Option<i64>,
    /// The particulars.
    pub data: Json,
}

impl Store {
    /// How far the project is.
    ///
    /// # Errors
    /// As the database says.
    pub async fn overview(&self) -> Result<Overview, AnnotateError> {
        let connection = &mut self.read().await?;
        let sql = "SELECT state, COUNT(*) AS n, CAST(SUM(n_answers) AS BIGINT) AS n_answers, \
                   CAST(SUM(overlap) AS BIGINT) AS overlap FROM items WHERE kind = 'work' GROUP BY state";
        let (mut n_items, mut n_done, mut n_waiting, mut n_withdrawn, mut n_answers, mut n_needed) =
            (0, 0, 0, 0, 0, 0);
        for row in connection.rows(sql, values![]).await? {
            let n = row.int("n")?;
            n_items += n;
            let state = row.text("state")?;
            n_answers += row.int("n_answers")?;
            // Nobody answers any more what was decided or withdrawn, be it with fewer answers than others.
            n_needed += match state.as_str() {
                "decided" | "withdrawn" => row.int("n_answers")?,
                _ => row.int("overlap")?,
            };
            match state.as_str() {
                "complete" | "decided" => n_done += n,
                "disputed" | "held" => n_waiting += n,
                "withdrawn" => n_withdrawn += n,
                _ => {}
            }
        }
        let sql = "SELECT COUNT(DISTINCT s.item) AS n FROM slots s JOIN items i ON i.item = s.item \
                   WHERE s.state = 'leased' AND i.kind = 'work' AND s.lease_until > $1";
        let n_in_work = connection.int(sql, values![self.rules.lease_now()]).await?;
        let now = self.rules.unix_now();
        let sql = "SELECT COUNT(*) AS n, COALESCE(MIN(a.answered_at), 0) AS first FROM answers a \
                   JOIN items i ON i.item = a.item \
                   WHERE a.state = 'current' AND i.kind = 'work' AND a.answered_at > $1";
        let recent = connection.row(sql, values![now - PACE_MS]).await?;
        let (n_recent, first) = match recent {
            Some(row) => (row.int("n")?, row.int("first")?),
            None => (0, 0),
        };
        let n_left = (n_needed - n_answers).max(0);
        let sql = "SELECT a.answered_at / 86400000 AS day, COUNT(*) AS n FROM answers a \
                   JOIN items i ON i.item = a.item WHERE a.state = 'current' AND i.kind = 'work' GROUP BY 1 ORDER BY 1";
        let days = connection.rows(sql, values![]).await?;
        let day = |row: &Row| {
            Ok(Day {
                day_at: row.int("day")? * DAY_MS,
                n: row.int("n")?,
            })
        };
        Ok(Overview {
            n_items,
            n_done,
            n_in_work,
            n_waiting,
            n_withdrawn,
            n_answers,
            n_needed,
            eta_ms: eta_ms(n_left, n_recent, now - first),
            answers_by_day: days.iter().map(day).collect::<Result<_, AnnotateError>>()?,
            unshown: unshown::all(connection).await?,
            paused_at: pauses::since(connection).await?,
        })
    }

    /// All answers to work that count, those of one person on one day side by side; the newest day first.
    ///
    /// # Errors
    /// As the database says.
    pub async fn timed_answers(&self) -> Result<Vec<Timed>, AnnotateError> {
        let sql = "SELECT a.answered_at / 86400000 AS day, p.person, p.name, a.active_ms FROM answers a \
                   JOIN items i ON i.item = a.item JOIN people p ON p.person = a.person \
                   WHERE a.state = 'current' AND i.kind = 'work' ORDER BY 1 DESC, p.number, a.number";
        let rows = self.read().await?.rows(sql, values![]).await?;
        let timed = |row: &Row| {
            Ok(Timed {
                day_at: row.int("day")? * DAY_MS,
                person: row.text("person")?,
                name: row.text("name")?,
                active_ms: row.int("active_ms")?,
            })
        };
        rows.iter().map(timed).collect()
    }

    /// What happened after event `after`, in order.
    ///
    /// # Errors
    /// As the database says.
    pub async fn events(&self, after: i64) -> Result<Vec<Told>, AnnotateError> {
        let sql = "SELECT e.seq, e.at, p.name, e.kind, e.item, e.data FROM events e \
                   LEFT JOIN people p ON p.person = e.person WHERE e.seq > $1 ORDER BY e.seq LIMIT $2";
        self.told(sql, after).await
    }

    /// As [`Self::events`], without what happened to gold and training items.
    ///
    /// # Errors
    /// As the database says.
    pub async fn work_events(&self, after: i64) -> Result<Vec<Told>, AnnotateError> {
        let sql = "SELECT e.seq, e.at, p.name, e.kind, e.item, e.data FROM events e \
                   LEFT JOIN people p ON p.person = e.person WHERE e.seq > $1 AND (e.item IS NULL OR \
                   EXISTS (SELECT 1 FROM items i WHERE i.item = e.item AND i.kind = 'work')) \
                   ORDER BY e.seq LIMIT $2";
        self.told(sql, after).await
    }

    async fn told(&self, sql: &'static str, after: i64) -> Result<Vec<Told>, AnnotateError> {
        let rows = self
            .read()
            .await?
            .rows(sql, values![after, MAX_EVENTS])
            .await?;
        rows.iter().map(told).collect()
    }
}

/// How long `n_left` answers will take where the last `n_recent` took `recent_ms` from the first of them to now.
fn eta_ms(n_left: i64, n_recent: i64, recent_ms: i64) -> Option<i64> {
    if n_left == 0 {
        return Some(0);
    }
    let recent_ms = recent_ms.max(MIN_PACE_MS) as f64;
    // The first answer ended the time before it, so one answer less lies in between.
    (n_recent >= MIN_FOR_PACE).then(|| (n_left as f64 * recent_ms / (n_recent - 1) as f64) as i64)
}

fn told(row: &Row) -> Result<Told, AnnotateError> {
    Ok(Told {
        seq: row.int("seq")?,
        at: row.int("at")?,
        who: row.maybe_text("name")?,
        kind: row.text("kind")?,
        item: row.maybe_int("item")?,
        data: row.json("data")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_time_in_which_people_worked() {
        // 11 answers in 5 minutes are one in 30 seconds, so 100 take 3000 seconds, however new the project is.
        assert_eq!(eta_ms(100, 11, 300_000), Some(3_000_000));
        assert_eq!(eta_ms(100, 4, 300_000), None);
        assert_eq!(eta_ms(0, 0, 0), Some(0));
    }
}

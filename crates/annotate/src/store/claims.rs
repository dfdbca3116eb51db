//! Claims: who gets which item, for how long.
//!
//! A claim takes an open slot in one statement, and the slot is the claimant's until its lease ends. A lease that
//! ended makes the slot open again but leaves its last holder's name on it: until somebody else takes it, an answer
//! that comes late is still welcome.

use std::collections::{BTreeMap, BTreeSet};

use candor_data::{Side, random};

use super::database::{Connection, Dialect, values};
use super::people::{self, Person, Stage};
use super::tasks::{self, Held};
use super::{Rules, Store, pauses, training};
use crate::answer::Order;
use crate::error::{AnnotateError, Refusal};
use crate::project::Kind;
use crate::task::{NoTask, Task};
use crate::token;

/// The lease of what never returns to others: gold and training items are the person's own.
const FOREVER: i64 = i64::MAX / 4;

/// What a claim gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// A task.
    Task(Box<Task>),
    /// None.
    Nothing(NoTask),
}

/// What became of the leases that a page renewed: milliseconds left, and tasks that are somebody else's now.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Leases {
    /// Task to milliseconds left.
    pub leases: BTreeMap<String, i64>,
    /// Tasks that are lost.
    pub lost: Vec<String>,
}

impl Store {
    /// Gives a person a task: one that they have already and the page does not (`holding`), or a new one.
    ///
    /// # Errors
    /// As the database says.
    pub async fn claim(
        &self,
        person: String,
        holding: Vec<String>,
    ) -> Result<Claim, AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let sql = "UPDATE people SET n_claims = n_claims + 1 WHERE person = $1 RETURNING n_claims";
                // In PostgreSQL this row lock also makes one person's claims wait for each other.
                let n_claims = connection.int(sql, values![&person]).await?;
                let mut person = people::by_id(connection, &person).await?;
                let n_training = people::n_training(connection).await?;
                loop {
                    let stage = person.stage(n_training, rules.training.attempts);
                    match stage {
                        Stage::Guidelines => return Ok(Claim::Nothing(NoTask::Guidelines)),
                        Stage::FailedTraining => return Ok(Claim::Nothing(NoTask::FailedTraining)),
                        Stage::Training | Stage::Work => {}
                    }
                    let mine = tasks::unfinished(connection, &person, stage).await?;
                    let n_held = mine.iter().filter(|held| !held.again).count();
                    if let Some(held) = mine.into_iter().find(|held| !holding.contains(&held.assignment)) {
                        renew(connection, rules, &held).await?;
                        return task(connection, rules, &person, &held.assignment, true).await;
                    }
                    if n_held >= rules.protocol.hold as usize {
                        return Ok(Claim::Nothing(NoTask::EnoughHeld));
                    }
                    if pauses::since(connection).await?.is_some() {
                        return Ok(Claim::Nothing(NoTask::Paused));
                    }
                    let taken = match stage {
                        Stage::Training => take_training(connection, rules, &person).await?,
                        _ => take_work(connection, rules, &person, n_claims).await?,
                    };
                    if let Some(assignment) = taken {
                        return task(connection, rules, &person, &assignment, false).await;
                    }
                    if stage != Stage::Training {
                        return Ok(Claim::Nothing(NoTask::NoneLeft));
                    }
                    // What was still to be answered may have become impossible to show.
                    if n_held > 0 || !training::close(connection, rules, &person).await? {
                        return Ok(Claim::Nothing(NoTask::TrainingPending));
                    }
                    person = people::by_id(connection, &person.person).await?;
                }
            })
        })
        .await
    }

    /// Renews the leases of the tasks that a page holds, and starts the reading time of the one that it shows.
    ///
    /// # Errors
    /// As the database says.
    pub async fn heartbeat(
        &self,
        person: String,
        showing: Option<String>,
        holding: Vec<String>,
    ) -> Result<Leases, AnnotateError> {
        self.write(move |connection, rules| {
            Box::pin(async move {
                let mut leases = Leases::default();
                // In one order for all pages of a person, so that no two of them wait for each other's rows.
                let ordered: BTreeSet<&String> = showing.iter().chain(&holding).collect();
                for assignment in ordered {
                    let held = tasks::held(connection, &person, assignment).await?;
                    if let Some(held) = held.filter(Held::is_unfinished) {
                        let left = renew(connection, rules, &held).await?;
                        leases.leases.insert(assignment.clone(), left);
                    }
                }
                for assignment in showing.iter().chain(&holding) {
                    if !leases.leases.contains_key(assignment) && !leases.lost.contains(assignment)
                    {
                        leases.lost.push(assignment.clone());
                    }
                }
                if let Some(assignment) = showing {
                    let sql = "UPDATE slots SET shown_from = $1 \
                               WHERE assignment = $2 AND person = $3 AND shown_from IS NULL";
                    connection
                        .execute(sql, values![rules.lease_now(), assignment, person])
                        .await?;
                }
                Ok(leases)
            })
        })
        .await
    }
}

async fn task(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
    assignment: &str,
    held: bool,
) -> Result<Claim, AnnotateError> {
    let task = tasks::task(connection, rules, person, assignment, held).await?;
    Ok(Claim::Task(Box::new(task)))
}

/// Renews a lease and returns how long it is now. A lease that is longer anyway stays as it is.
async fn renew(
    connection: &mut Connection,
    rules: &Rules,
    held: &Held,
) -> Result<i64, AnnotateError> {
    let now = rules.lease_now();
    let until = (now + rules.lease_ms()).max(held.lease_until);
    let sql = "UPDATE slots SET state = 'leased', lease_from = $1, lease_until = $2 \
               WHERE assignment = $3 AND state IN ('leased', 'open')";
    connection
        .execute(sql, values![now, until, &held.assignment])
        .await?;
    // Gold never returns to others, and must not be told by its lease.
    Ok((until - now).min(rules.lease_ms()))
}

/// The next training item of this attempt.
async fn take_training(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
) -> Result<Option<String>, AnnotateError> {
    let sql = "SELECT item FROM items i WHERE kind = 'training' AND state = 'open' AND NOT EXISTS \
               (SELECT 1 FROM slots s WHERE s.item = i.item AND s.person = $1 AND s.attempt = $2) \
               ORDER BY rank, item LIMIT 1";
    let next = connection
        .row(sql, values![&person.person, person.attempt])
        .await?;
    match next {
        Some(row) => {
            let slot = (person.attempt << 32) + person.number;
            let item = row.int("item")?;
            take_own(connection, rules, person, item, slot, person.attempt)
                .await
                .map(Some)
        }
        None => Ok(None),
    }
}

/// Hidden gold where it is drawn, and work otherwise.
async fn take_work(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
    n_claims: i64,
) -> Result<Option<String>, AnnotateError> {
    let address = [person.number as u64, n_claims as u64];
    if random::uniform(rules.seed, "annotate.gold", &address) < rules.protocol.gold_rate {
        let sql = "SELECT item FROM items i WHERE kind = 'gold' AND state = 'open' AND NOT EXISTS \
                   (SELECT 1 FROM slots s WHERE s.item = i.item AND s.person = $1) ORDER BY rank, item LIMIT 1";
        if let Some(row) = connection.row(sql, values![&person.person]).await? {
            let item = row.int("item")?;
            return take_own(connection, rules, person, item, person.number, 0)
                .await
                .map(Some);
        }
    }
    let sql = match connection.dialect() {
        Dialect::Sqlite => EXPIRE_SQLITE,
        Dialect::Postgres => EXPIRE_POSTGRES,
    };
    connection.execute(sql, values![rules.lease_now()]).await?;
    take_open(connection, rules, person).await
}

/// Takes a gold or training item, which are everybody's own.
async fn take_own(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
    item: i64,
    slot: i64,
    attempt: i64,
) -> Result<String, AnnotateError> {
    let assignment = token::secret();
    let order = order(connection, rules, person, item).await?;
    let sql = "INSERT INTO slots (item, slot, attempt, rank, state, person, assignment, lease_from, lease_until, \
               claimed_at, shown_left, shown_order) VALUES ($1, $2, $3, 0, 'leased', $4, $5, $6, $7, $8, $9, $10)";
    let values = values![
        item,
        slot,
        attempt,
        &person.person,
        &assignment,
        rules.lease_now(),
        FOREVER,
        rules.unix_now(),
        order.left().index() as i64,
        tasks::kept(&order),
    ];
    connection.execute(sql, values).await?;
    Ok(assignment)
}

/// Opens the slots whose lease has ended.
const EXPIRE_SQLITE: &str =
    "UPDATE slots SET state = 'open' WHERE state = 'leased' AND lease_until <= $1";

/// The same, leaving those alone that somebody is just answering. Rows that are locked keep their `ctid`, and by it none
/// has to be looked for twice.
const EXPIRE_POSTGRES: &str = "\
UPDATE slots SET state = 'open' WHERE ctid = ANY (ARRAY(SELECT ctid FROM slots \
    WHERE state = 'leased' AND lease_until <= $1 FOR UPDATE SKIP LOCKED))";

/// The open slot to take: the first in rank of an item that this person has neither had nor skipped.
///
/// `CROSS JOIN` keeps SQLite from looking through all open items and sorting them: it walks the index of open slots in
/// its order and stops at the first that fits.
const TAKE_SQLITE: &str = "\
UPDATE slots SET state = 'leased', person = $1, assignment = $2, lease_from = $3, lease_until = $4, claimed_at = $5, \
    shown_from = NULL, draft = NULL, again = NULL, note = NULL \
WHERE (item, slot) = (SELECT s.item, s.slot FROM slots s CROSS JOIN items i ON i.item = s.item \
    WHERE s.state = 'open' AND i.state = 'open' AND i.kind = 'work' \
    AND NOT EXISTS (SELECT 1 FROM slots o WHERE o.item = s.item AND o.person = $1) \
    AND NOT EXISTS (SELECT 1 FROM skips k WHERE k.item = s.item AND k.person = $1) \
    ORDER BY s.rank, s.item, s.slot LIMIT 1) \
RETURNING item";

/// The same, passing over slots that another claim is about to take. Questions about one slot are scalar here, because
/// what PostgreSQL joins it may join in another order; and nothing may be sorted ([`WITHOUT_SORT`]).
const TAKE_POSTGRES: &str = "\
UPDATE slots SET state = 'leased', person = $1, assignment = $2, lease_from = $3, lease_until = $4, claimed_at = $5, \
    shown_from = NULL, draft = NULL, again = NULL, note = NULL \
WHERE (item, slot) = (SELECT s.item, s.slot FROM slots s WHERE s.state = 'open' \
    AND (SELECT i.state FROM items i WHERE i.item = s.item AND i.kind = 'work') = 'open' \
    AND (SELECT COUNT(*) FROM slots o WHERE o.item = s.item AND o.person = $1) = 0 \
    AND (SELECT COUNT(*) FROM skips k WHERE k.item = s.item AND k.person = $1) = 0 \
    ORDER BY s.rank, s.item, s.slot LIMIT 1 FOR UPDATE OF s SKIP LOCKED) \
RETURNING item";

/// What makes PostgreSQL walk the index of open slots in its order too, in this transaction.
const WITHOUT_SORT: &str = "SET LOCAL enable_sort = off";

async fn take_open(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
) -> Result<Option<String>, AnnotateError> {
    let assignment = token::secret();
    let now = rules.lease_now();
    let sql = match connection.dialect() {
        Dialect::Sqlite => TAKE_SQLITE,
        Dialect::Postgres => {
            connection.execute(WITHOUT_SORT, &[]).await?;
            TAKE_POSTGRES
        }
    };
    let values = values![
        &person.person,
        &assignment,
        now,
        now + rules.lease_ms(),
        rules.unix_now()
    ];
    let Some(row) = connection.row(sql, values).await? else {
        return Ok(None);
    };
    let order = order(connection, rules, person, row.int("item")?).await?;
    let sql = "UPDATE slots SET shown_left = $1, shown_order = $2 WHERE assignment = $3";
    let values = values![
        order.left().index() as i64,
        tasks::kept(&order),
        &assignment
    ];
    connection.execute(sql, values).await?;
    Ok(Some(assignment))
}

/// In which order this person sees the answers of an item.
async fn order(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
    item: i64,
) -> Result<Order, AnnotateError> {
    let sql = "SELECT outputs FROM items WHERE item = $1";
    let row = connection.row(sql, values![item]).await?;
    let outputs: Vec<String> = row.ok_or(Refusal::NotFound("item"))?.json("outputs")?;
    let address = [item as u64, person.number as u64];
    if outputs.len() > 2 {
        return Ok(Order::drawn(outputs.len(), rules.seed, &address));
    }
    let is_first = random::uniform(rules.seed, "annotate.side", &address) < 0.5;
    Ok(Order::pair(if is_first {
        Side::First
    } else {
        Side::Second
    }))
}

/// The kind of an item, as the database has it.
pub(super) fn kind(text: &str) -> Result<Kind, AnnotateError> {
    [Kind::Work, Kind::Gold, Kind::Training]
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| AnnotateError::Damaged {
            what: "kind",
            found: text.to_owned(),
        })
}

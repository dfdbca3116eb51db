//! Slots in somebody's hands, and the tasks that browsers see of them.

use candor_data::{Side, Turn, shown};

use super::claims::kind;
use super::database::{Connection, Row, json, values};
use super::people::{Person, Stage};
use super::{Rules, training};
use crate::answer::{Draft, Order};
use crate::error::{AnnotateError, Refusal};
use crate::project::Kind;
use crate::task::{Answers, Expected, ShownTurn, Task, TaskKind};

/// A slot that was given to a person.
pub(super) struct Held {
    pub item: i64,
    pub slot: i64,
    pub attempt: i64,
    pub assignment: String,
    pub state: String,
    pub kind: Kind,
    pub item_state: String,
    pub lease_until: i64,
    pub shown_from: Option<i64>,
    pub order: Order,
    /// Whether it came back: taken back by its author, or sent back by an adjudicator.
    pub again: bool,
    pub outputs: Vec<String>,
    pub expected: Option<Expected>,
    pub explanation: Option<String>,
}

const HELD_BY_ASSIGNMENT: &str = "\
SELECT s.item, s.slot, s.attempt, s.assignment, s.state, s.lease_until, s.shown_from, s.shown_left, s.shown_order, s.again, \
    i.kind, i.state AS item_state, i.outputs, i.expected, i.explanation \
FROM slots s JOIN items i ON i.item = s.item WHERE s.assignment = $1 AND s.person = $2";

const HELD_UNFINISHED: &str = "\
SELECT s.item, s.slot, s.attempt, s.assignment, s.state, s.lease_until, s.shown_from, s.shown_left, s.shown_order, s.again, \
    i.kind, i.state AS item_state, i.outputs, i.expected, i.explanation \
FROM slots s JOIN items i ON i.item = s.item WHERE s.person = $1 AND s.state IN ('leased', 'open') \
ORDER BY CASE WHEN s.again IS NULL THEN 1 ELSE 0 END, s.claimed_at, s.item";

impl Held {
    fn from_row(row: &Row) -> Result<Self, AnnotateError> {
        let outputs: Vec<String> = row.json("outputs")?;
        Ok(Self {
            item: row.int("item")?,
            slot: row.int("slot")?,
            attempt: row.int("attempt")?,
            assignment: row.text("assignment")?,
            state: row.text("state")?,
            kind: kind(&row.text("kind")?)?,
            item_state: row.text("item_state")?,
            lease_until: row.maybe_int("lease_until")?.unwrap_or_default(),
            shown_from: row.maybe_int("shown_from")?,
            order: order(row, outputs.len())?,
            again: row.maybe_text("again")?.is_some(),
            outputs,
            expected: row.maybe_json("expected")?,
            explanation: row.maybe_text("explanation")?,
        })
    }

    /// Whether an answer is still wanted.
    pub(super) fn is_unfinished(&self) -> bool {
        matches!(self.state.as_str(), "leased" | "open") && !self.is_settled()
    }

    /// Whether the item is beyond what annotators can change.
    pub(super) fn is_settled(&self) -> bool {
        matches!(
            self.item_state.as_str(),
            "decided" | "withdrawn" | "unshown"
        )
    }
}

/// The side that an integer of the database names.
pub(super) fn side(number: i64) -> Side {
    if number == 0 {
        Side::First
    } else {
        Side::Second
    }
}

/// In which order the `n` answers of a slot or of a judgement stand: sides are kept of two, the whole order of more, and an
/// answer that is rated stands alone.
pub(super) fn order(row: &Row, n: usize) -> Result<Order, AnnotateError> {
    if n < 2 {
        return Ok(Order::as_given(n));
    }
    if n == 2 {
        let left = row.maybe_int("shown_left")?.unwrap_or_default();
        return Ok(Order::pair(side(left)));
    }
    let order: Option<Order> = row.maybe_json("shown_order")?;
    match order {
        Some(order) if order.is_of(n) => Ok(order),
        other => Err(AnnotateError::Damaged {
            what: "shown_order",
            found: other.map_or_else(
                || format!("no order of {n} answers"),
                |order| format!("{} is no order of {n} answers", json(&order)),
            ),
        }),
    }
}

/// An order as the database has it: none of two answers, of which it has the side.
pub(super) fn kept(order: &Order) -> Option<String> {
    (order.outputs().len() > 2).then(|| json(order))
}

/// What a person holds under this name, if it is theirs.
pub(super) async fn held(
    connection: &mut Connection,
    person: &str,
    assignment: &str,
) -> Result<Option<Held>, AnnotateError> {
    let row = connection
        .row(HELD_BY_ASSIGNMENT, values![assignment, person])
        .await?;
    row.as_ref().map(Held::from_row).transpose()
}

/// What a person has in hand and still may answer at this stage; what came back first.
pub(super) async fn unfinished(
    connection: &mut Connection,
    person: &Person,
    stage: Stage,
) -> Result<Vec<Held>, AnnotateError> {
    let rows = connection
        .rows(HELD_UNFINISHED, values![&person.person])
        .await?;
    let mut all = rows
        .iter()
        .map(Held::from_row)
        .collect::<Result<Vec<_>, _>>()?;
    all.retain(|held| {
        let fits = match (stage, held.kind) {
            (Stage::Training, kind) => kind == Kind::Training && held.attempt == person.attempt,
            (_, kind) => kind != Kind::Training,
        };
        fits && held.is_unfinished()
    });
    Ok(all)
}

/// The task of an assignment, as its holder sees it.
pub(super) async fn task(
    connection: &mut Connection,
    rules: &Rules,
    person: &Person,
    assignment: &str,
    was_held: bool,
) -> Result<Task, AnnotateError> {
    let sql = "SELECT s.item, s.lease_until, s.shown_left, s.shown_order, s.draft, s.again, i.kind, i.image, i.turns, i.outputs \
               FROM slots s JOIN items i ON i.item = s.item WHERE s.assignment = $1";
    let row = connection
        .row(sql, values![assignment])
        .await?
        .ok_or(Refusal::NotFound("task"))?;
    let turns: Vec<Turn> = row.json("turns")?;
    let outputs: Vec<String> = row.json("outputs")?;
    let order = order(&row, outputs.len())?;
    let draft: Option<Draft> = row.maybe_json("draft")?;
    let n_images = shown::count(row.maybe_text("image")?.as_deref());
    let is_training = kind(&row.text("kind")?)? == Kind::Training;
    let lease_left = row.maybe_int("lease_until")?.unwrap_or_default() - rules.lease_now();
    Ok(Task {
        assignment: assignment.to_owned(),
        kind: if is_training {
            TaskKind::Training
        } else {
            TaskKind::Work
        },
        lease_ms: lease_left.min(rules.lease_ms()),
        held: was_held,
        image: (0..n_images)
            .map(|number| format!("/api/assignments/{assignment}/image/{number}"))
            .collect(),
        turns: ShownTurn::all(&turns, n_images),
        answers: Answers::of(&outputs, &order),
        draft: draft.map(|draft| draft.shown(&order)),
        returned: row
            .maybe_json("again")?
            .and_then(|again: Again| again.returned(&order)),
        training: if is_training {
            Some(training::progress(connection, rules, person).await?)
        } else {
            None
        },
    })
}

/// Why a slot came back.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Again {
    /// What the adjudicator says; none if the author took the answer back.
    pub note: Option<String>,
    /// What was answered before.
    pub answer: crate::answer::Answer,
}

impl Again {
    fn returned(self, order: &Order) -> Option<crate::task::Returned> {
        let note = self.note?;
        Some(crate::task::Returned {
            note,
            answer: self.answer.shown(order),
        })
    }
}

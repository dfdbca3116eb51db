//! Judgements go out. Only items of work do: gold and training never leave.
//!
//! What several people said becomes one preference by a rule that the caller names ([`Aggregate`]): none is taken for
//! granted, because it decides what is learned. An item is
//! exported once all its answers are there or somebody decided it, never half-way.

mod aggregate;
mod argilla;
mod label_studio;
mod rankings;
mod ratings;
mod segments;
mod sentences;

use std::path::Path;

use candor_data::formats::trl::unpaired;
use candor_data::formats::{preference, preference_log, trl};
use candor_data::{Comparison, Turn};
use serde::{Deserialize, Serialize};

pub use self::aggregate::Aggregate;
pub use self::rankings::RankedPairs;
use crate::error::{AnnotateError, Refusal};
use crate::store::{Evidence, Given, Store};

/// A format that judgements go out in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// candor's own: both questions, and who answered where one person did. `candor reward` reads it.
    PreferenceLog,
    /// LLaVA-Human-Preference.
    Llava,
    /// TRL's preference format, JSON lines.
    Trl,
    /// Corrected answers beside the false ones, with the false words, in the manner of RLHF-V.
    Segments,
    /// Marked answers up to the end of each sentence, with whether it is clean: rated answers, JSON lines.
    Sentences,
    /// Answers that were rated one by one, with what everybody said. `candor eval compare` reads it.
    Ratings,
    /// Label Studio's JSON: a task for each item, an annotation for each person.
    LabelStudio,
    /// Argilla's records: one for each item, with everybody's responses.
    Argilla,
    /// Everything that happened to items of work, JSON lines.
    Events,
}

impl Format {
    /// As requests and messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreferenceLog => "preference_log",
            Self::Llava => "llava",
            Self::Trl => "trl",
            Self::Segments => "segments",
            Self::Sentences => "sentences",
            Self::Ratings => "ratings",
            Self::LabelStudio => "label_studio",
            Self::Argilla => "argilla",
            Self::Events => "events",
        }
    }

    /// A name for the file.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::PreferenceLog => "preferences.log.jsonl",
            Self::Llava => "preferences.json",
            Self::Trl => "preferences.trl.jsonl",
            Self::Segments => "segments.jsonl",
            Self::Sentences => "sentences.jsonl",
            Self::Ratings => "ratings.jsonl",
            Self::LabelStudio => "label-studio.json",
            Self::Argilla => "argilla.json",
            Self::Events => "events.jsonl",
        }
    }
}

/// What an export came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file's text.
    pub text: String,
    /// Rows in it.
    pub n_rows: usize,
    /// Closed items that the rule leaves undecided, or ratings that wait for an adjudicator, which are left out.
    pub n_undecided: usize,
    /// What became of rankings, where answers were ranked and the format has a preference for each pair.
    pub ranked: Option<RankedPairs>,
    /// Closed items whose answers were ranked and for which the format has no place, which are left out.
    pub n_unfit: usize,
}

/// The text of an export. `seed` is the project's, for the record. A rule is needed by the formats that have one
/// preference for each item, and ignored by the others, which have what everybody said.
///
/// # Errors
/// [`AnnotateError::NothingToExport`] where the file would be empty, [`Refusal::Invalid`] where a rule is needed and there
/// is none, or as the database says.
pub async fn render(
    store: &Store,
    format: Format,
    aggregate: Option<Aggregate>,
    seed: u64,
) -> Result<Exported, AnnotateError> {
    if format == Format::Events {
        return events(store).await;
    }
    let evidence = store.evidence().await?;
    let ranked = evidence.ranked.iter().filter(|item| item.is_closed);
    let n_ranked = ranked.count();
    if format == Format::Segments {
        let rows = lines(segments::rows(&closed(&evidence)));
        return not_empty(format, rows, LeftOut::unfit(n_ranked));
    }
    if format == Format::Sentences {
        let left_out = LeftOut::unfit(n_ranked);
        let rows = sentences::rows(&closed(&evidence));
        if rows.is_empty() {
            return Err(nothing(format, left_out));
        }
        let text = unpaired::render(Path::new(format.file_name()), &rows)?;
        return not_empty(format, (text, rows.len()), left_out);
    }
    if format == Format::LabelStudio {
        let tasks = list(label_studio::tasks(&evidence.items));
        return not_empty(format, tasks, LeftOut::unfit(n_ranked));
    }
    if format == Format::Argilla {
        let compared = argilla::records(&evidence.items);
        let ranked = argilla::ranked_records(&evidence.ranked);
        let records = list(compared.into_iter().chain(ranked).collect());
        return not_empty(format, records, LeftOut::default());
    }
    if format == Format::Ratings {
        let rows = ratings::rows(&evidence.rated);
        let n_disputed = evidence.rated.iter().filter(|item| item.is_disputed);
        let left_out = LeftOut {
            n_undecided: n_disputed.count(),
            n_unfit: n_ranked,
        };
        if rows.is_empty() {
            return Err(nothing(format, left_out));
        }
        let text = candor_data::formats::ratings::render(Path::new(format.file_name()), &rows)?;
        return not_empty(format, (text, rows.len()), left_out);
    }
    let Some(aggregate) = aggregate else {
        let remedy = "name one of majority, adjudicated, weighted";
        return Err(Refusal::invalid("aggregate", "is missing", remedy).into());
    };
    let mut decided = aggregate::preferences(&evidence, aggregate, seed);
    let n_undecided = n_closed(&evidence) - decided.len();
    let (pairs, ranked) = rankings::preferences(&evidence, aggregate, seed);
    let n_undecided = n_undecided + ranked.n_undecided_items;
    decided.extend(pairs);
    if decided.is_empty() {
        let left_out = LeftOut {
            n_undecided,
            n_unfit: 0,
        };
        return Err(nothing(format, left_out));
    }
    let path = Path::new(format.file_name());
    let text = match format {
        Format::PreferenceLog => preference_log::render(path, &decided)?,
        Format::Llava => preference::render(path, &decided)?,
        _ => {
            let compared = decided.iter().cloned().map(Comparison::from);
            lines(compared.filter_map(|row| trl::row(&row))).0
        }
    };
    Ok(Exported {
        text,
        n_rows: decided.len(),
        n_undecided,
        ranked: (ranked.n_items > 0).then_some(ranked),
        n_unfit: 0,
    })
}

/// A closed item with one answer or two, and what everybody said of them.
struct Closed<'a> {
    name: &'a str,
    image: Option<&'a str>,
    turns: &'a [Turn],
    outputs: &'a [String],
    given: Vec<&'a Given>,
}

/// The closed items: those of which two answers are compared, then those of which one is rated.
fn closed(evidence: &Evidence) -> Vec<Closed<'_>> {
    let compared = evidence.items.iter().filter(|item| item.is_closed);
    let compared = compared.map(|item| Closed {
        name: &item.name,
        image: item.image.as_deref(),
        turns: &item.turns,
        outputs: &item.outputs,
        given: item.answers.iter().chain(&item.decision).collect(),
    });
    let rated = evidence.rated.iter().filter(|item| item.is_closed);
    let rated = rated.map(|item| Closed {
        name: &item.name,
        image: item.image.as_deref(),
        turns: &item.turns,
        outputs: std::slice::from_ref(&item.output),
        given: item.answers.iter().chain(&item.decision).collect(),
    });
    compared.chain(rated).collect()
}

fn n_closed(evidence: &Evidence) -> usize {
    evidence.items.iter().filter(|item| item.is_closed).count()
}

/// JSON lines, and how many.
fn lines<T: Serialize>(rows: impl IntoIterator<Item = T>) -> (String, usize) {
    let mut text = String::new();
    let mut n = 0;
    for row in rows {
        text.push_str(&serde_json::to_string(&row).expect("rows have string keys only"));
        text.push('\n');
        n += 1;
    }
    (text, n)
}

/// A JSON list, and how many are in it.
fn list(rows: Vec<serde_json::Value>) -> (String, usize) {
    let n = rows.len();
    (serde_json::Value::Array(rows).to_string() + "\n", n)
}

/// Closed items that have no row.
#[derive(Clone, Copy, Default)]
struct LeftOut {
    n_undecided: usize,
    n_unfit: usize,
}

impl LeftOut {
    /// Of a format that has no place for items whose answers were ranked, and asks no rule.
    fn unfit(n_ranked: usize) -> Self {
        Self {
            n_undecided: 0,
            n_unfit: n_ranked,
        }
    }
}

fn not_empty(
    format: Format,
    (text, n_rows): (String, usize),
    left_out: LeftOut,
) -> Result<Exported, AnnotateError> {
    if n_rows == 0 {
        return Err(nothing(format, left_out));
    }
    Ok(Exported {
        text,
        n_rows,
        n_undecided: left_out.n_undecided,
        ranked: None,
        n_unfit: left_out.n_unfit,
    })
}

fn nothing(format: Format, left_out: LeftOut) -> AnnotateError {
    let LeftOut {
        n_undecided,
        n_unfit,
    } = left_out;
    let (found, remedy) = if n_unfit > 0 && n_undecided == 0 {
        (
            format!(
                "no row, and {n_unfit} items whose answers were ranked, for which it has no place"
            ),
            "export argilla, or preference_log",
        )
    } else {
        (
            format!("no row, and {n_undecided} items that the rule leaves undecided"),
            "wait for more answers, decide what waits for adjudication, or choose another rule",
        )
    };
    AnnotateError::NothingToExport {
        format: format.name(),
        found,
        remedy,
    }
}

/// The event log, less what happened to gold and training items.
async fn events(store: &Store) -> Result<Exported, AnnotateError> {
    let mut text = String::new();
    let mut n_rows = 0;
    let mut after = 0;
    loop {
        let batch = store.work_events(after).await?;
        let Some(last) = batch.last() else {
            break;
        };
        after = last.seq;
        let (more, n) = lines(&batch);
        text.push_str(&more);
        n_rows += n;
    }
    not_empty(Format::Events, (text, n_rows), LeftOut::default())
}

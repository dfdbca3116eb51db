//! Which format a file of comparisons has, told by its content, and its rows whatever the format.
//!
//! A format is told by fields that each of its rows has: those of the first row of a JSON list or of JSON lines, or the
//! columns of a parquet file. The name of the file says nothing. Where several formats fit, or none, nothing is guessed.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use crate::comparison::Comparison;
use crate::error::{DataError, Place, Spot};
use crate::file_kind::FileKind;
use crate::formats::images::Embedded;
use crate::formats::reward_bench::{multimodal, vl};
use crate::formats::text::{self, Format, empty};
use crate::formats::{candidates, parquet, preference, preference_log, trl};

/// A file of comparisons of a format that is yet to be told.
const ANY: Format = Format {
    name: "Comparisons",
    expected: "comparisons of two answers",
};

/// Fields that are named in messages, at most.
const SHOWN: usize = 12;

/// A format of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComparisonFormat {
    /// What `candor sample` writes: nobody has compared the answers yet.
    Candidates,
    /// LLaVA-Human-Preference, and pairs in its manner that are not judged.
    Llava,
    /// TRL's preferences and their like: JSON lines, a JSON list or parquet.
    Trl,
    /// candor's own log.
    PreferenceLog,
    /// VL-RewardBench: JSON lines, a JSON list or parquet.
    VlRewardBench,
    /// Multimodal RewardBench.
    MultimodalRewardBench,
}

impl ComparisonFormat {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Candidates,
        Self::Llava,
        Self::Trl,
        Self::PreferenceLog,
        Self::VlRewardBench,
        Self::MultimodalRewardBench,
    ];

    /// Those that say which answer is better.
    pub const JUDGED: [Self; 5] = [
        Self::Llava,
        Self::Trl,
        Self::PreferenceLog,
        Self::VlRewardBench,
        Self::MultimodalRewardBench,
    ];

    /// Its name in recipes, project files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidates => "candidates",
            Self::Llava => "llava",
            Self::Trl => "trl",
            Self::PreferenceLog => "preference_log",
            Self::VlRewardBench => "vl_reward_bench",
            Self::MultimodalRewardBench => "multimodal_reward_bench",
        }
    }

    /// Sets of fields of which each row has one.
    fn marks(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Candidates => &[&["outputs", "sampling"]],
            Self::Llava => &[&["output_1", "output_2"]],
            // TRL and RLAIF-V; SENTINEL; RLHF-V.
            Self::Trl => &[
                &["chosen", "rejected"],
                &["y_win", "y_lose"],
                &["ds_name", "text"],
            ],
            Self::PreferenceLog => &[&["outputs", "fewer_hallucinations"]],
            Self::VlRewardBench => &[&["response", "human_ranking"]],
            Self::MultimodalRewardBench => &[&["Output1", "Output2"]],
        }
    }

    fn layout(self) -> &'static Format {
        match self {
            Self::Candidates => &candidates::FORMAT,
            Self::Llava => &preference::FORMAT,
            Self::Trl => &trl::FORMAT,
            Self::PreferenceLog => &preference_log::FORMAT,
            Self::VlRewardBench => &vl::FORMAT,
            Self::MultimodalRewardBench => &multimodal::FORMAT,
        }
    }

    /// The format of a file.
    ///
    /// # Errors
    /// The file cannot be read, or just one format does not fit it; then the formats are listed.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        if FileKind::at(path) == Some(FileKind::Parquet) {
            return told(path, "columns are", &parquet::columns(path)?);
        }
        told(path, "first row has", &first_row(path)?)
    }

    /// Hands out the rows of a file of this format. Those of the sets of the hub are handed out as they are read, so that the file
    /// need not fit into the memory; the rows of the other formats, which people or candor wrote, are read before the first of them is.
    /// `embedded` is as in [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`], or the first of `take`.
    pub fn each(
        self,
        path: &Path,
        embedded: Embedded<'_>,
        take: impl FnMut(Comparison) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        match self {
            Self::Trl => trl::each(path, embedded, take),
            Self::VlRewardBench => vl::each(path, embedded, take),
            _ => self.read(path, embedded)?.into_iter().try_for_each(take),
        }
    }

    /// Reads a file of this format. `embedded` is what becomes of an image that is inside the file.
    ///
    /// # Errors
    /// The file cannot be read, a row is damaged, or as `embedded` says.
    pub fn read(self, path: &Path, embedded: Embedded<'_>) -> Result<Vec<Comparison>, DataError> {
        let text = || text::read(path, self.layout());
        match self {
            Self::Candidates => {
                let rows = candidates::parse(path, &text()?)?;
                Ok(rows.into_iter().map(Comparison::from).collect())
            }
            Self::Llava => preference::comparisons(path, &text()?),
            Self::Trl => trl::read(path, embedded),
            Self::PreferenceLog => {
                let rows = preference_log::parse(path, &text()?)?;
                Ok(rows.into_iter().map(Comparison::from).collect())
            }
            Self::VlRewardBench => vl::read(path, embedded),
            Self::MultimodalRewardBench => multimodal::read(path),
        }
    }
}

/// The fields of the first row of JSON lines or a JSON list, of which no more is read than that row.
fn first_row(path: &Path) -> Result<BTreeSet<String>, DataError> {
    let unread = |source| text::unread(path, source);
    let mut file = BufReader::new(text::open(path, &ANY)?);
    if file
        .fill_buf()
        .map_err(unread)?
        .starts_with(b"\xEF\xBB\xBF")
    {
        file.consume(3);
    }
    let mut begins = after_blanks(&mut file).map_err(unread)?;
    let is_list = begins == Some(b'[');
    if is_list {
        file.consume(1);
        begins = after_blanks(&mut file).map_err(unread)?;
    }
    if begins == is_list.then_some(b']') {
        return Err(empty(path, Place::File, "", &ANY));
    }
    let rows = serde_json::Deserializer::from_reader(file);
    match rows.into_iter::<Map<String, Value>>().next() {
        Some(Ok(row)) => Ok(row.into_iter().map(|(field, _)| field).collect()),
        Some(Err(error)) => {
            if let Some(no_text) = text::first_not_utf8(path) {
                return Err(no_text);
            }
            let error = error.to_string();
            // The position is one behind the bracket of the list, and the first row is where it is.
            let reason = error.split(" at line ").next().unwrap_or_default();
            Err(untold(
                path,
                &format!("its first row is no JSON object: {reason}"),
            ))
        }
        None => Err(untold(path, "it breaks off before the first row")),
    }
}

/// The first byte that is no blank, which is left to be read; none at the end of the file.
fn after_blanks(file: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let piece = file.fill_buf()?;
        let n_blanks = piece
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        if let Some(&byte) = piece.get(n_blanks) {
            file.consume(n_blanks);
            return Ok(Some(byte));
        }
        if n_blanks == 0 {
            return Ok(None);
        }
        file.consume(n_blanks);
    }
}

/// The only format that fits these fields.
fn told(path: &Path, of: &str, fields: &BTreeSet<String>) -> Result<ComparisonFormat, DataError> {
    let has = |marks: &&[&str]| marks.iter().all(|&mark| fields.contains(mark));
    let fits = |format: &ComparisonFormat| format.marks().iter().any(has);
    let fitting: Vec<ComparisonFormat> = ComparisonFormat::ALL.into_iter().filter(fits).collect();
    let listed = listed(fields);
    match fitting[..] {
        [format] => Ok(format),
        [] => {
            let mut error = untold(path, &format!("its {of} {listed}"));
            let are_rated = ["completion", "label"]
                .iter()
                .all(|&field| fields.contains(field));
            let are_sets = ["conversations", "outputs"]
                .iter()
                .all(|&field| fields.contains(field));
            if let (DataError::Field { remedy, .. }, true) = (&mut error, are_sets) {
                *remedy = "outputs that nothing is said of may be answer sets, which people rank: candor annotate new --rank"
                    .into();
            }
            if let (DataError::Field { remedy, .. }, true) = (&mut error, are_rated) {
                *remedy = "answers by themselves with labels are for KTO: name the file in data.rated of a recipe of candor dpo"
                    .into();
            }
            Err(error)
        }
        _ => {
            let names: Vec<&str> = fitting.iter().map(|format| format.name()).collect();
            let names = names.join(" and ");
            Err(untold(
                path,
                &format!("its {of} {listed}, which fits {names}"),
            ))
        }
    }
}

fn listed(fields: &BTreeSet<String>) -> String {
    let shown: Vec<String> = fields
        .iter()
        .take(SHOWN)
        .map(|f| format!("`{f}`"))
        .collect();
    let more = if fields.len() > SHOWN {
        " and more"
    } else {
        ""
    };
    match shown.len() {
        0 => "no fields".into(),
        _ => shown.join(", ") + more,
    }
}

fn untold(path: &Path, found: &str) -> DataError {
    let alternative = |marks: &&[&str]| format!("`{}`", marks.join("` and `"));
    let format = |format: ComparisonFormat| {
        let marks: Vec<String> = format.marks().iter().map(alternative).collect();
        format!("{} ({})", format.name(), marks.join(", or "))
    };
    let formats: Vec<String> = ComparisonFormat::ALL.map(format).into();
    DataError::Field {
        spot: Spot::new(path, Place::File, ""),
        found: format!(
            "the format of the comparisons cannot be told: {found}; the formats and the fields they are told by are {}",
            formats.join(", ")
        ),
        remedy: "give a file of one of them, or name its format (docs/formats.md, \"Comparisons\")"
            .into(),
    }
}

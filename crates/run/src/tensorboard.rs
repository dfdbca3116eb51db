//! Event files that TensorBoard opens.
//!
//! A file is a sequence of TFRecords (length, masked CRC-32C of the length, payload, masked CRC-32C of the
//! payload), each holding a protobuf `Event`.
//!
//! Every start of a run writes a file of its own; TensorBoard reads the files of a folder in name order as
//! one run. A resumed run's file begins with a `SessionLog START` at its first step, upon which TensorBoard
//! drops what earlier files say about that step and later ones: steps lost by a kill do not show twice.
//! Checked with TensorBoard 2.21, both its `EventAccumulator` and its scalars page.
//!
//! Values are f32 here, as TensorBoard has them; `metrics.jsonl` is the exact record.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::durable;
use crate::error::RunError;

const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".candor";

/// Writes the event file of one start of a run.
#[derive(Debug)]
pub(crate) struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Creates a new event file in `dir`, named to sort after those already there.
    ///
    /// `resumed_at` is the first step this file will hold, for a resumed run.
    ///
    /// # Errors
    /// The file cannot be created or written.
    pub(crate) fn create(dir: &Path, resumed_at: Option<u64>) -> Result<Self, RunError> {
        let path = next_path(dir)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(RunError::io("create", &path))?;
        let mut writer = Self { path, file };
        writer.append(&version_event(now_secs()))?;
        if let Some(step) = resumed_at {
            writer.append(&session_start_event(now_secs(), step))?;
        }
        Ok(writer)
    }

    /// Records the values of one step, each under its tag (`/` in a tag makes a group).
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn scalars(&mut self, step: u64, values: &[(String, f64)]) -> Result<(), RunError> {
        self.append(&scalar_event(now_secs(), step, values))
    }

    fn append(&mut self, event: &Event) -> Result<(), RunError> {
        self.file
            .write_all(&record(event))
            .map_err(RunError::io("write", &self.path))
    }
}

/// The file name after all present ones, even if the clock went back: seconds, then a counter.
fn next_path(dir: &Path) -> Result<PathBuf, RunError> {
    let mut next = (now_secs() as u64, 0_u64);
    for path in durable::entries(dir)? {
        if let Some((secs, n)) = path
            .file_name()
            .and_then(|n| n.to_str())
            .and_then(parse_name)
        {
            next = next.max((secs, n + 1));
        }
    }
    Ok(dir.join(format!("{PREFIX}{:010}.{:04}{SUFFIX}", next.0, next.1)))
}

/// Whether a file of this name is one that [`EventWriter`] has written.
pub(crate) fn is_event_file(name: &str) -> bool {
    parse_name(name).is_some()
}

fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (secs, n) = name
        .strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)?
        .split_once('.')?;
    Some((secs.parse().ok()?, n.parse().ok()?))
}

fn now_secs() -> f64 {
    // A clock before 1970 is as good as none; the steps still order the values.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// TFRecord framing.
fn record(event: &Event) -> Vec<u8> {
    let payload = event.encode_to_vec();
    let length = (payload.len() as u64).to_le_bytes();
    let mut bytes = Vec::with_capacity(payload.len() + 16);
    bytes.extend(length);
    bytes.extend(masked_crc(&length).to_le_bytes());
    bytes.extend(&payload);
    bytes.extend(masked_crc(&payload).to_le_bytes());
    bytes
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

fn version_event(wall_time: f64) -> Event {
    Event {
        wall_time,
        file_version: Some("brain.Event:2".to_owned()),
        ..Event::default()
    }
}

fn session_start_event(wall_time: f64, step: u64) -> Event {
    const START: i32 = 1;
    Event {
        wall_time,
        step: step as i64,
        session_log: Some(SessionLog { status: START }),
        ..Event::default()
    }
}

fn scalar_event(wall_time: f64, step: u64, values: &[(String, f64)]) -> Event {
    let value = |(tag, value): &(String, f64)| SummaryValue {
        tag: tag.clone(),
        simple_value: Some(*value as f32),
    };
    Event {
        wall_time,
        step: step as i64,
        summary: Some(Summary {
            value: values.iter().map(value).collect(),
        }),
        ..Event::default()
    }
}

// The fields of TensorBoard's event.proto and summary.proto that scalars need.

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records written by TensorBoard 2.21's own protobuf classes and checksum, at wall time 1.5.
    const SCALARS: &str = "31000000000000009d8383e909000000000000f83f10ac022a230a0b0a046c6f7373150000803e\
                           0a140a0d6576616c2f6163637572616379150000003f3a080754";
    const VERSION: &str =
        "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c";
    const START: &str = "0f000000000000006d532b0909000000000000f83f10153a020801768d7cfc";

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    }

    #[test]
    fn records_are_those_tensorboard_writes() {
        let values = [("loss".to_owned(), 0.25), ("eval/accuracy".to_owned(), 0.5)];
        assert_eq!(hex(&record(&scalar_event(1.5, 300, &values))), SCALARS);
        assert_eq!(hex(&record(&version_event(1.5))), VERSION);
        assert_eq!(hex(&record(&session_start_event(1.5, 21))), START);
    }

    #[test]
    fn each_start_sorts_after_the_ones_before_even_if_the_clock_went_back() {
        let dir = tempfile::tempdir().unwrap();
        let future = dir
            .path()
            .join("events.out.tfevents.9999999999.0004.candor");
        std::fs::write(&future, "").unwrap();
        let first = EventWriter::create(dir.path(), None).unwrap().path;
        let second = EventWriter::create(dir.path(), Some(3)).unwrap().path;
        assert_eq!(
            first.file_name().unwrap(),
            "events.out.tfevents.9999999999.0005.candor"
        );
        assert!(future < first && first < second);
    }
}

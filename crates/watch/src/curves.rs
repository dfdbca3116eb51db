//! A file of JSON lines as columns of numbers, kept up to date while the file grows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// More than this is not read at once; the rest comes with the next look.
const MAX_BYTES: u64 = 64 << 20;

/// The numbers of a file, by field, a place for each line; fields of fields are called `outer/inner`.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Curves {
    /// Bytes that were read, whole lines.
    offset: u64,
    /// The last of them, with its end.
    last_line: Vec<u8>,
    /// Lines that are no JSON object.
    n_damaged: usize,
    /// The field `step` of each line, or the number after that of the line before where it has none; ascending.
    steps: Vec<u64>,
    columns: BTreeMap<String, Vec<Option<f64>>>,
}

impl Curves {
    /// Reads what was added to the file since the last look; all of it where it became shorter, or was cut and has grown beyond
    /// that again, so that another line stands in the place of the last one.
    pub(crate) fn follow(&mut self, path: &Path) {
        let Ok(mut file) = File::open(path) else {
            *self = Self::default();
            return;
        };
        let length = file.metadata().map_or(0, |about| about.len());
        if length < self.offset {
            *self = Self::default();
        }
        let mut bytes = Vec::new();
        let n_known = self.last_line.len();
        let read = file
            .seek(SeekFrom::Start(self.offset - n_known as u64))
            .and_then(|_| {
                let most = MAX_BYTES + n_known as u64;
                file.take(most).read_to_end(&mut bytes)
            });
        if read.is_err() {
            return;
        }
        if !bytes.starts_with(&self.last_line) {
            *self = Self::default();
            self.follow(path);
            return;
        }
        bytes.drain(..n_known);
        // A last line without its end is still being written.
        let whole = bytes
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |end| end + 1);
        self.offset += whole as u64;
        if let Some(line) = bytes[..whole].split_inclusive(|&b| b == b'\n').next_back() {
            self.last_line = line.to_vec();
        }
        for line in bytes[..whole].split(|&b| b == b'\n') {
            if !line.is_empty() {
                self.learn(line);
            }
        }
    }

    fn learn(&mut self, line: &[u8]) {
        let Ok(Value::Object(fields)) = serde_json::from_slice(line) else {
            self.n_damaged += 1;
            return;
        };
        let step = fields.get("step").and_then(Value::as_u64);
        let next = || self.last_step().map_or(1, |last| last.saturating_add(1));
        let step = step.unwrap_or_else(next);
        // A step that was done again after a kill stands twice in `timings.jsonl`: the later one counts, and what followed the
        // earlier one is done again too.
        let row = self.steps.partition_point(|&earlier| earlier < step);
        self.steps.truncate(row);
        for column in self.columns.values_mut() {
            column.truncate(row);
        }
        self.steps.push(step);
        for (name, value) in &fields {
            if name != "step" {
                self.put(row, name, value);
            }
        }
        for column in self.columns.values_mut() {
            column.resize(row + 1, None);
        }
    }

    fn put(&mut self, row: usize, name: &str, value: &Value) {
        if let Value::Object(inner) = value {
            for (below, value) in inner {
                self.put(row, &format!("{name}/{below}"), value);
            }
            return;
        }
        if value.is_number() || value.is_null() {
            let column = self.columns.entry(name.to_owned()).or_default();
            column.resize(row, None);
            column.push(value.as_f64());
        }
    }

    /// The lines from a step on: each step with its numbers by field, without those that are null.
    pub(crate) fn rows(
        &self,
        from: u64,
    ) -> impl Iterator<Item = (u64, impl Iterator<Item = (&str, f64)>)> {
        let first = self.steps.partition_point(|&step| step < from);
        (first..self.steps.len()).map(move |row| {
            let fields = self.columns.iter();
            let numbers =
                fields.filter_map(move |(name, column)| Some((name.as_str(), column[row]?)));
            (self.steps[row], numbers)
        })
    }

    /// The newest step.
    pub(crate) fn last_step(&self) -> Option<u64> {
        self.steps.last().copied()
    }

    /// Lines that could not be read.
    pub(crate) fn n_damaged(&self) -> usize {
        self.n_damaged
    }

    /// Whether some line has the field.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.columns.contains_key(field)
    }

    /// The numbers of a field in the order of the lines, without those that are null.
    pub(crate) fn numbers(&self, field: &str) -> Vec<f64> {
        let column = self.columns.get(field);
        column.map_or_else(Vec::new, |column| {
            column.iter().flatten().copied().collect()
        })
    }

    /// The newest number of a field.
    pub(crate) fn last(&self, field: &str) -> Option<f64> {
        self.columns
            .get(field)?
            .iter()
            .rev()
            .flatten()
            .next()
            .copied()
    }

    /// The newest numbers of all fields that begin with `prefix`, by what follows it.
    pub(crate) fn last_below(&self, prefix: &str) -> BTreeMap<String, f64> {
        let below = self.columns.keys().filter_map(|name| {
            let short = name.strip_prefix(prefix)?;
            Some((short.to_owned(), self.last(name)?))
        });
        below.collect()
    }

    /// The columns at no more than `n` points: where there are more lines, each point is the mean of a stretch of them, at its last
    /// step.
    pub(crate) fn thinned(&self, n: usize) -> (Vec<u64>, BTreeMap<&str, Vec<Option<f64>>>) {
        let stretch = self.steps.len().div_ceil(n.max(1)).max(1);
        let steps = self
            .steps
            .chunks(stretch)
            .filter_map(|chunk| chunk.last().copied());
        let mean = |chunk: &[Option<f64>]| {
            let numbers: Vec<f64> = chunk.iter().flatten().copied().collect();
            (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
        };
        let columns = self.columns.iter().map(|(name, column)| {
            let points = column.chunks(stretch).map(mean);
            (name.as_str(), points.collect())
        });
        (steps.collect(), columns.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_file_that_grows_is_read_on_and_one_that_was_cut_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut curves = Curves::default();
        curves.follow(&path);
        assert_eq!(curves, Curves::default());
        let first = "{\"step\":1,\"loss\":2.0}\n";
        write(&path, &format!("{first}{{\"step\":2,\"lo"));
        curves.follow(&path);
        assert_eq!(
            (curves.last_step(), curves.last("loss")),
            (Some(1), Some(2.0))
        );
        let second = "{\"step\":2,\"loss\":1.5,\"rewards\":{\"model\":0.5,\"length\":null}}\n";
        write(&path, &format!("{first}{second}"));
        curves.follow(&path);
        assert_eq!(
            (curves.last_step(), curves.last("loss")),
            (Some(2), Some(1.5))
        );
        assert_eq!(curves.columns["rewards/model"], [None, Some(0.5)]);
        assert_eq!(curves.columns["rewards/length"], [None, None]);
        assert_eq!(curves.numbers("rewards/model"), [0.5]);
        write(&path, "{\"step\":1,\"loss\":7.0}\n");
        curves.follow(&path);
        assert_eq!(
            (curves.last_step(), curves.last("loss")),
            (Some(1), Some(7.0))
        );
        assert!(!curves.has("rewards/model"));
    }

    /// A run that was resumed from step 1 has done more steps by the next look than it had before, and on a GPU with other numbers.
    #[test]
    fn a_file_that_was_cut_and_has_grown_again_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let first = "{\"step\":1,\"loss\":4}\n";
        write(
            &path,
            &format!("{first}{{\"step\":2,\"loss\":3}}\n{{\"step\":3,\"loss\":2}}\n"),
        );
        let mut curves = Curves::default();
        curves.follow(&path);
        assert_eq!(curves.numbers("loss"), [4.0, 3.0, 2.0]);
        let again =
            "{\"step\":2,\"loss\":3.25}\n{\"step\":3,\"loss\":2.5}\n{\"step\":4,\"loss\":1}\n";
        write(&path, &format!("{first}{again}"));
        curves.follow(&path);
        assert_eq!(curves.numbers("loss"), [4.0, 3.25, 2.5, 1.0]);
        assert_eq!((curves.last_step(), curves.n_damaged()), (Some(4), 0));
    }

    #[test]
    fn what_is_no_object_is_counted_and_a_field_that_comes_late_keeps_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        write(
            &path,
            "rubbish\n[1]\n{\"step\":1}\n\n{\"step\":2,\"late\":3}\n",
        );
        let mut curves = Curves::default();
        curves.follow(&path);
        assert_eq!(curves.n_damaged(), 2);
        assert_eq!(curves.steps, [1, 2]);
        assert_eq!(curves.columns["late"], [None, Some(3.0)]);
    }

    #[test]
    fn of_steps_that_were_done_again_the_later_ones_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timings.jsonl");
        let first = "{\"step\":1,\"secs\":10}\n{\"step\":2,\"secs\":20}\n{\"step\":3,\"secs\":30,\"wait_secs\":5}\n";
        write(&path, first);
        let mut curves = Curves::default();
        curves.follow(&path);
        assert_eq!(curves.numbers("secs"), [10.0, 20.0, 30.0]);
        write(&path, &format!("{first}{{\"step\":2,\"secs\":40}}\n"));
        curves.follow(&path);
        assert_eq!(curves.steps, [1, 2]);
        assert_eq!(curves.columns["secs"], [Some(10.0), Some(40.0)]);
        assert_eq!(curves.columns["wait_secs"], [None, None]);
        let nameless = "{\"secs\":1}\n{\"secs\":2}\n";
        write(&path, nameless);
        curves.follow(&path);
        assert_eq!(curves.steps, [1, 2]);
        assert_eq!(curves.numbers("secs"), [1.0, 2.0]);
    }

    #[test]
    fn thinning_means_over_stretches() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        write(
            &path,
            "{\"step\":1,\"a\":1}\n{\"step\":2,\"a\":3}\n{\"step\":3,\"a\":null}\n{\"step\":4,\"a\":5}\n{\"step\":5,\"a\":null}\n",
        );
        let mut curves = Curves::default();
        curves.follow(&path);
        let (steps, columns) = curves.thinned(3);
        assert_eq!(steps, [2, 4, 5]);
        assert_eq!(columns["a"], [Some(2.0), Some(5.0), None]);
        assert_eq!(curves.thinned(10).0, [1, 2, 3, 4, 5]);
    }
}

//! Samples that a run wrote: `samples/step-N.jsonl`.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde_json::{Map, Value};

/// Samples that are shown of a step.
const MAX_SHOWN: usize = 24;
/// Longer lines and files are not read to their end.
const MAX_BYTES: u64 = 16 << 20;
/// What is shown of a sample; tokens with their figures are not.
const FIELDS: [&str; 11] = [
    "id",
    "image",
    "query",
    "response",
    "finished",
    "facts",
    "score",
    "correctness",
    "length_penalty",
    "symbolic_reward",
    "reward_sum",
];

/// The steps whose samples are there, in their order.
pub(crate) fn steps(run: &Path) -> Vec<u64> {
    let entries = fs::read_dir(run.join("samples"));
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let number = |name: std::ffi::OsString| {
        name.to_str()?
            .strip_prefix("step-")?
            .strip_suffix(".jsonl")?
            .parse()
            .ok()
    };
    let mut steps: Vec<u64> = names.filter_map(number).collect();
    steps.sort_unstable();
    steps
}

/// Samples of a step, what is shown of them.
pub(crate) fn of_step(run: &Path, step: u64) -> Vec<Map<String, Value>> {
    let Ok(file) = File::open(run.join("samples").join(format!("step-{step}.jsonl"))) else {
        return Vec::new();
    };
    let lines = BufReader::new(file.take(MAX_BYTES))
        .lines()
        .map_while(Result::ok);
    let rows = lines.filter_map(|line| serde_json::from_str::<Map<String, Value>>(&line).ok());
    let shown = rows.map(|mut row| {
        row.retain(|name, _| FIELDS.contains(&name.as_str()));
        row
    });
    shown.take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_in_order_and_damaged_lines_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(steps(dir.path()), Vec::<u64>::new());
        let samples = dir.path().join("samples");
        fs::create_dir(&samples).unwrap();
        for name in ["step-10.jsonl", "step-9.jsonl", "step-x.jsonl", "other"] {
            fs::write(samples.join(name), "").unwrap();
        }
        assert_eq!(steps(dir.path()), [9, 10]);
        fs::write(
            samples.join("step-9.jsonl"),
            "{\"id\":\"a\",\"tokens\":[1]}\nrubb",
        )
        .unwrap();
        let rows = of_step(dir.path(), 9);
        assert_eq!(serde_json::to_string(&rows).unwrap(), "[{\"id\":\"a\"}]");
        assert!(of_step(dir.path(), 3).is_empty());
    }
}

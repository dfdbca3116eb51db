//! Runs as those of an MLflow server, by its REST API. Training knows nothing of it: what is sent is read in the run folders.
//!
//! A run is known again on the server by its tag `candor_run`, a hash of its recipe and of its first line of metrics. So nothing
//! is kept here, and who sends a run a second time goes on behind the last step that the server has.

mod api;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use candor_data::sha256;
use serde_json::{Value, json};
use toml::Table;

use self::api::Api;
pub use self::api::authorization;
use crate::WatchError;
use crate::curves::Curves;
use crate::server::Watch;
use crate::state::State;
use crate::watched::{Summary, Watched};

/// What a request may hold, by MLflow's own limits.
const MAX_METRICS: usize = 1000;
const MAX_PARAMETERS: usize = 100;
/// Characters of a value of the recipe; all servers since MLflow 2.0 take so many.
const MAX_CHARS: usize = 500;
/// The tag that a run is known by.
const MARK: &str = "candor_run";
/// A first line of metrics is shorter; nothing is read beyond.
const MAX_LINE: u64 = 1 << 20;

/// An experiment of an MLflow server that runs are sent to.
#[derive(Debug)]
pub struct Mlflow {
    api: Api,
    experiment: String,
    /// Runs that the server is known to have; one whose sending failed is looked for again.
    runs: HashMap<PathBuf, Known>,
}

/// What the server has of a run.
#[derive(Debug)]
struct Known {
    id: String,
    /// What it is known by; a run that was begun anew in the same folder is another.
    mark: String,
    /// The step of each file to go on with.
    metrics: u64,
    timings: u64,
    /// The last step of each number when the run was found, of which the server may have had a part alone.
    last_steps: HashMap<String, u64>,
    is_finished: bool,
}

/// What a look has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Runs that the server has.
    pub n_runs: usize,
    /// Numbers that were sent.
    pub n_numbers: usize,
    /// Runs that have no line of metrics: they begin, or are evaluations.
    pub n_without: usize,
}

impl Mlflow {
    /// Finds an experiment on a server, or makes it. `authorization` is sent with every request.
    ///
    /// # Errors
    /// The address is none or would carry the key unencrypted, or the server refuses.
    pub fn open(
        url: &str,
        experiment: &str,
        authorization: Option<String>,
    ) -> Result<Self, WatchError> {
        let api = Api::new(url, authorization)?;
        let name = ("experiment_name", experiment);
        let experiment = if let Some(found) = api.get("experiments/get-by-name", name)? {
            api.text(&found, "/experiment/experiment_id")?
        } else {
            let made = api.post("experiments/create", &json!({"name": experiment}))?;
            api.text(&made, "/experiment_id")?
        };
        Ok(Self {
            api,
            experiment,
            runs: HashMap::new(),
        })
    }

    /// Sends what the runs have written since the last time. A run that the server refuses keeps no other from it.
    ///
    /// # Errors
    /// The server refuses, of which the first time is told, or is not reached, or does not know the key, which ends it. What it
    /// has it keeps, and the next call goes on from there.
    pub fn send(&mut self, watch: &Watch) -> Result<Sent, WatchError> {
        let mut runs = watch.runs();
        runs.look();
        let mut sent = Sent::default();
        let mut refused = None;
        for (id, run) in runs.runs.iter().enumerate() {
            if run.metrics.last_step().is_none() {
                sent.n_without += 1;
                continue;
            }
            match self.send_run(&run.summary(id), run) {
                Ok(n_numbers) => {
                    sent.n_numbers += n_numbers;
                    sent.n_runs += 1;
                }
                Err(error @ WatchError::MlflowRefused { .. }) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(sent), Err)
    }

    fn send_run(&mut self, summary: &Summary, run: &Watched) -> Result<usize, WatchError> {
        // An error below leaves it out, so that the server is asked again what it has.
        let mark = mark(&run.folder);
        let known = self.runs.remove(&run.folder);
        let mut known = match known.filter(|known| known.mark == mark) {
            Some(known) => known,
            None => self.find(mark, summary, run)?,
        };
        let written_ms = unix_ms(&run.folder.join("metrics.jsonl"));
        let groups = [
            (summary.stage, &run.metrics, &mut known.metrics),
            ("timing", &run.timings, &mut known.timings),
        ];
        let mut n_sent = 0;
        for (group, curves, next) in groups {
            let numbers = numbers(group, curves, *next, &known.last_steps, written_ms);
            for part in numbers.chunks(MAX_METRICS) {
                let batch = json!({"run_id": known.id, "metrics": part});
                self.api.post("runs/log-batch", &batch)?;
            }
            n_sent += numbers.len();
            // Steps that are done again, because a run was resumed, are what they were.
            let last = curves.last_step();
            *next = last.map_or(*next, |last| last.saturating_add(1).max(*next));
        }
        let is_finished = summary.progress.state == State::Finished;
        if is_finished != known.is_finished {
            let update = if is_finished {
                json!({"run_id": known.id, "status": "FINISHED", "end_time": written_ms})
            } else {
                json!({"run_id": known.id, "status": "RUNNING"})
            };
            self.api.post("runs/update", &update)?;
            known.is_finished = is_finished;
        }
        self.runs.insert(run.folder.clone(), known);
        Ok(n_sent)
    }

    /// The run on the server, begun there if it has none; the recipe's settings are its parameters.
    fn find(&self, mark: String, summary: &Summary, run: &Watched) -> Result<Known, WatchError> {
        let asked = json!({
            "experiment_ids": [self.experiment],
            "filter": format!("tags.{MARK} = '{mark}'"),
            "max_results": 1,
        });
        let found = self.api.post("runs/search", &asked)?;
        let known = match found.pointer("/runs/0") {
            Some(there) => {
                let last_steps = last_steps(there);
                let last = |of_timings: bool| {
                    let keys = last_steps.iter();
                    let own = keys.filter(|(key, _)| key.starts_with("timing/") == of_timings);
                    own.map(|(_, &step)| step).max().unwrap_or_default()
                };
                Known {
                    id: self.api.text(there, "/info/run_id")?,
                    mark,
                    metrics: last(false),
                    timings: last(true),
                    last_steps,
                    is_finished: there
                        .pointer("/info/status")
                        .is_some_and(|status| status == "FINISHED"),
                }
            }
            None => self.begin(mark, summary, run)?,
        };
        for part in parameters(run.recipe()).chunks(MAX_PARAMETERS) {
            let batch = json!({"run_id": known.id, "params": part});
            self.api.post("runs/log-batch", &batch)?;
        }
        Ok(known)
    }

    fn begin(&self, mark: String, summary: &Summary, run: &Watched) -> Result<Known, WatchError> {
        let begun = json!({
            "experiment_id": self.experiment,
            "run_name": run.name,
            "start_time": unix_ms(&run.folder.join("resolved.toml")),
            "tags": [
                {"key": MARK, "value": mark},
                {"key": "candor_stage", "value": summary.stage},
            ],
        });
        let made = self.api.post("runs/create", &begun)?;
        Ok(Known {
            id: self.api.text(&made, "/run/info/run_id")?,
            mark,
            metrics: 0,
            timings: 0,
            last_steps: HashMap::new(),
            is_finished: false,
        })
    }
}

/// What a run is known by: two runs of one recipe and one first step are the same.
fn mark(folder: &Path) -> String {
    let recipe = fs::read(folder.join("resolved.toml")).unwrap_or_default();
    let mut line = Vec::new();
    if let Ok(file) = File::open(folder.join("metrics.jsonl")) {
        // A line that cannot be read makes another mark, which does no harm but a second run on the server.
        BufReader::new(file.take(MAX_LINE))
            .read_until(b'\n', &mut line)
            .ok();
    }
    sha256::of_bytes([recipe, line])
}

/// The last step that the server has of each number of a run.
fn last_steps(run: &Value) -> HashMap<String, u64> {
    let latest = run.pointer("/data/metrics").and_then(Value::as_array);
    let mut steps = HashMap::new();
    for latest in latest.into_iter().flatten() {
        // Integers of 64 bits are text in the JSON of some servers.
        let step = &latest["step"];
        let step = step
            .as_u64()
            .or_else(|| step.as_str().and_then(|step| step.parse().ok()));
        if let (Some(key), Some(step)) = (latest["key"].as_str(), step) {
            let last = steps.entry(key.to_owned()).or_insert(step);
            *last = step.max(*last);
        }
    }
    steps
}

/// The numbers of a file from a step on, in its order, without those that are no newer than `last_steps`. It has no clock, so they
/// all have the time of its last change.
fn numbers(
    group: &str,
    curves: &Curves,
    from: u64,
    last_steps: &HashMap<String, u64>,
    written_ms: u64,
) -> Vec<Value> {
    let rows = curves.rows(from);
    let numbers = rows.flat_map(|(step, fields)| {
        fields.filter_map(move |(name, value)| {
            let key = key(&format!("{group}/{name}"));
            let is_new = last_steps.get(&key).is_none_or(|&last| step > last);
            is_new
                .then(|| json!({"key": key, "value": value, "timestamp": written_ms, "step": step}))
        })
    });
    numbers.collect()
}

/// A name as MLflow takes it: letters, digits and `_`, `-`, `.`, `/` and blanks.
fn key(name: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || "_-./ ".contains(c);
    name.chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// The settings of a recipe, `optimizer.learning_rate` and its like.
fn parameters(recipe: &Table) -> Vec<Value> {
    fn collect(prefix: &str, table: &Table, found: &mut Vec<Value>) {
        for (name, value) in table {
            let path = format!("{prefix}{name}");
            let text = match value {
                toml::Value::Table(inner) => {
                    collect(&format!("{path}."), inner, found);
                    continue;
                }
                toml::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let value: String = text.chars().take(MAX_CHARS).collect();
            found.push(json!({"key": key(&path), "value": value}));
        }
    }
    let mut found = Vec::new();
    collect("", recipe, &mut found);
    found
}

/// When a file was last changed, in milliseconds since 1970; now where that is not known.
fn unix_ms(path: &Path) -> u64 {
    let changed = path.metadata().and_then(|about| about.modified());
    changed
        .unwrap_or_else(|_| SystemTime::now())
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

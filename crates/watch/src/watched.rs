//! The run folders that are watched, and what is known of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use toml::{Table, Value};

use crate::WatchError;
use crate::curves::Curves;
use crate::state::{Progress, stage};
use crate::warnings::{Warning, warnings};

/// Folders below a named one are searched so deep.
const DEPTH: usize = 3;
/// A recipe is small; what is larger is none.
const MAX_RECIPE_BYTES: u64 = 4 << 20;

/// A run.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub folder: PathBuf,
    pub name: String,
    pub metrics: Curves,
    pub timings: Curves,
    recipe: Table,
    /// When the recipe that was read was written, and its length.
    version: Option<(SystemTime, u64)>,
}

/// What is said of a run at a glance.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub id: usize,
    pub name: String,
    pub stage: &'static str,
    #[serde(flatten)]
    pub progress: Progress,
    pub warnings: Vec<Warning>,
    /// Seconds by phase of the last step.
    pub phases: BTreeMap<String, f64>,
    /// Largest memory of the process in the last step.
    pub peak_bytes: Option<f64>,
    pub tokens_per_sec: Option<f64>,
}

impl Watched {
    fn new(folder: PathBuf, name: String) -> Self {
        Self {
            folder,
            name,
            ..Self::default()
        }
    }

    /// Reads what was written since the last look; the recipe too, which is another where a run was begun anew.
    pub(crate) fn look(&mut self) {
        let path = self.folder.join("resolved.toml");
        let version = version(&path);
        if version != self.version {
            self.recipe = recipe(&path);
            self.version = version;
        }
        self.metrics.follow(&self.folder.join("metrics.jsonl"));
        self.timings.follow(&self.folder.join("timings.jsonl"));
    }

    pub(crate) fn summary(&self, id: usize) -> Summary {
        let n_steps = self.setting("run", "steps").and_then(Value::as_integer);
        let n_steps = n_steps.and_then(|n| u64::try_from(n).ok());
        let peaks = self.timings.last_below("phase_peak_bytes/");
        Summary {
            id,
            name: self.name.clone(),
            stage: self.stage(),
            progress: Progress::of(
                &self.folder,
                &self.metrics,
                &self.timings,
                n_steps,
                SystemTime::now(),
            ),
            warnings: warnings(&self.metrics, self.max_kl()),
            phases: self.timings.last_below("phase_secs/"),
            peak_bytes: peaks.into_values().max_by(f64::total_cmp),
            tokens_per_sec: self.timings.last("tokens_per_sec"),
        }
    }

    /// An evaluation trains nothing and writes no metrics.
    fn stage(&self) -> &'static str {
        if self.recipe.contains_key("answers") {
            return "eval";
        }
        stage(&self.metrics)
    }

    /// The recipe; empty where it cannot be read.
    pub(crate) fn recipe(&self) -> &Table {
        &self.recipe
    }

    fn setting(&self, table: &str, key: &str) -> Option<&Value> {
        self.recipe.get(table)?.get(key)
    }

    /// The divergence that stops the run, as it goes on with it: a resume may have changed it.
    fn max_kl(&self) -> Option<f64> {
        if let Some(changed) = last_change(&self.folder, "guard.max_kl") {
            return changed.as_f64();
        }
        let begun_with = self.setting("guard", "max_kl")?;
        let whole = || begun_with.as_integer().map(|number| number as f64);
        begun_with.as_float().or_else(whole)
    }

    /// The folder of the images that the run's data show, from where the run was started.
    pub(crate) fn images(&self) -> Option<PathBuf> {
        let text = |key| self.setting("data", key).and_then(Value::as_str);
        let root = Path::new(text("root").unwrap_or_default());
        Some(root.join(text("images")?))
    }
}

/// What tells a file from the one that was there before; none where there is none.
fn version(path: &Path) -> Option<(SystemTime, u64)> {
    let about = path.metadata().ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// An unreadable recipe tells nothing, and hinders nothing.
fn recipe(path: &Path) -> Table {
    let text = small_text(path);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The text of a file that is no larger than a recipe; none where it cannot be read.
fn small_text(path: &Path) -> Option<String> {
    let small = path
        .metadata()
        .is_ok_and(|about| about.len() <= MAX_RECIPE_BYTES);
    small.then(|| fs::read_to_string(path).ok()).flatten()
}

/// What resumes changed a setting to in the end; none where they left it as it was.
fn last_change(folder: &Path, key: &str) -> Option<serde_json::Value> {
    let text = small_text(&folder.join("resumed.jsonl"))?;
    let notes = text.lines().rev();
    let mut notes = notes.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    notes.find_map(|note| Some(note.get("changes")?.get(key)?.get("to")?.clone()))
}

/// All runs of the folders that were named.
#[derive(Debug)]
pub(crate) struct Runs {
    named: Vec<PathBuf>,
    pub runs: Vec<Watched>,
}

impl Runs {
    /// # Errors
    /// A folder holds no run.
    pub(crate) fn open(named: Vec<PathBuf>) -> Result<Self, WatchError> {
        let mut runs = Self {
            named,
            runs: Vec::new(),
        };
        for path in &runs.named {
            if below(path).is_empty() {
                return Err(WatchError::NoRun { path: path.clone() });
            }
        }
        runs.look();
        Ok(runs)
    }

    /// Finds runs that have begun meanwhile, and reads on in all of them. A run keeps its number.
    pub(crate) fn look(&mut self) {
        for named in &self.named {
            for folder in below(named) {
                if !self.runs.iter().any(|run| run.folder == folder) {
                    let name = name(named, &folder, self.named.len() == 1);
                    self.runs.push(Watched::new(folder, name));
                }
            }
        }
        for run in &mut self.runs {
            run.look();
        }
    }
}

/// The folder itself where it is a run, else the runs in the folders below it, by name.
fn below(folder: &Path) -> Vec<PathBuf> {
    fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        if folder.join("resolved.toml").is_file() {
            found.push(folder.to_owned());
        } else if depth > 0 {
            let Ok(entries) = fs::read_dir(folder) else {
                return;
            };
            let mut folders: Vec<PathBuf> = entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir())
                .collect();
            folders.sort();
            for folder in folders {
                search(&folder, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    search(folder, DEPTH, &mut found);
    found
}

/// What a run is called: its path below the folder that was named, behind that folder's own name where it is one of several.
fn name(named: &Path, folder: &Path, is_only: bool) -> String {
    let whole = named.canonicalize().unwrap_or_else(|_| named.to_owned());
    let own = whole.file_name().map_or_else(
        || named.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    let below = folder
        .strip_prefix(named)
        .unwrap_or(folder)
        .display()
        .to_string();
    match (below.is_empty(), is_only) {
        (true, _) => own,
        (false, true) => below,
        (false, false) => format!("{own}/{below}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    fn run(folder: &Path, recipe: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("resolved.toml"), recipe).unwrap();
    }

    #[test]
    fn runs_are_found_below_a_folder_and_new_ones_come_to_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let error = Runs::open(vec![dir.path().to_owned()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("holds no run"), "{error}");
        run(&dir.path().join("demo/sft"), "[run]\nsteps = 7\n");
        let mut runs =
            Runs::open(vec![dir.path().to_owned(), dir.path().join("demo/sft")]).unwrap();
        assert_eq!(runs.runs.len(), 1);
        assert_eq!(runs.runs[0].summary(0).progress.n_steps, Some(7));
        run(&dir.path().join("demo/ppo"), "not [ toml");
        runs.look();
        let names: Vec<&str> = runs.runs.iter().map(|run| run.name.as_str()).collect();
        assert!(
            names[0].ends_with("/demo/sft") && names[1].ends_with("/demo/ppo"),
            "{names:?}"
        );
        assert_eq!(runs.runs[1].summary(1).stage, "starting");
        let eval = dir.path().join("demo/z-eval");
        run(&eval, "[answers]\nbatch_rows = 4\n");
        fs::write(eval.join("results.json"), "{}").unwrap();
        runs.look();
        let summary = runs.runs[2].summary(2);
        assert_eq!(
            (summary.stage, summary.progress.state),
            ("eval", State::Finished)
        );
        let own = Runs::open(vec![dir.path().join("demo/sft")]).unwrap();
        assert_eq!(own.runs[0].name, "sft");
        let all = Runs::open(vec![dir.path().to_owned()]).unwrap();
        assert_eq!(all.runs[0].name, "demo/ppo");
    }

    /// Half of the 60 that the recipe has as a whole number is used up, and not half of the 200 that the run goes on with.
    #[test]
    fn the_divergence_that_stops_a_run_is_the_one_it_goes_on_with() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), "[guard]\nmax_kl = 60\n");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("metrics.jsonl", "{\"step\":1,\"kl_mean\":40}\n");
        let runs = Runs::open(vec![dir.path().to_owned()]).unwrap();
        let warned = || {
            let warnings = runs.runs[0].summary(0).warnings;
            warnings.iter().map(|w| w.metric).collect::<Vec<_>>()
        };
        assert_eq!(warned(), ["kl_mean"]);
        let note = |to: &str| {
            format!("{{\"step\":1,\"changes\":{{\"guard.max_kl\":{{\"from\":60,\"to\":{to}}}}}}}\n")
        };
        write("resumed.jsonl", &(note("70") + &note("200.0")));
        assert_eq!(warned(), Vec::<&str>::new());
        write("resumed.jsonl", &(note("200.0") + &note("70")));
        assert_eq!(warned(), ["kl_mean"]);
    }

    #[test]
    fn images_are_where_the_recipe_says() {
        let dir = tempfile::tempdir().unwrap();
        run(
            dir.path(),
            "[data]\nroot = \"world\"\nimages = \"images\"\n",
        );
        let runs = Runs::open(vec![dir.path().to_owned()]).unwrap();
        assert_eq!(runs.runs[0].images(), Some(PathBuf::from("world/images")));
    }
}

//! The recipe's `[suite]` table.

use std::path::PathBuf;

use candor_data::sha256;
use candor_judge::benchmarks::{Files, Task};
use candor_judge::suite::best::BestBy;
use candor_judge::suite::{benchmarks, entry};
use candor_judge::template::Templates;
use candor_judge::{Benchmark, ChatJudge, Identity, Settings};
use candor_recipe::Reader;

use crate::EvalError;

/// What `suite.benchmarks` means.
const BENCHMARKS: &str = "Some of `mmhal`, `pope`, `llava_bench`, `mmbench`, `chair`, `amber`, `object_hal_bench`, `hallusion_bench` and `mme`.";

/// What a run measures itself by while it trains.
#[derive(Debug, Clone)]
pub struct SuiteRecipe {
    /// Steps between measurements; the last step is always one.
    pub every: u64,
    /// Folder of the benchmarks' files.
    pub data: PathBuf,
    /// The benchmarks.
    pub benchmarks: Vec<Benchmark>,
    /// How many questions of each file at most; all if absent.
    pub limit: Option<usize>,
    /// The number whose best step is kept.
    pub best: Option<BestBy>,
    /// The judge's settings.
    pub judge: Option<PathBuf>,
    /// Longest answer, its end token included.
    pub max_new_tokens: usize,
    /// Questions that are answered together.
    pub batch_rows: usize,
}

impl SuiteRecipe {
    /// Asks the recipe for its keys, where it has the table.
    pub fn read(recipe: &mut Reader) -> Option<Self> {
        if !recipe.has("suite") {
            return None;
        }
        let every = recipe
            .u64(
                "suite.every",
                "Steps between measurements of the model in training by benchmarks; the last step is always measured.",
            )
            .positive()
            .required();
        let data = recipe
            .path(
                "suite.data",
                "Folder of the benchmarks' files, as of `candor eval suite --data` (docs/evaluation.md).",
            )
            .required();
        let benchmarks = read_benchmarks(recipe);
        let limit = recipe
            .usize(
                "suite.limit",
                "How many questions of each file are asked, from the first; all if absent.",
            )
            .positive()
            .optional();
        let best = recipe
            .string(
                "suite.best",
                "The number whose best step is kept in `best/`, a benchmark and one of its numbers: \"pope.f1\". None if absent.",
            )
            .optional();
        let best = best.and_then(|text| {
            let by = BestBy::parse_of(&text, &benchmarks, "suite.benchmarks");
            if let (Err(problem), false) = (&by, benchmarks.is_empty()) {
                recipe.mistake("suite.best", problem, "name one that is measured");
            }
            by.ok()
        });
        let judge = recipe
            .path(
                "suite.judge",
                "`judge.toml` (docs/evaluation.md), for benchmarks that take a judge.",
            )
            .optional();
        let max_new_tokens = recipe
            .usize(
                "suite.max_new_tokens",
                "Tokens of an answer at most, its end included; the room that the model has left if that is less.",
            )
            .positive()
            .or(256, "256");
        let batch_rows = recipe
            .usize(
                "suite.batch_rows",
                "Answers that are written together: changes memory, speed, and the last bits of logits, so a measured answer once in a while, and with it the best step.",
            )
            .within(1..=4096)
            .or(32, "32");
        Some(Self {
            every,
            data,
            benchmarks,
            limit,
            best,
            judge,
            max_new_tokens,
            batch_rows,
        })
    }

    /// What a plan says of it: what keeps the run from starting, if anything does, and what is not counted.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let refusal = self.files().err().map(|error| format!("[suite] {error}"));
        let memory = format!(
            "[suite] every {} steps {} answers are written together beside what training holds: their keys and values come on top",
            self.every, self.batch_rows
        );
        refusal.into_iter().chain([memory]).collect()
    }

    /// What a run with the suite will read besides, by name: the files of the benchmarks, and who judges, how and by which prompts. For
    /// whoever trains later, so that what is missing is not found out then.
    ///
    /// # Errors
    /// A file is missing or damaged, or a benchmark takes a judge and none is named.
    pub fn inputs(&self) -> Result<Vec<(String, String)>, EvalError> {
        let judge = self.judge.as_deref().map(Settings::read).transpose()?;
        let named = judge.as_ref().map(|judge| judge.templates.clone());
        let named = named.unwrap_or_default();
        let (mut parts, mut templates) = (Vec::new(), Vec::new());
        for (benchmark, files) in self.files()? {
            let task = benchmark.open(&files, &named)?;
            self.check_judge(benchmark, &files, &*task)?;
            templates.extend(task.templates().map(Templates::sha256));
            parts.extend(of_files(&files)?);
        }
        let mut inputs = vec![("suite".to_owned(), sha256::of_bytes(parts))];
        if let Some(judge) = judge {
            let who = ChatJudge::identity_of(&judge);
            let who = of_judge(Some(&who), templates);
            inputs.push(("judge of the suite".to_owned(), who));
        }
        Ok(inputs)
    }

    /// Whether a judge is named where a benchmark takes one.
    ///
    /// # Errors
    /// It takes one, and none is named.
    pub(super) fn check_judge(
        &self,
        benchmark: Benchmark,
        files: &Files,
        task: &dyn Task,
    ) -> Result<(), EvalError> {
        if self.judge.is_some() || !task.asks_judge() {
            return Ok(());
        }
        Err(EvalError::Unfit {
            path: files.questions[0].clone(),
            problem: format!("{} takes a judge", benchmark.label()),
            remedy: "name one as suite.judge, or leave it out of suite.benchmarks",
        })
    }

    /// The benchmarks with their files.
    ///
    /// # Errors
    /// Files that are missing, all at once.
    pub(crate) fn files(&self) -> Result<Vec<(Benchmark, Files)>, EvalError> {
        let (mut found, mut missing) = (Vec::new(), String::new());
        for &benchmark in &self.benchmarks {
            match entry(benchmark, &self.data, self.limit).map(|entry| entry.files) {
                Some(Ok(files)) => found.push((benchmark, files)),
                Some(Err(problem)) => {
                    missing.extend(["\n  ", benchmark.label(), ": ", problem.as_str()]);
                }
                None => missing.extend(["\n  ", benchmark.label(), ": no suite has it"]),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        Err(EvalError::Unfit {
            path: self.data.clone(),
            problem: format!("files of suite.benchmarks are missing:{missing}\nput them there"),
            remedy: "or leave these benchmarks out of the recipe",
        })
    }
}

/// SHA-256 of each file that a benchmark is read from.
///
/// # Errors
/// One cannot be read.
pub(super) fn of_files(files: &Files) -> Result<Vec<String>, EvalError> {
    let more = [&files.references, &files.context, &files.synonyms];
    let all = files.questions.iter().chain(more.into_iter().flatten());
    all.map(|path| Ok(sha256::of_file(path)?)).collect()
}

/// SHA-256 of who judges, how, and by which prompts, `templates` being theirs.
pub(super) fn of_judge(
    judge: Option<&Identity>,
    templates: impl IntoIterator<Item = String>,
) -> String {
    let who = serde_json::to_string(&judge).unwrap_or_default();
    sha256::of_bytes([who].into_iter().chain(templates))
}

fn read_benchmarks(recipe: &mut Reader) -> Vec<Benchmark> {
    let known = benchmarks();
    let names = recipe
        .strings("suite.benchmarks", BENCHMARKS)
        .check(|names| {
            let known: Vec<&str> = known.iter().map(|of| of.key()).collect();
            let remedy = || format!("name some of {}, each once", known.join(", "));
            if names.is_empty() {
                return Err(("no benchmark is named".to_owned(), remedy()));
            }
            for (at, name) in names.iter().enumerate() {
                if !known.contains(&name.as_str()) {
                    return Err((format!("there is no benchmark {name:?}"), remedy()));
                }
                if names[..at].contains(name) {
                    return Err((format!("{name:?} is named twice"), remedy()));
                }
            }
            Ok(())
        })
        .required();
    names
        .iter()
        .filter_map(|name| known.iter().find(|of| of.key() == name).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_fields_names_all_benchmarks() {
        let named: Vec<&str> = BENCHMARKS.split('`').skip(1).step_by(2).collect();
        let known: Vec<&str> = benchmarks().into_iter().map(Benchmark::key).collect();
        assert_eq!(named, known);
    }
}

//! What rounds read besides their recipe, so that a resume does not go on with other files: `inputs.json`.
//!
//! A stage that is not finished checks its own inputs. This is for what the next round would read: other prompts would be
//! another slice, and another reward model would compare the answers of later rounds.

use std::fs;
use std::path::{Path, PathBuf};

use candor_data::formats::folder;
use candor_data::{atomic, sha256};
use candor_dpo::{DpoError, DpoRecipe};
use candor_judge::reward::Rewards;
use candor_judge::{ChatJudge, Settings, feedback};
use candor_reward::RewardModel;
use candor_run::{Inputs, Ranks, RunError};
use serde_json::Value;

use crate::RoundsError;
use crate::recipe::{LabelRecipe, RoundsRecipe};

/// How files of a model end that decide what it says.
const OF_MODEL: [&str; 6] = ["safetensors", "bin", "json", "txt", "model", "jinja"];

/// Keeps the fingerprints of what is read, or of a resume checks them against those of the first start.
///
/// # Errors
/// A file cannot be read, is another one than at the first start, or another one on another rank; or the judge of a suite could not
/// be asked.
pub(crate) fn check(
    recipe: &RoundsRecipe,
    resumes: bool,
    ranks: &Ranks,
) -> Result<(), RoundsError> {
    if ranks.is_first() {
        tracing::info!("rounds: reading {}", recipe.sample.base.display());
    }
    let inputs = fingerprints(recipe)?;
    ranks.check_same_inputs(&inputs)?;
    // The folder of the run is the first rank's.
    ranks.made_by_first(|| {
        try_judge(&recipe.dpo, resumes)?;
        keep(recipe, &inputs, resumes)
    })
}

/// Keeps these fingerprints, or checks them against those that are kept.
fn keep(recipe: &RoundsRecipe, inputs: &Inputs, resumes: bool) -> Result<(), RoundsError> {
    let path = recipe.out.join("inputs.json");
    if !(resumes && path.exists()) {
        let json = format!("{:#}\n", inputs.to_value());
        return Ok(atomic::write(&path, json.as_bytes())?);
    }
    let text = fs::read_to_string(&path).map_err(unread(&path))?;
    let then: Value = serde_json::from_str(&text).map_err(|error| RoundsError::Unfit {
        path,
        problem: format!("damaged: {error}"),
        remedy: "delete it if model, prompts, facts, suite and whoever compares are those that the rounds began with"
            .to_owned(),
    })?;
    Ok(inputs.check(&then, &recipe.out)?)
}

fn fingerprints(recipe: &RoundsRecipe) -> Result<Inputs, RoundsError> {
    let prompts = folder::fingerprint(&recipe.sample.prompts)?;
    let mut found = vec![("prompts".to_owned(), prompts)];
    if let Some(facts) = &recipe.facts {
        found.push(("facts".to_owned(), sha256::of_file(facts)?));
    }
    found.extend(of_label(&recipe.label)?);
    found.extend(of_suite(&recipe.dpo)?);
    let (base, adapter) = candor_sample::folders(&recipe.sample)?;
    found.push(("base model".to_owned(), of_folder(&base)?));
    if let Some(adapter) = adapter {
        found.push(("model.adapter".to_owned(), of_folder(&adapter)?));
    }
    Ok(Inputs::new(found))
}

/// What whoever compares answers reads.
fn of_label(label: &LabelRecipe) -> Result<Vec<(String, String)>, RoundsError> {
    Ok(match label {
        LabelRecipe::Reward { folder, .. } => {
            let files = of_files(&RewardModel::files(folder))?;
            vec![("reward model".to_owned(), files)]
        }
        LabelRecipe::Rules(terms) => Rewards::open_without_asking(terms)?.fingerprints()?,
        LabelRecipe::Judge(file) => {
            let judge = feedback::fingerprint(&Settings::read(file)?)?;
            vec![("judge".to_owned(), judge)]
        }
        LabelRecipe::People => Vec::new(),
    })
}

/// What every round measures itself by; nothing where it does not.
fn of_suite(dpo: &DpoRecipe) -> Result<Vec<(String, String)>, RoundsError> {
    let Some(suite) = &dpo.suite else {
        return Ok(Vec::new());
    };
    Ok(suite.inputs().map_err(DpoError::from)?)
}

/// Opens the judge of a suite, which no round does before it has sampled and compared; `resumes`: one that may have said everything
/// already is not opened.
fn try_judge(dpo: &DpoRecipe, resumes: bool) -> Result<(), RoundsError> {
    let judge = dpo.suite.as_ref().and_then(|suite| suite.judge.as_ref());
    if let Some(path) = judge.filter(|_| !resumes) {
        ChatJudge::open(path, Settings::read(path)?, 0)?;
    }
    Ok(())
}

/// The files of a model's or an adapter's folder that decide what it says.
fn of_folder(folder: &Path) -> Result<String, RoundsError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread(folder))? {
        let path = entry.map_err(unread(folder))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| OF_MODEL.contains(&ending)) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    of_files(&files)
}

/// Names and contents.
fn of_files(files: &[PathBuf]) -> Result<String, RoundsError> {
    let mut parts = Vec::with_capacity(2 * files.len());
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        parts.extend([name.into_owned(), sha256::of_file(file)?]);
    }
    Ok(sha256::of_bytes(parts))
}

fn unread(path: &Path) -> impl Fn(std::io::Error) -> RunError {
    move |source| RunError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use candor_testing::pope;

    use super::*;
    use crate::recipe::tests::read;

    /// Whether other bytes in this file are noticed.
    fn notices(file: &Path, of: impl Fn() -> String) -> bool {
        let before = of();
        assert_eq!(of(), before);
        let bytes = fs::read(file).unwrap();
        fs::write(file, [&bytes[..], b"\n# another"].concat()).unwrap();
        let after = of();
        fs::write(file, bytes).unwrap();
        assert_eq!(of(), before);
        after != before
    }

    #[test]
    fn every_file_of_a_reward_model_that_decides_scores_is_an_input() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("adapter")).unwrap();
        let names = [
            "reward_model.json",
            "reward_head.safetensors",
            "prompt.txt",
            "adapter/adapter_model.safetensors",
            "adapter/adapter_config.json",
        ];
        for name in names {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let set = format!("label.reward={:?}", folder.path().display().to_string());
        let recipe = read(&[&set]).unwrap();
        for name in names {
            let of = || of_label(&recipe.label).unwrap()[0].1.clone();
            assert!(notices(&folder.path().join(name), of), "{name}");
        }
    }

    #[test]
    fn who_judges_and_by_which_prompt_is_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let [settings, template] =
            ["judge.toml", "prompt.txt"].map(|name| folder.path().join(name));
        let text = "cache = \"c\"\n[endpoint]\nurl = \"http://localhost/v1\"\nmodel = \"m\"\n[request]\n\
                    temperature = 0.0\nmax_tokens = 7\nsamples = 1\nimages = false\n\
                    [templates]\npreference = \"prompt.txt\"\n";
        fs::write(&settings, text).unwrap();
        fs::write(&template, "{question} {answer} {other}").unwrap();
        let label = LabelRecipe::Judge(settings.clone());
        let of = || of_label(&label).unwrap()[0].1.clone();
        assert!(notices(&template, of));
        let before = of();
        fs::write(&settings, text.replace("\"m\"", "\"n\"")).unwrap();
        assert_ne!(of(), before);
    }

    #[test]
    fn files_and_judge_of_a_suite_are_inputs_and_what_is_missing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(of_suite(&read(&[]).unwrap().dpo).unwrap().is_empty());
        let set = |key: &str, path: PathBuf| format!("{key}={:?}", path.display().to_string());
        let (data, judge) = (
            set("suite.data", folder.path().to_owned()),
            set("suite.judge", at("judge.toml")),
        );
        let measured = |benchmarks: &str, more: &[&str]| {
            let benchmarks = format!("suite.benchmarks={benchmarks}");
            let sets = [&[&*data, "suite.every=2", &benchmarks], more].concat();
            let found = of_suite(&read(&sets).unwrap().dpo);
            found.map_err(|error| error.to_string())
        };
        let missing = measured("[\"pope\"]", &[]).unwrap_err();
        assert!(missing.contains("coco_pope_popular.jsonl"), "{missing}");
        pope::write(folder.path(), |_| {
            vec![["red.png", "Is it red?", "yes"].map(str::to_owned)]
        });
        let before = measured("[\"pope\"]", &[]).unwrap();
        assert_eq!(before.len(), 1);
        let split = at("pope/coco_pope_popular.jsonl");
        let text = fs::read_to_string(&split).unwrap();
        fs::write(&split, text.replace("yes", "no")).unwrap();
        assert_ne!(measured("[\"pope\"]", &[]).unwrap(), before);

        let question = r#"[{"question_type":"other","question_topic":"t","image_id":"m","image_src":"https://example.com/0.png","image_content":["Wall"],"question":"Is it red?","gt_answer":"No","model_answer":""}]"#;
        fs::create_dir_all(at("mmhal_bench/images")).unwrap();
        fs::write(at("mmhal_bench/response_template.json"), question).unwrap();
        let none = measured("[\"mmhal\"]", &[]).unwrap_err();
        assert!(none.contains("takes a judge"), "{none}");
        let settings = "cache = \"c\"\n[endpoint]\nurl = \"http://localhost/v1\"\nmodel = \"m\"\n[request]\n\
                        temperature = 0.0\nmax_tokens = 7\nsamples = 1\nimages = false\n\
                        [templates]\nmmhal = \"prompt.txt\"\n";
        fs::write(at("judge.toml"), settings).unwrap();
        fs::write(at("prompt.txt"), "{question} {answer}").unwrap();
        let of = || measured("[\"mmhal\"]", &[&judge]).unwrap()[1].1.clone();
        assert!(notices(&at("prompt.txt"), of));
        let before = of();
        fs::write(at("judge.toml"), settings.replace("\"m\"", "\"n\"")).unwrap();
        assert_ne!(of(), before);
    }

    #[test]
    fn a_judge_of_a_suite_without_its_key_is_refused_before_the_first_answer() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("judge.toml");
        let settings = "cache = \"c\"\n[endpoint]\nurl = \"http://localhost/v1\"\nmodel = \"m\"\n\
                        key_env = \"CANDOR_TEST_KEY_THAT_NOBODY_SETS\"\n[request]\n\
                        temperature = 0.0\nmax_tokens = 7\nsamples = 1\nimages = false\n";
        fs::write(&file, settings).unwrap();
        let set = |key: &str, path: &Path| format!("{key}={:?}", path.display().to_string());
        let sets = [
            set("suite.data", folder.path()),
            set("suite.judge", &file),
            "suite.every=2".to_owned(),
            "suite.benchmarks=[\"mmhal\"]".to_owned(),
        ];
        let dpo = read(&sets.each_ref().map(String::as_str)).unwrap().dpo;
        let said = try_judge(&dpo, false).unwrap_err().to_string();
        assert!(said.contains("CANDOR_TEST_KEY_THAT_NOBODY_SETS"), "{said}");
        try_judge(&dpo, true).unwrap();
        try_judge(&read(&[]).unwrap().dpo, false).unwrap();
    }

    #[test]
    fn weights_and_settings_of_a_model_are_an_input_and_notes_beside_them_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let files = [
            ("model.safetensors", true),
            ("config.json", true),
            ("chat_template.jinja", true),
            ("README.md", false),
        ];
        for (name, _) in files {
            fs::write(at(name), name).unwrap();
        }
        for (name, counts) in files {
            let of = || of_folder(folder.path()).unwrap();
            assert_eq!(notices(&at(name), of), counts, "{name}");
        }
    }
}

//! `generation_config.json`: how a checkpoint's makers have it write.
//!
//! Of it candor takes the tokens that end an answer, which may be more than the one that the template ends a turn with. A
//! temperature is asked for where answers are; a penalty on repetition is not applied, and that is said.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::ModelError;
use crate::generate::Ends;
use crate::tokenizer::read_if_there;

/// The file.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";
const CONFIG: &str = "config.json";
const EOS: &str = "eos_token_id";

/// The file of a folder that says which tokens end an answer.
pub(crate) fn file_of(folder: &Path) -> PathBuf {
    let path = folder.join(GENERATION_CONFIG);
    if path.exists() {
        path
    } else {
        folder.join(CONFIG)
    }
}

/// The tokens that end an answer of the model in a folder: `eos`, which ends a turn, and those that its makers name. Whether
/// the vocabulary has them, [`crate::preflight`] asks.
///
/// # Errors
/// The file is damaged, or names what is no id, or too many.
pub(crate) fn ends(folder: &Path, eos: i64) -> Result<Ends, ModelError> {
    let path = file_of(folder);
    let mut told: Value = read_if_there(&path)?;
    let told = if path.ends_with(GENERATION_CONFIG) {
        told.get_mut(EOS).map(Value::take)
    } else {
        // A single one is often what a class of transformers begins with, and of another vocabulary.
        let places = ["", "/text_config"].map(|part| format!("{part}/{EOS}"));
        let is_list = |place: &&String| told.pointer(place).is_some_and(Value::is_array);
        let place = places.iter().find(is_list);
        place.and_then(|place| told.pointer(place).cloned())
    };
    let refuse = |problem: String| ModelError::Config {
        path: path.clone(),
        problem: format!("{EOS}: {problem}"),
        remedy: "expected ids of tokens, as transformers writes them; download the file again",
    };
    let told = match told.unwrap_or_default() {
        Value::Null => Vec::new(),
        Value::Array(ids) => ids,
        one => vec![one],
    };
    let id = |value: Value| {
        let id = value.as_i64().filter(|&id| id >= 0);
        id.ok_or_else(|| refuse(format!("{value} is no id of a token")))
    };
    let others: Vec<i64> = told.into_iter().map(id).collect::<Result<_, _>>()?;
    let most = Ends::MOST;
    Ends::of(eos, &others).ok_or_else(|| refuse(format!("more than {most} tokens end an answer")))
}

/// The tokens as transformers writes them: one alone, or a list.
pub(crate) fn eos_token_id(ends: Ends) -> Value {
    match ends.ids()[..] {
        [one] => json!(one),
        ref several => json!(several),
    }
}

/// Writes the file where more tokens end an answer than the tokenizer's files say.
pub(crate) fn write(folder: &Path, ends: Ends) -> Result<(), ModelError> {
    if ends.ids().len() == 1 {
        return Ok(());
    }
    let json = format!("{:#}\n", json!({EOS: eos_token_id(ends)}));
    let path = folder.join(GENERATION_CONFIG);
    Ok(candor_data::atomic::write(&path, json.as_bytes())?)
}

/// What the makers of the model in a folder ask for when it writes and candor does not do, as a sentence.
///
/// # Errors
/// The file is damaged.
pub fn not_applied(folder: &Path) -> Result<Option<String>, ModelError> {
    let path = folder.join(GENERATION_CONFIG);
    let told: Value = read_if_there(&path)?;
    let penalty = told.get("repetition_penalty").and_then(Value::as_f64);
    let sentence = |penalty: f64| {
        let path = path.display();
        format!(
            "{path}: its repetition_penalty of {penalty} is not applied; tokens are chosen by the model's own \
             probabilities"
        )
    };
    Ok(penalty
        .filter(|penalty| (penalty - 1.0).abs() > f64::EPSILON)
        .map(sentence))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn told(file: &str, json: &str) -> Result<Vec<i64>, String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(file), json).unwrap();
        let ends = ends(dir.path(), 2).map_err(|error| error.to_string())?;
        Ok(ends.ids())
    }

    #[test]
    fn one_token_or_several_end_an_answer() {
        let generation = |json| told(GENERATION_CONFIG, json).unwrap();
        assert_eq!(generation("{}"), [2]);
        assert_eq!(generation(r#"{"eos_token_id": null}"#), [2]);
        assert_eq!(generation(r#"{"eos_token_id": 2}"#), [2]);
        assert_eq!(generation(r#"{"eos_token_id": [0, 2, 9]}"#), [2, 0, 9]);
        let of_config = |json| told(CONFIG, json).unwrap();
        assert_eq!(of_config(r#"{"eos_token_id": 0}"#), [2]);
        assert_eq!(of_config(r#"{"eos_token_id": [0, 2]}"#), [2, 0]);
        let nested = r#"{"text_config": {"eos_token_id": [0, 2]}}"#;
        assert_eq!(of_config(nested), [2, 0]);
    }

    #[test]
    fn what_cannot_end_an_answer_is_refused() {
        for (json, words) in [
            (r#"{"eos_token_id": [2, 0.5]}"#, "0.5 is no id"),
            (r#"{"eos_token_id": -1}"#, "-1 is no id"),
            (r#"{"eos_token_id": "</s>"}"#, "\"</s>\" is no id"),
            (
                r#"{"eos_token_id": [10, 11, 12, 13, 14, 15, 16, 17]}"#,
                "more than 8 tokens",
            ),
        ] {
            let message = told(GENERATION_CONFIG, json).unwrap_err();
            assert!(
                message.contains(words) && message.contains(GENERATION_CONFIG),
                "{message}"
            );
        }
    }

    #[test]
    fn a_penalty_that_is_not_applied_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let said = |json: &str| {
            fs::write(dir.path().join(GENERATION_CONFIG), json).unwrap();
            not_applied(dir.path()).unwrap()
        };
        assert_eq!(said("{}"), None);
        assert_eq!(said(r#"{"repetition_penalty": 1.0}"#), None);
        let sentence = said(r#"{"repetition_penalty": 1.05}"#).unwrap();
        assert!(
            sentence.contains("repetition_penalty of 1.05"),
            "{sentence}"
        );
    }
}

//! What rounds read besides their recipe, so that a resume does not go on with other files: `inputs.json`.
//!
//! A stage that is not finished checks its own inputs. This is for what the next round would read: other prompts would be
//! another slice, and another reward model would compare the answers of later rounds.

use std::fs;

use candor_data::{atomic, sha256};
use candor_judge::reward::Rewards;
use candor_run::{Inputs, RunError};
use serde_json::Value;

use crate::RoundsError;
use crate::recipe::{LabelRecipe, RoundsRecipe};

/// Files of a reward model that decide its scores, as far as they are its own.
const OF_REWARD_MODEL: [&str; 3] = [
    "reward_model.json",
    "reward_head.safetensors",
    "adapter/adapter_model.safetensors",
];

/// Keeps the fingerprints of what is read, or of a resume checks them against those of the first start.
///
/// # Errors
/// A file cannot be read, or is another one than at the first start.
pub(crate) fn check(recipe: &RoundsRecipe, resumes: bool) -> Result<(), RoundsError> {
    let inputs = fingerprints(recipe)?;
    let path = recipe.out.join("inputs.json");
    if !(resumes && path.exists()) {
        let json = format!("{:#}\n", inputs.to_value());
        return Ok(atomic::write(&path, json.as_bytes())?);
    }
    let text = fs::read_to_string(&path).map_err(|source| RunError::Io {
        action: "read",
        path: path.clone(),
        source,
    })?;
    let then: Value = serde_json::from_str(&text).map_err(|error| RoundsError::Unfit {
        path,
        problem: format!("damaged: {error}"),
        remedy: "delete it if prompts, facts and reward model are those that the rounds began with"
            .to_owned(),
    })?;
    Ok(inputs.check(&then, &recipe.out)?)
}

fn fingerprints(recipe: &RoundsRecipe) -> Result<Inputs, RoundsError> {
    let mut found = vec![(
        "prompts".to_owned(),
        sha256::of_file(&recipe.sample.prompts)?,
    )];
    if let Some(facts) = &recipe.facts {
        found.push(("facts".to_owned(), sha256::of_file(facts)?));
    }
    match &recipe.label {
        LabelRecipe::Reward { folder, .. } => {
            let hashes = OF_REWARD_MODEL.iter();
            let hashes = hashes.map(|file| sha256::of_file(&folder.join(file)));
            let hashes = hashes.collect::<Result<Vec<String>, _>>()?;
            found.push(("reward model".to_owned(), sha256::of(hashes.join("\n"))));
        }
        LabelRecipe::Rules(terms) => {
            found.extend(Rewards::open_without_asking(terms)?.fingerprints()?);
        }
        LabelRecipe::Judge(_) | LabelRecipe::People => {}
    }
    Ok(Inputs::new(found))
}

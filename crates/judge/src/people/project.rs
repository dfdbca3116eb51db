//! The project of the annotation app.

use std::path::Path;

use candor_data::atomic;
use serde_json::json;

use super::asked;
use crate::JudgeError;
use crate::images;
use crate::run::Run;

const PROJECT: &str = include_str!("../../templates/people.toml");
const GUIDELINES: &str = include_str!("../../templates/people-guidelines.md");

/// Writes `project.toml`, `guidelines.md` and `pairs.json` into a new folder; returns the number of pairs. `images` is the
/// folder of the images. `seed` decides what the app draws.
///
/// # Errors
/// There is a project already, the runs have nothing to compare, an image is missing, or the disk refuses.
pub fn write(out: &Path, runs: [&Run; 2], images: &Path, seed: u64) -> Result<usize, JudgeError> {
    let project = out.join("project.toml");
    if project.exists() {
        let remedy = "choose another folder; somebody may have worked in this one";
        return Err(JudgeError::unfit(&project, "it is there already", remedy));
    }
    let [first, second] = runs.map(|run| run.name.as_str());
    let mut rows = Vec::new();
    let differing = |item: &super::Asked<'_>| item.answers[0] != item.answers[1];
    for item in asked(runs).into_iter().filter(differing) {
        let Some(image) = images::name_in(images, item.verdict) else {
            let wanted = item
                .verdict
                .image_file
                .as_ref()
                .unwrap_or(&item.verdict.image);
            let problem = format!("no image {wanted:?}, which {:?} is about", item.name);
            return Err(JudgeError::unfit(
                images,
                problem,
                "give the folder that has it with --images",
            ));
        };
        rows.push(json!({
            "id": item.name,
            "image": image,
            "conversations": [{"from": "human", "value": format!("<image>\n{}", item.verdict.question)}],
            "output_1": item.answers[0],
            "output_2": item.answers[1],
            "model_1": first,
            "model_2": second,
        }));
    }
    if rows.is_empty() {
        let remedy = "people compare free answers: MMHal-Bench, LLaVA-Bench, CHAIR";
        let problem =
            format!("{first} and {second} answer nothing differently that both were asked");
        return Err(JudgeError::unfit(out, problem, remedy));
    }
    let images = images.canonicalize().map_err(|source| JudgeError::Io {
        action: "find",
        path: images.to_owned(),
        remedy: "check --images",
        source,
    })?;
    // A string of JSON is one of TOML.
    let text = PROJECT
        .replace("SEED", &seed.to_string())
        .replace("IMAGES", &json!(images.display().to_string()).to_string());
    let n = rows.len();
    let rows = serde_json::Value::Array(rows).to_string() + "\n";
    atomic::write(&out.join("pairs.json"), rows.as_bytes())?;
    atomic::write(&out.join("guidelines.md"), GUIDELINES.as_bytes())?;
    // Last, because the project is complete once this file is there.
    atomic::write(&project, text.as_bytes())?;
    Ok(n)
}

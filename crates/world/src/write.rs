//! The data folder, all of it in public formats but for `world.json` and `scenes.jsonl`.
//!
//! `world.json` is written last: a folder that has it is complete. The images are not synced one by one;
//! thousands of syncs would take longer than everything else.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use candor_data::formats::reward_bench::vl;
use candor_data::{atomic, formats};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use crate::config::WorldConfig;
use crate::error::WorldError;
use crate::evaluation::pope::PopeSplit;
use crate::evaluation::{chair, llava_bench, mmhal, pope, reward_pairs};
use crate::place::GRID;
use crate::scene::{MAX_OBJECTS, Scene, Split};
use crate::statistics::Statistics;
use crate::world::World;
use crate::{prompts, render, sft};

/// What `world.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What the world was built from.
    pub config: WorldConfig,
    /// GPT-4-like descriptions with 0, 1 and 2 false objects.
    pub false_additions: [usize; 3],
    /// False objects per description.
    pub false_objects_per_description: f64,
    /// What occurs with what in the training scenes.
    pub statistics: Statistics,
}

/// Writes the whole folder and returns what went into `world.json`.
///
/// # Errors
/// [`WorldError`] names the file that could not be written.
///
/// # Panics
/// Never: what goes into `world.json` can always be written as JSON.
pub fn write(world: &World, dir: &Path) -> Result<Summary, WorldError> {
    let mark = dir.join("world.json");
    if mark.exists() {
        std::fs::remove_file(&mark).map_err(|source| refused(&mark, source))?;
    }
    write_images(world, &dir.join("images"))?;
    write_scenes(world.scenes(), &dir.join("scenes.jsonl"))?;
    let false_additions = write_training(world, dir)?;
    write_prompts(world, dir)?;
    let statistics = Statistics::count(world.split(Split::Train));
    write_evaluation(world, &statistics, &dir.join("eval"))?;
    let [none, one, two] = false_additions;
    let summary = Summary {
        config: world.config().clone(),
        false_additions,
        false_objects_per_description: (one + 2 * two) as f64 / (none + one + two).max(1) as f64,
        statistics,
    };
    let json = serde_json::to_string_pretty(&summary).expect("plain fields and string keys");
    atomic::write(&mark, (json + "\n").as_bytes())?;
    Ok(summary)
}

/// Reads `world.json`.
///
/// # Errors
/// [`WorldError`] when it is missing or not what this version writes.
pub fn read_summary(path: &Path) -> Result<Summary, WorldError> {
    let bytes = std::fs::read(path).map_err(|source| refused(path, source))?;
    serde_json::from_slice(&bytes).map_err(|source| WorldError::Scene {
        path: path.to_owned(),
        line: source.line(),
        source,
    })
}

/// Reads `scenes.jsonl`.
///
/// # Errors
/// [`WorldError`] names the line that is not a scene, or that contradicts itself.
pub fn read_scenes(path: &Path) -> Result<Vec<Scene>, WorldError> {
    let file = File::open(path).map_err(|source| refused(path, source))?;
    let mut scenes = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line_text = line.map_err(|source| refused(path, source))?;
        if line_text.trim().is_empty() {
            continue;
        }
        let line = index + 1;
        let scene: Scene =
            serde_json::from_str(&line_text).map_err(|source| WorldError::Scene {
                path: path.to_owned(),
                line,
                source,
            })?;
        if let Some(found) = contradiction(&scene) {
            return Err(WorldError::Inconsistent {
                path: path.to_owned(),
                line,
                found,
            });
        }
        scenes.push(scene);
    }
    Ok(scenes)
}

fn contradiction(scene: &Scene) -> Option<String> {
    if !(1..=MAX_OBJECTS).contains(&scene.objects.len()) {
        return Some(format!(
            "found {} objects, expected 1 to 5",
            scene.objects.len()
        ));
    }
    let outside = scene
        .objects
        .iter()
        .find(|o| o.cell.row >= GRID || o.cell.col >= GRID)?;
    Some(format!(
        "found an object at row {}, column {}, outside the 4 by 4 grid",
        outside.cell.row, outside.cell.col
    ))
}

fn refused(path: &Path, source: std::io::Error) -> WorldError {
    WorldError::File {
        path: path.to_owned(),
        source,
    }
}

fn write_images(world: &World, dir: &Path) -> Result<(), WorldError> {
    std::fs::create_dir_all(dir).map_err(|source| refused(dir, source))?;
    let px = world.config().image_px;
    world.scenes().par_iter().try_for_each(|scene| {
        let path = dir.join(&scene.image);
        let bytes =
            render::encode_png(&render::render(scene, px)).map_err(|source| WorldError::Image {
                path: path.clone(),
                source,
            })?;
        std::fs::write(&path, bytes).map_err(|source| refused(&path, source))
    })
}

fn write_scenes(scenes: &[Scene], path: &Path) -> Result<(), WorldError> {
    let line = |scene| serde_json::to_string(scene).expect("plain fields and string keys") + "\n";
    let text: String = scenes.iter().map(line).collect();
    Ok(atomic::write(path, text.as_bytes())?)
}

fn write_training(world: &World, dir: &Path) -> Result<[usize; 3], WorldError> {
    let (config, scenes) = (world.config(), world.split(Split::Train));
    formats::coco::write_instances(
        &dir.join("grounding/instances.json"),
        &chair::instances(scenes, config.image_px),
    )?;
    formats::llava::write(
        &dir.join("pretrain/captions.json"),
        &sft::pretraining(config, scenes),
    )?;
    formats::llava::write(
        &dir.join("pretrain/roll_calls.json"),
        &sft::roll_calls(config, scenes),
    )?;
    formats::llava::write(
        &dir.join("pretrain/colour_calls.json"),
        &sft::colour_calls(config, scenes),
    )?;
    let sft = dir.join("sft");
    let (descriptions, false_additions) = sft::descriptions(config, scenes);
    formats::llava::write(&sft.join("descriptions.json"), &descriptions)?;
    formats::llava::write(
        &sft.join("conversations.json"),
        &sft::conversations(config, scenes),
    )?;
    let (questions, annotations) = sft::vqa_pairs(config, scenes);
    formats::vqa_v2::write_questions(&sft.join("vqa_questions.json"), &questions)?;
    formats::vqa_v2::write_annotations(&sft.join("vqa_annotations.json"), &annotations)?;
    formats::a_okvqa::write(&sft.join("aokvqa.json"), &sft::choices(config, scenes))?;
    formats::flickr30k::write(
        &sft.join("captions.token"),
        &sft::short_captions(config, scenes),
    )?;
    formats::llava::write(
        &sft.join("checklist.json"),
        &sft::checklists(config, scenes),
    )?;
    formats::llava::write(
        &sft.join("verification.json"),
        &sft::verifications(config, scenes),
    )?;
    formats::llava::write(
        &dir.join("reward/reading.json"),
        &sft::readings(config, scenes),
    )?;
    Ok(false_additions)
}

/// The prompts of both later stages; a split without scenes has no file.
fn write_prompts(world: &World, dir: &Path) -> Result<(), WorldError> {
    let config = world.config();
    let (compared, sampled) = (world.split(Split::Preference), world.split(Split::Rl));
    if !compared.is_empty() {
        let rows = prompts::preference(config, compared);
        formats::llava::write(&dir.join("preference/prompts.json"), &rows)?;
    }
    if !sampled.is_empty() {
        let rows = prompts::rl(config, sampled);
        formats::ppo_prompts::write(&dir.join("rl/prompts.json"), &rows)?;
    }
    let known = world
        .scenes()
        .iter()
        .filter(|scene| scene.split != Split::Eval);
    let book = prompts::facts(config, known);
    Ok(formats::captions::write(
        &dir.join("facts/image_to_caption.json"),
        &book,
    )?)
}

fn write_evaluation(world: &World, statistics: &Statistics, dir: &Path) -> Result<(), WorldError> {
    let (config, scenes) = (world.config(), world.split(Split::Eval));
    formats::mmhal::write(&dir.join("mmhal.json"), &mmhal::draw(config.seed, scenes))?;
    for split in PopeSplit::ALL {
        let path = dir.join(format!("pope_{}.jsonl", split.name()));
        formats::pope::write(&path, &pope::draw(config.seed, scenes, statistics, split))?;
    }
    let captioned = &scenes[..chair::N_SCENES.min(scenes.len())];
    let captions = chair::captions(config.seed, captioned, config.image_px);
    formats::coco::write_captions(&dir.join("chair_captions.json"), &captions)?;
    let instances = chair::instances(captioned, config.image_px);
    formats::coco::write_instances(&dir.join("chair_instances.json"), &instances)?;
    write_reward_pairs(config, scenes, dir)?;
    let bench = llava_bench::draw(config.seed, scenes);
    let dir = dir.join("llava_bench");
    formats::llava_bench::write_questions(&dir.join("questions.jsonl"), &bench.questions)?;
    formats::llava_bench::write_contexts(&dir.join("context.jsonl"), &bench.contexts)?;
    formats::llava_bench::write_answers(&dir.join("answers.jsonl"), &bench.answers)?;
    Ok(formats::llava_bench::write_rules(
        &dir.join("rule.json"),
        &bench.rules,
    )?)
}

/// Pairs for reward models, and the facts of their images for those that are shown facts.
fn write_reward_pairs(
    config: &WorldConfig,
    scenes: &[Scene],
    dir: &Path,
) -> Result<(), WorldError> {
    let pairs = reward_pairs::draw(config.seed, scenes);
    vl::write(&dir.join("reward_pairs.jsonl"), &pairs)?;
    let shown: BTreeSet<&str> = pairs.iter().map(|pair| pair.image.as_str()).collect();
    let known = scenes
        .iter()
        .filter(|scene| shown.contains(scene.image.as_str()));
    let book = prompts::facts(config, known);
    Ok(formats::captions::write(
        &dir.join("reward_facts.json"),
        &book,
    )?)
}

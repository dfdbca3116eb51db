//! `candor data build`: the files of training stages from public ones.

use candor_data::build::{Manifest, Settings, Stage, VqaFiles, paper};

use crate::arguments::{BuildCommand, PaperArguments};

/// Runs a `candor data build` command.
pub fn run(command: BuildCommand) -> anyhow::Result<()> {
    let BuildCommand::Paper(arguments) = command;
    let settings = settings(&arguments);
    let manifest = paper(&settings, &arguments.out, &|what| eprintln!("{what}"))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&manifest)?);
    } else {
        show(&manifest);
        println!(
            "{}: {} files and manifest.json",
            arguments.out.display(),
            manifest.files.len()
        );
    }
    Ok(())
}

fn settings(arguments: &PaperArguments) -> Settings {
    let vqa = arguments.vqa_questions.clone();
    let vqa = vqa.zip(arguments.vqa_annotations.clone());
    let stages = if arguments.stages.is_empty() {
        Stage::ALL.to_vec()
    } else {
        arguments.stages.clone()
    };
    Settings {
        llava: arguments.llava.clone(),
        vqa: vqa.map(|(questions, annotations)| VqaFiles {
            questions,
            annotations,
        }),
        aokvqa: arguments.aokvqa.clone(),
        flickr: arguments.flickr.clone(),
        coco_captions: arguments.coco_captions.clone(),
        images: arguments.images.clone(),
        image_names: arguments.image_names.clone(),
        evaluation: arguments.exclude_eval.clone(),
        held_out: arguments.held_out,
        stages,
        counts: arguments.counts.iter().copied().collect(),
        length_bonus: arguments.length_bonuses.iter().copied().collect(),
        seed: arguments.seed,
    }
}

/// What was taken, what was left out and why, and what the evaluation sets share with the sources.
fn show(manifest: &Manifest) {
    for (slice, counts) in &manifest.slices {
        println!(
            "{slice}: {} of {} rows, {} images",
            counts.rows, counts.candidates, counts.images
        );
    }
    for (source, counts) in &manifest.rows {
        let left_out: Vec<String> = counts
            .left_out
            .iter()
            .map(|(reason, n)| format!("{n} {reason}"))
            .collect();
        if !left_out.is_empty() {
            println!(
                "{source}: of {} rows left out: {}",
                counts.rows,
                left_out.join(", ")
            );
        }
        if counts.held_out > 0 {
            println!("{source}: {} rows held out", counts.held_out);
        }
    }
    for set in &manifest.evaluation {
        let rows: Vec<String> = set
            .rows
            .iter()
            .map(|(source, n)| format!("{n} of {source}"))
            .collect();
        let rows = if rows.is_empty() {
            "no rows".to_owned()
        } else {
            rows.join(", ")
        };
        println!(
            "{}: {} images, which {rows} are about",
            set.file, set.images
        );
    }
    if let Some(facts) = manifest.facts.as_ref().filter(|facts| facts.without > 0) {
        println!("facts: {} images of prompts have none", facts.without);
    }
}
